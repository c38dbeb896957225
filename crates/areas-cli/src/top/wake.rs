//! Waiting for what comes first: a key, a signal, or the time of the next look.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;
use signal_hook::consts::signal::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};

use crate::signals;

/// End the screen, in order.
pub(super) const ENDING: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// What has come. Signals are remembered until they are asked for.
#[derive(Debug)]
pub(super) struct Wake {
    pipe: UnixStream,
    ended: Arc<AtomicUsize>,
    resized: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
}

impl Wake {
    pub(super) fn new() -> io::Result<Self> {
        let (pipe, sender) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let wake = Wake {
            pipe,
            ended: Arc::default(),
            resized: Arc::default(),
            stop: Arc::default(),
            continued: Arc::default(),
        };
        // The flag before the pipe, so that whoever is woken finds it.
        for signal in ENDING.into_iter().filter(|&signal| !signals::is_ignored(signal)) {
            signals::remember(signal, &wake.ended, &sender)?;
        }
        for (signal, flag) in [(SIGWINCH, &wake.resized), (SIGTSTP, &wake.stop), (SIGCONT, &wake.continued)] {
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(wake)
    }

    /// The signal that has asked us to end.
    pub(super) fn ended(&self) -> Option<i32> {
        i32::try_from(self.ended.load(Ordering::SeqCst)).ok().filter(|signal| *signal > 0)
    }

    /// We are to end: the parent has gone, or the terminal has.
    pub(super) fn end(&self) {
        self.ended.store(usize::try_from(SIGHUP).unwrap_or(1), Ordering::SeqCst);
    }

    pub(super) fn resized(&self) -> bool {
        self.resized.swap(false, Ordering::SeqCst)
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.swap(false, Ordering::SeqCst)
    }

    pub(super) fn continued(&self) -> bool {
        self.continued.swap(false, Ordering::SeqCst)
    }

    /// Waits, at most so long; gives what was typed.
    pub(super) fn wait(&mut self, limit: Option<Duration>) -> io::Result<Vec<u8>> {
        let mut fds =
            [PollFd::from_borrowed_fd(stdin(), PollFlags::IN), PollFd::new(&self.pipe, PollFlags::IN)];
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(limit.subsec_nanos()),
        });
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let typed = fds[0].revents();
        // How often it was written to does not matter.
        while matches!(self.pipe.read(&mut [0; 64]), Ok(64)) {}
        if typed.is_empty() {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; 256];
        match rustix::io::read(stdin(), &mut bytes) {
            // The terminal has hung up.
            Ok(0) | Err(rustix::io::Errno::IO) => self.end(),
            Ok(read) => {
                bytes.truncate(read);
                return Ok(bytes);
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Vec::new())
    }
}
