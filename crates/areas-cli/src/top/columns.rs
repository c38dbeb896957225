//! The columns of the live table: what each shows, how wide it is, and which have a place.

use std::cmp::{Ordering, Reverse};

use areas::{Bytes, Node, escape_invisible};
use unicode_width::UnicodeWidthStr;

use super::args::Order;
use super::reading::Memory;

/// Marks in the column that shows where a memory is.
pub(super) const SHARES: usize = 8;

/// The narrowest that a name becomes.
const NARROWEST_NAME: usize = 10;
/// What a name gets before columns come that are worth less.
const USUAL_NAME: usize = 14;
/// The narrowest that the list of holders is worth showing.
const NARROWEST_HOLDERS: usize = 12;

/// A column, and how many cells it takes.
pub(super) type Place = (Order, usize);

/// The columns that have a place in so many cells, from left to right, one blank between two. The
/// name is always there, and what is sorted by.
pub(super) fn fitting(width: usize, order: Order, longest_name: usize) -> Vec<Place> {
    let mut chosen: Vec<Place> = Vec::new();
    let mut left = width;
    // What a name needs at least so that a column beside it is worth its place.
    let wanted = [
        (order, NARROWEST_NAME),
        (Order::Ram, NARROWEST_NAME),
        (Order::Growth, NARROWEST_NAME),
        (Order::Size, USUAL_NAME),
        (Order::PerSecond, USUAL_NAME),
        (Order::Nodes, USUAL_NAME),
        (Order::Holders, USUAL_NAME),
        (Order::Id, longest_name.clamp(USUAL_NAME, 40)),
    ];
    for (column, name) in wanted {
        let takes = cells(column) + 1;
        if column != Order::Name && !chosen.iter().any(|(known, _)| *known == column) && left >= name + takes
        {
            chosen.push((column, cells(column)));
            left -= takes;
        }
    }
    // Names get what they need of the rest, and holders what remains.
    let name = if chosen.iter().any(|(column, _)| *column == Order::Holders) {
        left.min(longest_name.max(USUAL_NAME))
    } else {
        left
    };
    chosen.push((Order::Name, name));
    if let Some((_, holders)) = chosen.iter_mut().find(|(column, _)| *column == Order::Holders) {
        *holders += left - name;
    }
    let place = |column: Order| Order::ALL.iter().position(|shown| *shown == column);
    chosen.sort_by_key(|(column, _)| place(*column));
    chosen
}

/// How many cells a column takes; the name takes what is left.
fn cells(column: Order) -> usize {
    match column {
        Order::Id => 10,
        Order::Name => NARROWEST_NAME,
        // `1023 MiB`, `+1023 MiB`, `+1023 MiB/s`
        Order::Size | Order::Ram => 8,
        Order::Growth => 9,
        Order::PerSecond => 11,
        Order::Nodes => SHARES,
        Order::Holders => NARROWEST_HOLDERS,
    }
}

pub(super) fn heading(column: Order) -> &'static str {
    match column {
        Order::Id => "ID",
        Order::Name => "NAME",
        Order::Size => "SIZE",
        Order::Ram => "IN RAM",
        Order::Growth => "GROWTH",
        Order::PerSecond => "PER S",
        Order::Nodes => "NODES",
        Order::Holders => "HELD BY",
    }
}

/// Whether it stands at the right of its column.
pub(super) fn is_number(column: Order) -> bool {
    !matches!(column, Order::Name | Order::Nodes | Order::Holders)
}

/// What a column shows of a memory. Nodes are drawn apart.
pub(super) fn content(column: Order, memory: &Memory) -> String {
    match column {
        Order::Id => memory.id().to_string(),
        Order::Name => name(memory),
        Order::Size => bytes(Some(memory.size)),
        Order::Ram => bytes(memory.resident),
        Order::Growth => signed(memory.growth.since_start, ""),
        Order::PerSecond => signed(memory.growth.per_second, "/s"),
        Order::Nodes => shares(memory).into_iter().map(Share::mark).collect(),
        Order::Holders => holders(memory),
    }
}

/// Its oldest area's name, and how many others there are.
fn name(memory: &Memory) -> String {
    let name = memory.name();
    let text = escape_invisible(&name.to_string()).into_owned();
    let others = memory.areas.iter().filter(|area| area.name != *name).count();
    if others == 0 { text } else { format!("{text} (+{others})") }
}

/// How many processes publish it, and what they run.
fn holders(memory: &Memory) -> String {
    let holders = memory.holders();
    let each: Vec<String> = holders
        .iter()
        .map(|holder| match &holder.command {
            Some(command) => format!("{} {}", holder.pid, escape_invisible(command)),
            None => holder.pid.to_string(),
        })
        .collect();
    match each.len() {
        1 => each.concat(),
        several => format!("{several}: {}", each.join(", ")),
    }
}

