//! The holder's end: a thread that listens, and hands each request to the thread that holds the
//! areas.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::mpsc::{self, Sender, SyncSender};
use std::time::{Duration, Instant};

use areas::{Error, ErrorKind};

use super::{Answer, Request, Timed, address, read_line};
use crate::signals::Event;

/// How long one who asks may take to say it; and to hear the answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The longest that a holder waits for writers at the request of another process: it hears no
/// signal in the meantime.
pub(super) const LONGEST_FREEZE: Duration = Duration::from_millis(500);

/// A request, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    answer: SyncSender<Answer>,
}

impl Asked {
    pub(crate) fn answer(self, answer: Answer) {
        // Who asked may have gone.
        let _ = self.answer.send(answer);
    }
}

impl Request {
    /// How long a freeze may wait for writers.
    pub(crate) fn timeout(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds).min(LONGEST_FREEZE)
    }
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        let detail = match (error.facts(), error.system_call(), error.errno()) {
            (Some(facts), ..) => Some(facts.to_owned()),
            (None, Some(call), Some(errno)) => Some(format!("{call}: {errno}")),
            _ => None,
        };
        Answer::Failed {
            what: error.what().to_owned(),
            detail,
            help: error.remedy().map(str::to_owned),
            busy: error.kind() == ErrorKind::Busy,
        }
    }
}

/// Listens from now on. Where that cannot be (another process has the address, a sandbox forbids
/// sockets) no process can ask, and each gets that error: the areas are held all the same.
pub(crate) fn listen(events: Sender<Event>) {
    let bind = || UnixListener::bind_addr(&SocketAddr::from_abstract_name(address(std::process::id())?)?);
    let Ok(listener) = bind() else { return };
    let serve = move || {
        for stream in listener.incoming() {
            match stream {
                Ok(stream) => {
                    // One at a time. What goes wrong with one who asks is that one's.
                    let _ = serve(&stream, &events);
                }
                // No descriptor is left, for instance: not in a loop that takes the processor.
                Err(_) => std::thread::sleep(TIMEOUT),
            }
        }
    };
    // Without a thread no process listens, as above.
    let _ = std::thread::Builder::new().name("requests".to_owned()).spawn(serve);
}

fn serve(stream: &UnixStream, events: &Sender<Event>) -> io::Result<()> {
    let asker = areas::others::peer(stream.as_fd())?;
    if !(asker.user == 0 || asker.user == rustix::process::geteuid().as_raw()) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let timed = || Timed { stream, deadline: Instant::now() + TIMEOUT };
    let request: Request = serde_json::from_slice(&read_line(timed())?)?;
    let (answer, answered) = mpsc::sync_channel(1);
    let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
    events.send(Event::Asked(Asked { request, answer })).map_err(|_| gone())?;
    let answer = answered.recv().map_err(|_| gone())?;
    let text = serde_json::to_string(&answer)? + "\n";
    timed().write_all(text.as_bytes())
}
