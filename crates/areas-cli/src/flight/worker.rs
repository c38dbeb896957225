//! The process that fetches: `areas-flight`, and what it says (`crates/areas-flight/src/worker.rs`
//! describes the messages).

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use areas::{AnyArea, Area, Error, ErrorKind, Name, Note, ReceiveOptions, Shared};
use serde::Deserialize;

use super::not_started;
use crate::failure::io_error;
use crate::target::bytes_of;

const WHAT: &str = "fetch an area";
/// A line that is longer makes no sense.
const MAX_LINE: u64 = 1 << 20;

/// What it says.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Size {
        size: u64,
        most: Option<u64>,
    },
    Done {
        checksum: Option<String>,
        sent: u64,
        seconds: f64,
        resumed: u32,
        local: bool,
        name: String,
        note: String,
    },
    Failed {
        kind: String,
        what: String,
        detail: Option<String>,
        help: Option<String>,
    },
}

/// What was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) area: AnyArea,
    /// What it has there.
    pub(crate) name: Name,
    pub(crate) note: Note,
    /// Whether there was a checksum.
    pub(crate) checked: bool,
    /// Bytes that were sent.
    pub(crate) sent: u64,
    /// For so long, from the first question to the last byte.
    pub(crate) seconds: f64,
    /// How often it went on after a failure.
    pub(crate) resumed: u32,
    /// Whether it is an area of this machine.
    pub(crate) local: bool,
}

#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    events: BufReader<ChildStdout>,
    socket: UnixStream,
}

impl Worker {
    pub(crate) fn start(mut command: Command) -> areas::Result<Self> {
        let (socket, theirs) = UnixStream::pair().map_err(|error| io_error(WHAT, error))?;
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| not_started(WHAT, error))?;
        // The command has its end of the socket, too, until it is dropped.
        drop(command);
        let output = child.stdout.take().ok_or_else(|| Error::new(ErrorKind::System, WHAT))?;
        Ok(Worker { child, events: BufReader::new(output), socket })
    }

    /// Has it fetch the area: `make` makes one of the size that is wanted, and that may grow, if a
    /// second number is there.
    pub(crate) fn bring(
        mut self,
        make: impl FnOnce(usize, Option<usize>) -> areas::Result<Area<Shared>>,
    ) -> areas::Result<Fetched> {
        let mut make = Some(make);
        loop {
            match self.next()? {
                Event::Size { size, most } => {
                    let make = make.take().ok_or_else(|| nonsense("it asked for a second area"))?;
                    let in_memory = |size| {
                        usize::try_from(size).map_err(|_| nonsense("its size is none of this machine's"))
                    };
                    let area = make(in_memory(size)?, most.map(in_memory).transpose()?)?;
                    // From here on it is the other process's alone: a frozen one has no other
                    // writers.
                    area.send(&self.socket)?;
                }
                Event::Done { checksum, sent, seconds, resumed, local, name, note } => {
                    let area = bounds().receive(&self.socket)?;
                    if !area.is_frozen() {
                        return Err(nonsense("what came is not frozen"));
                    }
                    let (name, note) = (Name::new(bytes(&name)?)?, Note::new(bytes(&note)?)?);
                    return Ok(Fetched {
                        area,
                        name,
                        note,
                        checked: checksum.is_some(),
                        sent,
                        seconds,
                        resumed,
                        local,
                    });
                }
                Event::Failed { kind, what, detail, help } => {
                    let error = Error::new(kind_of(&kind), what);
                    let error = detail.into_iter().fold(error, Error::with_facts);
                    return Err(help.into_iter().fold(error, Error::with_remedy));
                }
            }
        }
    }

    fn next(&mut self) -> areas::Result<Event> {
        let mut line = String::new();
        self.events
            .by_ref()
            .take(MAX_LINE)
            .read_line(&mut line)
            .map_err(|error| io_error(format!("{WHAT}: receive from the process that does it"), error))?;
        if line.is_empty() {
            let ended = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            return Err(Error::new(ErrorKind::System, WHAT)
                .with_facts(format!("the process that does it ended before it was done: {ended}"))
                .with_remedy(
                    "nothing was published: fetch it again; `dmesg` shows what was killed for lack of memory",
                ));
        }
        serde_json::from_str(&line).map_err(|error| nonsense(&error.to_string()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends by itself once no process is at the other end of the socket; after an error, that
        // is now.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

/// Of what is our own: it was made here, as large and as locked as was asked.
fn bounds() -> ReceiveOptions {
    ReceiveOptions::new().max_addresses(usize::MAX).max_locked(usize::MAX).max_pool_bytes(usize::MAX)
}

fn nonsense(detail: &str) -> Error {
    Error::new(ErrorKind::System, WHAT)
        .with_facts(format!("the process that does it sent something invalid: {detail}"))
        .with_remedy("install `areas` and `areas-flight` of one version")
}

fn bytes(hex: &str) -> areas::Result<Vec<u8>> {
    bytes_of(hex.as_bytes()).ok_or_else(|| nonsense("bytes have two hexadecimal digits each"))
}

fn kind_of(kind: &str) -> ErrorKind {
    ErrorKind::ALL.into_iter().find(|known| format!("{known:?}") == kind).unwrap_or(ErrorKind::System)
}
