//! A picture of where an area is: a mark for each block of it, and a bar for each node.

use std::collections::BTreeMap;
use std::ops::Range;

use areas::closed::ClosedPageLocation;
use areas::{Bytes, Node, PageLocation, PageSize, Residency, Run};
use serde::Serialize;

use crate::output::style::{Look, Terminal};

/// Blocks in a row.
const ROW: usize = 32;
/// Rows at the most: more memory makes larger blocks.
const ROWS: usize = 16;
/// How long the bar of a node is that holds everything.
const BAR: usize = 40;

/// How much room there is for the picture: blocks in a row, rows, and the length of the bar of a
/// node that holds everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) row: usize,
    pub(crate) rows: usize,
    pub(crate) bar: usize,
}

/// Where each part of an area is.
#[derive(Debug)]
pub(crate) struct Map {
    residency: Residency,
    locked: bool,
}

/// What most of a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    On {
        node: Node,
        huge: bool,
    },
    /// On a node that is not known.
    InRam {
        huge: bool,
    },
    Swapped,
    Hole,
}

impl What {
    /// Whether it is in RAM, and in huge pages.
    fn huge(self) -> Option<bool> {
        match self {
            What::On { huge, .. } | What::InRam { huge } => Some(huge),
            What::Swapped | What::Hole => None,
        }
    }
}

/// A block: what most of it is, and whether all of it is that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    what: What,
    mixed: bool,
}

impl Map {
    pub(crate) fn new(residency: Residency, locked: bool) -> Self {
        Map { residency, locked }
    }

    fn size(&self) -> usize {
        usize::try_from(self.residency.size()).unwrap_or(usize::MAX)
    }

    /// Bytes that a block stands for: the smallest page that there is, twice as much until all
    /// blocks have a place.
    fn block_bytes(&self, blocks: usize) -> usize {
        let pages = self.residency.runs().iter().filter_map(|run| match run.place {
            PageLocation::On { page, .. } | PageLocation::InRam { page } => Some(page),
            _ => None,
        });
        let mut bytes = pages.min().unwrap_or_else(PageSize::base).bytes();
        while self.size().div_ceil(bytes) > blocks {
            bytes = bytes.saturating_mul(2);
        }
        bytes
    }

    fn blocks(&self, step: usize) -> Vec<Block> {
        let size = self.size();
        let mut runs = self.residency.runs();
        (0..size)
            .step_by(step)
            .enumerate()
            .map(|(turn, start)| {
                let range = start..size.min(start + step);
                while runs.first().is_some_and(|run| run.range.end <= range.start) {
                    runs = &runs[1..];
                }
                block(runs, &range, turn)
            })
            .collect()
    }

    /// The picture: rows of blocks, what the marks mean, and a bar for each node.
    pub(crate) fn draw(&self, terminal: Terminal) -> String {
        self.draw_within(terminal, Extent { row: ROW, rows: ROWS, bar: BAR })
    }

    /// The same in so many blocks, and with shorter bars.
    pub(crate) fn draw_within(&self, terminal: Terminal, extent: Extent) -> String {
        let Extent { row: per_row, rows, bar } = extent;
        let step = self.block_bytes(per_row * rows);
        let blocks = self.blocks(step);
        let locked = self.locked;
        let mut text = String::new();
        for (row, blocks) in blocks.chunks(per_row).enumerate() {
            let offset = Bytes::from(row * per_row * step);
            text += &terminal.paint(Look::Dim, &format!("{:>10}  ", format!("{offset:#}")));
            for (at, block) in blocks.iter().enumerate() {
                if at > 0 && at % 8 == 0 {
                    text.push(' ');
                }
                text += &self.cell(*block, locked, terminal);
            }
            text = text.trim_end().to_owned() + "\n";
        }
        text += &self.legend(&blocks, locked, step);
        text + &self.bars(terminal, bar)
    }

