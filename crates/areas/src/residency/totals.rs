//! Totals by node, where the kernel may not be asked page by page: `/proc/self/numa_maps` has them
//! for each mapping.
//!
//! Containers whose profile forbids `move_pages` show that file all the same. What stands in it is
//! checked before it is believed: names of files are anybody's, and other kernels than Linux make
//! such files, too.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::nodes::Node;
use crate::nodes::list;
use crate::sys;

/// A mapping of this process, as the kernel keeps it, and the bytes of it that our page tables have
/// on each node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) range: Range<usize>,
    /// By ascending node; none has 0 bytes. Empty where nothing is reported.
    pub(super) nodes: Vec<(Node, u64)>,
}

impl Totals {
    /// The node of all its pages, if it is one.
    pub(super) fn only_node(&self) -> Option<Node> {
        match self.nodes[..] {
            [(node, _)] => Some(node),
            _ => None,
        }
    }
}

/// The mappings that have a part of a range, in order. Nothing where the files cannot be read.
pub(super) fn of(range: &Range<usize>) -> Vec<Totals> {
    // Names of files may be in any encoding.
    let read = |name| sys::text::read_lossy(format!("/proc/thread-self/{name}")).unwrap_or_default();
    let numa_maps = read("numa_maps");
    parse(&read("maps"), &numa_maps, range)
}

/// The same from the texts of `maps` and `numa_maps`.
fn parse(maps: &str, numa_maps: &str, range: &Range<usize>) -> Vec<Totals> {
    let mut ranges: Vec<Range<usize>> = maps
        .lines()
        .filter_map(|line| address_range(line.split_ascii_whitespace().next()?))
        .filter(|mapped| mapped.start < range.end && range.start < mapped.end)
        .collect();
    ranges.sort_unstable_by_key(|mapped| mapped.start);
    // Two looks: what overlaps has changed concurrently.
    ranges.dedup_by(|next, before| next.start < before.end);
    let wanted = |start: &usize| ranges.iter().any(|mapped| mapped.start == *start);
    let lines = numa_maps.lines().filter_map(|line| {
        let (start, rest) = line.split_once(' ')?;
        let start = usize::from_str_radix(start, 16).ok().filter(wanted)?;
        Some((start, on_nodes(rest).unwrap_or_default()))
    });
    let mut reported: BTreeMap<usize, Vec<(Node, u64)>> = lines.collect();
    ranges
        .into_iter()
        .map(|range| {
            let nodes = reported.remove(&range.start).unwrap_or_default();
            // More than the mapping has is not believed, nor is what has no sum.
            let sum = nodes.iter().try_fold(0_u64, |sum, (_, bytes)| sum.checked_add(*bytes));
            let believed = sum.is_some_and(|sum| sum <= range.len() as u64);
            Totals { range, nodes: if believed { nodes } else { Vec::new() } }
        })
        .collect()
}

/// `7f00-8000`
fn address_range(word: &str) -> Option<Range<usize>> {
    let (start, end) = word.split_once('-')?;
    let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    (!range.is_empty()).then_some(range)
}

/// The bytes on each node, of a line that ends in `… N0=3 N2=1 kernelpagesize_kB=4`. Only the end
/// is looked at: names stand before it, and what else the kernel counts.
fn on_nodes(line: &str) -> Option<Vec<(Node, u64)>> {
    let mut words = line.split_ascii_whitespace().rev();
    let page = words.next()?.strip_prefix("kernelpagesize_kB=")?.parse::<u64>().ok()?.checked_mul(1024)?;
    let mut nodes: Vec<(Node, u64)> = Vec::new();
    for word in words {
        let Some((node, pages)) = word.strip_prefix('N').and_then(|word| word.split_once('=')) else { break };
        let Ok(node) = list::number(node, Node::MAX.get()) else { break };
        let node = Node::checked(node)?;
        // The kernel writes them by ascending node.
        if nodes.last().is_some_and(|(before, _)| *before <= node) {
            return None;
        }
        let bytes = pages.parse::<u64>().ok()?.checked_mul(page)?;
        nodes.push((node, bytes));
    }
    nodes.retain(|(_, bytes)| *bytes > 0);
    nodes.reverse();
    Some(nodes)
}

