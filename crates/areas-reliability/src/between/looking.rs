//! The operations that look at what another process controls: how each is made ready, run, and held to what it says.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use areas::registry::{self, Source};
use areas::{Address, Area, AreaId, Frozen, Kind, Protection, Received, Resizable, Shared, Transfer};

use super::measured;
use crate::bystander::{SIZE, VICTIM, pattern};
use crate::operation::{Act, Pool, With, is, told};

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
    /// In pages of the pool.
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
    /// Whether the bystander has a younger area of the same name, which must be had whatever the peer does.
    pub(super) shadowed: bool,
    /// Whether it looks at all processes: its calls about the peer count.
    pub(super) crowd: bool,
    /// Whether what is offered has been opened once before.
    pub(super) again: bool,
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

const FINDING: &[Kind] = &[Kind::NoSuchArea, Kind::Registry, Kind::Unreadable];
const OPENING: &[Kind] = &[
    Kind::NoSuchArea,
    Kind::Registry,
    Kind::Unreadable,
    Kind::InvalidInput,
    Kind::ReadOnly,
    Kind::Frozen,
    Kind::Unsupported,
    // As for new areas: what a descriptor was not opened for.
    Kind::NotPermitted,
];
const LOOKING: &[Kind] =
    &[Kind::NoSuchArea, Kind::Registry, Kind::Unreadable, Kind::InvalidInput, Kind::Unsupported];
const RECEIVING: &[Kind] = &[Kind::Io, Kind::InvalidInput, Kind::TimedOut, Kind::Unsupported];
const GIVING: &[Kind] =
    &[Kind::NoSuchTeam, Kind::Unreadable, Kind::Registry, Kind::Unsupported, Kind::Busy, Kind::NotPermitted];
const TAKING: &[Kind] = &[Kind::NoSuchArea, Kind::Registry, Kind::InvalidInput];
const GROWING: &[Kind] = &[
    Kind::OutOfRange,
    Kind::Limit,
    Kind::NoMemory,
    Kind::AddressInUse,
    Kind::Frozen,
    Kind::InvalidInput,
    Kind::NotPermitted,
];
const POPULATING: &[Kind] = &[Kind::NoMemory, Kind::Busy];
const SENDING: &[Kind] = &[Kind::Io];
const FREEZING: &[Kind] = &[Kind::Busy, Kind::NotPermitted];

/// All of them.
pub(super) static ALL: [Looking; 36] = [
    looking("find", "find by name, a team met for the first time", Offer::Fixed, FINDING, find).meeting(),
    looking("find-again", "find by name once more", Offer::Fixed, FINDING, find_again),
    looking("get", "find by id, a team met for the first time", Offer::Fixed, FINDING, get).meeting(),
    looking("list", "list all areas, a team met for the first time", Offer::Fixed, FINDING, list).meeting(),
    looking("walk", "walk through a team's areas", Offer::Fixed, WALKING, walk).meeting(),
    looking("wait", "wait for an area that is there", Offer::Fixed, WAITING, wait).meeting(),
    looking("info", "ask what is known of an area", Offer::Fixed, FINDING, info),
    looking("info-resizable", "the same, of one that may shrink", Offer::Resizable, FINDING, info),
    looking("look", "open an area to be asked about", Offer::Fixed, LOOKING, look),
    looking("measure", "measure where its pages are", Offer::Fixed, LOOKING, measure),
    looking("measure-resizable", "the same, of one that may shrink", Offer::Resizable, LOOKING, measure),
    looking("residency", "measure where its pages are, opened before", Offer::Resizable, LOOKING, residency),
    looking("holders", "who has an area", Offer::Fixed, &[], holders).crowd(),
    looking(
        "open-new",
        "find and open for writing, a team met for the first time",
        Offer::Fixed,
        OPENING,
        open_new,
    )
    .meeting(),
    looking(
        "open-shadowed",
        "the same, and the bystander has a younger one of the name",
        Offer::Fixed,
        OPENING,
        open_new,
    )
    .shadowed(),
    looking("open", "open for writing what was found", Offer::Fixed, OPENING, open),
    looking("open-again", "open for writing what was opened before", Offer::Fixed, OPENING, open_again)
        .again(),
    looking("open-read-only", "open for reading only", Offer::Fixed, OPENING, open_read_only),
    looking("open-growable", "open what may grow", Offer::Growable, OPENING, open),
    looking("open-resizable", "open what may grow and shrink", Offer::Resizable, OPENING, open_resizable),
    looking("open-frozen", "open what is frozen", Offer::Frozen, OPENING, open_frozen),
    looking("open-locked", "open what is locked, and lock the clone", Offer::Locked, OPENING, open),
    looking("open-pool", "open what is in pages of the pool", Offer::Pool, OPENING, open),
    looking("receive", "receive an area over a socket", Offer::Fixed, RECEIVING, receive).by(By::Socket),
    looking("receive-growable", "receive what may grow", Offer::Growable, RECEIVING, receive).by(By::Socket),
    looking("receive-frozen", "receive what is frozen", Offer::Frozen, RECEIVING, receive).by(By::Socket),
    looking("receive-pool", "receive what is in pages of the pool", Offer::PoolGrowable, RECEIVING, receive)
        .by(By::Socket),
    looking("take", "take what the peer has transferred", Offer::Fixed, TAKING, take).by(By::Transfer),
    looking("give", "transfer an area to the peer", Offer::Fixed, GIVING, give).by(By::Giving),
    looking("grow", "grow a clone of what may grow", Offer::Growable, GROWING, grow).again(),
    looking("resize", "make a clone larger that may grow and shrink", Offer::Resizable, GROWING, resize),
    looking("read", "read and write in a clone that may grow and shrink", Offer::Resizable, GROWING, read),
    looking("populate", "populate a clone", Offer::Fixed, POPULATING, populate).again(),
    looking("publish-clone", "open, and publish the clone", Offer::Growable, OPENING, publish_clone),
    looking("send", "send an area to the peer", Offer::Fixed, SENDING, send).by(By::Sending),
    looking("freeze", "freeze an area that the peer has cloned", Offer::Fixed, FREEZING, freeze)
        .by(By::Clone)
        .crowd(),
];

