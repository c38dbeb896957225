//! The asker's end.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use areas::registry::{self, ProcessStat};
use areas::{Error, ErrorKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};

use super::listen::LONGEST_FREEZE;
use super::{Timed, address, read_line};
use crate::failure::io_error;
use crate::request::{Answer, Request};

/// A process that is asked has so long to answer, also where less was given: a moment, in which a
/// holder that is well answers many times.
pub(crate) const AT_LEAST: Duration = Duration::from_millis(100);

/// How long is waited, for all steps together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within {
    /// As it was given.
    pub(crate) given: Duration,
    deadline: Instant,
}

impl Within {
    /// From now on.
    pub(crate) fn new(given: Duration) -> Self {
        let now = Instant::now();
        /// As good as forever.
        const LONGEST: Duration = Duration::from_secs(1 << 32);
        Within { given, deadline: now + given.clamp(AT_LEAST, LONGEST) }
    }

    /// What is left of it.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Why no process answers for a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// It does not listen, or says what makes no sense: it is not an `areas` command that holds
    /// areas, or it is stopped.
    NoHolder,
    /// It listens, and has not answered in time.
    Silent,
}

/// A process that was proved to be an `areas` command which holds areas: the kernel says that it is
/// the one who answers.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    process: OwnedFd,
    pub(crate) ids: Vec<i32>,
    pub(crate) command: Option<String>,
}

impl Holder {
    /// Asks a process whether it is one.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) fn of(pid: u32, within: &Within) -> Result<Self, NoAnswer> {
        // First of all: from here on the number cannot become another process's without this
        // reporting it.
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(NoAnswer::NoHolder)?;
        let process = pidfd_open(number, PidfdFlags::empty()).map_err(|_| NoAnswer::NoHolder)?;
        // One that is stopped would be waited for in vain.
        if is_stopped(pid) {
            return Err(NoAnswer::NoHolder);
        }
        match ask(pid, &Request::Holds, within)? {
            Answer::Holds { ids, command } if !has_ended(&process) => {
                Ok(Holder { pid, process, ids, command })
            }
            _ => Err(NoAnswer::NoHolder),
        }
    }

    /// Asks it for something. `what` completes "cannot …".
    ///
    /// # Errors
    /// What it says; `ErrorKind::Unsupported` if it does not answer any more, `ErrorKind::TimedOut`
    /// if it has not in time.
    pub(crate) fn ask(&self, request: &Request, what: &str, within: &Within) -> areas::Result<i32> {
        match ask(self.pid, request, within) {
            Ok(Answer::Done { id }) => Ok(id),
            Ok(Answer::Failed { what, detail, help, busy }) => {
                let mut error = Error::new(if busy { ErrorKind::Busy } else { ErrorKind::System }, what);
                if let Some(detail) = detail {
                    error = error.with_facts(detail);
                }
                Err(match help {
                    Some(help) => error.with_remedy(help),
                    None => error,
                })
            }
            Err(NoAnswer::Silent) => Err(Error::new(ErrorKind::TimedOut, what.to_owned())
                .with_facts(format!(
                    "its holder, process {}, was asked, and has not answered within {:?}: it may still do it",
                    self.pid, within.given
                ))
                .with_remedy("look for the result: `areas ls`; or give it more time: `--timeout`")),
            Ok(Answer::Holds { .. }) | Err(NoAnswer::NoHolder) => {
                Err(Error::new(ErrorKind::Unsupported, what.to_owned())
                    .with_facts(format!("its holder, process {}, does not answer any more", self.pid)))
            }
        }
    }

    /// Asks it to freeze an area; a holder that is asked hears no signals in the meantime, so it is
    /// asked for a moment at a time.
    ///
    /// # Errors
    /// As [`ask`](Holder::ask); `ErrorKind::Busy` where a process could still write at the end.
    pub(crate) fn freeze(&self, id: i32, what: &str, within: &Within) -> areas::Result<()> {
        /// With less time than that it is not asked once more.
        const TOO_LITTLE: Duration = Duration::from_millis(50);
        let mut last: Option<Error> = None;
        loop {
            let left = within.left();
            if left < TOO_LITTLE
                && let Some(error) = last
            {
                return Err(error);
            }
            // Its answer, too, has to come in time.
            let timeout = (left / 2).min(LONGEST_FREEZE);
            let timeout = u64::try_from(timeout.as_millis()).unwrap_or(0);
            match self.ask(&Request::Freeze { id, timeout }, what, within) {
                Err(error) if error.kind() == ErrorKind::Busy => last = Some(error),
                Err(error) if error.kind() == ErrorKind::TimedOut => return Err(last.unwrap_or(error)),
                answer => return answer.map(|_| ()),
            }
        }
    }

    /// Sends it a signal: to it, and to no process that has come to have its number.
    ///
    /// # Errors
    /// `ErrorKind::NotPermitted` if the kernel refuses. That it has ended is not an error.
    pub(crate) fn signal(&self, signal: Signal) -> areas::Result<()> {
        match pidfd_send_signal(&self.process, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => {
                let what = format!("end process {}, which holds it", self.pid);
                Err(Error::new(ErrorKind::NotPermitted, what)
                    .with_system_call("pidfd_send_signal(SIGTERM)", areas::Errno::from(errno)))
            }
        }
    }

    /// Waits until it has ended; `false` if it has not by then.
    ///
    /// # Errors
    /// If the kernel does not let us wait.
    pub(crate) fn wait(&self, within: &Within) -> areas::Result<bool> {
        loop {
            let left = within.left();
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

/// Whether a process is stopped (SIGSTOP, a debugger), so that it answers no process.
pub(crate) fn is_stopped(pid: u32) -> bool {
    ProcessStat::of(pid).is_ok_and(|stat| matches!(stat.state, b'T' | b't'))
}

/// Why a holder does not answer: what is the matter with it, and what to do. `otherwise` is what to
/// do about a program that is not ours.
pub(crate) fn does_not_answer(
    pid: u32,
    (why, within): (NoAnswer, &Within),
    what: String,
    otherwise: &'static str,
) -> Error {
    let command = registry::command_of(pid).map_or_else(String::new, |command| format!(" ({command})"));
    if is_stopped(pid) {
        return Error::new(ErrorKind::TimedOut, what)
            .with_facts(format!("its holder, process {pid}{command}, is stopped, so that it cannot answer"))
            .with_remedy(format!("continue it: `kill -CONT {pid}`"));
    }
    match why {
        NoAnswer::Silent => Error::new(ErrorKind::TimedOut, what)
            .with_facts(format!(
                "its holder, process {pid}{command}, listens, and has not answered within {:?}",
                within.given
            ))
            .with_remedy(format!("give it more time: `--timeout`; if it hangs, `kill {pid}` ends it")),
        NoAnswer::NoHolder => Error::new(ErrorKind::Unsupported, what)
            .with_facts(format!(
                "its holder, process {pid}{command}, is not an `areas` command that answers here"
            ))
            .with_remedy(otherwise),
    }
}

fn has_ended(process: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&now)), Ok(0))
}

