//! What one `areas` command may ask of another one that holds areas: to freeze one, to publish it
//! under another name, to drop one of several. Only its holder can do that: it has the area mapped
//! for writing, and its name is in its own table.
//!
//! A holder listens at a socket in the abstract namespace, whose address is made of its pid and pid
//! namespace: nothing is left behind, however it ends. The kernel says who listens (`SO_PEERCRED`),
//! so that an answer comes from that very process, and who asks: the same user, or root. Anything
//! else is not answered. A request is a line of JSON, and so is its answer. Both sides wait until a
//! moment of the clock, and no longer, however little at a time the other one says.

pub(crate) mod ask;
pub(crate) mod listen;

use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// No request and no answer is longer: a holder of more areas than that names the first ones.
const LONGEST: u64 = 64 << 10;

/// Where a process of our pid namespace listens: a name in the abstract namespace.
fn address(pid: u32) -> io::Result<String> {
    let namespace = std::fs::metadata("/proc/self/ns/pid")?.ino();
    Ok(format!("areas-holder-{namespace}-{pid}"))
}

/// A connection until a moment of the clock: from then on nothing is read or written, however it
/// came before.
struct Timed<'a> {
    stream: &'a UnixStream,
    deadline: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

/// As the kernel says that the time is over.
fn timed<T>(result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        timed(self.stream.read(buffer))
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        timed(self.stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    fn who_dribbles_has_no_longer_than_who_is_silent() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let dribble = std::thread::spawn(move || {
            let mut theirs = theirs;
            while theirs.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let deadline = Instant::now() + Duration::from_millis(200);
        let error = read_line(Timed { stream: &ours, deadline }).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(Instant::now() >= deadline);
        drop(ours);
        dribble.join().unwrap();
        // No process reads: what has no room is not waited for.
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let deadline = Instant::now() + Duration::from_millis(50);
        let error = Timed { stream: &ours, deadline }.write_all(&vec![0; 8 << 20]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