pub(super) fn bytes(bytes: Option<u64>) -> String {
    bytes.map_or("?".to_owned(), |bytes| format!("{:#}", Bytes(bytes)))
}

/// `+1.00 MiB/s`; nothing where it is not known, `0` where nothing has changed.
pub(super) fn signed(bytes: Option<i64>, unit: &str) -> String {
    match bytes {
        None => String::new(),
        Some(0) => "0".to_owned(),
        Some(bytes) => {
            let sign = if bytes < 0 { '-' } else { '+' };
            format!("{sign}{:#}{unit}", Bytes(bytes.unsigned_abs()))
        }
    }
}

/// A part of a memory, by where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    On(Node),
    /// In RAM, on a node that is not known.
    Somewhere,
    Swapped,
    Hole,
}

impl Share {
    /// The mark that stands for it, as in the map of pages.
    pub(super) fn mark(self) -> char {
        match self {
            Share::On(node) => crate::map::digit(node),
            Share::Somewhere => '?',
            Share::Swapped => 's',
            Share::Hole => '.',
        }
    }
}

/// Where a memory is, an eighth each: what is there at all has one mark at least, as long as there
/// are enough.
pub(super) fn shares(memory: &Memory) -> Vec<Share> {
    let mut parts: Vec<(Share, u64)> =
        memory.nodes.iter().flatten().map(|&(node, bytes)| (Share::On(node), bytes)).collect();
    let unknown = match &memory.nodes {
        Some(_) => memory.node_unknown.unwrap_or(0),
        None => memory.resident.unwrap_or(0),
    };
    parts.push((Share::Somewhere, unknown));
    parts.push((Share::Swapped, memory.swapped.unwrap_or(0)));
    parts.retain(|(_, bytes)| *bytes > 0);
    let there: u64 = parts.iter().map(|(_, bytes)| bytes).fold(0, |sum, bytes| sum.saturating_add(*bytes));
    let hole = memory.size.saturating_sub(there);
    if hole > 0 {
        parts.push((Share::Hole, hole));
    }
    divided(&parts, SHARES)
}

/// Divides so many marks among parts by their size, the rest by the largest remainder; then those
/// that got none take one from the largest.
fn divided(parts: &[(Share, u64)], marks: usize) -> Vec<Share> {
    let all: u128 = parts.iter().map(|(_, bytes)| u128::from(*bytes)).sum();
    if all == 0 {
        return Vec::new();
    }
    let exact = |bytes: u64| u128::from(bytes) * marks as u128;
    let mut counts: Vec<usize> =
        parts.iter().map(|(_, bytes)| usize::try_from(exact(*bytes) / all).unwrap_or(marks)).collect();
    let mut by_rest: Vec<usize> = (0..parts.len()).collect();
    by_rest.sort_by_key(|&part| Reverse(exact(parts[part].1) % all));
    let left = marks.saturating_sub(counts.iter().sum());
    by_rest.iter().take(left).for_each(|&part| counts[part] += 1);
    for part in 0..parts.len() {
        let largest = (0..parts.len()).max_by_key(|&other| counts[other]);
        if let Some(largest) = largest.filter(|&largest| counts[part] == 0 && counts[largest] > 1) {
            counts[largest] -= 1;
            counts[part] = 1;
        }
    }
    parts.iter().zip(counts).flat_map(|(&(share, _), count)| std::iter::repeat_n(share, count)).collect()
}

/// Which of two memories comes first: the larger one of sizes, else the lower number, or what is
/// first in the alphabet. Equals by name, then id.
pub(super) fn compare(order: Order, one: &Memory, other: &Memory) -> Ordering {
    let largest = |one: Option<i128>, other: Option<i128>| other.cmp(&one);
    let wide = |bytes: Option<u64>| bytes.map(i128::from);
    let by = match order {
        Order::Name => Ordering::Equal,
        Order::Id => one.id().cmp(&other.id()),
        Order::Size => other.size.cmp(&one.size),
        Order::Ram => largest(wide(one.resident), wide(other.resident)),
        Order::Growth => {
            largest(one.growth.since_start.map(i128::from), other.growth.since_start.map(i128::from))
        }
        Order::PerSecond => {
            largest(one.growth.per_second.map(i128::from), other.growth.per_second.map(i128::from))
        }
        Order::Nodes => main_node(one).cmp(&main_node(other)),
        Order::Holders => other.holders().len().cmp(&one.holders().len()),
    };
    by.then_with(|| one.name().as_bytes().cmp(other.name().as_bytes())).then_with(|| one.key.cmp(&other.key))
}

