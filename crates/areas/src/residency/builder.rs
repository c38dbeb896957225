//! What a measurement has found so far, run by run.

use std::collections::BTreeMap;

use super::{PageLocation, Residency, Run};
use crate::nodes::Node;

/// Collects a measurement from its beginning to its end.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub(super) runs: Vec<Run>,
    pub(super) end: usize,
    /// How much of what is [`InRam`](PageLocation::InRam) is on which node.
    pub(super) totals: BTreeMap<Node, u64>,
}

impl Builder {
    /// The next `len` bytes are there.
    #[inline]
    pub(super) fn push(&mut self, len: usize, place: PageLocation) {
        if len == 0 {
            return;
        }
        let start = self.end;
        self.end += len;
        match self.runs.last_mut() {
            Some(last) if last.place == place => last.range.end = self.end,
            _ => self.runs.push(Run { range: start..self.end, place }),
        }
    }

    /// One that begins at `start`.
    pub(super) fn at(start: usize) -> Self {
        Builder { end: start, ..Builder::default() }
    }

    /// What was found from this one's end on.
    pub(super) fn append(&mut self, found: Builder) {
        if self.runs.is_empty() {
            (self.runs, self.end) = (found.runs, found.end);
        } else {
            found.runs.into_iter().for_each(|run| self.push(run.range.len(), run.place));
        }
    }

    /// The same bytes, looked at twice: what either look has found in RAM is there, and of the rest
    /// the later one is believed.
    pub(super) fn or(self, later: Builder) -> Builder {
        let mut both = Builder::at(self.runs.first().map_or(self.end, |run| run.range.start));
        let (mut first, mut second) = (self.runs.iter().peekable(), later.runs.iter().peekable());
        while let (Some(one), Some(two)) = (first.peek(), second.peek()) {
            let end = one.range.end.min(two.range.end);
            let seen = matches!(one.place, PageLocation::On { .. } | PageLocation::InRam { .. });
            both.push(end - both.end, if seen { one.place } else { two.place });
            if one.range.end == end {
                first.next();
            }
            if two.range.end == end {
                second.next();
            }
        }
        both
    }

    /// Notes that so many bytes of what is in RAM since `start`, and not known page by page, are on
    /// a node: no more than there are.
    pub(super) fn add_totals(&mut self, start: usize, totals: impl Iterator<Item = (Node, u64)>) {
        let since = self.runs.iter().rev().take_while(|run| run.range.end > start);
        let somewhere = since.filter(|run| matches!(run.place, PageLocation::InRam { .. }));
        let mut left: u64 = somewhere.map(|run| (run.range.end - run.range.start.max(start)) as u64).sum();
        for (node, bytes) in totals {
            // Some may have come in since they were looked at.
            let known = bytes.min(left);
            left -= known;
            if known > 0 {
                *self.totals.entry(node).or_default() += known;
            }
        }
    }

    pub(super) fn finish(self, knows_swap: bool) -> Residency {
        let mut residency = Residency {
            runs: Vec::new(),
            nodes: BTreeMap::new(),
            node_unknown: 0,
            knows_pages: true,
            page_sizes: None,
            swapped: knows_swap.then_some(0),
            absent: 0,
        };
        let mut sizes = BTreeMap::new();
        for run in &self.runs {
            let bytes = run.range.len() as u64;
            match run.place {
                PageLocation::On { node, page } => {
                    *residency.nodes.entry(node).or_default() += bytes;
                    *sizes.entry(page).or_default() += bytes;
                }
                PageLocation::InRam { page } => {
                    residency.knows_pages = false;
                    residency.node_unknown += bytes;
                    *sizes.entry(page).or_default() += bytes;
                }
                PageLocation::Swapped => residency.swapped = Some(residency.swapped.unwrap_or(0) + bytes),
                PageLocation::Absent => residency.absent += bytes,
            }
        }
        for (node, bytes) in self.totals {
            residency.node_unknown = residency.node_unknown.saturating_sub(bytes);
            *residency.nodes.entry(node).or_default() += bytes;
        }
        Residency { runs: self.runs, page_sizes: Some(sizes), ..residency }
    }
}
