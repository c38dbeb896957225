//! Teams that begin, publish, take back; the dead that are cleared away; fork.

#![expect(unsafe_code, reason = "fork; the block has its proof")]

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use areas::{Area, CreatedOrOpened, ErrorKind, Shared, registry};
use areas_testing::{Process, descriptors};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork as fork_process};

use super::{Act, With, checked, is};
use crate::contents::{NAMES, SIZE, VICTIM, has_pattern, pattern};

pub(super) fn directory() -> Result<PathBuf> {
    std::env::var_os("AREAS_DIR").map(PathBuf::from).context("AREAS_DIR")
}

/// An area with the victim's bytes that no process can find yet.
pub(super) fn unpublished() -> areas::Result<Area<Shared>> {
    let area = areas::builder(SIZE).shared()?;
    area.write_at(0, &pattern(VICTIM, SIZE))?;
    Ok(area)
}

/// The same, found under the victim's name.
pub(super) fn published() -> areas::Result<Area<Shared>> {
    let mut area = unpublished()?;
    area.publish(VICTIM)?;
    Ok(area)
}

/// Whether the victim's name leads to this area.
pub(super) fn is_found(area: &Area<Shared>) -> Result<(), String> {
    let source = checked(registry::find(VICTIM))?;
    is(area.id() == Some(source.id()), || format!("found is {}, and its id {:?}", source.id(), area.id()))?;
    is(source.info().is_ok_and(|info| info.size == area.size()), || {
        "its size is reported wrongly".to_owned()
    })?;
    has_pattern(area, VICTIM, SIZE)
}

fn is_not_found(area: &Area<Shared>) -> Result<(), String> {
    match registry::find(VICTIM) {
        Err(error) if error.kind() == ErrorKind::NoSuchArea => has_pattern(area, VICTIM, SIZE),
        Err(error) => Err(format!("looking for it: {error:#}")),
        Ok(_) => Err("it is found although publishing it failed".to_owned()),
    }
}

fn publishing(area: Area<Shared>) -> Result<Box<dyn Act>> {
    let publish = |area: &mut Area<Shared>| area.publish(VICTIM).map(drop);
    With::new(area, publish, |area| is_found(area)).unchanged(|area| is_not_found(area)).boxed()
}

pub(super) fn join() -> Result<Box<dyn Act>> {
    publishing(unpublished()?)
}

/// A team that only has a transfer socket.
pub(super) fn join_without_area() -> Result<Box<dyn Act>> {
    With::new(
        (),
        |()| registry::join(),
        |()| is(transfer_sockets() == 1, || format!("it has {} transfer sockets", transfer_sockets())),
    )
    .boxed()
}

/// The same, as who only looks does it. No process hears of an error.
pub(super) fn join_to_look() -> Result<Box<dyn Act>> {
    let look = |(): &mut ()| {
        registry::join_once();
        Ok(())
    };
    With::new((), look, |()| {
        registry::join_once();
        is(transfer_sockets() <= 1, || format!("it has {} transfer sockets", transfer_sockets()))
    })
    .boxed()
}

/// A team that has joined, and publishes when others have long looked at the folder.
pub(super) fn publish_first() -> Result<Box<dyn Act>> {
    registry::join()?;
    publishing(unpublished()?)
}

/// The transfer sockets that this process has open, as the kernel shows them: sockets' files whose
/// names are gone.
fn transfer_sockets() -> usize {
    let all = descriptors::of(Process::Own).unwrap_or_default();
    all.iter().filter(|one| one.target.contains("/door-")).count()
}

pub(super) fn publish() -> Result<Box<dyn Act>> {
    let first = areas::builder(SIZE).name("victim's first").shared()?;
    let both = (first, unpublished()?);
    With::new(both, |both| both.1.publish(VICTIM).map(drop), |both| is_found(&both.1))
        .unchanged(|both| is_not_found(&both.1))
        .boxed()
}

/// Under a name that no other process has.
pub(super) fn publish_alone() -> Result<Box<dyn Act>> {
    let publish = |area: &mut Area<Shared>| area.publish_exclusive(VICTIM).map(drop);
    With::new(unpublished()?, publish, |area| is_found(area)).unchanged(|area| is_not_found(area)).boxed()
}