    /// Two characters: the node's digit, or what it is instead; and how it is there.
    fn cell(&self, block: Block, locked: bool, terminal: Terminal) -> String {
        let (place, look) = match block.what {
            What::On { node, .. } => (digit(node), Look::Bold),
            What::InRam { .. } => ('?', Look::Bold),
            What::Swapped => ('s', Look::Bad),
            What::Hole => ('.', Look::Dim),
        };
        let how = match block.what.huge() {
            _ if block.mixed => '~',
            Some(true) if locked => '#',
            Some(true) => '=',
            Some(false) if locked => '!',
            _ => ' ',
        };
        terminal.paint(look, &place.to_string()) + &how.to_string()
    }

    fn legend(&self, blocks: &[Block], locked: bool, step: usize) -> String {
        let mut marks = vec![format!("each is {}", Bytes::from(step))];
        let any = |test: &dyn Fn(&Block) -> bool| blocks.iter().any(test);
        if any(&|block| matches!(block.what, What::On { .. })) {
            marks.push("0-9 a-z the node (+ beyond)".to_owned());
        }
        if any(&|block| matches!(block.what, What::InRam { .. })) {
            marks.push("? a node that is not known".to_owned());
        }
        let is_huge = |block: &Block| block.what.huge() == Some(true) && !block.mixed;
        let is_small = |block: &Block| block.what.huge() == Some(false) && !block.mixed;
        if any(&is_huge) {
            marks.push(if locked { "# huge and locked" } else { "= huge" }.to_owned());
        }
        if locked && any(&is_small) {
            marks.push("! locked".to_owned());
        }
        if any(&|block| block.what == What::Swapped) {
            marks.push("s swapped".to_owned());
        }
        if any(&|block| block.what == What::Hole) {
            marks.push(". hole".to_owned());
        }
        if any(&|block| block.mixed) {
            marks.push("~ several: the most is shown, equals in turn".to_owned());
        }
        format!("{:>10}  {}\n", "", marks.join(", "))
    }

    fn bars(&self, terminal: Terminal, longest: usize) -> String {
        let total = self.residency.size().max(1);
        let mut lines: Vec<(String, u64)> =
            self.residency.nodes().map(|(node, bytes)| (format!("node {node}"), bytes)).collect();
        lines.push(("node ?".to_owned(), self.residency.node_unknown()));
        lines.push(("swapped".to_owned(), self.residency.swapped().unwrap_or(0)));
        lines.push(("hole".to_owned(), self.residency.absent()));
        let mut text = String::new();
        for (label, bytes) in lines.into_iter().filter(|(_, bytes)| *bytes > 0) {
            let share = u128::from(bytes) * longest as u128 / u128::from(total);
            // What is there shows, however little it is.
            let length = usize::try_from(share).unwrap_or(longest).max(1);
            let mark = if terminal.utf8 { "█" } else { "#" };
            let percent = u128::from(bytes) * 100 / u128::from(total);
            text += &format!(
                "{label:>10}  {}{} {:#}, {percent} %\n",
                terminal.paint(Look::Good, &mark.repeat(length)),
                " ".repeat(longest.saturating_sub(length)),
                Bytes(bytes)
            );
        }
        text
    }

    /// The parts, for programs.
    pub(crate) fn to_json(&self) -> Vec<PartJson> {
        self.residency.runs().iter().map(PartJson::from).collect()
    }
}

/// What most of a range is; of equals, each in its turn, so that interleaved memory looks like it.
/// `runs` begin with the one that holds its first byte.
fn block(runs: &[Run], range: &Range<usize>, turn: usize) -> Block {
    let mut shares: BTreeMap<What, usize> = BTreeMap::new();
    for run in runs.iter().take_while(|run| run.range.start < range.end) {
        let bytes = run.range.end.min(range.end) - run.range.start.max(range.start);
        *shares.entry(what(run.place)).or_default() += bytes;
    }
    let most = shares.values().max().copied().unwrap_or(0);
    let equals: Vec<What> =
        shares.iter().filter(|(_, bytes)| **bytes == most).map(|(what, _)| *what).collect();
    let what = turn.checked_rem(equals.len()).map_or(What::Hole, |at| equals[at]);
    Block { what, mixed: shares.len() > 1 }
}

