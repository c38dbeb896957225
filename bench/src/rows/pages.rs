//! Pages: faulted in, looked at, moved.

use anyhow::{Context as _, Result, ensure};
use areas::{PageLocation, Pages};

use super::bytes;
use crate::bench::{Bench, Contest, LONG};
use crate::measure::{Side, nanoseconds};
use crate::peers::Work;

/// Faulting in, by all CPUs, against one thread that does it with one call.
pub fn populate(bench: &mut Bench) -> Result<()> {
    const TARGET: f64 = 0.60;
    crate::machine::pin(false);
    let size = bench.or_smoke(1 << 30, 4 << 20);
    let raw = bench.library("raw").context("compiled by the same command")?;
    // What the machine has in it: the same, by as many threads, in C.
    let floor = bench.library("floor").context("compiled by the same command")?;
    for (what, pages) in [("private, base pages", Pages::Base), ("private, huge pages", Pages::Auto)] {
        let ours = Side::new("populate", move |times| {
            let mut took = 0;
            for _ in 0..times {
                let mut area = areas::builder(size).pages(pages).private()?;
                let start = std::time::Instant::now();
                area.populate()?;
                took += nanoseconds(start.elapsed());
            }
            Ok(took)
        });
        let work = Work::of_size(size).touching(pages == Pages::Auto);
        bench.contest(
            Contest::new(format!("{} {what}", bytes(size)), LONG, ours)
                .against(raw.side("MADV_POPULATE_WRITE, one thread", "peer_populate_private", work)?, TARGET)
                .against(floor.side("the same by a thread a CPU, in C", "peer_populate_parts", work)?, None),
        )?;
    }
    let ours = Side::new("populate", move |times| {
        let mut took = 0;
        for _ in 0..times {
            let mut area = areas::builder(size).shared()?;
            let start = std::time::Instant::now();
            area.populate()?;
            took += nanoseconds(start.elapsed());
        }
        Ok(took)
    });
    let work = Work::of_size(size);
    bench.contest(
        Contest::new(format!("{} shared, base pages", bytes(size)), LONG, ours)
            .against(raw.side("MADV_POPULATE_WRITE, one thread", "peer_populate_shared", work)?, TARGET),
    )
}

/// Where each page is.
pub fn residency(bench: &mut Bench) -> Result<()> {
    let size = bench.or_smoke(1 << 30, 4 << 20);
    let raw = bench.library("raw").context("compiled by the same command")?;
    let mut private = areas::builder(size).private()?;
    private.populate()?;
    let mut shared = areas::builder(size).shared()?;
    shared.populate()?;
    let on_a_node = |residency: &areas::Residency| {
        let known = residency.runs().iter().filter(|run| matches!(run.place, PageLocation::On { .. }));
        known.map(|run| run.range.len()).sum::<usize>()
    };
    ensure!(on_a_node(&private.residency()?) == size, "all of it is there, and known to be");
    {
        let ours = Side::each("residency", || {
            ensure!(private.residency()?.resident() == size as u64, "some of it is not there");
            Ok(())
        });
        let work = Work { from: private.as_ptr().cast(), ..Work::of_size(size) };
        bench.contest(
            Contest::new(format!("{} private", bytes(size)), LONG, ours)
                .against(raw.side("move_pages, 16,384 pages a call", "peer_residency", work)?, 1.1),
        )?;
    }
    let ours = Side::each("residency", || {
        ensure!(shared.residency()?.resident() == size as u64, "some of it is not there");
        Ok(())
    });
    let work = Work { from: shared.as_ptr().cast(), ..Work::of_size(size) };
    bench.contest(
        Contest::new(format!("{} shared", bytes(size)), LONG, ours)
            .against(raw.side("move_pages, 16,384 pages a call", "peer_residency", work)?, 1.1),
    )
}

/// Moving pages takes a second node.
pub fn migrate(bench: &mut Bench) -> Result<()> {
    let nodes = areas::Topology::read()?.nodes().len();
    bench.skip(
        "1 GiB to another node",
        format!(
            "{nodes} node here; in a guest the pages come out right (guest_placement/migrate.rs), its system calls are \
             counted (guest_placement/calls.rs), and its times would be those of an emulated machine"
        ),
    );
    Ok(())
}
