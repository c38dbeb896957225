//! Looking for areas, waiting for them, and cloning them.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result};
use areas::registry::{self, Source};
use areas::{AnyArea, Area, ErrorKind, Frozen, ReceiveOptions, Resizable, Shared};
use areas_testing::{Process, descriptors};

use super::joining::{is_bystanders, list_into};
use super::{Act, With, checked, is};
use crate::contents::{NAMES, SIZE, VICTIM, has_pattern, pattern};

fn is_right(source: Option<&Source>) -> Result<(), String> {
    let Some(source) = source else { return Err("there is none".to_owned()) };
    let info = checked(source.info())?;
    is(info.size == SIZE && info.name.as_bytes() == NAMES[0].as_bytes(), || format!("{info:?}"))
}

fn looking(run: fn(&mut Option<Source>) -> areas::Result<()>) -> Result<Box<dyn Act>> {
    With::new(None, run, |source| is_right(source.as_ref())).boxed()
}

fn find_into(source: &mut Option<Source>) -> areas::Result<()> {
    *source = Some(registry::find(NAMES[0])?);
    Ok(())
}

pub(super) fn find() -> Result<Box<dyn Act>> {
    looking(find_into)
}

pub(super) fn find_again() -> Result<Box<dyn Act>> {
    registry::find(NAMES[0])?;
    looking(find_into)
}

pub(super) fn list() -> Result<Box<dyn Act>> {
    With::new(Vec::new(), list_into, |names| is_bystanders(names)).boxed()
}

/// The bystander's areas, by their addresses.
pub(super) fn walk() -> Result<Box<dyn Act>> {
    let pid = registry::find(NAMES[0])?.pid();
    With::new(
        (pid, Vec::new()),
        |(pid, names)| {
            names.clear();
            let mut after = 0;
            while let Some(area) = registry::next(*pid, after)? {
                names.push(area.name().to_string());
                after = area.address();
            }
            names.sort();
            Ok(())
        },
        |(_, names)| is_bystanders(names),
    )
    .boxed()
}

pub(super) fn wait() -> Result<Box<dyn Act>> {
    looking(|source| {
        *source = Some(registry::wait(NAMES[0], None)?);
        Ok(())
    })
}

pub(super) fn wait_in_vain() -> Result<Box<dyn Act>> {
    let waiting = |found: &mut Option<Source>| match registry::wait("absent", Some(Duration::from_millis(25)))
    {
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
        Err(error) => Err(error),
        Ok(source) => {
            *found = Some(source);
            Ok(())
        }
    };
    With::new(None, waiting, |found| is(found.is_none(), || "what no process has was found".to_owned()))
        .boxed()
}

/// A clone that is made by a function, of a source.
type Cloning = (Source, Option<Area<Shared>>);

fn cloning(
    name: &str,
    run: fn(&mut Cloning) -> areas::Result<()>,
    check: fn(&mut Cloning) -> Result<(), String>,
) -> Result<Box<dyn Act>> {
    let none = |cloning: &mut Cloning| is(cloning.1.is_none(), || "there is one".to_owned());
    With::new((registry::find(name)?, None), run, check).unchanged(none).boxed()
}

fn is_clone(cloning: &Cloning) -> Result<(), String> {
    let (source, Some(clone)) = cloning else { return Err("there is none".to_owned()) };
    has_pattern(clone, std::str::from_utf8(source.name().as_bytes()).unwrap_or_default(), SIZE)
}

/// For the first time: the object is looked at before it is opened. (Of the same owner another area
/// is known, so that the handle is there.)
pub(super) fn clone() -> Result<Box<dyn Act>> {
    know(NAMES[1])?;
    cloning(
        NAMES[0],
        |cloning| {
            cloning.1 = Some(cloning.0.open()?);
            Ok(())
        },
        |cloning| {
            is_clone(cloning)?;
            let byte = pattern(NAMES[0], 1)[0];
            cloning.1.as_ref().map_or(Ok(()), |clone| checked(clone.store(0, byte, Ordering::Relaxed)))
        },
    )
}

/// So that the object is taken by its number, as it is from the second time on, and that the handle
/// is there by which that is done: it stays, whatever becomes of the next clone.
pub(super) fn know(name: &str) -> Result<()> {
    for _ in 0..2 {
        drop(registry::find(name)?.inspect()?);
    }
    Ok(())
}

/// Of memory that is closed to other users already.
pub(super) fn clone_read_only() -> Result<Box<dyn Act>> {
    know(NAMES[0])?;
    drop(registry::find(NAMES[0])?.open_read_only()?);
    cloning(
        NAMES[0],
        |cloning| {
            cloning.1 = Some(cloning.0.open_read_only()?);
            Ok(())
        },
        |cloning| {
            is_clone(cloning)?;
            let Some(clone) = &mut cloning.1 else { return Ok(()) };
            is(clone.protect(areas::Protection::READ_WRITE).is_err(), || "it can be written".to_owned())
        },
    )
}

/// The modes of the files of this process's areas of a name, as its descriptors show them.
fn modes_of(name: &str) -> std::io::Result<Vec<u32>> {
    let name = format!("memfd:area:{name}");
    let all = descriptors::of(Process::Own)?;
    let of_it = all.iter().filter(|one| one.target.contains(&name));
    of_it.map(|one| Ok(std::fs::metadata(&one.path)?.mode() & 0o777)).collect()
}