/// For the fuzzer: whatever stands in the two files.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    let (maps, numa_maps) = text.split_once("\n\n").unwrap_or((text, text));
    let range = 0x1000..0x7000_0000;
    let mut before = 0;
    for Totals { range: mapped, nodes } in parse(maps, numa_maps, &range) {
        assert!(before <= mapped.start && mapped.start < mapped.end, "in order, and apart");
        assert!(mapped.start < range.end && range.start < mapped.end);
        before = mapped.end;
        assert!(
            nodes.windows(2).all(|pair| pair[0].0 < pair[1].0) && nodes.iter().all(|(_, bytes)| *bytes > 0)
        );
        assert!(nodes.iter().map(|(_, bytes)| u128::from(*bytes)).sum::<u128>() <= mapped.len() as u128);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
00001000-00003000 r--p 00000000 fd:00 12 /bin/a
00010000-00020000 rw-s 00000000 00:01 7 /memfd:areas:x (deleted)
00020000-00420000 rw-s 00000000 00:10 8 /memfd:areas:huge (deleted)
00500000-00510000 rw-p 00000000 00:00 0
7fff0000-7fff8000 rw-p 00000000 00:00 0 [stack]
";

    fn reported(numa_maps: &str, range: Range<usize>) -> Vec<(usize, String)> {
        let each = |totals: Totals| {
            let nodes: Vec<String> =
                totals.nodes.iter().map(|(node, bytes)| format!("{node}:{bytes:#x}")).collect();
            (totals.range.start, nodes.join(" "))
        };
        parse(MAPS, numa_maps, &range).into_iter().map(each).collect()
    }

    #[test]
    fn totals_of_mappings_that_have_a_part() {
        let numa_maps = "\
00001000 default file=/bin/a mapped=2 N0=2 kernelpagesize_kB=4
00010000 interleave:0-1 file=/memfd:areas:x\\040(deleted) dirty=5 mapped=5 active=0 N0=3 N1=2 kernelpagesize_kB=4
00020000 prefer (many):0-1 file=/memfd:areas:huge\\040(deleted) huge dirty=2 N1=2 kernelpagesize_kB=2048
00500000 default anon=1 dirty=1 N3=1 kernelpagesize_kB=4
7fff0000 default stack anon=3 dirty=3 N0=3 kernelpagesize_kB=4
";
        assert_eq!(
            reported(numa_maps, 0x2000..0x500001),
            [
                (0x1000, "0:0x2000".to_owned()),
                (0x10000, "0:0x3000 1:0x2000".to_owned()),
                (0x20000, "1:0x400000".to_owned()),
                (0x500000, "3:0x1000".to_owned())
            ]
        );
        assert_eq!(reported(numa_maps, 0x3000..0x10000), []);
        let both = parse(MAPS, numa_maps, &(0x10000..0x20001));
        assert_eq!((both[0].only_node(), both[1].only_node()), (None, Some(Node::of::<1>())));
        // A mapping without pages has no numbers, and one that came concurrently has no line.
        assert_eq!(
            reported("00010000 default file=/x\n", 0x10000..0x20001),
            [(0x10000, String::new()), (0x20000, String::new())]
        );
    }

    /// Whatever a file is called, and whichever program made this file.
    #[test]
    fn what_makes_no_sense_is_not_reported() {
        let line = |rest: &str| reported(&format!("00010000 {rest}\n"), 0x10000..0x20000)[0].1.clone();
        assert_eq!(line("default N0=1 N1=2 kernelpagesize_kB=4"), "0:0x1000 1:0x2000");
        let nothing = [
            "",
            "default",
            "default N0=1",
            "default N0=1 kernelpagesize_kB=",
            "default N0=1 kernelpagesize_kB=-4",
            "default N0=1 kernelpagesize_kB=4 more",
            // A name with what looks like numbers in it.
            "default file=/a N0=1 kernelpagesize_kB=4 mapped=1",
            // More than the mapping has, than there is, and than a number holds.
            "default N0=17 kernelpagesize_kB=4",
            "default N0=8 N1=9 kernelpagesize_kB=4",
            "default N0=18446744073709551615 kernelpagesize_kB=4",
            "default N0=18446744073709551616 kernelpagesize_kB=4",
            "default N0=1 kernelpagesize_kB=18014398509481984",
            // Not as the kernel writes them.
            "default N1=1 N0=1 kernelpagesize_kB=4",
            "default N0=1 N0=1 kernelpagesize_kB=4",
            "default N0=x kernelpagesize_kB=4",
            "default N1024=1 kernelpagesize_kB=4",
            "default N=1 kernelpagesize_kB=4",
        ];
        for rest in nothing {
            assert_eq!(line(rest), "", "{rest:?}");
        }
        // What comes before the end is a file's name, and not counted.
        assert_eq!(line("default file=/a N5=9 mapped=2 N0=2 kernelpagesize_kB=4"), "0:0x2000");
        assert_eq!(line("default N0=0 N1=2 kernelpagesize_kB=4"), "1:0x2000");
    }

    #[test]
    fn maps_that_make_no_sense() {
        let numa_maps = "00001000 default N0=1 kernelpagesize_kB=4\n";
        for maps in ["", "1000", "1000-", "3000-1000 rw", "1000-1000", "x-y rw", "-1000-2000"] {
            assert_eq!(parse(maps, numa_maps, &(0..usize::MAX)), [], "{maps:?}");
        }
        // Overlaps of two looks: the first is kept.
        let maps = "1000-3000 rw\n2000-4000 rw\n3000-5000 rw\n";
        let ranges: Vec<_> =
            parse(maps, "", &(0..usize::MAX)).into_iter().map(|totals| totals.range).collect();
        assert_eq!(ranges, [0x1000..0x3000, 0x3000..0x5000]);
    }

    /// On this machine: what we know ourselves of memory that we have just touched.
    #[test]
    fn of_memory_of_ours() {
        let page = sys::page_size();
        let object = crate::builder(16 * page).shared().unwrap();
        for at in 0..5 {
            object.store(at * page, 1_u8, std::sync::atomic::Ordering::Relaxed).unwrap();
        }
        let start = object.as_ptr().addr();
        let found = of(&(start..start + 16 * page));
        let [totals] = &found[..] else { panic!("{found:?}") };
        assert_eq!(totals.range, start..start + 16 * page);
        if std::fs::exists("/proc/thread-self/numa_maps").unwrap() {
            let sum: u64 = totals.nodes.iter().map(|(_, bytes)| bytes).sum();
            assert_eq!(sum, 5 * page as u64, "{totals:?}");
        }
    }
}