pub(super) fn create_or_open() -> Result<Box<dyn Act>> {
    With::new(
        None,
        |made: &mut Option<CreatedOrOpened>| {
            *made = Some(areas::builder(SIZE).name(VICTIM).create_or_open()?);
            Ok(())
        },
        |made| match made {
            Some(CreatedOrOpened::Created(area)) => {
                let source = checked(registry::find(VICTIM))?;
                is(area.id() == Some(source.id()), || format!("found is {}", source.id()))
            }
            other => Err(format!("it was not created: {other:?}")),
        },
    )
    .unchanged(|_| match registry::find(VICTIM) {
        Err(error) if error.kind() == ErrorKind::NoSuchArea => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .boxed()
}

pub(super) fn retire() -> Result<Box<dyn Act>> {
    With::new(published()?, |area| area.retire(), |area| is_not_found(area)).boxed()
}

/// Leaves what a pid namespace leaves in which no process is any more.
pub(super) fn clear() -> Result<Box<dyn Act>> {
    let space = directory()?.join("pid-1");
    fs::DirBuilder::new().mode(0o700).recursive(true).create(space.join("teams"))?;
    symlink("/proc/5/fd/6", space.join("teams/7.8.9"))?;
    fs::write(space.join("control"), [0; 64])?;
    publishing(unpublished()?)
}

pub(super) fn keep() -> Result<Box<dyn Act>> {
    let area = published()?;
    fs::remove_dir_all(directory()?)?;
    With::new(
        area,
        |_| registry::ensure_published(),
        |area| {
            let space =
                fs::read_dir(directory().unwrap_or_default()).ok().and_then(|mut all| all.next()?.ok());
            let teams = space.and_then(|space| fs::read_dir(space.path().join("teams")).ok());
            is(teams.is_some_and(|teams| teams.count() == 1), || "there is no link of it".to_owned())?;
            is_found(area)
        },
    )
    .boxed()
}

/// A team that has died just now.
fn dead_team() -> Result<()> {
    // SAFETY: this process has one thread.
    match unsafe { fork_process() }? {
        ForkResult::Child => {
            let status =
                published().and_then(|_| areas::builder(SIZE).name("dead").shared()).map_or(1, |area| {
                    // It dies with its areas, as a killed one does.
                    let _ = std::mem::ManuallyDrop::new(area);
                    0
                });
            std::process::exit(status)
        }
        ForkResult::Parent { child } => {
            let status = waitpid(child, None)?;
            ensure!(matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)), "{status:?}");
            Ok(())
        }
    }
}

pub(super) fn reap() -> Result<Box<dyn Act>> {
    dead_team()?;
    With::new(Vec::new(), list_into, |names| is_bystanders(names)).boxed()
}

pub(super) fn list_into(names: &mut Vec<String>) -> areas::Result<()> {
    let listing = registry::list()?;
    // A listing reports what it cannot read; here that is an error like another.
    if let Some(team) = listing.unreadable.first() {
        return Err(
            areas::Error::new(ErrorKind::Unreadable, "list all areas").with_facts(team.reason.clone())
        );
    }
    *names = listing.areas.iter().map(|source| source.name().to_string()).collect();
    names.sort();
    Ok(())
}

pub(super) fn is_bystanders(names: &[String]) -> Result<(), String> {
    is(names == NAMES, || format!("listed are {names:?}"))
}

pub(super) fn unpublish() -> Result<Box<dyn Act>> {
    let dropping = |area: &mut Option<Area<Shared>>| {
        drop(area.take());
        Ok(())
    };
    let gone = |_: &mut Option<Area<Shared>>| match registry::find(VICTIM) {
        Err(error) if error.kind() == ErrorKind::NoSuchArea => Ok(()),
        other => Err(format!("looking for it: {other:?}")),
    };
    With::new(Some(published()?), dropping, gone).boxed()
}

/// What runs in the child.
pub(super) fn fork() -> Result<Box<dyn Act>> {
    With::new(
        published()?,
        |_| registry::ensure_published(),
        |area| {
            // Its parent holds the same, and held it first.
            is(area.id().is_some(), || "it has no id in the child".to_owned())?;
            let ours = checked(registry::list())?.areas.iter().filter(|source| source.is_own()).count();
            is(ours == 1, || format!("the child has published {ours} areas"))?;
            has_pattern(area, VICTIM, SIZE)
        },
    )
    .boxed()
}
