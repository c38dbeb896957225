//! A reader of our output that goes: noticed at once by commands that print seldom, and not only by
//! their next line.

use areas::{Error, ErrorKind};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::stdio::stdout;

use crate::failure::{Failure, Result};

/// From now on this process ends, quietly, as soon as no process can read its standard output any
/// more: for those who have nothing to undo.
pub(crate) fn end_without_reader() -> Result<()> {
    when_gone(|| std::process::exit(i32::from(Failure::UNREAD)))
}

/// Calls this once no process can read the standard output any more, in a thread of its own. A file
/// and a terminal always have a reader.
pub(crate) fn when_gone(notify: impl FnOnce() + Send + 'static) -> Result<()> {
    if !can_go() {
        return Ok(());
    }
    let wait = move || {
        // The kernel reports errors and hang-ups whether it is asked for them or not.
        let mut waits = [PollFd::from_borrowed_fd(stdout(), PollFlags::empty())];
        loop {
            match poll(&mut waits, None) {
                Err(Errno::INTR) => {}
                // Without that the next line finds it out.
                Err(_) => return,
                Ok(_) if waits[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => return notify(),
                Ok(_) => return,
            }
        }
    };
    std::thread::Builder::new().name("reader".to_owned()).spawn(wait).map_err(|error| {
        Error::new(ErrorKind::System, "wait for the reader of the output").caused_by(error)
    })?;
    Ok(())
}

/// Whether the standard output is a pipe or a socket.
fn can_go() -> bool {
    let kind = rustix::fs::fstat(stdout()).map(|stat| FileType::from_raw_mode(stat.st_mode));
    crate::stdio::output().is_ok()
        && kind.is_ok_and(|kind| [FileType::Fifo, FileType::Socket].contains(&kind))
}
