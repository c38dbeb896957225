//! What changes between two system calls of a looker.

use std::fs::File;

use anyhow::{Context as _, Result};
use rustix::fs::SealFlags;

use super::looking::{Looking, Offer};
use super::peer::{self, MAX, Peer};
use crate::bystander::SIZE;

/// What the peer offers, before anything changes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
pub(super) enum Scene {
    /// What the library makes.
    Own,
    /// An object of its own, not sealed, of which its table says that it is what is offered.
    LooseObject,
    /// A table of its own, not sealed.
    LooseTable,
}

/// Who does it.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Peer(fn(&mut Peer) -> Result<()>),
    Driver(Deed),
}

/// What is done to the peer, or to what lies between it and the looker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Stop,
    Kill,
}

/// A change.
#[derive(Debug)]
pub(super) struct Mutation {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) scene: Scene,
    /// Of these only; none named: of all.
    pub(super) offers: &'static [Offer],
    pub(super) how: How,
}

impl Mutation {
    const fn of(self, offers: &'static [Offer]) -> Self {
        Mutation { offers, ..self }
    }

    pub(super) fn fits(&self, looking: &Looking) -> bool {
        // Nothing is found by way of a table that is not sealed.
        let readable = self.scene != Scene::LooseTable || looking.meets;
        readable && (self.offers.is_empty() || self.offers.contains(&looking.offer))
    }
}

const fn own(name: &'static str, what: &'static str, act: fn(&mut Peer) -> Result<()>) -> Mutation {
    Mutation { name, what, scene: Scene::Own, offers: &[], how: How::Peer(act) }
}

const fn loose(name: &'static str, what: &'static str, act: fn(&mut Peer) -> Result<()>) -> Mutation {
    Mutation { name, what, scene: Scene::LooseObject, offers: &[], how: How::Peer(act) }
}

const fn table(name: &'static str, what: &'static str, act: fn(&mut Peer) -> Result<()>) -> Mutation {
    Mutation { name, what, scene: Scene::LooseTable, offers: &[], how: How::Peer(act) }
}

const fn done(name: &'static str, what: &'static str, deed: Deed) -> Mutation {
    Mutation { name, what, scene: Scene::Own, offers: &[], how: How::Driver(deed) }
}

const FIXED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);
const TABLE: SealFlags = FIXED.union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

/// All of them.
pub(super) static ALL: [Mutation; 5] = [
    loose("object-cut-sealed", "an object that is not sealed is cut to 0 bytes, and sealed", |peer| {
        peer.cut()?;
        peer.seal(FIXED)
    }),
    table("table-cut-sealed", "a table that is not sealed is cut to 0 bytes, and sealed", |peer| {
        let file = peer.table_file()?;
        rustix::fs::ftruncate(file, 0)?;
        Ok(rustix::fs::fcntl_add_seals(file, TABLE)?)
    }),
    own("number-database", "the number leads to a file on which the looker has a record lock", |peer| {
        let file = File::options().read(true).write(true).open(peer.stranger("database"))?;
        peer.replace(file)
    }),
    done("peer-stopped", "the peer is stopped", Deed::Stop),
    done("peer-killed", "the peer is killed", Deed::Kill),
];

pub(super) fn named(name: &str) -> Result<&'static Mutation> {
    ALL.iter().find(|mutation| mutation.name == name).with_context(|| format!("no such mutation: {name}"))
}
