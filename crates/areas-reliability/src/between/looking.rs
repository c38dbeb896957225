//! The operations that look at what another process controls: how each is made ready, run, and held to what it says.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use areas::registry::{self, Source};
use areas::{Area, AreaId, Frozen, Kind, Lock, Resizable, Shared};

use super::measured;
use crate::operation::{Act, With, is, told};

/// The name of what the peer offers.
pub(super) const OFFERED: &str = "offered";

/// What the peer has for the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) enum Offer {
    Fixed,
    Growable,
    Resizable,
    Frozen,
    Locked,
}

/// What of the peer's an operation looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Its table, and its descriptors by way of `/proc`.
    Registry,
    /// What it sends over a stream socket.
    Socket,
}

/// An operation that looks.
#[derive(Debug)]
pub(super) struct Looking {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) offer: Offer,
    pub(super) by: By,
    /// Whether it meets the peer for the first time: else it has found what is offered before.
    pub(super) meets: bool,
    /// What it may answer instead, by its documentation.
    pub(super) kinds: &'static [Kind],
    pub(super) prepare: fn() -> Result<Box<dyn Act>>,
}

const fn looking(
    name: &'static str,
    what: &'static str,
    offer: Offer,
    kinds: &'static [Kind],
    prepare: fn() -> Result<Box<dyn Act>>,
) -> Looking {
    Looking { name, what, offer, by: By::Registry, meets: false, kinds, prepare }
}

impl Looking {
    const fn meeting(self) -> Self {
        Looking { meets: true, ..self }
    }
}

const FINDING: &[Kind] = &[Kind::NoSuchArea, Kind::Registry, Kind::Unreadable];
const OPENING: &[Kind] = &[
    Kind::NoSuchArea,
    Kind::Registry,
    Kind::Unreadable,
    Kind::InvalidInput,
    Kind::ReadOnly,
    Kind::Frozen,
    Kind::Unsupported,
];

/// All of them.
pub(super) static ALL: [Looking; 3] = [
    looking("find", "find by name, a team met for the first time", Offer::Fixed, FINDING, find).meeting(),
    looking(
        "open-new",
        "find and open for writing, a team met for the first time",
        Offer::Fixed,
        OPENING,
        open_new,
    )
    .meeting(),
    looking("open", "open for writing what was found", Offer::Fixed, OPENING, open),
];

pub(super) fn named(name: &str) -> Result<&'static Looking> {
    ALL.iter().find(|looking| looking.name == name).with_context(|| format!("no such operation: {name}"))
}

fn found() -> Result<Source> {
    registry::find(OFFERED).context("find what the peer offers")
}

fn find() -> Result<Box<dyn Act>> {
    With::new(
        None,
        |source: &mut Option<Source>| {
            *source = Some(registry::find(OFFERED)?);
            Ok(())
        },
        |source| {
            let name = source.as_ref().map(|source| source.name().as_bytes().to_owned());
            is(name.as_deref() == Some(OFFERED.as_bytes()), || format!("found is {name:?}"))
        },
    )
    .boxed()
}

type Opening<K> = (Option<Source>, Option<Area<K>>);

fn open_new() -> Result<Box<dyn Act>> {
    With::new(
        (None, None),
        |(source, area): &mut Opening<Shared>| {
            let found = registry::find(OFFERED)?;
            *area = Some(found.open()?);
            *source = Some(found);
            Ok(())
        },
        |(_, area)| area.as_ref().map_or(Ok(()), measured::shared),
    )
    .boxed()
}

fn open() -> Result<Box<dyn Act>> {
    With::new(
        (Some(found()?), None),
        |(source, area): &mut Opening<Shared>| {
            *area = source.as_ref().map(Source::open).transpose()?;
            Ok(())
        },
        |(_, area)| area.as_ref().map_or(Ok(()), measured::shared),
    )
    .boxed()
}
