//! Running a command: signals are passed on to it, and its status is ours.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::Sender;

use areas::{Error, ErrorKind};
use rustix::process::{Pid, WaitId, WaitIdOptions};
use signal_hook::consts::signal::{SIGINT, SIGQUIT, SIGWINCH};

use crate::event::Event;
use crate::failure::{Result, code_of_signal, io_error};
use crate::output;
use crate::signals::{self, is_in_front};

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pid: Pid,
    program: OsString,
}

/// Starts a command, whose end is an event. Where it cannot be started that is said, and the status
/// is given that a shell gives.
///
/// # Errors
/// If no process can wait for it.
pub(crate) fn start(
    mut command: Command,
    program: &OsString,
    events: &Sender<Event>,
) -> Result<Result<Running, u8>> {
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            // As a shell distinguishes them.
            let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
            output::complain(&io_error(format!("run {program:?}"), error).to_string());
            return Ok(Err(code));
        }
    };
    let pid = pid_of(&child)?;
    let sender = events.clone();
    let watch = move || {
        // It stays a zombie, so that its number is no other process's when a signal is passed on.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(rustix::process::waitid(WaitId::Pid(pid), ended), Err(rustix::io::Errno::INTR)) {}
        let _ = sender.send(Event::Ended);
    };
    std::thread::Builder::new()
        .name("command".to_owned())
        .spawn(watch)
        .map_err(|error| Error::new(ErrorKind::System, "wait for a command").caused_by(error))?;
    Ok(Ok(Running { child, pid, program: program.clone() }))
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
    /// Passes signals on until it ends; returns its status, as a shell reports it.
    ///
    /// # Errors
    /// If the kernel does not report the status.
    pub(crate) fn serve(&mut self, mut next: impl FnMut() -> Option<Event>) -> Result<u8> {
        while let Some(Event::Signal(signal)) = next() {
            if !(comes_from_the_terminal(signal) && shares_our_terminal()) {
                signals::pass_on(signal, self.pid);
            }
        }
        let failed = |error| io_error(format!("wait for {:?}", self.program), error);
        Ok(code_of(self.child.wait().map_err(failed)?))
    }
}

fn pid_of(child: &Child) -> areas::Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| {
        Error::new(ErrorKind::System, "run a command").with_facts("the kernel gave it an odd number")
    })
}

fn comes_from_the_terminal(signal: i32) -> bool {
    [SIGINT, SIGQUIT, SIGWINCH].contains(&signal)
}

/// Whether the terminal sends what is typed (^C), and that its size has changed, to our whole
/// process group, the command included: it is not to get that twice.
fn shares_our_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok_and(|tty| is_in_front(tty) == Some(true))
}

fn code_of(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(1),
        (None, Some(signal)) => code_of_signal(signal),
        (None, None) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_a_shell() {
        assert_eq!(code_of(ExitStatus::from_raw(0)), 0);
        assert_eq!(code_of(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code_of(ExitStatus::from_raw(9)), 137);
        assert_eq!(code_of_signal(15), 143);
        assert_eq!(code_of_signal(1000), 1);
    }
}
