//! Small arrays that go from a producer to a consumer: by a slab, and by what takes an object each.

use std::alloc::Layout;

use anyhow::{Context as _, Result};
use areas::registry;
use areas_slab::{Handle, Slab, take};

use super::bytes;
use crate::bench::{Bench, Contest, SHORT};
use crate::measure::Side;
use crate::peers::Work;

/// Put, given, taken by another mapping of the same memory, and dropped: all but the way of the
/// handle.
fn hand_on(slab: &Slab, size: usize) -> Result<()> {
    let slice = slab.alloc(Layout::from_size_align(size, 64)?)?;
    let handle = slice.give()?.to_bytes();
    drop(slice);
    drop(take(&Handle::from_bytes(&handle)?)?);
    Ok(())
}

pub fn run(bench: &mut Bench) -> Result<()> {
    let posix = bench.library("posix").context("compiled by the same command")?;
    let _joined = areas::builder(4096).name("bench: joined").shared()?;
    let slab = Slab::create("bench: slab", 64 << 20)?;
    for size in [4 << 10, 64 << 10] {
        let ours = Side::each("areas-slab: take, give, open, drop", || hand_on(&slab, size));
        let area = Side::each("an area: make, publish, find, open, drop", move || {
            let area = areas::builder(size).name("bench: one of many").shared()?;
            drop(registry::find("bench: one of many")?.open()?);
            drop(area);
            Ok(())
        });
        let name = format!("/areas-bench-{}-slab", std::process::id());
        let work = Work::of_size(size).named(&name);
        let contest = Contest::new(format!("an array of {}", bytes(size)), SHORT, ours)
            .counted()
            .against(area, 0.2)
            .against(posix.side("POSIX shm: make and drop", "peer_share", work)?, 0.2);
        bench.contest(contest)?;
    }
    // With ten thousand others held, in a table that is as full.
    let held: Vec<_> = (0..10_000).map(|_| slab.put(&[1; 1000])).collect::<Result<_, _>>()?;
    let size = 4 << 10;
    let ours = Side::each("among 10,000 others", || hand_on(&slab, size));
    let alone = Slab::create("bench: slab, alone", 64 << 20)?;
    let peer = Side::each("alone", || hand_on(&alone, size));
    let done = bench.contest(Contest::new("an array of 4 KiB", SHORT, ours).against(peer, 2.0));
    drop(held);
    done
}
