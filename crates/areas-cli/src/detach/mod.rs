//! `--detach`: a holder in the background.
//!
//! This process has published the areas, so that everything that can go wrong has gone wrong here,
//! where a process reads it. Then it starts another one of itself, which leaves the session
//! (`setsid`) and starts a third: that one can never get a terminal, and has no parent that waits
//! for it. It clones the areas, publishes them under the same names, and says so through a pipe.
//! This process reports to its user, and says through another pipe that it has; then it ends, and
//! at no moment was a name gone. Where it cannot report (a full disk), or is killed in the
//! meantime, the other pipe ends, and the holder with it: no process would know of it. A `fork`
//! alone would not do: a child of a program with threads may do next to nothing but start another
//! program.

pub(crate) mod args;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{ChildStdout, Command, ExitCode, Stdio};
use std::sync::mpsc::Sender;

use areas::registry;
use areas::{AnyArea, AreaId, Error, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::failure::{Failure, Result, io_error};
use crate::holder::{self, ToHold};
use crate::holding::Holding;
use crate::output;
use args::HolderWorker;

/// The word for the subcommand.
const WORKER: &str = "holder-worker";

/// What is said to the holder in the background once its user knows of it.
const REPORTED: &[u8] = b"reported\n";
const WHAT: &str = "start a holder in the background";

/// What the holder in the background says when it has them.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    pid: u32,
    ids: Vec<i32>,
}

/// Has a process in the background hold the areas from now on.
///
/// # Errors
/// If there is none, or no process can be notified of it: then they go with this process.
pub(crate) fn hand_over(held: Vec<AnyArea>, holding: &Holding, quiet: bool) -> Result<ExitCode> {
    let ids = held.iter().filter_map(AnyArea::id).map(|id| id.to_string());
    let mut worker = program()
        .arg(WORKER)
        .args(ids)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| io_error(WHAT, error))?;
    // The holder ends where this is closed before it has said that all is reported.
    let stdin = worker.stdin.take();
    let mut output = worker.stdout.take().map(BufReader::new);
    let ready = output.as_mut().map_or_else(|| Err(ended()), ready);
    // The first one ends at once, and its end is no other process's business.
    let _ = worker.wait();
    let ready = ready?;
    for (area, id) in held.iter().zip(&ready.ids) {
        let until = format!("in the background; `areas drop {id}` ends it");
        holder::print_held(AreaId::new(*id)?, area, ready.pid, holding.json, quiet, &until)?;
    }
    if let Some(mut stdin) = stdin {
        stdin.write_all(REPORTED).map_err(|error| io_error(WHAT, error))?;
    }
    // It closes its end once it has left all that is ours.
    if let Some(mut output) = output {
        let _ = output.read_to_end(&mut Vec::new());
    }
    Ok(ExitCode::SUCCESS)
}

fn ready(output: &mut BufReader<ChildStdout>) -> Result<Ready> {
    let mut line = String::new();
    output.take(1 << 20).read_line(&mut line).map_err(|error| io_error(WHAT, error))?;
    // What went wrong there it has said itself.
    serde_json::from_str(&line).map_err(|_| ended())
}

fn ended() -> Failure {
    Error::new(ErrorKind::System, WHAT).with_facts("it ended before it held the areas").into()
}

/// This program once more.
fn program() -> Command {
    // Where it was replaced concurrently, its file has no name any more.
    let path = std::env::current_exe().ok().filter(|path| path.exists());
    Command::new(path.unwrap_or_else(|| "/proc/self/exe".into()))
}

/// The two processes behind `hand_over`.
pub(crate) fn run(worker: &HolderWorker) -> Result<ExitCode> {
    if !worker.last {
        // It fails only for the leader of a process group, which has no terminal to leave if it is
        // in a session of its own.
        let _ = rustix::process::setsid();
        let ids = worker.ids.iter().map(i32::to_string);
        program().args([WORKER, "--last"]).args(ids).spawn().map_err(|error| io_error(WHAT, error))?;
        return Ok(ExitCode::SUCCESS);
    }
    let clone = |&id: &i32| {
        let source = registry::get(AreaId::new(id)?)?;
        let area = source.open_any()?;
        Ok(ToHold::under_its_name(&source, area))
    };
    let areas = worker.ids.iter().map(clone).collect::<areas::Result<Vec<_>>>()?;
    holder::hold_in_background(areas, |ids, events| {
        let ready = Ready { pid: std::process::id(), ids };
        let text = serde_json::to_string(&ready).map_err(|error| io_error("write JSON", error.into()))?;
        output::print_raw(&(text + "\n"))?;
        let wait = move || leave_once_reported(&events);
        std::thread::Builder::new()
            .name("reported".to_owned())
            .spawn(wait)
            .map_err(|error| io_error(WHAT, error))?;
        Ok(())
    })
}

/// Leaves all that is of where it was started, once that one's user knows of this holder; else this
/// holder ends. Until then it holds, and answers.
fn leave_once_reported(events: &Sender<Event>) {
    let mut said = Vec::new();
    let is_reported =
        io::stdin().lock().take(REPORTED.len() as u64).read_to_end(&mut said).is_ok() && said == REPORTED;
    let left = match is_reported {
        true => leave(),
        false => Err(Failure::Unread),
    };
    if let Err(failure) = left {
        if is_reported {
            output::report_failure(&failure);
        }
        // It holds nothing any more once it has this.
        let _ = events.send(Event::Ended);
    }
}

/// Nothing of where it was started stays in use: not the terminal, not the folder.
fn leave() -> Result<()> {
    let failed = |error: rustix::io::Errno| io_error("leave the terminal", error.into());
    let null = std::fs::File::options().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| io_error("open \"/dev/null\"", error))?;
    std::env::set_current_dir("/").map_err(|error| io_error("go to \"/\"", error))?;
    rustix::stdio::dup2_stdin(&null).map_err(failed)?;
    rustix::stdio::dup2_stderr(&null).map_err(failed)?;
    // Last of all: by its end those that wait for this know.
    Ok(rustix::stdio::dup2_stdout(&null).map_err(failed)?)
}
