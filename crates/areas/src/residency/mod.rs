//! Residency: where each page *is*, and at which page size. What was measured, never what was
//! asked.
//!
//! [`measure`](measure::measure) asks the kernel and brings no page in that was not in RAM; this
//! file holds the answer. It is a photograph: pages may move the moment after.

mod builder;
mod cache;
#[cfg(test)]
mod kernel_tests;
mod measure;
mod object;
mod ruler;
pub(crate) mod table;
pub(crate) mod totals;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

pub(crate) use measure::{bring_in, measure, measure_parts, measure_range, present_bytes};
pub(crate) use object::{map_window, measure_fresh, measure_object, resident_bytes};

use builder::Builder;

use crate::error::{Error, ErrorKind, Result};
use crate::nodes::Node;
use crate::page::PageSize;
use crate::size::Bytes;

/// Where a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PageLocation {
    /// In RAM.
    On {
        /// The memory node that it lies on.
        node: Node,
        /// The size of the page that it is mapped with. Kernels before 6.7 do not report it page by
        /// page: there, transparent huge pages are base pages here, and [`Residency::page_sizes`]
        /// has the totals.
        page: PageSize,
    },
    /// In RAM, on a node that this process may not ask for page by page: containers forbid
    /// `move_pages`. What is known of such pages is how many there are on each node
    /// ([`Residency::nodes`]), where the kernel reports that for the mapping as a whole.
    InRam {
        /// The size of the page, as in [`On`](PageLocation::On).
        page: PageSize,
    },
    /// Swapped out. (The swap cache may have a copy in RAM for a while; before 6.5, what it has of
    /// objects is [`On`](PageLocation::On) a node. Pages that the kernel is moving look swapped out
    /// to it for that moment: they are looked at again.)
    Swapped,
    /// Nowhere: a hole that was never touched, or only read (private memory shows the kernel's zero
    /// page then).
    Absent,
}

/// Neighbouring bytes that are in the same place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Run {
    /// Bytes from the beginning of the area; whole pages.
    pub range: Range<usize>,
    /// Where all of them are.
    pub place: PageLocation,
}

/// Where the pages of an area are, measured by asking the kernel for every one of them
/// (move_pages(2), mincore(2), `PAGEMAP_SCAN`, `cachestat`).
///
/// Where a sandbox forbids `move_pages`, the totals of `/proc/self/numa_maps` are taken: if all
/// pages are on one node, that is the node of each; else it is known how many are where, and not
/// which ([`knows_pages`](Residency::knows_pages)).
///
/// All numbers are bytes, of whole pages: an area of 5000 bytes looks like two pages of 4 KiB. It
/// prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residency {
    runs: Vec<Run>,
    nodes: BTreeMap<Node, u64>,
    /// What is in RAM on an unknown node.
    node_unknown: u64,
    knows_pages: bool,
    page_sizes: Option<BTreeMap<PageSize, u64>>,
    swapped: Option<u64>,
    absent: u64,
}

