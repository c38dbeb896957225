//! Locks in areas: mutexes, events, sequence locks.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Result;
use areas::sync::{Event, Mutex, Owner, SeqLock};
use areas::{Area, ErrorKind, Shared};

use super::{Act, With, checked, is};
use crate::contents::VICTIM;

/// Where things are in the area.
const MUTEX: usize = 0;
const GUARDED: usize = 64;
const EVENT: usize = 128;
const VALUE: usize = 192;
const BYTES: &[u8] = b"all of one write";
const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(25);

/// An area that others find; what a process makes once for all locks is made.
fn area() -> Result<Area<Shared>> {
    let other = areas::builder(4096).shared()?;
    drop(Mutex::new(&other, MUTEX)?.lock(LONG)?);
    Ok(areas::builder(4096).name(VICTIM).shared()?)
}

/// The same, and this thread has locked there before.
fn marked_area() -> Result<Area<Shared>> {
    let area = area()?;
    drop(Mutex::new(&area, MUTEX)?.lock(LONG)?);
    Ok(area)
}

fn word(area: &Area<Shared>, offset: usize) -> Result<u64, String> {
    checked(area.load::<u64>(offset, Relaxed))
}

fn add_under_lock(area: &mut Area<Shared>) -> areas::Result<()> {
    let mutex = Mutex::new(area, MUTEX)?;
    let guard = mutex.lock(LONG)?.or_repair(|_| area.store(GUARDED, 0_u64, Relaxed))?;
    area.store(GUARDED, area.load::<u64>(GUARDED, Relaxed)? + 1, Relaxed)?;
    guard.unlock()
}

fn counted_once(area: &mut Area<Shared>) -> Result<(), String> {
    is(word(area, MUTEX)? == 0, || "it is not free".to_owned())?;
    is(word(area, GUARDED)? == 1, || "it was not counted once".to_owned())
}

/// A thread's first lock in an area.
pub(super) fn lock() -> Result<Box<dyn Act>> {
    With::new(area()?, add_under_lock, counted_once)
        .unchanged(|area| is(word(area, MUTEX)? == 0, || "it was left locked".to_owned()))
        .boxed()
}

/// One whose owner has died: here, a number that no process has.
pub(super) fn lock_dead() -> Result<Box<dyn Act>> {
    const DEAD: u64 = 0x1234_5678_9abc_def0;
    let area = marked_area()?;
    area.store(GUARDED, 7_u64, Relaxed)?;
    area.store(MUTEX, DEAD, Relaxed)?;
    With::new(area, add_under_lock, counted_once)
        .unchanged(|area| {
            // Notified or not: the next one is.
            let owner = checked(checked(Mutex::new(area, MUTEX))?.owner())?;
            let word = word(area, MUTEX)?;
            is(owner == Owner::Dead || word == 2, || format!("it is {owner:?}'s: {word:#x}"))
        })
        .boxed()
}

/// One that another living owner has all the time.
pub(super) fn lock_in_vain() -> Result<Box<dyn Act>> {
    let area = marked_area()?;
    // A writer is an owner that is not this thread.
    let mut writer = SeqLock::new(&area, VALUE, BYTES.len())?.writer()?.detach();
    area.store(MUTEX, area.load::<u64>(VALUE + 8, Relaxed)?, Relaxed)?;
    writer.write(&area, BYTES)?;
    let run = |area: &mut Area<Shared>| match Mutex::new(area, MUTEX)?.lock(SHORT) {
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(areas::Error::new(ErrorKind::System, "wait in vain").with_facts("it was locked twice")),
    };
    let check = |area: &mut Area<Shared>| {
        let owner = checked(checked(Mutex::new(area, MUTEX))?.owner())?;
        is(owner == Owner::Living, || format!("it is {owner:?}'s"))
    };
    With::new(area, run, check).unchanged(check).boxed()
}

/// A signal, and a wait that it ends.
pub(super) fn event() -> Result<Box<dyn Act>> {
    struct Signalled {
        area: Area<Shared>,
        before: u32,
    }
    let run = |it: &mut Signalled| {
        let event = Event::new(&it.area, EVENT)?;
        it.before = event.load()?;
        event.signal()?;
        event.wait(it.before, LONG).map(drop)
    };
    let check = |it: &mut Signalled| {
        let count = checked(checked(Event::new(&it.area, EVENT))?.load())?;
        is(count == it.before + 1, || format!("it was {}, and is {count}", it.before))
    };
    With::new(Signalled { area: area()?, before: 0 }, run, check).boxed()
}

/// A wait for an event that does not come.
pub(super) fn event_in_vain() -> Result<Box<dyn Act>> {
    let run = |area: &mut Area<Shared>| match Event::new(&*area, EVENT)?.wait(0, SHORT) {
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
        other => other.map(drop),
    };
    With::new(area()?, run, |area| is(word(area, EVENT)? == 0, || "there was one".to_owned())).boxed()
}

/// A sequence lock that is written by a new writer, and read.
pub(super) fn sequence() -> Result<Box<dyn Act>> {
    let run = |area: &mut Area<Shared>| {
        let value = SeqLock::new(area, VALUE, BYTES.len())?;
        value.writer()?.write(BYTES)?;
        value.read(&mut [0; BYTES.len()]).map(drop)
    };
    let check = |area: &mut Area<Shared>| {
        let value = checked(SeqLock::new(area, VALUE, BYTES.len()))?;
        let mut bytes = [0; BYTES.len()];
        checked(value.read(&mut bytes))?;
        is(bytes == BYTES, || format!("{bytes:?} was read"))?;
        is(!checked(value.has_living_writer())?, || "its writer is there still".to_owned())
    };
    With::new(area()?, run, check)
        .unchanged(|area| {
            let value = checked(SeqLock::new(area, VALUE, BYTES.len()))?;
            is(!checked(value.has_living_writer())?, || "its writer is there still".to_owned())
        })
        .boxed()
}