/// Asks the listener of a process, if it is that process, and the same user's (or root's, which may
/// do all).
fn ask(pid: u32, request: &Request, within: &Within) -> Result<Answer, NoAnswer> {
    let deadline = within.deadline;
    let asked = || -> io::Result<Answer> {
        let stream = connect(pid, deadline)?;
        let listener = areas::others::peer(stream.as_fd())?;
        let own = geteuid().as_raw();
        let is_ours = listener.user == own || own == 0 || listener.user == 0;
        if !(is_ours && listener.pid == pid) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let timed = || Timed { stream: &stream, deadline };
        let text = serde_json::to_string(request)? + "\n";
        timed().write_all(text.as_bytes())?;
        Ok(serde_json::from_slice(&read_line(timed())?)?)
    };
    asked().map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => NoAnswer::Silent,
        _ => NoAnswer::NoHolder,
    })
}

/// Connects to where a process listens. Where others wait there already, as many as the kernel lets
/// wait, it is tried again until the deadline.
fn connect(pid: u32, deadline: Instant) -> io::Result<UnixStream> {
    const PAUSE: Duration = Duration::from_millis(10);
    let address = SocketAddrUnix::new_abstract_name(address(pid)?.as_bytes())?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    loop {
        match rustix::net::connect(&socket, &address) {
            Ok(()) => break,
            Err(rustix::io::Errno::AGAIN) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err(rustix::io::Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}
