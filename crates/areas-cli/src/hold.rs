//! Holding an area: publish it, say so, and wait until a signal comes or a command ends.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use areas::registry;
use areas::{AnyArea, AreaId, Bytes, Error, Kind};
use rustix::process::{Pid, WaitId, WaitIdOptions};
use signal_hook::consts::signal::{SIGINT, SIGQUIT, SIGWINCH};

use crate::args::Holding;
use crate::failure::{Result, io_error};
use crate::output::{self, json};
use crate::report::Report;
use crate::signals::{self, Event};

/// How often a holder looks after its publication: whether the registry's folder is still there.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Publishes an area under its name and holds it; gives the exit code.
pub(crate) fn hold(mut area: AnyArea, holding: &Holding, quiet: bool) -> Result<ExitCode> {
    let (sender, events) = mpsc::channel();
    // First of all, so that no signal between the ready line and here ends us in another way.
    signals::watch(!holding.command.is_empty(), sender.clone())?;
    if let Some(note) = &holding.note {
        area.set_note(note.as_bytes())?;
    }
    let id = match holding.exclusive {
        true => area.publish_exclusive(holding.name.as_bytes()),
        false => area.publish_named(holding.name.clone()),
    }?;
    let code = match holding.command.split_first() {
        None => {
            tell_ready(id, &area, holding, quiet)?;
            until_signal(&events)
        }
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments);
            command.env("AREA_ID", id.to_string());
            command.env("AREA_NAME", OsStr::from_bytes(holding.name.as_bytes()));
            with_command(command, program, sender, &events)?
        }
    };
    drop(area);
    Ok(ExitCode::from(code))
}

/// The one line on stdout.
fn tell_ready(id: AreaId, area: &AnyArea, holding: &Holding, quiet: bool) -> Result<()> {
    if holding.json {
        return json::print(Report::of(&registry::get(id)?)?.to_json(), true);
    }
    if quiet {
        return output::print(&format!("{id}\n"));
    }
    let frozen = if area.is_frozen() { ", frozen" } else { "" };
    output::print(&format!(
        "area {id} {:?}, {:#}{frozen}: held by process {} until it ends\n",
        holding.name,
        Bytes::from(area.size()),
        std::process::id()
    ))
}

/// Waits for what comes next, looking after the publication meanwhile.
fn next(events: &Receiver<Event>, trouble: &mut Option<String>) -> Option<Event> {
    loop {
        match events.recv_timeout(LOOK_AFTER) {
            Ok(event) => return Some(event),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => look_after(trouble),
        }
    }
}

/// Sees to it that others find the area. What goes wrong is told once, not every second.
fn look_after(trouble: &mut Option<String>) {
    let now = registry::keep().err().map(|error| format!("{error:#}"));
    if let Some(text) = &now
        && now != *trouble
    {
        output::complain(text);
    }
    *trouble = now;
}

fn until_signal(events: &Receiver<Event>) -> u8 {
    match next(events, &mut None) {
        Some(Event::Signal(signal)) => status_of_signal(signal),
        // Only a command ends, and only a dead watcher hangs up.
        Some(Event::Ended) | None => 1,
    }
}

fn with_command(
    mut command: Command,
    program: &OsString,
    sender: Sender<Event>,
    events: &Receiver<Event>,
) -> Result<u8> {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            // As a shell tells them apart.
            let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
            output::complain(&io_error(format!("run {program:?}"), error).to_string());
            return Ok(code);
        }
    };
    let pid = pid_of(&child)?;
    let watch = move || {
        // It stays a zombie, so that its number is nobody else's when a signal is passed on.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(rustix::process::waitid(WaitId::Pid(pid), ended), Err(rustix::io::Errno::INTR)) {}
        let _ = sender.send(Event::Ended);
    };
    std::thread::Builder::new()
        .name("command".to_owned())
        .spawn(watch)
        .map_err(|error| Error::new(Kind::System, "wait for a command").caused_by(error))?;
    let mut trouble = None;
    while let Some(Event::Signal(signal)) = next(events, &mut trouble) {
        if !(comes_from_the_terminal(signal) && shares_our_terminal()) {
            signals::pass_on(signal, pid);
        }
    }
    let status = child.wait().map_err(|error| io_error(format!("wait for {program:?}"), error))?;
    Ok(code_of(status))
}

fn pid_of(child: &Child) -> areas::Result<Pid> {
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| Error::new(Kind::System, "run a command").detail("the kernel gave it an odd number"))
}

fn comes_from_the_terminal(signal: i32) -> bool {
    [SIGINT, SIGQUIT, SIGWINCH].contains(&signal)
}

/// Whether the terminal sends what is typed (^C), and that its size has changed, to our whole process group, the command included: it is not to get that
/// twice.
fn shares_our_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok_and(|tty| {
        rustix::termios::tcgetpgrp(&tty).is_ok_and(|group| group == rustix::process::getpgrp())
    })
}

fn code_of(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(1),
        (None, Some(signal)) => status_of_signal(signal),
        (None, None) => 1,
    }
}

/// What a shell says of a process that a signal has ended.
fn status_of_signal(signal: i32) -> u8 {
    u8::try_from(signal).ok().and_then(|signal| signal.checked_add(128)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_a_shell() {
        assert_eq!(code_of(ExitStatus::from_raw(0)), 0);
        assert_eq!(code_of(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code_of(ExitStatus::from_raw(9)), 137);
        assert_eq!(status_of_signal(15), 143);
        assert_eq!(status_of_signal(1000), 1);
    }
}
