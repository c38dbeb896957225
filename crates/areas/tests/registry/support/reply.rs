//! What agents answer, as values.

use std::fmt::Debug;

use areas::ErrorKind;

/// An area that an agent holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// What the agent calls it.
    pub(crate) handle: u32,
    /// Its id, if it is published.
    pub(crate) id: Option<i32>,
}

/// An area that an agent sees.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) id: i32,
    pub(crate) pid: u32,
    pub(crate) name: String,
}

/// What an agent lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) areas: Vec<Seen>,
    /// Process and reason.
    pub(crate) unreadable: Vec<(u32, String)>,
}

impl Listed {
    /// The names, in alphabetical order.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.areas.iter().map(|area| area.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Whether there is nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.areas.is_empty() && self.unreadable.is_empty()
    }
}

/// An error of the library, as an agent met it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) kind: String,
    /// With the remedy.
    pub(crate) text: String,
}

/// What was said, if it was refused as it should be.
#[track_caller]
pub(crate) fn refused<T: Debug>(result: Result<T, Refused>, kind: ErrorKind) -> String {
    match result {
        Err(refused) if refused.kind == format!("{kind:?}") => refused.text,
        other => panic!("it should be refused as {kind:?}: {other:?}"),
    }
}

impl Held {
    pub(crate) fn parse(answer: &str) -> Self {
        let (handle, id) = answer.split_once(' ').expect("a handle and an id");
        Held { handle: handle.parse().expect("a handle"), id: id.parse().ok() }
    }
}

impl Seen {
    pub(crate) fn parse(answer: &str) -> Self {
        let mut words = answer.splitn(3, ' ');
        let mut next = || words.next().expect("id, process, name");
        Seen {
            id: next().parse().expect("an id"),
            pid: next().parse().expect("a process"),
            name: next().to_owned(),
        }
    }
}

/// Separates entries in one line.
pub(crate) const SEPARATOR: char = '\u{1e}';

impl Listed {
    pub(crate) fn parse(answer: &str) -> Self {
        let mut listed = Listed::default();
        for entry in answer.split(SEPARATOR).filter(|entry| !entry.is_empty()) {
            match entry.split_at(1) {
                ("+", area) => listed.areas.push(Seen::parse(area)),
                (_, team) => {
                    let (pid, reason) = team.split_once(' ').expect("a process and a reason");
                    listed.unreadable.push((pid.parse().expect("a process"), reason.to_owned()));
                }
            }
        }
        listed
    }
}
