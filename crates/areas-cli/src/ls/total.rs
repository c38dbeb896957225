//! What all areas take together: memory that several of them share counts once.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use areas::Bytes;
use serde::Serialize;

use crate::report::Report;

/// All areas together. Memory that several of them share counts once.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Total {
    pub(super) areas: usize,
    /// `None` where it is not known of all of them.
    pub(super) resident: Option<u64>,
    locked: Option<u64>,
    /// The same with what cannot be measured as it was asked.
    #[serde(skip)]
    asked: Option<u64>,
}

/// The memory behind areas, and how much of it is in RAM, and locked.
#[derive(Debug, Default)]
pub(super) struct Objects {
    areas: usize,
    known: BTreeMap<(u64, u64), Parts>,
}

/// What is known of an object's parts, by where in it an area begins and ends: the larger ones
/// first.
type Parts = BTreeMap<(usize, Reverse<usize>), Known>;

/// Bytes of a part of an object: in RAM; locked, as measured; locked, as was asked where it could
/// not be measured.
#[derive(Debug, Clone, Copy)]
struct Known {
    resident: Option<u64>,
    locked: Option<u64>,
    asked: Option<u64>,
}

/// Of two numbers, if both are known.
fn of_both(one: Option<u64>, other: Option<u64>, what: fn(u64, u64) -> u64) -> Option<u64> {
    one.zip(other).map(|(one, other)| what(one, other))
}

impl Known {
    const NOTHING: Self = Known { resident: Some(0), locked: Some(0), asked: Some(0) };

    /// Adds what lies behind, no more than `most` bytes of it.
    fn add(&mut self, other: Known, most: u64) {
        let sum = |one, other| of_both(one, other, |one, other| one.saturating_add(other));
        let least = |known: Option<u64>| known.map(|known| known.min(most));
        self.resident = sum(self.resident, least(other.resident));
        self.locked = sum(self.locked, least(other.locked));
        self.asked = sum(self.asked, least(other.asked));
    }

    /// The same memory is locked once more. Which pages each has locked is not reported: all lock
    /// the same ones, if they lock all.
    fn locked_too(&mut self, locked: Option<u64>, asked: Option<u64>) {
        self.locked = of_both(self.locked, locked, u64::max);
        self.asked = of_both(self.asked, asked, u64::max);
    }
}

impl Objects {
    pub(super) fn add(&mut self, report: &Report) {
        self.areas += 1;
        let info = &report.info;
        let part = (info.offset, Reverse(info.offset.saturating_add(info.mapped)));
        let new = Known { resident: report.resident, ..Known::NOTHING };
        let known = self.known.entry(info.object).or_default().entry(part).or_insert(new);
        let measured = report.locked.map(|locked| locked.bytes);
        known.locked_too(measured, measured.or(report.resident));
    }

    pub(super) fn total(&self) -> Total {
        let mut all = Known::NOTHING;
        for parts in self.known.values() {
            let mut object = Known::NOTHING;
            let mut end = 0;
            for (&(first, Reverse(last)), &known) in parts {
                match last.saturating_sub(first.max(end)) as u64 {
                    0 => object.locked_too(known.locked, known.asked),
                    beyond => object.add(known, beyond),
                }
                end = end.max(last);
            }
            all.add(object, u64::MAX);
        }
        Total { areas: self.areas, resident: all.resident, locked: all.locked, asked: all.asked }
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let noun = if self.areas == 1 { "area" } else { "areas" };
        write!(f, "{} {noun}, {} in RAM", self.areas, in_words(self.resident))?;
        match self.locked {
            Some(0) => Ok(()),
            Some(locked) => write!(f, ", {} locked", in_words(Some(locked))),
            None => write!(f, ", {} locked as asked", in_words(self.asked)),
        }
    }
}

/// Bytes as people read them; `?` where they are not known.
pub(super) fn in_words(bytes: Option<u64>) -> String {
    bytes.map_or("?".to_owned(), |bytes| format!("{:#}", Bytes(bytes)))
}
