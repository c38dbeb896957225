//! Making, cloning, changing and dropping areas.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

use areas::registry;
use areas::{Area, AreaId, Frozen, Rejected, Shared};

use super::super::{area, forge, raw, workload};
use super::{Failure, Holdings, done};

pub(super) fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    match *words {
        ["publish", name, size] => Ok(holdings.keep(area::create(name, size.parse()?)?)),
        ["growable", name] => Ok(holdings.keep(areas::builder(4096).growable(1 << 20).name(name).shared()?)),
        ["unnamed"] => Ok(holdings.keep(areas::builder(4096).shared()?)),
        ["read-only", name] => Ok(holdings.keep(registry::find(name)?.open_read_only()?)),
        ["clone", name] => Ok(holdings.keep(area::clone(&registry::find(name)?, name, None)?)),
        ["clone", name, own] => Ok(holdings.keep(area::clone(&registry::find(name)?, name, Some(own))?)),
        ["clone-for-reading", name, own] => clone_for_reading(holdings, name, own),
        ["clone-of-id", id] => Ok(holdings.keep(registry::get(AreaId::new(id.parse()?)?)?.open()?)),
        ["remember", name] => {
            holdings.source = Some(registry::find(name)?);
            done(())
        }
        ["remembered", ..] => remembered(&words[1..], holdings),
        ["id", handle] => Ok(holdings.area(handle)?.id().map_or("-".to_owned(), |id| id.to_string())),
        ["address", handle] => Ok(holdings.area(handle)?.as_ptr().addr().to_string()),
        ["at", handle] => id_by_address(holdings.area(handle)?),
        ["check", handle, name] => Ok(area::is_filled(holdings.area(handle)?, name)?.to_string()),
        _ => change(words, holdings),
    }
}

/// What changes, or ends, an area that is held.
fn change(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    match *words {
        ["fill", handle, name] => area::fill(holdings.area(handle)?, name).map(|()| String::new()),
        ["populate", handle] => done(holdings.area_mut(handle)?.populate()?),
        ["grow", handle, size] => done(holdings.area(handle)?.grow(size.parse()?)?),
        ["freeze", handle] => freeze(holdings, handle.parse()?, |area| area.freeze()),
        ["freeze-within", handle, millis] => {
            let timeout = std::time::Duration::from_millis(millis.parse()?);
            freeze(holdings, handle.parse()?, |area| area.freeze_within(timeout))
        }
        ["unpublish", handle] => {
            let name = holdings.area_mut(handle)?.unpublish();
            Ok(name.map_or("-".to_owned(), |name| name.to_string()))
        }
        ["publish-again", handle, name] => Ok(holdings.area_mut(handle)?.publish(name)?.to_string()),
        ["retire", handle] => done(holdings.area_mut(handle)?.retire()?),
        ["drop", handle] => {
            holdings.areas.remove(&handle.parse()?);
            done(())
        }
        ["drop-all"] => {
            holdings.areas.clear();
            done(())
        }
        ["close", handle] => {
            raw::close(holdings.area(handle)?.as_fd().as_raw_fd());
            done(())
        }
        ["replace", handle, path] => replace(holdings, handle, path),
        _ => Err(Failure::Unknown),
    }
}

/// Published with the right to read, and no other.
fn clone_for_reading(holdings: &mut Holdings, name: &str, own: &str) -> Result<String, Failure> {
    let source = registry::find(name)?;
    Ok(holdings.keep(source.cloning().name(own).protection(areas::Protection::READ).open()?))
}

/// What was remembered, whatever has happened since.
fn remembered(what: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    match *what {
        ["size"] => Ok(holdings.remembered()?.info()?.size.to_string()),
        ["clone"] => {
            let clone = holdings.remembered()?.open()?;
            Ok(holdings.keep(clone))
        }
        ["read-only"] => {
            let clone = holdings.remembered()?.open_read_only()?;
            Ok(holdings.keep(clone))
        }
        ["fork", threads, children] => {
            workload::fork_while_asked(holdings.remembered()?, threads.parse()?, children.parse()?)
        }
        _ => Err(Failure::Unknown),
    }
}

/// The id that is found by the area's addresses, by each of the calls that return it.
fn id_by_address(area: &Area<Shared>) -> Result<String, Failure> {
    let last = area.as_ptr().addr() + area.mapped() - 1;
    if registry::at(last + 1).is_ok_and(|behind| Some(behind.id()) == area.id()) {
        return Err("the address behind the area is taken for the area's".to_owned().into());
    }
    // In a forked child, its first call may be either.
    let (by_id, id) = (registry::id_at(last)?, registry::at(last)?.id());
    match by_id == id && registry::id_at(area.as_ptr().addr())? == id {
        true => Ok(id.to_string()),
        false => Err(format!("{by_id} and {id} are at one address").into()),
    }
}

/// Another file in place of an area's descriptor: it was closed by mistake, and the number was the
/// next one to be given.
fn replace(holdings: &mut Holdings, handle: &str, path: &str) -> Result<String, Failure> {
    let number = holdings.area(handle)?.as_fd().as_raw_fd();
    let file = File::options().read(true).write(true).open(path)?;
    forge::replace_descriptor(&file, number)?;
    holdings.files.push(file);
    done(())
}

/// What is not frozen is kept; what is, goes.
fn freeze(
    holdings: &mut Holdings,
    handle: u32,
    by: impl FnOnce(Area<Shared>) -> Result<Area<Frozen>, Rejected<Area<Shared>>>,
) -> Result<String, Failure> {
    let area = holdings.areas.remove(&handle).ok_or("no such area".to_owned())?;
    match by(area) {
        Ok(_) => done(()),
        Err(refused) => {
            holdings.areas.insert(handle, refused.value);
            Err(refused.error.into())
        }
    }
}
