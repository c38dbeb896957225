//! What a check writes down while it looks: everything that is wrong, not only the first thing.

use crate::report::Outcome;

/// The notes of one check.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    wrong: Vec<String>,
    seen: Vec<String>,
    not_here: Option<String>,
}

/// So many complaints are reported in full; a broken provider has one for each of hundreds of
/// rounds.
const MAX_SHOWN: usize = 4;

impl Notes {
    /// Something is not as expected.
    pub(crate) fn wrong(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    /// Something that was seen and is well.
    pub(crate) fn seen(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.seen.contains(&what) {
            self.seen.push(what);
        }
    }

    /// This cannot be looked at here.
    pub(crate) fn not_here(&mut self, why: impl Into<String>) {
        self.not_here.get_or_insert(why.into());
    }

    /// The value, or a complaint with the error.
    pub(crate) fn expect<T, E: std::fmt::Display>(&mut self, what: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.wrong(format!("{what}: {error}"))).ok()
    }

    /// Takes the complaints of another list, made by another thread.
    pub(crate) fn append(&mut self, other: Vec<String>) {
        self.wrong.extend(other);
    }

    pub(crate) fn conclude(mut self) -> Outcome {
        if !self.wrong.is_empty() {
            let more = self.wrong.len().saturating_sub(MAX_SHOWN);
            self.wrong.truncate(MAX_SHOWN);
            let mut reported = self.wrong.join("; ");
            if more > 0 {
                reported.push_str(&format!("; and {more} more of the kind"));
            }
            return Outcome::Failed(reported);
        }
        match (self.not_here, self.seen.is_empty()) {
            (Some(why), true) => Outcome::Skipped(why),
            (_, true) => Outcome::Passed("so it is".to_owned()),
            (_, false) => Outcome::Passed(self.seen.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_outweigh_all_else_and_are_not_endless() {
        let mut notes = Notes::default();
        notes.seen("a");
        notes.seen("a");
        notes.not_here("no node");
        notes.seen("b");
        assert_eq!(notes.expect("ask", Err::<(), _>("no")), None);
        assert_eq!(notes.expect("ask", Ok::<_, String>(1)), Some(1));
        assert_eq!(notes.conclude(), Outcome::Failed("ask: no".into()));

        let mut notes = Notes::default();
        notes.append((0..9).map(|number| number.to_string()).collect());
        assert_eq!(notes.conclude(), Outcome::Failed("0; 1; 2; 3; and 5 more of the kind".into()));

        let mut notes = Notes::default();
        notes.not_here("no node");
        assert_eq!(notes.conclude(), Outcome::Skipped("no node".into()));
        assert_eq!(Notes::default().conclude(), Outcome::Passed("so it is".into()));
    }
}
