//! The process that a shell has started: it has another one draw, and does nothing but wait, so
//! that a process is left to give the terminal back when that one is killed. (When this one is
//! killed, the other one does: it has the kernel send it a signal then.)

use std::ffi::OsString;
use std::process::{Child, Command, ExitCode};

use areas::registry::ProcessStat;
use areas::{Error, ErrorKind};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, kill_current_process_group, kill_process, waitid,
};
use signal_hook::consts::signal::{SIGCHLD, SIGCONT, SIGTSTP};
use signal_hook::iterator::Signals;

use super::args::Top;
use super::screen::{Before, Typed};
use super::wake::ENDING;
use crate::failure::{Result, io_error};
use crate::output;
use crate::signals;

pub(super) fn run(top: &Top) -> Result<ExitCode> {
    let failed = |error| io_error("watch areas", error);
    let before = Before::ask().map_err(failed)?;
    let wanted = ENDING.into_iter().filter(|&signal| !signals::is_ignored(signal));
    let mut signals = Signals::new(wanted.chain([SIGCHLD, SIGCONT, SIGTSTP])).map_err(failed)?;
    // The very program that runs now, even where its file has been replaced.
    let child = Command::new("/proc/self/exe").args(arguments(top)).spawn().map_err(failed)?;
    let mut screen = Process { pid: pid_of(&child)?, later: Vec::new() };
    let mut asked_to_end = false;
    loop {
        let mut came = std::mem::take(&mut screen.later);
        if came.is_empty() {
            // All that has come until now, each once.
            came.extend(signals.wait());
        }
        for signal in came {
            match signal {
                SIGCHLD => {}
                SIGTSTP => screen.send(Signal::TSTP),
                SIGCONT => screen.go_on(),
                // A second time, or where it does not listen: then by force. We restore the
                // terminal.
                _ if asked_to_end => screen.send(Signal::KILL),
                signal => {
                    asked_to_end = true;
                    signals::pass_on(signal, screen.pid);
                    screen.go_on();
                }
            }
        }
        if let Some(code) = screen.look(&before, &mut signals)? {
            return Ok(code);
        }
    }
}

fn arguments(top: &Top) -> Vec<OsString> {
    let first = ["top-screen".to_owned(), format!("--parent={}", getpid().as_raw_pid())];
    first.into_iter().map(OsString::from).chain(top.to_arguments()).collect()
}

fn pid_of(child: &Child) -> areas::Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| {
        Error::new(ErrorKind::System, "watch areas").with_facts("the kernel gave a process an odd number")
    })
}

/// The process that draws.
#[derive(Debug)]
struct Process {
    pid: Pid,
    /// Signals that have come and are not dealt with yet.
    later: Vec<i32>,
}

impl Process {
    fn send(&self, signal: Signal) {
        // It is our child, and not waited for yet: its number is no other process's.
        let _ = kill_process(self.pid, signal);
    }

    /// Has it go on, if it is stopped. Mostly it is not: whoever continues us does that for the
    /// whole job. And if it has been stopped once more since we have looked, that is to stay so.
    fn go_on(&self) {
        let pid = self.pid.as_raw_pid().unsigned_abs();
        let is_stopped = ProcessStat::of(pid).is_ok_and(|stat| stat.state == b'T');
        // Asked behind that: a stop in between would else be taken for an old one.
        let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        let is_new = matches!(waitid(WaitId::Pid(self.pid), options | WaitIdOptions::NOWAIT), Ok(Some(_)));
        if is_stopped && !is_new {
            self.send(Signal::CONT);
        }
    }

    /// What has become of it: an exit code where it has ended. Where it has stopped, the whole job
    /// does, with the terminal as it was.
    fn look(&mut self, before: &Before, signals: &mut Signals) -> Result<Option<ExitCode>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        let status = loop {
            match waitid(WaitId::Pid(self.pid), options) {
                Ok(Some(status)) => break status,
                Ok(None) => return Ok(None),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io_error("wait for the screen", error.into()).into()),
            }
        };
        if status.stopped() {
            before.restore(Typed::Dropped);
            self.stop_the_job(signals).map_err(|error| io_error("stop", error.into()))?;
            // Here a process had us go on.
            self.go_on();
            return Ok(None);
        }
        before.restore(Typed::Dropped);
        if let Some(code) = status.exit_status() {
            return Ok(Some(ExitCode::from(u8::try_from(code).unwrap_or(1))));
        }
        let signal = status.terminating_signal().unwrap_or(0);
        output::complain(&format!(
            "signal {signal} has ended the process that drew; the terminal is as it was"
        ));
        Ok(Some(ExitCode::from(u8::try_from(128 + signal).unwrap_or(1))))
    }

    /// A shell, or a script, that has started us in its own group goes to sleep too, as with `^Z`
    /// in any program.
    fn stop_the_job(&mut self, signals: &mut Signals) -> rustix::io::Result<()> {
        kill_current_process_group(Signal::TSTP)?;
        // That has come to us as well, before the call came back: what follows is another one.
        self.later.extend(signals.pending().filter(|signal| *signal != SIGTSTP));
        kill_process(getpid(), Signal::STOP)
    }
}
