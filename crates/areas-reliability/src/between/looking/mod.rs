//! The operations that look at what another process controls.

mod acts;

use anyhow::{Context as _, Result};
use areas::ErrorKind;

use crate::contents::VICTIM;
use crate::operation::{Act, Pool};

/// The name of what the peer offers.
pub(super) const OFFERED: &str = VICTIM;
/// The name of the looker's area that the peer has cloned.
pub(super) const CLONED: &str = "cloned";

/// What the peer has for the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) enum Offer {
    Fixed,
    Growable,
    Resizable,
    Frozen,
    Locked,
    /// In hugetlb pages.
    Pool,
    PoolGrowable,
}

/// By what way the operation comes to the peer's object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum By {
    /// Its table, and its descriptors in `/proc`.
    Registry,
    /// It sends it over a stream socket.
    Socket,
    /// It transfers it.
    Transfer,
    /// It is to be given one.
    Giving,
    /// It is to be sent one over a stream socket.
    Sending,
    /// It has cloned the looker's.
    Clone,
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
    /// Whether the bystander has a younger area of the same name, which must be had whatever the
    /// peer does.
    pub(super) shadowed: bool,
    /// Whether it looks at all processes: its calls about the peer count.
    pub(super) crowd: bool,
    /// Whether what is offered has been opened once before.
    pub(super) again: bool,
    /// What it may answer instead, by its documentation.
    pub(super) kinds: &'static [ErrorKind],
    pub(super) prepare: fn() -> Result<Box<dyn Act>>,
}

const fn looking(
    name: &'static str,
    what: &'static str,
    offer: Offer,
    kinds: &'static [ErrorKind],
    prepare: fn() -> Result<Box<dyn Act>>,
) -> Looking {
    let (by, meets, shadowed, crowd, again) = (By::Registry, false, false, false, false);
    Looking { name, what, offer, by, meets, shadowed, crowd, again, kinds, prepare }
}

impl Looking {
    const fn meeting(self) -> Self {
        Looking { meets: true, ..self }
    }

    const fn shadowed(self) -> Self {
        Looking { meets: true, shadowed: true, ..self }
    }

    const fn crowd(self) -> Self {
        Looking { crowd: true, ..self }
    }

    const fn again(self) -> Self {
        Looking { again: true, ..self }
    }

    const fn by(self, by: By) -> Self {
        Looking { by, ..self }
    }

    /// What has to be held while it is tried, or why it cannot be tried here.
    pub(super) fn needs(&self) -> Result<Option<Pool>, String> {
        match self.offer {
            Offer::Pool | Offer::PoolGrowable => crate::operation::pool_has_pages(),
            _ => Ok(None),
        }
    }
}

const FINDING: &[ErrorKind] = &[ErrorKind::NoSuchArea, ErrorKind::Registry, ErrorKind::Unreadable];
const OPENING: &[ErrorKind] = &[
    ErrorKind::NoSuchArea,
    ErrorKind::Registry,
    ErrorKind::Unreadable,
    ErrorKind::InvalidInput,
    ErrorKind::ReadOnly,
    ErrorKind::Frozen,
    ErrorKind::Unsupported,
    // As for new areas: what a descriptor was not opened for.
    ErrorKind::NotPermitted,
];
const LOOKING: &[ErrorKind] = &[
    ErrorKind::NoSuchArea,
    ErrorKind::Registry,
    ErrorKind::Unreadable,
    ErrorKind::InvalidInput,
    ErrorKind::Unsupported,
];
const RECEIVING: &[ErrorKind] =
    &[ErrorKind::Io, ErrorKind::InvalidInput, ErrorKind::TimedOut, ErrorKind::Unsupported];
const GIVING: &[ErrorKind] = &[
    ErrorKind::NoSuchTeam,
    ErrorKind::Unreadable,
    ErrorKind::Registry,
    ErrorKind::Unsupported,
    ErrorKind::Busy,
    ErrorKind::NotPermitted,
];
const TAKING: &[ErrorKind] = &[ErrorKind::NoSuchArea, ErrorKind::Registry, ErrorKind::InvalidInput];
const GROWING: &[ErrorKind] = &[
    ErrorKind::OutOfRange,
    ErrorKind::Limit,
    ErrorKind::NoMemory,
    ErrorKind::AddressInUse,
    ErrorKind::Frozen,
    ErrorKind::InvalidInput,
    ErrorKind::NotPermitted,
];
const POPULATING: &[ErrorKind] = &[ErrorKind::NoMemory, ErrorKind::Busy];
const SENDING: &[ErrorKind] = &[ErrorKind::Io];
const FREEZING: &[ErrorKind] = &[ErrorKind::Busy, ErrorKind::NotPermitted];