const WALKING: &[Kind] = &[Kind::NoSuchArea, Kind::NoSuchTeam, Kind::Registry, Kind::Unreadable];
const WAITING: &[Kind] = &[Kind::TimedOut, Kind::Registry];

pub(super) fn named(name: &str) -> Result<&'static Looking> {
    ALL.iter().find(|looking| looking.name == name).with_context(|| format!("no such operation: {name}"))
}

fn found() -> Result<Source> {
    registry::find(OFFERED).context("find what the peer offers")
}

fn has_the_name(source: &mut Option<Source>) -> Result<(), String> {
    let name = source.as_ref().map(|source| source.name().as_bytes().to_owned());
    is(name.as_deref() == Some(OFFERED.as_bytes()), || format!("found is {name:?}"))
}

fn find_into(source: &mut Option<Source>) -> areas::Result<()> {
    *source = Some(registry::find(OFFERED)?);
    Ok(())
}

fn find() -> Result<Box<dyn Act>> {
    With::new(None, find_into, has_the_name).boxed()
}

fn find_again() -> Result<Box<dyn Act>> {
    found()?;
    find()
}

fn get() -> Result<Box<dyn Act>> {
    With::new(
        (AreaId::new(super::looker::peer()?.1)?, None::<Source>),
        |(id, source)| {
            *source = Some(registry::get(*id)?);
            Ok(())
        },
        |(id, source)| {
            let found = source.as_ref().map(Source::id);
            is(found == Some(*id), || format!("{id} was asked for, and {found:?} found"))
        },
    )
    .boxed()
}

/// What is listed can be asked about: that is how `areas ls` goes on.
fn list() -> Result<Box<dyn Act>> {
    With::new(
        0,
        |count: &mut usize| {
            let listing = registry::list()?;
            *count = listing.areas.iter().filter(|source| source.info().is_ok()).count();
            Ok(())
        },
        |count| {
            let all = *count >= crate::bystander::NAMES.len() || !super::looker::is_strict();
            is(all, || format!("only {count} areas can be asked about"))
        },
    )
    .boxed()
}

fn walk() -> Result<Box<dyn Act>> {
    With::new(
        super::looker::peer()?.0,
        |pid: &mut u32| {
            let mut after = 0;
            while let Some(area) = registry::next(*pid, after)? {
                after = area.address();
            }
            Ok(())
        },
        |_| Ok(()),
    )
    .boxed()
}

