//! What an agent does with names that it wants alone.

use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use areas::{Area, CreatedOrOpened, ErrorKind, Received, Shared};
use areas_testing::{Process, maps};

use super::serve::{Failure, Holdings, done};

pub(crate) fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    match *words {
        ["create", name] => create(holdings, name),
        // From that moment of the clock on, so that several begin at once.
        ["create", name, at] => until(at).and_then(|()| create(holdings, name)),
        ["find-then-create", name, at] => until(at).and_then(|()| find_then_create(holdings, name)),
        ["either", name, at] => until(at).and_then(|()| either(holdings, name)),
        ["publish", handle, name] => Ok(held(holdings, handle)?.publish_exclusive(name)?.to_string()),
        ["rename", handle, name, at] => {
            let area = held(holdings, handle)?;
            until(at)?;
            Ok(area.rename_exclusive(name)?.to_string())
        }
        ["rename-again", handle, one, other, millis] => {
            rename_again(held(holdings, handle)?, [one, other], Duration::from_millis(millis.parse()?))
        }
        ["again", name, millis] => again(name, Duration::from_millis(millis.parse()?)),
        ["unsettle"] => unsettle(),
        _ => Err(format!("unknown: exclusive {words:?}").into()),
    }
}

fn held<'a>(holdings: &'a mut Holdings, handle: &str) -> Result<&'a mut Area<Shared>, Failure> {
    holdings.areas.get_mut(&handle.parse()?).ok_or_else(|| "no such area".to_owned().into())
}

fn create(holdings: &mut Holdings, name: &str) -> Result<String, Failure> {
    Ok(holdings.keep(areas::builder(4096).name(name).exclusive().shared()?))
}

/// As it was done before: two can win.
fn find_then_create(holdings: &mut Holdings, name: &str) -> Result<String, Failure> {
    match areas::registry::find(name) {
        Ok(_) => Err(areas::Error::new(ErrorKind::NameTaken, "create").into()),
        Err(_) => Ok(holdings.keep(areas::builder(4096).name(name).shared()?)),
    }
}

/// Creates or opens, and counts itself in the area's first word: `HOW INODE`.
fn either(holdings: &mut Holdings, name: &str) -> Result<String, Failure> {
    let (made, area) = match areas::builder(4096).name(name).create_or_open()? {
        CreatedOrOpened::Created(area) => ("made", area),
        CreatedOrOpened::Opened(Received::Shared(area)) => ("opened", area),
        CreatedOrOpened::Opened(other) => return Err(format!("{other:?}").into()),
    };
    let word: u64 = area.load(0, std::sync::atomic::Ordering::Acquire)?;
    area.store(0, word + 1, std::sync::atomic::Ordering::Release)?;
    let id = areas::registry::get(area.id().ok_or("no id".to_owned())?)?.info()?.object.1;
    holdings.keep(area);
    Ok(format!("{made} {id}"))
}

/// Whether another's claim was in the way, for now.
fn is_contested(error: &areas::Error) -> bool {
    [ErrorKind::NameTaken, ErrorKind::Busy].contains(&error.kind())
}

/// From one name to the other and back, again and again; how often it got one.
fn rename_again(area: &mut Area<Shared>, names: [&str; 2], time: Duration) -> Result<String, Failure> {
    let end = Instant::now() + time;
    let mut got = 0;
    while Instant::now() < end {
        for name in names {
            match area.rename_exclusive(name) {
                Ok(_) => got += 1,
                Err(error) if is_contested(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(got.to_string())
}

/// Takes a name and releases it, again and again; how often it was tried.
fn again(name: &str, time: Duration) -> Result<String, Failure> {
    let end = Instant::now() + time;
    let mut got = 0;
    while Instant::now() < end {
        match areas::builder(4096).name(name).exclusive().shared() {
            Ok(area) => drop(area),
            Err(error) if is_contested(&error) => {}
            Err(error) => return Err(error.into()),
        }
        got += 1;
    }
    Ok(got.to_string())
}

/// Makes of all its areas what is only claimed, as a process leaves it that is stopped in that
/// moment, or is hostile.
fn unsettle() -> Result<String, Failure> {
    let maps = maps::of(Process::Thread)?;
    let table = maps.iter().find(|vma| vma.path.contains("areas table")).ok_or("no table".to_owned())?;
    let table = table.start as u64;
    let memory = std::fs::File::options().read(true).write(true).open("/proc/thread-self/mem")?;
    for record in 0..8 {
        let at = table + (4 << 20) + record * 192 + 84;
        let mut byte = [0];
        memory.read_exact_at(&mut byte, at)?;
        memory.write_all_at(&[byte[0] | 0x80], at)?;
    }
    done(())
}

/// Waits, busily, for a moment in nanoseconds since boot.
fn until(at: &str) -> Result<(), Failure> {
    let at: u64 = at.parse()?;
    while now() < at {
        std::hint::spin_loop();
    }
    Ok(())
}

/// Nanoseconds since boot.
pub(crate) fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
