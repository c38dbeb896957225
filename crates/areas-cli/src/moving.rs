//! `areas move`: an area's pages to other nodes.

use std::process::ExitCode;

use areas::closed::ClosedExtent;
use areas::registry::Source;
use areas::{Access, Area, Migration, Placement};
use serde::Serialize;

use crate::args::Move;
use crate::failure::Result;
use crate::output::progress::Bar;
use crate::output::{self, json};

pub(crate) fn run(moving: &Move, quiet: bool) -> Result<ExitCode> {
    let placement = moving.place.placement(quiet)?;
    if placement.is_default() {
        return Err(areas::Error::new(areas::Kind::InvalidInput, "move an area")
            .detail("it is not said where to")
            .help("name the nodes: `--nodes 1`")
            .into());
    }
    let source = moving.area.find()?;
    let migration = migrate(&source, placement, quiet)?;
    if moving.json {
        json::print(MoveJson::new(&source, &migration), false)?;
    } else if !quiet {
        output::print(&format!("area {} {:?}: {migration}\n", source.id(), source.name()))?;
    }
    // What stayed elsewhere is a failure of what was asked, told in full.
    Ok(if migration.verification().holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Through a clone of our own, of whatever kind the area is.
fn migrate(source: &Source, placement: Placement, quiet: bool) -> areas::Result<Migration> {
    if source.is_frozen()? {
        return through(source.open_frozen()?, placement, quiet);
    }
    match ClosedExtent::from(source.info()?.extent) {
        ClosedExtent::Resizable { .. } => through(source.open_resizable()?, placement, quiet),
        ClosedExtent::Fixed | ClosedExtent::Growable { .. } => through(source.open()?, placement, quiet),
    }
}

fn through<K: Access>(mut clone: Area<K>, placement: Placement, quiet: bool) -> areas::Result<Migration> {
    let bar = Bar::new("moving", Some(clone.size() as u64), quiet);
    clone.migrate_with(placement, &mut bar.follow())
}

#[derive(Debug, Serialize)]
struct MoveJson {
    id: i32,
    /// Bytes that are on another node than before.
    moved: u64,
    /// Bytes in RAM that are where they were asked to be, and elsewhere.
    in_place: u64,
    elsewhere: u64,
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
            stayed: stayed.collect(),
        }
    }
}