fn wait() -> Result<Box<dyn Act>> {
    let wait = |source: &mut Option<Source>| {
        *source = Some(registry::wait(OFFERED, Some(Duration::from_millis(30)))?);
        Ok(())
    };
    With::new(None, wait, has_the_name).boxed()
}

fn info() -> Result<Box<dyn Act>> {
    asking(|source| source.info().map(drop))
}

fn look() -> Result<Box<dyn Act>> {
    asking(|source| source.look().map(drop))
}

fn measure() -> Result<Box<dyn Act>> {
    asking(|source| source.measure().map(drop))
}

fn asking(ask: fn(&mut Source) -> areas::Result<()>) -> Result<Box<dyn Act>> {
    With::new(found()?, ask, |_| Ok(())).boxed()
}

fn residency() -> Result<Box<dyn Act>> {
    With::new(found()?.look()?, |look| look.residency().map(drop), |look| told(look.resident()).map(drop))
        .boxed()
}

fn holders() -> Result<Box<dyn Act>> {
    With::new(
        (found()?, Vec::new()),
        |(source, holders)| {
            *holders = source.holders();
            Ok(())
        },
        |(_, holders)| {
            let pid = std::process::id();
            is(holders.iter().all(|holder| holder.pid != pid), || "it says that we have it".to_owned())
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

fn opening<K: areas::Access + 'static>(
    run: fn(&mut Opening<K>) -> areas::Result<()>,
    check: fn(&mut Opening<K>) -> Result<(), String>,
) -> Result<Box<dyn Act>> {
    let none =
        |opening: &mut Opening<K>| is(opening.1.is_none(), || "there is an area all the same".to_owned());
    With::new((Some(found()?), None), run, check).unchanged(none).boxed()
}

fn open() -> Result<Box<dyn Act>> {
    opening::<Shared>(
        |(source, area)| {
            *area = source.as_ref().map(Source::open).transpose()?;
            Ok(())
        },
        |(_, area)| area.as_ref().map_or(Ok(()), measured::shared),
    )
}

fn open_again() -> Result<Box<dyn Act>> {
    drop(found()?.open()?);
    open()
}

fn open_read_only() -> Result<Box<dyn Act>> {
    opening::<Shared>(
        |(source, area)| {
            *area = source.as_ref().map(Source::open_read_only).transpose()?;
            Ok(())
        },
        |(_, area)| {
            let Some(area) = area else { return Ok(()) };
            is(area.write_at(0, b"x").is_err(), || "it can be written".to_owned())?;
            measured::shared(area)
        },
    )
}

fn open_resizable() -> Result<Box<dyn Act>> {
    opening::<Resizable>(
        |(source, area)| {
            *area = source.as_ref().map(Source::open_resizable).transpose()?;
            Ok(())
        },
        |(_, area)| area.as_ref().map_or(Ok(()), measured::resizable),
    )
}

fn open_frozen() -> Result<Box<dyn Act>> {
    opening::<Frozen>(
        |(source, area)| {
            *area = source.as_ref().map(Source::open_frozen).transpose()?;
            Ok(())
        },
        |(_, area)| area.as_ref().map_or(Ok(()), measured::frozen),
    )
}

/// Where the peer listens.
pub(super) fn socket() -> Result<PathBuf> {
    Ok(PathBuf::from(std::env::var_os(super::STRANGERS).context(super::STRANGERS)?).join("socket"))
}

fn received(came: &Received) -> Result<(), String> {
    match came {
        Received::Shared(area) => measured::shared(area),
        Received::Resizable(area) => measured::resizable(area),
        Received::Frozen(area) => measured::frozen(area),
        other => Err(format!("what came is {other:?}")),
    }
}

fn receive() -> Result<Box<dyn Act>> {
    let socket = UnixStream::connect(socket()?).context("connect to the peer")?;
    socket.set_read_timeout(Some(Duration::from_millis(40)))?;
    With::new(
        (socket, None::<Received>),
        |(socket, came)| {
            *came = Some(areas::receive(&*socket)?);
            Ok(())
        },
        |(_, came)| came.as_ref().map_or(Ok(()), received),
    )
    .boxed()
}

fn take() -> Result<Box<dyn Act>> {
    With::new(
        Vec::<Received>::new(),
        |came| {
            for offered in registry::transferred()? {
                came.push(offered.take()?);
            }
            Ok(())
        },
        |came| came.iter().try_for_each(received),
    )
    .boxed()
}

fn filled(name: &str) -> Result<Area<Shared>> {
    let mut area = areas::builder(SIZE).shared()?;
    area.write_at(0, &pattern(OFFERED, SIZE))?;
    area.publish(name)?;
    Ok(area)
}

/// An area on its way, and to whom.
type Giving = (Option<Area<Shared>>, u32);

fn give() -> Result<Box<dyn Act>> {
    registry::list()?;
    With::new(
        (Some(filled("gift")?), super::looker::peer()?.0),
        |(area, to): &mut Giving| {
            let Some(given) = area.take() else { return Ok(()) };
            match given.transfer(*to, Address::Any) {
                Ok(Transfer::Given) => Ok(()),
                Ok(Transfer::Own(own)) => {
                    *area = Some(own);
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(rejected) => {
                    *area = Some(rejected.value);
                    Err(rejected.error)
                }
            }
        },
        |(area, _)| is(area.is_none(), || "it is still here".to_owned()),
    )
    .unchanged(|(area, _)| area.as_ref().map_or(Err("it did not come back".to_owned()), measured::shared))
    .boxed()
}

/// An area on its way to be frozen.
type Freezing = (Option<Area<Shared>>, Option<Area<Frozen>>);

fn freeze() -> Result<Box<dyn Act>> {
    With::new(
        (Some(filled(CLONED)?), None),
        |(area, frozen): &mut Freezing| {
            let Some(shared) = area.take() else { return Ok(()) };
            match shared.freeze_within(Duration::ZERO) {
                Ok(it) => *frozen = Some(it),
                Err(rejected) => {
                    *area = Some(rejected.value);
                    return Err(rejected.error);
                }
            }
            Ok(())
        },
        |(_, frozen)| frozen.as_ref().map_or(Err("it is not frozen".to_owned()), measured::frozen),
    )
    .unchanged(|(area, _)| {
        let Some(area) = area else { return Err("it did not come back".to_owned()) };
        // It may have become one for reading only; then it must say so.
        let written = area.write_at(0, &pattern(OFFERED, 1));
        let says = area.protection().contains(Protection::WRITE);
        is(written.is_ok() == says, || {
            format!("it says {}, and writing gives {written:?}", area.protection())
        })?;
        measured::shared(area)
    })
    .boxed()
}

/// A clone that is there before the operation begins.
fn cloned<K: areas::Access + 'static>(
    open: fn(&Source) -> areas::Result<Area<K>>,
    run: fn(&mut Area<K>) -> areas::Result<()>,
    check: fn(&mut Area<K>) -> Result<(), String>,
) -> Result<Box<dyn Act>> {
    With::new(open(&found()?)?, run, check).unchanged(check).boxed()
}

fn grow() -> Result<Box<dyn Act>> {
    cloned::<Shared>(Source::open, |area| area.grow(2 * SIZE), |area| measured::shared(area))
}

fn resize() -> Result<Box<dyn Act>> {
    cloned::<Resizable>(
        Source::open_resizable,
        |area| area.resize(2 * SIZE),
        |area| measured::resizable(area),
    )
}

fn read() -> Result<Box<dyn Act>> {
    cloned::<Resizable>(
        Source::open_resizable,
        |area| {
            let mut bytes = vec![0; SIZE];
            area.read_at(0, &mut bytes)?;
            area.write_at(0, &bytes)
        },
        |area| measured::resizable(area),
    )
}

fn populate() -> Result<Box<dyn Act>> {
    cloned::<Shared>(Source::open, Area::populate, |area| measured::shared(area))
}

fn publish_clone() -> Result<Box<dyn Act>> {
    opening::<Shared>(
        |(source, area)| {
            *area = source.as_ref().map(|source| source.cloning().name("clone").open()).transpose()?;
            Ok(())
        },
        |(_, area)| {
            let Some(area) = area else { return Ok(()) };
            let found = told(registry::find("clone"))?;
            is(area.id() == Some(found.id()), || {
                format!("its id is {:?}, and found is {}", area.id(), found.id())
            })?;
            measured::shared(area)
        },
    )
}

fn send() -> Result<Box<dyn Act>> {
    let socket = UnixStream::connect(socket()?).context("connect to the peer")?;
    let area = filled("gift")?;
    With::new((socket, area), |(socket, area)| area.send(&*socket), |(_, area)| measured::shared(area))
        .unchanged(|(_, area)| measured::shared(area))
        .boxed()
}
