//! What changes between two system calls of a looker.

mod files;
mod objects;
mod tables;

use std::path::Path;

use anyhow::{Context as _, Result};

use super::looking::{By, Looking, Offer};
use super::peer::{Peer, Scene};

/// Who does it.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Peer(fn(&mut Peer) -> Result<()>),
    /// The same, and then the peer is stopped.
    PeerStopped(fn(&mut Peer) -> Result<()>),
    Driver(Deed),
}

/// What is done to the peer, or to what lies between it and the looker.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    Stop,
    Kill,
    /// Something to the registry's folder.
    Folder(fn(&Path) -> Result<()>),
}

/// A change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mutation {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) scene: Scene,
    /// Of these only; none named: of all.
    offers: &'static [Offer],
    /// For operations that come to the peer's object in these ways.
    ways: &'static [By],
    /// For operations that meet the peer only.
    meeting: bool,
    /// Whether it takes nothing away: the operation must succeed all the same.
    pub(super) harmless: bool,
    /// Whether it takes a file system that does not answer.
    pub(super) silent: bool,
    pub(super) how: How,
}

const EVERY_WAY: &[By] = &[By::Registry, By::Socket, By::Transfer, By::Giving, By::Sending, By::Clone];
const REGISTRY: &[By] = &[By::Registry];
/// Where the peer's table is looked at.
const TABLE: &[By] = &[By::Registry, By::Giving];
/// Where it is the peer that brings the object.
const BROUGHT: &[By] = &[By::Registry, By::Socket, By::Transfer];

const fn new(name: &'static str, what: &'static str, scene: Scene, how: How) -> Mutation {
    let (offers, ways): (&[Offer], _) = (&[], EVERY_WAY);
    Mutation { name, what, scene, offers, ways, meeting: false, harmless: false, silent: false, how }
}

/// By the peer, of what the library makes.
const fn own(name: &'static str, what: &'static str, act: fn(&mut Peer) -> Result<()>) -> Mutation {
    new(name, what, Scene::Own, How::Peer(act))
}

impl Mutation {
    const fn of(self, offers: &'static [Offer]) -> Self {
        Mutation { offers, ..self }
    }

    const fn ways(self, ways: &'static [By]) -> Self {
        Mutation { ways, ..self }
    }

    const fn meeting(self) -> Self {
        Mutation { meeting: true, ..self }
    }

    const fn harmless(self) -> Self {
        Mutation { harmless: true, ..self }
    }

    const fn silent(self) -> Self {
        Mutation { silent: true, ..self }
    }

    pub(super) fn fits(&self, looking: &Looking) -> bool {
        // What is not sealed cannot have been opened before.
        let had = !looking.again || self.scene != Scene::LooseObject;
        had && (!self.meeting || looking.meets)
            && (self.offers.is_empty() || self.offers.contains(&looking.offer))
            && self.ways.contains(&looking.by)
    }

    /// Whether all others must be seen all the same, and what the bystander has under the same name
    /// be had: not where the folder by which all are seen has gone, nor where the peer still has an
    /// area of the name, older than others of it, as it says: whoever may write it may also publish
    /// one.
    pub(super) fn is_strict(&self) -> bool {
        let says = self.name == "number-path"
            || ["resizable", "physical", "lock", "growable", "fixed"]
                .iter()
                .any(|word| self.name.strip_prefix("record-").is_some_and(|rest| rest.starts_with(word)));
        !self.changes_folder() && self.scene != Scene::LooseObject && !says
    }

    /// Whether a looker may have taken by its number what is another file: to close it would be to
    /// touch it, so that one is kept open (docs/design/looking-at-others.md).
    pub(super) fn may_be_kept(&self) -> bool {
        self.name.starts_with("number-") || self.name == "record-page"
    }

    /// Whether something is held, or not any more, because the registry's own files are others now.
    pub(super) fn explains(&self, held: &str) -> bool {
        // Who is met again is asked for its descriptors again when something of it is opened once
        // more.
        let of_folder = ["/moved/", "the registry/pid-", "anon_inode"].iter().any(|word| held.contains(word));
        (self.is_of_folder() && of_folder) || (self.name.starts_with("control-") && held.contains("/control"))
    }

    /// Whether something of the registry's folder is another one afterwards.
    pub(super) fn changes_folder(&self) -> bool {
        self.is_of_folder() || self.name.starts_with("control-")
    }

    /// Whether the registry's folder is another one afterwards.
    pub(super) fn is_of_folder(&self) -> bool {
        matches!(self.how, How::Driver(Deed::Folder(_)))
    }
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Mutation> {
    objects::ALL.iter().chain(tables::ALL.iter()).chain(files::ALL.iter())
}

pub(super) fn named(name: &str) -> Result<&'static Mutation> {
    all().find(|mutation| mutation.name == name).with_context(|| format!("no such mutation: {name}"))
}