impl Residency {
    /// How many bytes were looked at: the size, rounded up to whole pages.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.range.end as u64)
    }

    /// How many bytes are in RAM.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.nodes.values().sum::<u64>().saturating_add(self.node_unknown)
    }

    /// How many bytes are on that node.
    #[must_use]
    pub fn on(&self, node: Node) -> u64 {
        self.nodes.get(&node).copied().unwrap_or(0)
    }

    /// The nodes that hold pages, ascending, with the bytes on each.
    ///
    /// ```
    /// let mut area = areas::builder(1 << 20).private()?;
    /// area.populate()?;
    /// for (node, bytes) in area.residency()?.nodes() {
    ///     println!("node {node}: {bytes} bytes");
    /// }
    /// # Ok::<(), areas::Error>(())
    /// ```
    pub fn nodes(&self) -> impl Iterator<Item = (Node, u64)> + '_ {
        self.nodes.iter().map(|(&node, &bytes)| (node, bytes))
    }

    /// How many bytes are in RAM on a node that is not known, not even as a part of a total.
    #[must_use]
    pub fn node_unknown(&self) -> u64 {
        self.node_unknown
    }

    /// Whether it is known of each page in RAM which node it is on; if not,
    /// [`nodes`](Residency::nodes) are totals.
    #[must_use]
    pub fn knows_pages(&self) -> bool {
        self.knows_pages
    }

    /// Itself, if it is known of each page in RAM which node it is on.
    ///
    /// # Errors
    /// [`ErrorKind::NotPermitted`] if not.
    pub fn all_located(self) -> Result<Self> {
        if self.knows_pages {
            return Ok(self);
        }
        Err(Error::new(ErrorKind::NotPermitted, table::WHAT)
            .with_facts("a sandbox forbids move_pages, and more than one node has some of them")
            .with_remedy(table::MOVE_PAGES_FORBIDDEN))
    }

    /// The bytes in RAM by the size of the page that they are mapped with, smallest first.
    ///
    /// `None` where the kernel does not report it: before 6.7, when the area shares an entry of
    /// `/proc/self/smaps` with other memory that has transparent huge pages.
    #[must_use]
    pub fn page_sizes(&self) -> Option<impl Iterator<Item = (PageSize, u64)> + '_> {
        Some(self.page_sizes.as_ref()?.iter().map(|(&page, &bytes)| (page, bytes)))
    }

    /// How many bytes are swapped out; `None` where the kernel does not report it. What is swapped
    /// counts as absent then, or, for objects that another user owns, has been swapped in by the
    /// measurement.
    #[must_use]
    pub fn swapped(&self) -> Option<u64> {
        self.swapped
    }

    /// How many bytes are nowhere: holes that take no memory until they are touched.
    #[must_use]
    pub fn absent(&self) -> u64 {
        self.absent
    }

    /// Whether the kernel has transparent huge pages there, and has not reported page by page which
    /// they are (before 6.7).
    pub(crate) fn has_unreported_huge_pages(&self) -> bool {
        let huge = PageSize::transparent();
        let reported =
            self.runs.iter().filter(|run| matches!(run.place, PageLocation::On { page, .. } if page == huge));
        let reported: u64 = reported.map(|run| run.range.len() as u64).sum();
        self.page_sizes.as_ref().is_none_or(|sizes| sizes.get(&huge).is_some_and(|&bytes| bytes > reported))
    }

    /// The whole range in order, from 0 to [`size`](Residency::size); neighbours differ in place.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }
}

impl fmt::Display for Residency {
    /// `768 MiB of 1.00 GiB in RAM (node 0: 512 MiB, node 1: 256 MiB; 512 MiB in 2 MiB pages), 64.0
    /// MiB swapped`
    ///
    /// Where single pages are not known: `… (node 0: 512 MiB, node 1: 256 MiB, which pages unknown)
    /// …`, and `node unknown: 256 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#} of {:#} in RAM", Bytes(self.resident()), Bytes(self.size()))?;
        if self.resident() > 0 {
            let mut before = " (";
            for (node, bytes) in self.nodes() {
                write!(f, "{before}node {node}: {:#}", Bytes(bytes))?;
                before = ", ";
            }
            if self.node_unknown > 0 {
                write!(f, "{before}node unknown: {:#}", Bytes(self.node_unknown))?;
            }
            if !self.knows_pages && !self.nodes.is_empty() {
                write!(f, ", which pages unknown")?;
            }
            before = "; ";
            match &self.page_sizes {
                None => write!(f, "; page sizes unknown")?,
                Some(sizes) => {
                    for (page, bytes) in sizes.iter().filter(|(page, _)| **page != PageSize::base()) {
                        write!(f, "{before}{:#} in {page} pages", Bytes(*bytes))?;
                        before = ", ";
                    }
                }
            }
            write!(f, ")")?;
        }
        match self.swapped {
            None => write!(f, ", swapped unknown"),
            Some(0) => Ok(()),
            Some(bytes) => write!(f, ", {:#} swapped", Bytes(bytes)),
        }
    }
}

