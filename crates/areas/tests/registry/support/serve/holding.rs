//! Making, cloning, changing and dropping areas.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

use areas::registry;
use areas::{Area, AreaId, Frozen, Rejected, Shared};

use super::super::{area, forge, raw, workload};
use super::{Failure, Holdings};

pub(super) fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    let nothing = Ok(String::new());
    match *words {
        ["publish", name, size] => Ok(holdings.keep(area::create(name, size.parse()?)?)),
        ["close", handle] => {
            raw::close(holdings.area(handle)?.as_fd().as_raw_fd());
            nothing
        }
        ["unnamed"] => Ok(holdings.keep(areas::builder(4096).shared()?)),
        ["drop", handle] => {
            holdings.areas.remove(&handle.parse()?);
            nothing
        }
        ["drop-all"] => {
            holdings.areas.clear();
            nothing
        }
        ["id", handle] => Ok(holdings.area(handle)?.id().map_or("-".to_owned(), |id| id.to_string())),
        ["address", handle] => Ok(holdings.area(handle)?.as_ptr().addr().to_string()),
        ["at", handle] => {
            let area = holdings.area(handle)?;
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
        ["check", handle, name] => Ok(area::is_filled(holdings.area(handle)?, name)?.to_string()),
        ["fill", handle, name] => area::fill(holdings.area(handle)?, name).map(|()| String::new()),
        ["populate", handle] => {
            let handle = handle.parse()?;
            holdings.areas.get_mut(&handle).ok_or("no such area".to_owned())?.populate()?;
            nothing
        }
        ["clone", name] => Ok(holdings.keep(area::clone(&registry::find(name)?, name, None)?)),
        ["clone", name, own] => Ok(holdings.keep(area::clone(&registry::find(name)?, name, Some(own))?)),
        // Published with the right to read, and no other.
        ["clone-for-reading", name, own] => {
            let source = registry::find(name)?;
            Ok(holdings.keep(source.cloning().name(own).protection(areas::Protection::READ).open()?))
        }
        ["clone-of-id", id] => {
            let clone = registry::get(AreaId::new(id.parse()?)?)?.open()?;
            Ok(holdings.keep(clone))
        }
        ["remember", name] => {
            holdings.source = Some(registry::find(name)?);
            nothing
        }
        // What was remembered, whatever has happened since.
        ["remembered", "size"] => Ok(holdings.remembered()?.info()?.size.to_string()),
        ["remembered", "clone"] => {
            let clone = holdings.remembered()?.open()?;
            Ok(holdings.keep(clone))
        }
        ["remembered", "read-only"] => {
            let clone = holdings.remembered()?.open_read_only()?;
            Ok(holdings.keep(clone))
        }
        ["remembered", "fork", threads, children] => {
            workload::fork_while_asked(holdings.remembered()?, threads.parse()?, children.parse()?)
        }
        ["unpublish", handle] => {
            let area = holdings.areas.get_mut(&handle.parse()?).ok_or("no such area".to_owned())?;
            Ok(area.unpublish().map_or("-".to_owned(), |name| name.to_string()))
        }
        ["retire", handle] => {
            holdings.areas.get_mut(&handle.parse()?).ok_or("no such area".to_owned())?.retire()?;
            nothing
        }
        ["publish-again", handle, name] => {
            let area = holdings.areas.get_mut(&handle.parse()?).ok_or("no such area".to_owned())?;
            Ok(area.publish(name)?.to_string())
        }
        ["growable", name] => {
            let area = areas::builder(4096).growable(1 << 20).name(name).shared()?;
            Ok(holdings.keep(area))
        }
        ["grow", handle, size] => {
            holdings.area(handle)?.grow(size.parse()?)?;
            nothing
        }
        ["freeze", handle] => freeze(holdings, handle.parse()?, |area| area.freeze()),
        ["freeze-within", handle, millis] => {
            let timeout = std::time::Duration::from_millis(millis.parse()?);
            freeze(holdings, handle.parse()?, |area| area.freeze_within(timeout))
        }
        ["read-only", name] => Ok(holdings.keep(registry::find(name)?.open_read_only()?)),
        // Another file in place of an area's descriptor: it was closed by mistake, and the number
        // was the next one to be given.
        ["replace", handle, path] => {
            let number = holdings.area(handle)?.as_fd().as_raw_fd();
            let file = File::options().read(true).write(true).open(path)?;
            forge::replace_descriptor(&file, number)?;
            holdings.files.push(file);
            nothing
        }
        _ => Err(Failure::Unknown),
    }
}

/// What is not frozen is kept; what is, goes.
fn freeze(
    holdings: &mut Holdings,
    handle: u32,
    by: impl FnOnce(Area<Shared>) -> Result<Area<Frozen>, Rejected<Area<Shared>>>,
) -> Result<String, Failure> {
    let area = holdings.areas.remove(&handle).ok_or("no such area".to_owned())?;
    match by(area) {
        Ok(_) => Ok(String::new()),
        Err(refused) => {
            holdings.areas.insert(handle, refused.value);
            Err(refused.error.into())
        }
    }
}
