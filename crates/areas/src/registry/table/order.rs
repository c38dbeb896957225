//! A team's areas in the order of their addresses, one at a time.
//!
//! A table is in no order, and its reader asks for one area after the other. So the addresses are
//! sorted once and kept for as long as nothing comes or goes there. Where something does, a walk
//! goes on in the order that it has for a while: what was there when it began, and still is, is in
//! that order. So a table that changes all the time is sorted a few times a walk, and not at each
//! step.

use super::{Record, View};

/// How often a walk sorts again, at most.
const SORTS: usize = 8;

/// What is remembered of a table's order.
#[derive(Debug, Default)]
pub(in crate::registry) struct Order {
    /// First addresses and records, as they were at that count of changes.
    sorted: Vec<(u64, u32)>,
    changes: Option<u64>,
    /// The last answer: a walk goes on from there.
    last: u64,
    /// Answers since it was sorted.
    answers: usize,
}

impl Order {
    /// The area that begins at the lowest address above `after`. Exactly so for who begins or asks
    /// out of turn; where a walk goes on, what came since it began may be passed over.
    pub(in crate::registry) fn next(&mut self, view: &View, after: u64) -> Option<Record> {
        self.refresh(view, after);
        let first = self.sorted.partition_point(|&(address, _)| address <= after);
        for &(address, number) in &self.sorted[first..] {
            // Else it went since, or while we looked.
            if let Some((_, record)) = view.record(number)
                && record.address == address
                && !record.claiming
            {
                self.last = address;
                self.answers += 1;
                return Some(record);
            }
        }
        None
    }

    fn refresh(&mut self, view: &View, after: u64) {
        let changes = view.changes();
        let holds = changes.is_some() && changes == self.changes;
        let goes_on = after != 0 && after == self.last && self.answers * SORTS < self.sorted.len();
        if !holds && !goes_on {
            *self = Order { sorted: view.addresses().collect(), changes, last: 0, answers: 0 };
            self.sorted.sort_unstable();
        }
    }
}
