//! A check: what was looked at, what was found, and what mends it.

use serde::Serialize;

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Fine,
    /// Something is missing, or less than it could be; areas work.
    Remark,
    /// Areas do not work, or not as they were asked to.
    Broken,
    /// It could not be read.
    Unknown,
}

/// Something to do about a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "text", rename_all = "lowercase")]
pub(crate) enum Remedy {
    /// A line for root's shell.
    Root(String),
    /// A line for one's own shell.
    Shell(String),
    /// What is not a line: an option of a container, a kernel.
    Words(String),
}

/// What was looked at, what was found, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// A name for programs, and for the list of what errors refer to: it stays what it is.
    pub(crate) id: &'static str,
    /// A few words for people.
    pub(crate) title: String,
    pub(crate) state: State,
    /// Any text: what the kernel and other processes say is in it, and is escaped where it is
    /// printed.
    pub(crate) finding: String,
    /// What mends it, one after the other; of what is fine, how it would be changed.
    pub(crate) remedies: Vec<Remedy>,
}

impl Check {
    fn new(id: &'static str, title: impl Into<String>, state: State, finding: impl Into<String>) -> Self {
        Check { id, title: title.into(), state, finding: finding.into(), remedies: Vec::new() }
    }

    pub(crate) fn fine(id: &'static str, title: impl Into<String>, finding: impl Into<String>) -> Self {
        Check::new(id, title, State::Fine, finding)
    }

    pub(crate) fn remark(id: &'static str, title: impl Into<String>, finding: impl Into<String>) -> Self {
        Check::new(id, title, State::Remark, finding)
    }

    pub(crate) fn broken(id: &'static str, title: impl Into<String>, finding: impl Into<String>) -> Self {
        Check::new(id, title, State::Broken, finding)
    }

    pub(crate) fn unknown(id: &'static str, title: impl Into<String>, why: impl Into<String>) -> Self {
        Check::new(id, title, State::Unknown, why)
    }

    /// The same in another state.
    pub(crate) fn in_state(self, state: State) -> Self {
        Check { state, ..self }
    }

    /// A line for root that mends it.
    pub(crate) fn root(mut self, line: impl Into<String>) -> Self {
        self.remedies.push(Remedy::Root(line.into()));
        self
    }

    /// A line for one's own shell that mends it.
    pub(crate) fn shell(mut self, line: impl Into<String>) -> Self {
        self.remedies.push(Remedy::Shell(line.into()));
        self
    }

    /// What mends it and is not a line.
    pub(crate) fn words(mut self, words: impl Into<String>) -> Self {
        self.remedies.push(Remedy::Words(words.into()));
        self
    }
}

/// Checks that belong together.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) checks: Vec<Check>,
}

/// How many checks came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) fine: usize,
    pub(crate) remarks: usize,
    pub(crate) broken: usize,
    pub(crate) unknown: usize,
}

impl Counts {
    pub(crate) fn of(groups: &[Group]) -> Self {
        let mut counts = Counts::default();
        for check in groups.iter().flat_map(|group| &group.checks) {
            *match check.state {
                State::Fine => &mut counts.fine,
                State::Remark => &mut counts.remarks,
                State::Broken => &mut counts.broken,
                State::Unknown => &mut counts.unknown,
            } += 1;
        }
        counts
    }
}
