//! The holder's end: a thread that listens, and hands each request to the thread that holds the
//! areas.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use super::{Timed, address, read_line};
use crate::event::Event;
use crate::request::{Asked, Request};

/// How long one who asks may take to say it; and to hear the answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The longest that a holder waits for writers at the request of another process: it hears no
/// signal in the meantime.
pub(super) const LONGEST_FREEZE: Duration = Duration::from_millis(500);

impl Request {
    /// How long a freeze may wait for writers.
    pub(crate) fn timeout(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds).min(LONGEST_FREEZE)
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
    events.send(Event::Asked(Asked::new(request, answer))).map_err(|_| gone())?;
    let answer = answered.recv().map_err(|_| gone())?;
    let text = serde_json::to_string(&answer)? + "\n";
    timed().write_all(text.as_bytes())
}