/// All of them.
pub(super) static ALL: [Looking; 36] = [
    looking("find", "find by name, a team met for the first time", Offer::Fixed, FINDING, acts::find)
        .meeting(),
    looking("find-again", "find by name once more", Offer::Fixed, FINDING, acts::find_again),
    looking("get", "find by id, a team met for the first time", Offer::Fixed, FINDING, acts::get).meeting(),
    looking("list", "list all areas, a team met for the first time", Offer::Fixed, FINDING, acts::list)
        .meeting(),
    looking("walk", "walk through a team's areas", Offer::Fixed, WALKING, acts::walk).meeting(),
    looking("wait", "wait for an area that is there", Offer::Fixed, WAITING, acts::wait).meeting(),
    looking("info", "ask what is known of an area", Offer::Fixed, FINDING, acts::info),
    looking("info-resizable", "the same, of one that may shrink", Offer::Resizable, FINDING, acts::info),
    looking("look", "open an area to be asked about", Offer::Fixed, LOOKING, acts::look),
    looking("measure", "measure where its pages are", Offer::Fixed, LOOKING, acts::measure),
    looking(
        "measure-resizable",
        "the same, of one that may shrink",
        Offer::Resizable,
        LOOKING,
        acts::measure,
    ),
    looking(
        "residency",
        "measure where its pages are, opened before",
        Offer::Resizable,
        LOOKING,
        acts::residency,
    ),
    looking("holders", "the holders of an area", Offer::Fixed, &[], acts::holders).crowd(),
    looking(
        "open-new",
        "find and open for writing, a team met for the first time",
        Offer::Fixed,
        OPENING,
        acts::open_new,
    )
    .meeting(),
    looking(
        "open-shadowed",
        "the same, and the bystander has a younger one of the name",
        Offer::Fixed,
        OPENING,
        acts::open_new,
    )
    .shadowed(),
    looking("open", "open for writing what was found", Offer::Fixed, OPENING, acts::open),
    looking("open-again", "open for writing what was opened before", Offer::Fixed, OPENING, acts::open_again)
        .again(),
    looking("open-read-only", "open for reading only", Offer::Fixed, OPENING, acts::open_read_only),
    looking("open-growable", "open what may grow", Offer::Growable, OPENING, acts::open),
    looking(
        "open-resizable",
        "open what may grow and shrink",
        Offer::Resizable,
        OPENING,
        acts::open_resizable,
    ),
    looking("open-frozen", "open what is frozen", Offer::Frozen, OPENING, acts::open_frozen),
    looking("open-locked", "open what is locked, and lock the clone", Offer::Locked, OPENING, acts::open),
    looking("open-pool", "open what is in hugetlb pages", Offer::Pool, OPENING, acts::open),
    looking("receive", "receive an area over a socket", Offer::Fixed, RECEIVING, acts::receive)
        .by(By::Socket),
    looking("receive-growable", "receive what may grow", Offer::Growable, RECEIVING, acts::receive)
        .by(By::Socket),
    looking("receive-frozen", "receive what is frozen", Offer::Frozen, RECEIVING, acts::receive)
        .by(By::Socket),
    looking(
        "receive-pool",
        "receive what is in hugetlb pages",
        Offer::PoolGrowable,
        RECEIVING,
        acts::receive,
    )
    .by(By::Socket),
    looking("take", "take what the peer has transferred", Offer::Fixed, TAKING, acts::take).by(By::Transfer),
    looking("give", "transfer an area to the peer", Offer::Fixed, GIVING, acts::give).by(By::Giving),
    looking("grow", "grow a clone of what may grow", Offer::Growable, GROWING, acts::grow).again(),
    looking(
        "resize",
        "make a clone larger that may grow and shrink",
        Offer::Resizable,
        GROWING,
        acts::resize,
    ),
    looking(
        "read",
        "read and write in a clone that may grow and shrink",
        Offer::Resizable,
        GROWING,
        acts::read,
    ),
    looking("populate", "populate a clone", Offer::Fixed, POPULATING, acts::populate).again(),
    looking("publish-clone", "open, and publish the clone", Offer::Growable, OPENING, acts::publish_clone),
    looking("send", "send an area to the peer", Offer::Fixed, SENDING, acts::send).by(By::Sending),
    looking("freeze", "freeze an area that the peer has cloned", Offer::Fixed, FREEZING, acts::freeze)
        .by(By::Clone)
        .crowd(),
];

const WALKING: &[ErrorKind] =
    &[ErrorKind::NoSuchArea, ErrorKind::NoSuchTeam, ErrorKind::Registry, ErrorKind::Unreadable];
const WAITING: &[ErrorKind] = &[ErrorKind::TimedOut, ErrorKind::Registry];

pub(super) fn named(name: &str) -> Result<&'static Looking> {
    ALL.iter().find(|looking| looking.name == name).with_context(|| format!("no such operation: {name}"))
}