/// By the first holder for reading only: before, other users could open its file for writing.
pub(super) fn close_to_others() -> Result<Box<dyn Act>> {
    // So that it is known what memory objects look like.
    know(NAMES[0])?;
    let own = areas::builder(SIZE).name(VICTIM).shared()?;
    let source = registry::get(own.id().context("it has no id")?)?;
    let none = |state: &mut (Area<Shared>, Source, Option<Area<Shared>>)| {
        is(state.2.is_none(), || "there is one".to_owned())
    };
    With::new(
        (own, source, None),
        |(_, source, clone)| {
            *clone = Some(source.open_read_only()?);
            Ok(())
        },
        |(_, _, clone)| {
            let Some(clone) = clone else { return Err("there is none".to_owned()) };
            let modes = modes_of(VICTIM).map_err(|error| error.to_string())?;
            is(modes == [0o600; 2], || {
                format!("descriptors of it lead to files of modes {modes:?}, which is not 384 each")
            })?;
            is(clone.protect(areas::Protection::READ_WRITE).is_err(), || "it can be written".to_owned())
        },
    )
    .unchanged(none)
    .boxed()
}

pub(super) fn clone_published() -> Result<Box<dyn Act>> {
    know(NAMES[2])?;
    cloning(
        NAMES[2],
        |cloning| {
            cloning.1 = Some(cloning.0.cloning().name(VICTIM).open()?);
            Ok(())
        },
        |cloning| {
            is_clone(cloning)?;
            let id = cloning.1.as_ref().and_then(Area::id);
            let found = checked(registry::find(VICTIM))?.id();
            is(id == Some(found), || format!("found is {found}, and its id {id:?}"))
        },
    )
}

pub(super) fn clone_locked() -> Result<Box<dyn Act>> {
    know(NAMES[1])?;
    cloning(
        NAMES[3],
        |cloning| {
            cloning.1 = Some(cloning.0.open()?);
            Ok(())
        },
        |cloning| is_clone(cloning),
    )
}

pub(super) fn clone_frozen() -> Result<Box<dyn Act>> {
    know(NAMES[1])?;
    let stage = (registry::find(NAMES[1])?, None::<Area<Frozen>>);
    With::new(
        stage,
        |(source, clone)| {
            *clone = Some(source.open_frozen()?);
            Ok(())
        },
        |(_, clone)| {
            let same = clone.as_ref().is_some_and(|clone| clone[..] == pattern(NAMES[1], SIZE));
            is(same, || "it is not there, or has other bytes".to_owned())
        },
    )
    .boxed()
}

pub(super) fn clone_resizable() -> Result<Box<dyn Act>> {
    know(NAMES[4])?;
    let stage = (registry::find(NAMES[4])?, None::<Area<Resizable>>);
    With::new(
        stage,
        |(source, clone)| {
            *clone = Some(source.open_resizable()?);
            Ok(())
        },
        |(_, clone)| {
            let Some(clone) = clone else { return Err("there is none".to_owned()) };
            let mut bytes = vec![0; SIZE];
            checked(clone.read_at(0, &mut bytes))?;
            is(bytes == pattern(NAMES[4], SIZE), || "it has other bytes".to_owned())
        },
    )
    .boxed()
}

pub(super) fn clone_any() -> Result<Box<dyn Act>> {
    know(NAMES[1])?;
    let stage = (registry::find(NAMES[1])?, None::<AnyArea>);
    With::new(
        stage,
        |(source, clone)| {
            *clone = Some(source.open_any()?);
            Ok(())
        },
        |(_, clone)| match clone {
            Some(AnyArea::Frozen(clone)) => {
                is(clone[..] == pattern(NAMES[1], SIZE), || "it has other bytes".to_owned())
            }
            other => Err(format!("it is {other:?}")),
        },
    )
    .unchanged(|(_, clone)| is(clone.is_none(), || "there is one".to_owned()))
    .boxed()
}

pub(super) fn of_descriptor() -> Result<Box<dyn Act>> {
    let area = areas::builder(SIZE).shared()?;
    area.write_at(0, &pattern(NAMES[0], SIZE))?;
    With::new(
        (area, None::<AnyArea>),
        |(area, again)| {
            *again =
                Some(ReceiveOptions::new().from_descriptor(copy(area)?).map_err(|rejected| rejected.error)?);
            Ok(())
        },
        |(_, again)| match again {
            Some(AnyArea::Shared(area)) => has_pattern(area, NAMES[0], SIZE),
            other => Err(format!("it is {other:?}")),
        },
    )
    .unchanged(|(_, again)| is(again.is_none(), || "there is one".to_owned()))
    .boxed()
}

/// A descriptor to be given away.
fn copy(area: &Area<Shared>) -> areas::Result<std::os::fd::OwnedFd> {
    area.as_fd().try_clone_to_owned().map_err(|error| {
        let errno = areas::Errno::from_raw(error.raw_os_error().unwrap_or(0));
        areas::Error::new(ErrorKind::System, "copy a descriptor")
            .with_system_call("fcntl(F_DUPFD_CLOEXEC)", errno)
    })
}
