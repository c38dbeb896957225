//! A process that holds areas: it publishes them, says so, and does what other `areas` commands
//! ask of it, until an event ends it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, ExitCode};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use areas::registry::{self, Source};
use areas::{AnyArea, AreaId, Bytes, Error, ErrorKind, Name, Note};

use crate::asking::listen;
use crate::event::{Came, Event};
use crate::failure::{Result, code_of_signal};
use crate::growing::Growing;
use crate::holding::Holding;
use crate::output::{self, json};
use crate::report::Report;
use crate::request::{Answer, Asked, MAX_IDS, Request};
use crate::signals;

/// How often a holder looks after its publication: whether the registry's folder is still there.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// An area that is to be held, and what it is to be published as.
#[derive(Debug)]
pub(crate) struct ToHold {
    pub(crate) area: AnyArea,
    pub(crate) name: Name,
    pub(crate) note: Option<Note>,
    pub(crate) exclusive: bool,
}

impl ToHold {
    /// A clone of an area, to be held under the name of its source.
    pub(crate) fn under_its_name(source: &Source, clone: AnyArea) -> Self {
        let note = Some(source.note().clone()).filter(|note| !note.is_empty());
        ToHold { area: clone, name: source.name().clone(), note, exclusive: false }
    }
}

/// As a process of its own that no process waits for: `ready` reports the ids, and is given what an
/// event ends it by.
pub(crate) fn hold_in_background(
    areas: Vec<ToHold>,
    ready: impl FnOnce(Vec<i32>, Sender<Event>) -> Result<()>,
) -> Result<ExitCode> {
    let (sender, events) = mpsc::channel();
    signals::watch(false, sender.clone())?;
    let held = areas.into_iter().map(publish).collect::<Result<Vec<_>>>()?;
    listen::listen(sender.clone());
    let ids = held.iter().map(|area| Ok(id_of(area)?.get())).collect::<areas::Result<_>>()?;
    ready(ids, sender)?;
    let mut holder = Holder::of(held, None);
    Ok(ExitCode::from(match holder.next(&events) {
        Some(Event::Signal(signal)) => code_of_signal(signal),
        _ => 1,
    }))
}

/// Publishes an area under its name.
pub(crate) fn publish(to_hold: ToHold) -> Result<AnyArea> {
    let ToHold { mut area, name, note, exclusive } = to_hold;
    if let Some(note) = &note {
        area.set_note(note.as_bytes())?;
    }
    match exclusive {
        true => area.publish_exclusive(name.as_bytes()),
        false => area.publish_named(name),
    }?;
    Ok(area)
}

/// What holds areas: this process, as long as it does nothing else.
#[derive(Debug)]
pub(crate) struct Holder {
    held: Vec<AnyArea>,
    /// The command that it holds them for.
    runs: Option<String>,
    trouble: Option<String>,
    growing: Option<Growing>,
}

impl Holder {
    /// Holds areas that are published, for a command if there is one.
    pub(crate) fn of(held: Vec<AnyArea>, runs: Option<String>) -> Self {
        Holder { held, runs, trouble: None, growing: None }
    }

    /// From now on the first area grows as its stream comes in.
    pub(crate) fn grow_with(&mut self, growing: Option<Growing>) {
        self.growing = growing;
    }

    /// One line for each on stdout.
    pub(crate) fn print_ready(&self, holding: &Holding, quiet: bool) -> Result<()> {
        for area in &self.held {
            let id = id_of(area)?;
            print_held(id, area, std::process::id(), holding.json, quiet, "until it ends")?;
        }
        Ok(())
    }

    /// Passes to a command which areas are held for it.
    pub(crate) fn name_areas_for(&self, command: &mut Command) {
        let ids: Vec<String> = self.held.iter().filter_map(|area| Some(area.id()?.to_string())).collect();
        if let Some(first) = self.held.first() {
            command.env("AREA_ID", ids.first().map_or("", String::as_str));
            command.env("AREA_NAME", OsStr::from_bytes(first.name().map_or(b"", |name| name.as_bytes())));
        }
        command.env("AREA_IDS", ids.join(" "));
    }

    /// Waits for a signal, or the command's end. Until then it looks after what is held.
    pub(crate) fn next(&mut self, events: &Receiver<Event>) -> Option<Event> {
        loop {
            match events.recv_timeout(LOOK_AFTER) {
                Ok(Event::Asked(asked)) => self.answer(asked),
                Ok(Event::Came(came)) => self.grow(came),
                Ok(event) => return Some(event),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => look_after(&mut self.trouble),
            }
        }
    }

