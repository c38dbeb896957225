//! What is known of an area: one's own, another process's. The peer opens a file in /dev/shm, asks
//! what it is, and closes it.

use anyhow::{Context as _, Result, ensure};
use areas::registry;

use crate::agent::Agent;
use crate::bench::{Bench, Contest, SHORT};
use crate::measure::Side;
use crate::peers::Work;

pub fn run(bench: &mut Bench) -> Result<()> {
    let raw = bench.library("raw").context("compiled by the same command")?;
    let file = format!("/dev/shm/areas-bench-{}-info", std::process::id());
    std::fs::write(&file, [0; 4096])?;
    let work = Work::of_size(4096).named(&file);
    let own = areas::builder(4096).name("bench: own").shared()?;
    let mut holder = Agent::start(None)?;
    holder.ask("hold bench-info 1")?;
    let foreign = registry::find("bench-info-0")?.id();
    ensure!(own.id().is_some_and(|own| own != foreign), "two areas, two ids");

    for (whose, name, target) in [("own", "bench: own", 0.3), ("foreign", "bench-info-0", 1.2)] {
        let source = registry::find(name)?;
        let by_source = Side::each("Source::info", move || {
            let info = source.info()?;
            ensure!(info.size == 4096, "another size");
            Ok(())
        });
        bench.contest(
            Contest::new(whose, SHORT, by_source)
                .counted()
                .against(raw.side("open+fstat+close", "peer_open_stat", work)?, target),
        )?;
        // In a forked child, in which calls are counted, one's own area has another id.
        let by_name = Side::each("find, info", move || {
            ensure!(registry::find(name)?.info()?.size == 4096, "another size");
            Ok(())
        });
        bench.contest(
            Contest::new(format!("{whose}, found by name"), SHORT, by_name)
                .counted()
                .against(raw.side("open+fstat+close", "peer_open_stat", work)?, None),
        )?;
    }
    std::fs::remove_file(&file)?;
    Ok(())
}