fn what(place: PageLocation) -> What {
    match ClosedPageLocation::from(place) {
        ClosedPageLocation::On { node, page } => What::On { node, huge: page > PageSize::base() },
        ClosedPageLocation::InRam { page } => What::InRam { huge: page > PageSize::base() },
        ClosedPageLocation::Swapped => What::Swapped,
        ClosedPageLocation::Absent => What::Hole,
    }
}

/// A node's digit: 0 to 9, a to z, and `+` for those beyond.
pub(crate) fn digit(node: Node) -> char {
    char::from_digit(node.get(), 36).unwrap_or('+')
}

/// A part of an area, in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct PartJson {
    offset: usize,
    length: usize,
    /// `resident`, `swapped` or `absent`.
    state: &'static str,
    /// Null for what is not in RAM, and where a sandbox hides it.
    node: Option<u32>,
    page_size: Option<usize>,
}

impl From<&Run> for PartJson {
    fn from(run: &Run) -> Self {
        let (state, node, page_size) = match ClosedPageLocation::from(run.place) {
            ClosedPageLocation::On { node, page } => ("resident", Some(node.get()), Some(page.bytes())),
            ClosedPageLocation::InRam { page } => ("resident", None, Some(page.bytes())),
            ClosedPageLocation::Swapped => ("swapped", None, None),
            ClosedPageLocation::Absent => ("absent", None, None),
        };
        PartJson { offset: run.range.start, length: run.range.len(), state, node, page_size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_nodes() {
        for (id, expected) in [(0, '0'), (9, '9'), (10, 'a'), (35, 'z'), (36, '+'), (1023, '+')] {
            assert_eq!(digit(Node::new(id).unwrap()), expected);
        }
    }

    #[test]
    fn a_real_area_is_drawn_as_it_is() {
        let mut area = areas::builder(1 << 20).private().unwrap();
        let page = PageSize::base().bytes();
        // Pages 0 to 63 are there, and no other.
        for at in (0..64 * page).step_by(page) {
            area[at] = 1;
        }
        let map = Map::new(area.residency().unwrap(), false);
        let terminal = Terminal { colours: false, utf8: false, columns: None };
        let text = map.draw(terminal);
        let rows: Vec<&str> = text.lines().collect();
        let node = digit(area.residency().unwrap().nodes().next().unwrap().0);
        let there = vec![format!("{node} ").repeat(8); 4].join(" ");
        assert_eq!(rows[0], format!("{:>10}  {}", "0 B", there.trim_end()));
        assert_eq!(
            rows[2].trim_start(),
            format!("256 KiB  {}", vec![". ".repeat(8); 4].join(" ").trim_end())
        );
        assert!(text.contains("each is 4 KiB, 0-9 a-z the node (+ beyond), . hole"), "{text}");
        assert!(text.contains(&format!("{} 256 KiB, 25 %", "#".repeat(10) + &" ".repeat(30))), "{text}");
        assert!(text.contains("768 KiB, 75 %"), "{text}");
        let locked = Map::new(area.residency().unwrap(), true).draw(terminal);
        assert!(locked.contains(&format!("{node}!{node}!")) && locked.contains("! locked"), "{locked}");
    }

    #[test]
    fn blocks_grow_with_the_area() {
        let area = areas::builder(64 << 20).private().unwrap();
        let map = Map::new(area.residency().unwrap(), false);
        let step = map.block_bytes(ROW * ROWS);
        assert_eq!(step, (64 << 20) / (ROW * ROWS));
        assert_eq!(map.blocks(step).len(), ROW * ROWS);
        assert!(map.blocks(step).iter().all(|block| *block == Block { what: What::Hole, mixed: false }));
        let empty = Map::new(areas::builder(1).private().unwrap().residency().unwrap(), false);
        assert_eq!(empty.blocks(empty.block_bytes(ROW * ROWS)).len(), 1);
        let terminal = Terminal { colours: false, utf8: true, columns: None };
        for (row, rows, bar) in [(8, 4, 4), (16, 16, 12), (32, 16, 40)] {
            let text = map.draw_within(terminal, Extent { row, rows, bar });
            assert_eq!(text.lines().filter(|line| line.contains(". .")).count(), rows, "{text}");
            assert!(text.contains(&format!("  {} 64.0 MiB, 100 %", "█".repeat(bar))), "{text}");
        }
    }
}
