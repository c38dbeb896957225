//! Memory on a node: mapped, placed, and unmapped; nothing is touched, so that what is compared is
//! the library.

use anyhow::{Context as _, Result};
use areas::{Node, NodeSet, Policy, Provider as _, Request, System};

use super::bytes;
use crate::bench::{Bench, Contest, SHORT};
use crate::measure::Side;
use crate::peers::Work;

/// Against system calls, and against libraries.
const FLOOR: f64 = 1.02;
const LIBRARIES: f64 = 0.95;

pub fn run(bench: &mut Bench) -> Result<()> {
    let node = areas::allowed_nodes()?.iter().next().context("no node is allowed")?;
    anyhow::ensure!(
        node == Node::new(0)?,
        "the peers take memory of node 0, and the first allowed one is {node}"
    );
    let bind = Policy::Bind(NodeSet::from(node));
    let raw = bench.library("raw").context("the floor has to be there")?;
    let floor = bench.library("floor").context("compiled by the same command")?;
    let others: Vec<_> = [
        ("numa", "libnuma", Some(LIBRARIES)),
        ("hwloc", "hwloc", Some(LIBRARIES)),
        ("memkind", "memkind (a heap, on no node)", None),
    ]
    .into_iter()
    .filter_map(|(name, who, target)| Some((bench.library(name)?, who, target)))
    .collect();
    for size in [64 << 10, 1 << 20, 64 << 20, 1 << 30] {
        let work = Work::of_size(size);
        let provider = Side::each("System::map", move || {
            let mapping = System::new().map(&Request::new(size).placed(bind))?;
            Ok(mapping.unmap()?)
        });
        let mut contest = Contest::new(format!("{}, provider", bytes(size)), SHORT, provider)
            .counted()
            .against(raw.side("mmap+mbind+munmap", "peer_map_place", work)?, FLOOR)
            .against(
                floor.side("the same, and what was asked is noted, in C", "peer_map_noted", work)?,
                None,
            );
        for (library, who, target) in &others {
            contest = contest.against(library.side(who, "peer_map_place", work)?, *target);
        }
        let anonymous = Side::each("memmap2 (places nothing)", move || {
            memmap2::MmapMut::map_anon(size)?;
            Ok(())
        });
        bench.contest(contest.against(anonymous, None))?;

        let area = Side::each("builder().private()", move || {
            drop(areas::builder(size).place(bind).private()?);
            Ok(())
        });
        bench.contest(
            Contest::new(format!("{}, area", bytes(size)), SHORT, area)
                .counted()
                .against(raw.side("mmap+mbind+munmap", "peer_map_place", work)?, FLOOR),
        )?;
    }
    Ok(())
}