    fn grow(&mut self, came: Came) {
        if let (Some(growing), Some(area)) = (&mut self.growing, self.held.first_mut()) {
            growing.take(area, came);
        }
        if let Some(growing) = &mut self.growing
            && growing.wants_freezing()
        {
            growing.tried_freezing();
            if let Err(error) = self.freeze_at(0, areas::DEFAULT_FREEZE_TIMEOUT) {
                output::complain(&format!("{error:#}"));
            }
        }
    }

    fn answer(&mut self, asked: Asked) {
        let answer = match &asked.request {
            Request::Holds => {
                let ids = self.held.iter().filter_map(|area| Some(area.id()?.get())).take(MAX_IDS).collect();
                Answer::Holds { ids, command: self.runs.clone() }
            }
            Request::Freeze { id, timeout } => {
                done(self.find(*id).and_then(|at| self.freeze_at(at, Request::timeout(*timeout))))
            }
            Request::Rename { id, name, exclusive } => {
                done(self.find(*id).and_then(|at| self.rename_at(at, name, *exclusive)))
            }
            Request::Drop { id } => done(self.find(*id).and_then(|at| self.drop_at(at))),
        };
        asked.answer(answer);
    }

    fn find(&self, id: i32) -> areas::Result<usize> {
        self.held.iter().position(|area| area.id().is_some_and(|held| held.get() == id)).ok_or_else(|| {
            Error::new(ErrorKind::NoSuchArea, format!("find area {id} in process {}", std::process::id()))
                .with_facts("it is not held here any more")
        })
    }

    /// Releases one of several areas. The last one goes with this process, which is asked by a
    /// signal.
    fn drop_at(&mut self, at: usize) -> areas::Result<AreaId> {
        let id = id_of(&self.held[at])?;
        if self.held.len() == 1 {
            return Err(Error::new(ErrorKind::Unsupported, format!("drop {} alone", self.held[at]))
                .with_facts("this process holds nothing else"));
        }
        self.held.remove(at);
        Ok(id)
    }

    /// Freezes one of the areas, in its place.
    fn freeze_at(&mut self, at: usize, timeout: Duration) -> areas::Result<AreaId> {
        let (area, outcome) = match self.held.remove(at).freeze_within(timeout) {
            Ok(frozen) => (AnyArea::Frozen(frozen), Ok(())),
            Err(rejected) => (rejected.value, Err(rejected.error)),
        };
        let id = id_of(&area);
        self.held.insert(at, area);
        outcome.and(id)
    }

    /// Publishes one of the areas under another name. Where that fails it has the name and the id
    /// that it had.
    fn rename_at(&mut self, at: usize, name: &[u8], exclusive: bool) -> areas::Result<AreaId> {
        let area = &mut self.held[at];
        match exclusive {
            false => area.rename(name),
            true => area.rename_exclusive(name).map_err(|error| match error.kind() {
                ErrorKind::NameTaken => error.with_remedy("choose another name, or leave out --exclusive"),
                _ => error,
            }),
        }
    }
}

fn id_of(area: &AnyArea) -> areas::Result<AreaId> {
    // It was published, and is ours: only a closed descriptor takes its id.
    area.id().ok_or_else(|| {
        Error::new(ErrorKind::NoSuchArea, format!("find {area}")).with_facts("it is not published any more")
    })
}

fn done(outcome: areas::Result<AreaId>) -> Answer {
    outcome.map_or_else(Answer::from, |id| Answer::Done { id: id.get() })
}

/// Prints on stdout that an area is held: as a line for people, as JSON on one line, or as its id
/// alone.
pub(crate) fn print_held(
    id: AreaId,
    area: &AnyArea,
    pid: u32,
    json: bool,
    quiet: bool,
    until: &str,
) -> Result<()> {
    if json {
        return json::print(Report::of(&registry::get(id)?)?.to_json(), true);
    }
    if quiet {
        return output::print(&format!("{id}\n"));
    }
    let frozen = if area.is_frozen() { ", frozen" } else { "" };
    let name = area.name().map_or_else(String::new, |name| format!(" {name:?}"));
    let size = Bytes::from(area.size());
    output::print(&format!("area {id}{name}, {size:#}{frozen}: held by process {pid} {until}\n"))
}

/// Ensures that others find the areas. What goes wrong is reported once, not every second.
fn look_after(trouble: &mut Option<String>) {
    let now = registry::ensure_published().err().map(|error| format!("{error:#}"));
    if let Some(text) = &now
        && now != *trouble
    {
        output::complain(text);
    }
    *trouble = now;
}
