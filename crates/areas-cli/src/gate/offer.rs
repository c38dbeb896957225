//! `areas offer`: an area for those who connect.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use areas::gate::{self, Answer, Ended, OfferOptions, Outcome, Reach};
use areas::registry::Source;
use areas::{Bytes, Error, ErrorKind};
use serde::Serialize;

use super::args::{Offer, User};
use crate::failure::{Failure, Result, code_of_signal};
use crate::output::{self, json};
use crate::signals::Wake;
use crate::target;

/// How often it is looked whether the area is still there.
const LOOK_AFTER: Duration = Duration::from_secs(1);

pub(crate) fn run(offer: &Offer, quiet: bool) -> Result<ExitCode> {
    // First of all, so that no signal between the ready line and here ends us in another way, and
    // leaves the socket.
    let wake = Wake::by_signals()?;
    let source = offer.area.find()?;
    let options = options(offer);
    let mut gate = match &offer.socket {
        Some(path) => options.open(&source, path)?,
        None => options.open_inherited(&source)?.ok_or_else(|| no_socket(&source))?,
    };
    print_ready(offer, &source, &gate, quiet)?;
    // Answers go there, too. Without it the first line is all, and a reader that has it may go.
    if offer.json {
        wake.without_reader()?;
    }
    let code = serve(&mut gate, &wake, offer.json, quiet)?;
    // The socket goes with it.
    drop(gate);
    Ok(ExitCode::from(code))
}

fn options(offer: &Offer) -> OfferOptions {
    let mut options = OfferOptions::new();
    for user in &offer.to {
        options = match user {
            User::Number(number) => options.to(*number),
            User::Any => options.to_any_user(),
        };
    }
    if offer.read_only {
        options = options.read_only();
    }
    if offer.seal { options.seal() } else { options }
}

fn no_socket(source: &Source) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("offer area {} {:?}", source.id(), source.name()))
        .with_facts("no supervisor has given this process a socket (LISTEN_PID, LISTEN_FDS)")
        .with_remedy("say where: `--socket PATH`; or start it by a socket unit")
}

/// Answers who connects until a signal comes; gives the exit code.
fn serve(gate: &mut gate::Offer, wake: &Wake, json: bool, quiet: bool) -> Result<u8> {
    let mut trouble = Trouble::default();
    let mut looked = Instant::now();
    loop {
        let time = Some(LOOK_AFTER.saturating_sub(looked.elapsed()));
        match gate.answer_or_ended(time, Some(wake.as_fd())) {
            // Whether it is taken turns out later.
            Ok(Some(answer)) if matches!(answer.outcome, Outcome::Given) => {}
            Ok(Some(answer)) => print_answer(&answer, json, quiet)?,
            Ok(None) => {}
            // Who came waits until there is a descriptor.
            Err(error) if error.kind() == ErrorKind::Limit => trouble.complain(&error),
            Err(error) => return Err(error.into()),
        }
        while let Some(ended) = gate.ended() {
            print_ended(&ended, json, quiet)?;
        }
        if let Some(signal) = wake.signal() {
            return Ok(code_of_signal(signal));
        }
        if wake.is_unread() {
            return Err(Failure::Unread);
        }
        if looked.elapsed() >= LOOK_AFTER {
            looked = Instant::now();
            match gate.check() {
                Ok(()) => trouble.is_over(),
                Err(error) if error.kind() == ErrorKind::NoSuchArea => return Err(error.into()),
                Err(error) => trouble.complain(&error),
            }
        }
    }
}

/// What goes wrong, and is reported once, not every second.
#[derive(Default)]
struct Trouble(Option<String>);

impl Trouble {
    fn complain(&mut self, error: &Error) {
        let text = format!("{error:#}");
        if self.0.as_ref() != Some(&text) {
            output::complain(&text);
        }
        self.0 = Some(text);
    }

    fn is_over(&mut self) {
        self.0 = None;
    }
}

