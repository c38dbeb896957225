//! What the operations do: how each is made ready, run, and held to what it says.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use areas::registry::{self, Source};
use areas::{Address, Area, AreaId, Frozen, Protection, Received, Resizable, Shared, Transfer};

use super::super::measured;
use super::{CLONED, OFFERED};
use crate::contents::{SIZE, pattern};
use crate::operation::{Act, With, checked, is};

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

pub(super) fn find() -> Result<Box<dyn Act>> {
    With::new(None, find_into, has_the_name).boxed()
}

pub(super) fn find_again() -> Result<Box<dyn Act>> {
    found()?;
    find()
}

pub(super) fn get() -> Result<Box<dyn Act>> {
    With::new(
        (AreaId::new(super::super::known::peer()?.1)?, None::<Source>),
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
pub(super) fn list() -> Result<Box<dyn Act>> {
    With::new(
        0,
        |count: &mut usize| {
            let listing = registry::list()?;
            *count = listing.areas.iter().filter(|source| source.info().is_ok()).count();
            Ok(())
        },
        |count| {
            let all = *count >= crate::contents::NAMES.len() || !super::super::known::is_strict();
            is(all, || format!("only {count} areas can be asked about"))
        },
    )
    .boxed()
}

pub(super) fn walk() -> Result<Box<dyn Act>> {
    With::new(
        super::super::known::peer()?.0,
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

pub(super) fn wait() -> Result<Box<dyn Act>> {
    let wait = |source: &mut Option<Source>| {
        *source = Some(registry::wait(OFFERED, Some(Duration::from_millis(30)))?);
        Ok(())
    };
    With::new(None, wait, has_the_name).boxed()
}

pub(super) fn info() -> Result<Box<dyn Act>> {
    asking(|source| source.info().map(drop))
}

pub(super) fn look() -> Result<Box<dyn Act>> {
    asking(|source| source.inspect().map(drop))
}

pub(super) fn measure() -> Result<Box<dyn Act>> {
    asking(|source| source.measure().map(drop))
}

fn asking(ask: fn(&mut Source) -> areas::Result<()>) -> Result<Box<dyn Act>> {
    With::new(found()?, ask, |_| Ok(())).boxed()
}

pub(super) fn residency() -> Result<Box<dyn Act>> {
    With::new(
        found()?.inspect()?,
        |look| look.residency().map(drop),
        |look| checked(look.resident()).map(drop),
    )
    .boxed()
}

pub(super) fn holders() -> Result<Box<dyn Act>> {
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

pub(super) fn open_new() -> Result<Box<dyn Act>> {
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

fn opening<K: areas::AreaKind + 'static>(
    run: fn(&mut Opening<K>) -> areas::Result<()>,
    check: fn(&mut Opening<K>) -> Result<(), String>,
) -> Result<Box<dyn Act>> {
    let none =
        |opening: &mut Opening<K>| is(opening.1.is_none(), || "there is an area all the same".to_owned());
    With::new((Some(found()?), None), run, check).unchanged(none).boxed()
}

pub(super) fn open() -> Result<Box<dyn Act>> {
    opening::<Shared>(
        |(source, area)| {
            *area = source.as_ref().map(Source::open).transpose()?;
            Ok(())
        },
        |(_, area)| area.as_ref().map_or(Ok(()), measured::shared),
    )
}

pub(super) fn open_again() -> Result<Box<dyn Act>> {
    drop(found()?.open()?);
    open()
}

pub(super) fn open_read_only() -> Result<Box<dyn Act>> {
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

pub(super) fn open_resizable() -> Result<Box<dyn Act>> {
    opening::<Resizable>(
        |(source, area)| {
            *area = source.as_ref().map(Source::open_resizable).transpose()?;
            Ok(())
        },
        |(_, area)| area.as_ref().map_or(Ok(()), measured::resizable),
    )
}

pub(super) fn open_frozen() -> Result<Box<dyn Act>> {
    opening::<Frozen>(
        |(source, area)| {
            *area = source.as_ref().map(Source::open_frozen).transpose()?;
            Ok(())
        },
        |(_, area)| area.as_ref().map_or(Ok(()), measured::frozen),
    )
}

/// Where the peer listens.
fn socket() -> Result<PathBuf> {
    Ok(PathBuf::from(std::env::var_os(super::super::STRANGERS).context(super::super::STRANGERS)?)
        .join("socket"))
}

fn received(came: &Received) -> Result<(), String> {
    match came {
        Received::Shared(area) => measured::shared(area),
        Received::Resizable(area) => measured::resizable(area),
        Received::Frozen(area) => measured::frozen(area),
        other => Err(format!("what came is {other:?}")),
    }
}

pub(super) fn receive() -> Result<Box<dyn Act>> {
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

pub(super) fn take() -> Result<Box<dyn Act>> {
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

pub(super) fn give() -> Result<Box<dyn Act>> {
    registry::list()?;
    With::new(
        (Some(filled("gift")?), super::super::known::peer()?.0),
        |(area, to): &mut Giving| {
            let Some(given) = area.take() else { return Ok(()) };
            match given.transfer(*to, Address::Any) {
                Ok(Transfer::Given(_)) => Ok(()),
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

pub(super) fn freeze() -> Result<Box<dyn Act>> {
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
fn cloned<K: areas::AreaKind + 'static>(
    open: fn(&Source) -> areas::Result<Area<K>>,
    run: fn(&mut Area<K>) -> areas::Result<()>,
    check: fn(&mut Area<K>) -> Result<(), String>,
) -> Result<Box<dyn Act>> {
    With::new(open(&found()?)?, run, check).unchanged(check).boxed()
}

pub(super) fn grow() -> Result<Box<dyn Act>> {
    cloned::<Shared>(Source::open, |area| area.grow(2 * SIZE), |area| measured::shared(area))
}

pub(super) fn resize() -> Result<Box<dyn Act>> {
    cloned::<Resizable>(
        Source::open_resizable,
        |area| area.resize(2 * SIZE),
        |area| measured::resizable(area),
    )
}

pub(super) fn read() -> Result<Box<dyn Act>> {
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

pub(super) fn populate() -> Result<Box<dyn Act>> {
    cloned::<Shared>(Source::open, Area::populate, |area| measured::shared(area))
}

pub(super) fn publish_clone() -> Result<Box<dyn Act>> {
    opening::<Shared>(
        |(source, area)| {
            *area = source.as_ref().map(|source| source.cloning().name("clone").open()).transpose()?;
            Ok(())
        },
        |(_, area)| {
            let Some(area) = area else { return Ok(()) };
            let found = checked(registry::find("clone"))?;
            is(area.id() == Some(found.id()), || {
                format!("its id is {:?}, and found is {}", area.id(), found.id())
            })?;
            measured::shared(area)
        },
    )
}

pub(super) fn send() -> Result<Box<dyn Act>> {
    let socket = UnixStream::connect(socket()?).context("connect to the peer")?;
    let area = filled("gift")?;
    With::new((socket, area), |(socket, area)| area.send(&*socket), |(_, area)| measured::shared(area))
        .unchanged(|(_, area)| measured::shared(area))
        .boxed()
}
