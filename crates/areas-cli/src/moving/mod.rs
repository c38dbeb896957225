//! `areas move`: an area's pages to other nodes.

pub(crate) mod args;

use std::process::ExitCode;

use areas::Migration;
use areas::registry::Source;
use serde::Serialize;

use crate::failure::Result;
use crate::output::progress::Bar;
use crate::output::{self, json};
use args::Move;

pub(crate) fn run(moving: &Move, quiet: bool) -> Result<ExitCode> {
    let placement = moving.place.placement(quiet)?;
    if placement.is_default() {
        return Err(areas::Error::new(areas::ErrorKind::InvalidInput, "move an area")
            .with_facts("no destination is given")
            .with_remedy("name the nodes: `--nodes 1`")
            .into());
    }
    let source = moving.area.find()?;
    // Not through a clone: what a second process has mapped, an ordinary user cannot move.
    let size = source.info()?.size as u64;
    let bar = Bar::new("moving", Some(size), quiet);
    let migration = source.migrate_with(placement, &mut bar.follow())?;
    drop(bar);
    let done = || format!("area {} {:?}: {migration}", source.id(), source.name());
    let printed = if moving.json {
        json::print(MoveJson::new(&source, &migration), false)
    } else if !quiet {
        output::print(&(done() + "\n"))
    } else {
        Ok(())
    };
    output::after(done, printed)?;
    // What stayed elsewhere is a failure of what was asked, reported in full.
    Ok(if migration.verification().holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Debug, Serialize)]
struct MoveJson {
    id: i32,
    /// Bytes that are on another node than before.
    moved: u64,
    /// Bytes in RAM that are where they were asked to be, and elsewhere.
    in_place: u64,
    elsewhere: u64,
    /// Whether new pages come from there now: not where nothing would move.
    placed: bool,
    stayed: Vec<StayedJson>,
}

#[derive(Debug, Serialize)]
struct StayedJson {
    offset: usize,
    length: usize,
    target: u32,
    why: String,
}

impl MoveJson {
    fn new(source: &Source, migration: &Migration) -> Self {
        let verification = migration.verification();
        let stayed = migration.stayed().iter().map(|part| StayedJson {
            offset: part.range.start,
            length: part.range.len(),
            target: part.target.get(),
            why: part.why.to_string(),
        });
        MoveJson {
            id: source.id().get(),
            moved: migration.moved(),
            in_place: verification.in_place(),
            elsewhere: verification.elsewhere(),
            placed: migration.is_placed(),
            stayed: stayed.collect(),
        }
    }
}
