//! The asker's end.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use areas::registry::ProcessStat;
use areas::{Error, Kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};

use super::listen::LONGEST_FREEZE;
use super::{Answer, Request, address, read_line};
use crate::failure::io_error;

/// How long a holder may take to answer, besides what it is asked to wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// A process that was proved to be an `areas` command which holds areas: the kernel says that it is the one who answers.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    process: OwnedFd,
    pub(crate) ids: Vec<i32>,
    pub(crate) command: Option<String>,
}

impl Holder {
    /// Asks a process whether it is one; `None` if it does not answer.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        // First of all: from here on the number cannot become another process's without this telling so.
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
        let process = pidfd_open(number, PidfdFlags::empty()).ok()?;
        // One that is stopped would be waited for in vain.
        if is_stopped(pid) {
            return None;
        }
        match ask(pid, &Request::Holds)? {
            Answer::Holds { ids, command } if !has_ended(&process) => {
                Some(Holder { pid, process, ids, command })
            }
            _ => None,
        }
    }

    /// Asks it for something.
    ///
    /// # Errors
    /// What it says; `Kind::Unsupported` if it does not answer any more.
    pub(crate) fn ask(&self, request: &Request) -> areas::Result<i32> {
        match ask(self.pid, request) {
            Some(Answer::Done { id }) => Ok(id),
            Some(Answer::Failed { what, detail, help, busy }) => {
                let mut error = Error::new(if busy { Kind::Busy } else { Kind::System }, what);
                if let Some(detail) = detail {
                    error = error.detail(detail);
                }
                Err(match help {
                    Some(help) => error.help(help),
                    None => error,
                })
            }
            Some(Answer::Holds { .. }) | None => {
                Err(Error::new(Kind::Unsupported, format!("ask process {} for it", self.pid))
                    .detail("it does not answer"))
            }
        }
    }

    /// Asks it to freeze an area; a holder that is asked hears no signals meanwhile, so it is asked for a moment at a time.
    ///
    /// # Errors
    /// As [`ask`](Holder::ask); `Kind::Busy` where somebody could still write at the end.
    pub(crate) fn freeze(&self, id: i32, deadline: Instant) -> areas::Result<()> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).min(LONGEST_FREEZE);
            let patience = u64::try_from(left.as_millis()).unwrap_or(0);
            match self.ask(&Request::Freeze { id, patience }) {
                Err(error) if error.kind() == Kind::Busy && Instant::now() < deadline => {}
                answer => return answer.map(|_| ()),
            }
        }
    }

    /// Sends it a signal: to it, and to no process that has come to have its number.
    ///
    /// # Errors
    /// `Kind::NotPermitted` if the kernel refuses. That it has ended is no error.
    pub(crate) fn signal(&self, signal: Signal) -> areas::Result<()> {
        match pidfd_send_signal(&self.process, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => {
                let what = format!("end process {}, which holds it", self.pid);
                Err(Error::new(Kind::NotPermitted, what)
                    .call("pidfd_send_signal(SIGTERM)", areas::Errno::from(errno)))
            }
        }
    }

    /// Waits until it has ended; `false` if it has not by then.
    ///
    /// # Errors
    /// If the kernel does not let us wait.
    pub(crate) fn wait(&self, timeout: Duration) -> areas::Result<bool> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let time = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::new(&self.process, PollFlags::IN)], time.as_ref()) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(io_error(format!("wait for process {}", self.pid), errno.into())),
            }
        }
    }
}

/// Whether a process is stopped (SIGSTOP, a debugger), so that it answers nobody.
pub(crate) fn is_stopped(pid: u32) -> bool {
    ProcessStat::of(pid).is_ok_and(|stat| matches!(stat.state, b'T' | b't'))
}

/// Why a holder does not answer: what is the matter with it, and what to do. `otherwise` is what to do about a program that is not ours.
pub(crate) fn does_not_answer(pid: u32, command: &str, what: String, otherwise: &'static str) -> Error {
    match is_stopped(pid) {
        true => Error::new(Kind::TimedOut, what)
            .detail(format!("its holder, process {pid}{command}, is stopped, so that it cannot answer"))
            .help(format!("have it go on: `kill -CONT {pid}`")),
        false => Error::new(Kind::Unsupported, what)
            .detail(format!("its holder, process {pid}{command}, is no `areas` command that answers here"))
            .help(otherwise),
    }
}

fn has_ended(process: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&now)), Ok(0))
}

/// Asks whoever listens for a process, if it is that process, and the same user's (or root's, which may do all).
fn ask(pid: u32, request: &Request) -> Option<Answer> {
    let mut stream = UnixStream::connect_addr(&address(pid).ok()?).ok()?;
    let listener = areas::others::peer(stream.as_fd()).ok()?;
    let own = geteuid().as_raw();
    let is_ours = listener.user == own || own == 0 || listener.user == 0;
    if !(is_ours && listener.pid == pid) {
        return None;
    }
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let text = serde_json::to_string(request).ok()? + "\n";
    stream.write_all(text.as_bytes()).ok()?;
    serde_json::from_slice(&read_line(&stream).ok()?).ok()
}
