//! What one `areas` command may ask of another one that holds areas: to freeze one, to publish it under another name, to drop one of several. Only its
//! holder can do that: it has the area mapped for writing, and its name is in its own table.
//!
//! A holder listens at a socket in the abstract namespace, whose address is made of its pid and pid namespace: nothing is left behind, however it ends. The
//! kernel says who listens (`SO_PEERCRED`), so that an answer comes from that very process, and who asks: the same user, or root. Anything else is
//! not answered. A request is a line of JSON, and so is its answer.

pub(crate) mod ask;
pub(crate) mod listen;

use std::io::{self, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Which areas it holds, and for what.
    Holds,
    /// To freeze an area, waiting at most so many milliseconds for writers.
    Freeze { id: i32, patience: u64 },
    /// To publish an area under another name instead of its own.
    Rename { id: i32, name: Vec<u8>, exclusive: bool },
    /// To hold an area no longer, of several.
    Drop { id: i32 },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Its areas, and the command that it holds them for.
    Holds { ids: Vec<i32>, command: Option<String> },
    /// It is done; the area has that id now.
    Done { id: i32 },
    /// It could not be done.
    Failed { what: String, detail: Option<String>, help: Option<String>, busy: bool },
}

/// No request and no answer is longer: a holder of more areas than that names the first ones.
const LONGEST: u64 = 64 << 10;
/// Ids that an answer has room for.
pub(crate) const MOST_IDS: usize = 4096;

/// Where a process of our pid namespace listens.
fn address(pid: u32) -> io::Result<SocketAddr> {
    let namespace = std::fs::metadata("/proc/self/ns/pid")?.ino();
    SocketAddr::from_abstract_name(format!("areas-holder-{namespace}-{pid}"))
}

/// One line, and no more than that.
fn read_line(from: impl Read) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    for byte in io::BufReader::new(from.take(LONGEST)).bytes() {
        match byte? {
            b'\n' => return Ok(line),
            byte => line.push(byte),
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_no_more() {
        assert_eq!(read_line(&b"one\ntwo"[..]).unwrap(), b"one");
        assert!(read_line(&b"no end"[..]).is_err());
        assert!(read_line(io::repeat(b'x')).is_err());
    }

    #[test]
    fn requests_are_read_as_they_are_written() {
        let requests = [
            Request::Holds,
            Request::Freeze { id: 7, patience: 100 },
            Request::Rename { id: 7, name: vec![0xff, 1], exclusive: true },
            Request::Drop { id: 7 },
        ];
        for request in requests {
            let text = serde_json::to_vec(&request).unwrap();
            assert!(!text.contains(&b'\n'));
            assert_eq!(serde_json::from_slice::<Request>(&text).unwrap(), request);
        }
        for nonsense in ["", "{}", "\"Everything\"", "{\"Freeze\":{\"id\":\"x\"}}", "[1]"] {
            assert!(serde_json::from_str::<Request>(nonsense).is_err(), "{nonsense}");
        }
    }
}