/// The node that has most of it; those that are on none come last. On the same node, what has more
/// there comes first.
fn main_node(memory: &Memory) -> (bool, Option<Node>, Reverse<u64>) {
    let most = memory.nodes.iter().flatten().max_by_key(|(node, bytes)| (*bytes, Reverse(*node)));
    match most.filter(|(_, bytes)| *bytes > 0) {
        Some(&(node, bytes)) => (false, Some(node), Reverse(bytes)),
        None => (true, None, Reverse(0)),
    }
}

/// The text in at most so many cells; what is cut ends in a mark that says so.
pub(super) fn cut(text: &str, cells: usize, utf8: bool) -> String {
    if text.width() <= cells {
        return text.to_owned();
    }
    let mark = if utf8 { '…' } else { '+' };
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if short.width() >= cells {
            short.pop();
            break;
        }
    }
    if cells > 0 {
        short.push(mark);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::super::reading::tests::memory;
    use super::*;

    #[test]
    fn columns_take_what_there_is_and_no_more() {
        for width in 12..250 {
            for order in Order::ALL {
                for longest in [1, 14, 30, 255] {
                    let places = fitting(width, order, longest);
                    let taken: usize = places.iter().map(|(_, cells)| cells + 1).sum();
                    assert!(taken <= width + 1, "{width} {order:?}: {places:?}");
                    let name = places.iter().find(|(column, _)| *column == Order::Name).unwrap().1;
                    assert!(name >= NARROWEST_NAME.min(width), "{width}: {places:?}");
                    let sorted = places.iter().any(|(column, _)| *column == order);
                    assert!(sorted || width < 24, "{width} {order:?}: {places:?}");
                }
            }
        }
        let names = |width| -> Vec<Order> {
            fitting(width, Order::Ram, 20).into_iter().map(|(column, _)| column).collect()
        };
        assert_eq!(names(39), [Order::Name, Order::Ram, Order::Growth]);
        let most = &Order::ALL[1..];
        assert_eq!(names(79), most);
        assert_eq!(names(120), Order::ALL);
    }

    #[test]
    fn shares_are_as_large_as_what_they_stand_for() {
        let text = |memory: &Memory| content(Order::Nodes, memory);
        let node = |id| Node::new(id).unwrap();
        let mut area = memory(1, "a", 800, 800);
        assert_eq!(text(&area), "00000000");
        area.nodes = Some(vec![(node(0), 400), (node(11), 200)]);
        area.swapped = Some(100);
        assert_eq!(text(&area), "0000bbs.");
        // Little is more than nothing.
        area.nodes = Some(vec![(node(0), 790), (node(1), 5)]);
        area.swapped = Some(0);
        assert_eq!(text(&area), "0000001.");
        (area.nodes, area.node_unknown) = (None, None);
        assert_eq!(text(&area), "????????");
        (area.nodes, area.resident) = (Some(Vec::new()), Some(0));
        assert_eq!(text(&area), "........");
        area.size = 0;
        assert_eq!(text(&area), "");
    }

    #[test]
    fn sorted_by_what_matters() {
        let mut large = memory(1, "b", 1000, 10);
        let mut grows = memory(2, "a", 100, 100);
        grows.growth.since_start = Some(50);
        large.growth.since_start = Some(-50);
        grows.areas.push(memory(9, "a", 1, 1).areas.remove(0));
        for (order, first_is_large) in [
            (Order::Size, true),
            (Order::Ram, false),
            (Order::Growth, false),
            (Order::Name, false),
            (Order::Id, true),
            (Order::Holders, false),
            (Order::Nodes, false),
        ] {
            let expected = if first_is_large { Ordering::Less } else { Ordering::Greater };
            assert_eq!(compare(order, &large, &grows), expected, "{order:?}");
            assert_eq!(compare(order, &grows, &large), expected.reverse(), "{order:?}");
        }
    }

    #[test]
    fn what_is_cut_says_so() {
        for (text, cells, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("区域区", 5, "区域…"),
            ("区域区", 4, "区…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ] {
            assert_eq!(cut(text, cells, true), expected, "{text} {cells}");
        }
        assert_eq!(cut("abcd", 3, false), "ab+");
    }

    #[test]
    fn growth_in_words() {
        for (bytes, expected) in
            [(None, ""), (Some(0), "0"), (Some(1 << 20), "+1.00 MiB/s"), (Some(-2048), "-2.00 KiB/s")]
        {
            assert_eq!(signed(bytes, "/s"), expected);
        }
        for bytes in [i64::MIN, i64::MAX, 1023 << 20, -(1023 << 30)] {
            assert!(signed(Some(bytes), "").len() <= cells(Order::Growth), "{bytes}");
            assert!(signed(Some(bytes), "/s").len() <= cells(Order::PerSecond), "{bytes}");
        }
    }
}
