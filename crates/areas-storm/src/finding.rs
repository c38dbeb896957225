//! A finding: a rule that did not hold. Whoever sees one appends a line to a file that all
//! processes of the storm share, so that it is reported even if they die the next moment.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Bytes,
    Id,
    Absent,
    DeadName,
    Error,
    Hang,
    Leak,
    Death,
    Info,
    Lock,
    Own,
    Remains,
    Start,
    Coverage,
}

impl Rule {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Rule::Bytes => "every byte carries its area's pattern",
            Rule::Id => "an id leads to the object that its creator recorded",
            Rule::Absent => "what is published and held is found",
            Rule::DeadName => "a dead process's areas are never found",
            Rule::Error => "no error but those that others can cause",
            Rule::Hang => "no operation hangs",
            Rule::Leak => "what is dropped is neither mapped nor open",
            Rule::Death => "no process dies but as planned",
            Rule::Info => "what is reported of an area is true",
            Rule::Lock => "one at a time is inside, and a death there is reported",
            Rule::Own => "a process finds what it has itself",
            Rule::Remains => "nothing remains",
            Rule::Start => "the next start works and clears up",
            Rule::Coverage => "everything was tried",
        }
    }
}

/// The file of findings.
#[derive(Debug)]
pub(crate) struct Findings {
    path: PathBuf,
    file: File,
}

impl Findings {
    pub(crate) fn open(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("findings");
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        Ok(Findings { path, file })
    }

    /// Prints a finding: one line, one write, so that lines of several processes do not mix.
    pub(crate) fn report(&self, rule: Rule, who: &str, what: &str) {
        let line = format!("{}\n", json!({ "rule": rule.name(), "by": who, "what": what }));
        let mut file = &self.file;
        if file.write_all(line.as_bytes()).is_err() {
            // A finding that cannot be reported must not be lost quietly: the storm counts deaths
            // by this status.
            crate::fork::leave(97);
        }
    }

    pub(crate) fn all(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        text.lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|_| json!({ "rule": "?", "by": "?", "what": line }))
            })
            .collect()
    }
}
