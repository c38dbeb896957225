//! What the registry takes for each area, as the kernel has it; and what is left when all processes
//! were killed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::whose::own_registry;
use crate::agent::Agent;
use crate::bench::Bench;
use crate::statistics::Spread;

pub fn run(bench: &mut Bench) -> Result<()> {
    for (teams, each, target) in
        [(1, bench.or_smoke(10_000, 100), Some(512.0)), (bench.or_smoke(100, 2), 100, Some(512.0))]
    {
        let registry = own_registry(&format!("memory-{teams}"))?;
        // What a registry takes before there is an area in it, and after there was one.
        let mut holders = Vec::new();
        for team in 0..teams {
            let mut holder = Agent::start(Some(&registry))?;
            holder.say(&format!("hold held-{team} {each}"))?;
            holders.push(holder);
        }
        for holder in &mut holders {
            holder.answer()?;
        }
        let tables = tables(&registry)?;
        ensure!(tables.len() == teams, "{} tables of {teams} teams", tables.len());
        let folder = blocks(&registry)?;
        let areas = (teams * each) as f64;
        let all = (tables.iter().sum::<u64>() + folder) as f64;
        bench.number(
            format!("{each} areas in each of {teams} processes: tables and folder, an area"),
            Spread::exactly(all / areas),
            "B",
            target,
        );
        for holder in holders {
            holder.kill()?;
        }
        // The next who looks clears dead teams away.
        let mut looker = Agent::start(Some(&registry))?;
        looker.ask("meet none 0 0")?;
        drop(looker);
        let left = tables_left(&registry);
        bench.number(
            format!("{each} areas in each of {teams} processes, killed: tables, an area"),
            Spread::exactly(left as f64 / areas),
            "B",
            0.0,
        );
        bench.number(
            format!("folder and control file, once {teams} processes are dead"),
            Spread::exactly(blocks(&registry)? as f64),
            "B",
            None,
        );
    }
    Ok(())
}

/// The links into /proc below a folder.
fn links(folder: &Path, found: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            found.push(entry.path());
        } else if kind.is_dir() {
            links(&entry.path(), found)?;
        }
    }
    Ok(())
}

/// What each team's table takes.
fn tables(registry: &Path) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    links(registry, &mut found)?;
    found.iter().map(|link| Ok(fs::metadata(link)?.blocks() * 512)).collect()
}

/// The same for those that are still to be had.
fn tables_left(registry: &Path) -> u64 {
    let mut found = Vec::new();
    let _ = links(registry, &mut found);
    found.iter().filter_map(|link| fs::metadata(link).ok()).map(|table| table.blocks() * 512).sum()
}

/// Blocks of all files below a folder.
fn blocks(folder: &Path) -> Result<u64> {
    let mut sum = fs::symlink_metadata(folder)?.blocks() * 512;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() {
            blocks(&entry.path())?
        } else {
            entry.metadata()?.blocks() * 512
        };
    }
    Ok(sum)
}