/// That it is offered.
#[derive(Debug, Serialize)]
struct ReadyJson<'a> {
    event: &'static str,
    id: i32,
    name: String,
    name_bytes: Option<String>,
    size: u64,
    socket: Option<&'a str>,
    to: Option<Vec<u32>>,
    reach: &'static str,
    read_only: bool,
    pid: u32,
}

fn print_ready(offer: &Offer, source: &Source, gate: &gate::Offer, quiet: bool) -> Result<()> {
    let (size, frozen) = (source.info()?.size as u64, source.inspect()?.is_frozen());
    let users: Option<Vec<u32>> = numbers(&offer.to);
    let read_only = offer.read_only || offer.seal || frozen;
    if offer.json {
        return json::print(
            ReadyJson {
                event: "offered",
                id: source.id().get(),
                name: String::from_utf8_lossy(source.name().as_bytes()).into_owned(),
                name_bytes: target::in_hex(source.name()),
                size,
                socket: gate.path().and_then(Path::to_str),
                to: users,
                reach: reach(gate.reach()),
                read_only,
                pid: std::process::id(),
            },
            true,
        );
    }
    if gate.reach() == Reach::AnyUser && !offer.to.contains(&User::Any) && !quiet {
        output::complain(
            "the file system of the socket has no access lists: any user with access to its folder can connect, and is refused unless named by --to",
        );
    }
    if quiet {
        return output::print(&format!("{}\n", source.id()));
    }
    let place = gate.path().map_or_else(|| "a supervisor's socket".to_owned(), |path| format!("{path:?}"));
    let users = match users.as_deref() {
        None => "any user that connects".to_owned(),
        Some([]) => format!("user {}", rustix::process::geteuid().as_raw()),
        Some([user]) => format!("user {user}"),
        Some(users) => format!("users {}", users.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
    };
    let rights = if read_only { ", for reading only" } else { "" };
    output::print(&format!(
        "area {} {:?}, {:#}: offered at {place} to {users}{rights}, by process {} until it ends\n",
        source.id(),
        source.name(),
        Bytes(size),
        std::process::id()
    ))
}

/// The users that were named; `None` where it is to all users.
fn numbers(users: &[User]) -> Option<Vec<u32>> {
    users
        .iter()
        .map(|user| match user {
            User::Number(number) => Some(*number),
            User::Any => None,
        })
        .collect()
}

fn reach(reach: Reach) -> &'static str {
    match reach {
        Reach::Owner => "owner",
        Reach::Named => "named",
        Reach::AnyUser => "any_user",
        Reach::Supervisor => "supervisor",
        _ => "unknown",
    }
}

/// The outcome of a connection.
#[derive(Debug, Serialize)]
struct AnswerJson {
    event: &'static str,
    user: Option<u32>,
    pid: Option<u32>,
    reason: Option<String>,
}

/// Whether it was taken by the process that it was sent to.
fn print_ended(ended: &Ended, json: bool, quiet: bool) -> Result<()> {
    if json {
        let event = if ended.taken { "given" } else { "left" };
        let (user, pid) = (ended.peer.user, ended.peer.process);
        return json::print(AnswerJson { event, user, pid, reason: None }, true);
    }
    if !quiet {
        output::complain(&ended.to_string());
    }
    Ok(())
}

fn print_answer(answer: &Answer, json: bool, quiet: bool) -> Result<()> {
    if json {
        let (event, reason) = match &answer.outcome {
            Outcome::Refused(why) => ("refused", Some(why.to_string())),
            Outcome::Failed(error) => ("failed", Some(error.to_string())),
            _ => ("left", None),
        };
        let (user, pid) = (answer.peer.user, answer.peer.process);
        return json::print(AnswerJson { event, user, pid, reason }, true);
    }
    if !quiet || matches!(answer.outcome, Outcome::Failed(_)) {
        output::complain(&answer.to_string());
    }
    Ok(())
}