/// A measurement that never was: so many base pages on a node, or absent. For the tests of those
/// who read one.
#[cfg(test)]
pub(crate) fn made_up(pages: &[(usize, Option<u32>)]) -> Residency {
    let base = PageSize::base();
    let parts = pages.iter().map(|&(count, node)| (count * base.bytes(), node.map(|node| (node, base))));
    made_up_of(&parts.collect::<Vec<_>>())
}

/// The same of bytes in pages of any size.
#[cfg(test)]
pub(crate) fn made_up_of(parts: &[(usize, Option<(u32, PageSize)>)]) -> Residency {
    let mut builder = Builder::default();
    for &(bytes, place) in parts {
        let place = place.and_then(|(id, page)| Some(PageLocation::On { node: Node::new(id).ok()?, page }));
        builder.push(bytes, place.unwrap_or(PageLocation::Absent));
    }
    builder.finish(true)
}

#[cfg(test)]
impl Residency {
    /// As where the kernel reports no page sizes.
    pub(crate) fn forget_page_sizes(&mut self) {
        self.page_sizes = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(of: u8) -> PageLocation {
        let node = |id| Node::new(id).unwrap();
        match of {
            0 => PageLocation::Absent,
            1 => PageLocation::Swapped,
            2 => PageLocation::On { node: node(0), page: PageSize::base() },
            3 => PageLocation::On { node: node(0), page: PageSize::HUGE_2M },
            _ => PageLocation::On { node: node(3), page: PageSize::base() },
        }
    }

    fn built(pages: &[(usize, u8)]) -> Residency {
        let mut builder = Builder::default();
        for &(count, of) in pages {
            builder.push(count * 4096, place(of));
        }
        builder.finish(true)
    }

    proptest! {
        #[test]
        fn runs_and_totals_are_those_of_a_plain_list_of_pages(
            pages in prop::collection::vec((0_usize..4, 0_u8..5), 0..60)
        ) {
            let residency = built(&pages);
            let model: Vec<PageLocation> =
                pages.iter().flat_map(|&(count, of)| std::iter::repeat_n(place(of), count)).collect();
            let reported: Vec<PageLocation> =
                residency.runs().iter().flat_map(|run| std::iter::repeat_n(run.place, run.range.len() / 4096)).collect();
            prop_assert_eq!(&reported, &model);
            let mut end = 0;
            for run in residency.runs() {
                prop_assert_eq!(run.range.start, end);
                prop_assert!(!run.range.is_empty());
                end = run.range.end;
            }
            prop_assert!(residency.runs().windows(2).all(|pair| pair[0].place != pair[1].place));
            let count = |which: &dyn Fn(PageLocation) -> bool| {
                model.iter().filter(|place| which(**place)).count() as u64 * 4096
            };
            prop_assert_eq!(residency.size(), count(&|_| true));
            prop_assert_eq!(residency.absent(), count(&|place| place == PageLocation::Absent));
            prop_assert_eq!(residency.swapped(), Some(count(&|place| place == PageLocation::Swapped)));
            for id in 0..5 {
                let node = Node::new(id).unwrap();
                let there = count(&|place| matches!(place, PageLocation::On { node: on, .. } if on == node));
                prop_assert_eq!(residency.on(node), there);
                prop_assert_eq!(residency.nodes().any(|(on, _)| on == node), there > 0);
            }
            let sizes: u64 = residency.page_sizes().unwrap().map(|(_, bytes)| bytes).sum();
            prop_assert_eq!(sizes, residency.resident());
            prop_assert_eq!(residency.resident() + residency.absent() + residency.swapped().unwrap(), residency.size());
        }
    }

    #[test]
    fn what_was_found_at_either_look_is_there() {
        let of = |pages: &[(usize, u8)]| {
            let mut builder = Builder::at(4096);
            pages.iter().for_each(|&(count, of)| builder.push(count * 4096, place(of)));
            builder
        };
        let first = of(&[(2, 2), (3, 1), (2, 0), (1, 3)]);
        let later = of(&[(1, 0), (2, 2), (2, 1), (1, 2), (2, 0)]);
        let both = of(&[(3, 2), (2, 1), (1, 2), (1, 0), (1, 3)]);
        let found = first.or(later);
        assert_eq!((&found.runs, found.end), (&both.runs, both.end));
        let mut all = built(&[(1, 2)]);
        let mut builder = Builder { runs: std::mem::take(&mut all.runs), end: 4096, ..Builder::default() };
        builder.append(found);
        assert_eq!(builder.runs.len(), 5, "neighbours in the same place are one");
        assert_eq!((builder.runs[0].range.clone(), builder.end), (0..4 * 4096, 9 * 4096));
    }

    #[test]
    fn totals_where_single_pages_are_not_known() {
        let node = |id| Node::new(id).unwrap();
        let mut builder = Builder::default();
        let in_ram = PageLocation::InRam { page: PageSize::base() };
        builder.push(4096, place(2));
        builder.push(8 * 4096, in_ram);
        builder.push(4096, place(0));
        builder.push(4 * 4096, in_ram);
        // Of the second part alone, and of more pages than were seen there.
        builder.add_totals(10 * 4096, [(node(1), 2 * 4096), (node(3), 9 * 4096)].into_iter());
        let residency = builder.finish(true);
        let nodes: Vec<_> = residency.nodes().collect();
        assert_eq!(nodes, [(node(0), 4096), (node(1), 2 * 4096), (node(3), 2 * 4096)]);
        assert_eq!((residency.node_unknown(), residency.resident()), (8 * 4096, 13 * 4096));
        assert!(!residency.knows_pages());
        let pages = residency.page_sizes().unwrap().collect::<Vec<_>>();
        assert_eq!(pages, [(PageSize::base(), 13 * 4096)]);
        assert_eq!(
            residency.to_string(),
            "52.0 KiB of 56.0 KiB in RAM (node 0: 4.00 KiB, node 1: 8.00 KiB, node 3: 8.00 KiB, node unknown: 32.0 KiB, which \
             pages unknown)"
        );
        let error = residency.all_located().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotPermitted);
        assert!(format!("{error:#}").contains("move_pages"), "{error:#}");

        // Of part of a run.
        let mut builder = Builder::default();
        builder.push(8 * 4096, in_ram);
        builder.add_totals(6 * 4096, [(node(0), 8 * 4096)].into_iter());
        let residency = builder.finish(true);
        assert_eq!((residency.on(node(0)), residency.node_unknown()), (2 * 4096, 6 * 4096));
        let mut builder = Builder::default();
        builder.push(4096, in_ram);
        assert_eq!(builder.finish(true).to_string(), "4.00 KiB of 4.00 KiB in RAM (node unknown: 4.00 KiB)");
        assert!(built(&[(1, 2)]).all_located().is_ok());
    }

    #[test]
    fn one_line() {
        let mib = 256;
        let cases = [
            (built(&[]), "0 B of 0 B in RAM"),
            (built(&[(3 * mib, 0)]), "0 B of 3.00 MiB in RAM"),
            (built(&[(mib, 2)]), "1.00 MiB of 1.00 MiB in RAM (node 0: 1.00 MiB)"),
            (
                built(&[(mib, 4), (2 * mib, 3), (mib, 1), (mib, 0)]),
                "3.00 MiB of 5.00 MiB in RAM (node 0: 2.00 MiB, node 3: 1.00 MiB; 2.00 MiB in 2 MiB pages), \
                 1.00 MiB swapped",
            ),
        ];
        for (residency, expected) in cases {
            assert_eq!(residency.to_string(), expected);
        }
        let mut unknown = built(&[(mib, 2)]);
        (unknown.swapped, unknown.page_sizes) = (None, None);
        assert_eq!(
            unknown.to_string(),
            "1.00 MiB of 1.00 MiB in RAM (node 0: 1.00 MiB; page sizes unknown), swapped unknown"
        );
    }
}
