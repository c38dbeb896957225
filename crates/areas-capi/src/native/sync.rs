//! Mutexes, events and sequence locks in areas.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::time::Duration;

use areas::sync::{DetachedWriter, Event, Mutex, Owner, Place, SeqLock};
use areas::{Area, Error, ErrorKind, Result, Shared};

use super::area::{Any, Handle, look};
use super::errors::{invalid, made, number, status};
use super::words::time;
use crate::edge::catch_panic;
use crate::waiting::{Step, in_steps};

/// areas_mutex_lock: the mutex is locked, and an owner before died with it. What it guards may be
/// half changed.
pub const AREAS_MUTEX_OWNER_DIED: c_int = 1;

/// areas_mutex_owner: it is free.
pub const AREAS_OWNER_NONE: c_int = 0;
/// The thread that asks.
pub const AREAS_OWNER_THIS_THREAD: c_int = 1;
/// Another thread, here or in another process.
pub const AREAS_OWNER_LIVING: c_int = 2;
/// A thread that has ended: the next one to lock gets AREAS_MUTEX_OWNER_DIED.
pub const AREAS_OWNER_DEAD: c_int = 3;

/// Locks the mutex in the 8 bytes at `offset` of a shared area, a multiple of 8, for the threads of
/// all processes that have the area: waiting for so many milliseconds; 0 is not at all, a negative
/// time is no timeout. A cancellation point. Signals do not end the wait. Zeros are a mutex that is
/// free.
///
/// 0; or AREAS_MUTEX_OWNER_DIED: it is locked, and its owner died before (by the end of its thread
/// or process, kill -9 and exec included). Repair what it guards and call areas_mutex_consistent:
/// until then each one who locks it gets AREAS_MUTEX_OWNER_DIED. A forked child does not own what
/// its parent has locked. Its addresses belong to the library: no thread stores to them otherwise.
///
/// AREAS_ERROR_TIMED_OUT: its owner lives (a stopped one, too). AREAS_ERROR_BUSY: this thread has
/// it already, by whatever handle. AREAS_ERROR_INVALID_INPUT: another process has written what is
/// not a mutex; or the offset is not a multiple of 8. AREAS_ERROR_OUT_OF_RANGE.
/// AREAS_ERROR_READ_ONLY. AREAS_ERROR_UNSUPPORTED: hugetlb pages, and areas that are not shared, or
/// may shrink. AREAS_ERROR_LIMIT, AREAS_ERROR_NOT_PERMITTED, AREAS_ERROR_SYSTEM: at a thread's
/// first lock in an area, which takes a descriptor for a moment, a mapping, and /proc.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn areas_mutex_lock(area: Option<&Handle>, offset: usize, milliseconds: i64) -> c_int {
    let whole = time(milliseconds);
    in_steps(whole, |step| {
        let mut goes_on = false;
        let answer = number(|| {
            let area = shared(area, "lock a mutex")?;
            match Mutex::new(area, offset)?.lock(length(&step)) {
                Ok(locked) => {
                    let died = locked.owner_died();
                    // C has no guard: it says itself when it unlocks.
                    let _stays = ManuallyDrop::new(locked);
                    Ok(if died { AREAS_MUTEX_OWNER_DIED } else { 0 })
                }
                Err(error) => ended(error, &step, whole, &mut goes_on),
            }
        });
        (!goes_on).then_some(answer)
    })
}

/// Unlocks a mutex that this thread has locked, and wakes who waits for it.
///
/// AREAS_ERROR_NOT_PERMITTED: this thread does not have it; or another process has written over it,
/// and what it guards may be inconsistent.
#[unsafe(no_mangle)]
pub extern "C" fn areas_mutex_unlock(area: Option<&Handle>, offset: usize) -> c_int {
    status(|| Mutex::new(shared(area, "unlock a mutex")?, offset)?.unlock_forgotten())
}

/// Marks what a mutex guards as consistent again, after AREAS_MUTEX_OWNER_DIED: later locks return
/// 0. It stays locked.
///
/// AREAS_ERROR_NOT_PERMITTED: this thread does not have it.
#[unsafe(no_mangle)]
pub extern "C" fn areas_mutex_consistent(area: Option<&Handle>, offset: usize) -> c_int {
    status(|| {
        let area = shared(area, "mark as consistent what a mutex guards")?;
        Mutex::new(area, offset)?.mark_consistent_forgotten()
    })
}

/// Whose a mutex is at this moment: AREAS_OWNER_NONE, AREAS_OWNER_THIS_THREAD, AREAS_OWNER_LIVING
/// or AREAS_OWNER_DEAD.
#[unsafe(no_mangle)]
pub extern "C" fn areas_mutex_owner(area: Option<&Handle>, offset: usize) -> c_int {
    number(|| {
        let area = shared(area, "get the owner of a mutex")?;
        Ok(match Mutex::new(area, offset)?.owner()? {
            Owner::Unlocked => AREAS_OWNER_NONE,
            Owner::ThisThread => AREAS_OWNER_THIS_THREAD,
            Owner::Dead => AREAS_OWNER_DEAD,
            _ => AREAS_OWNER_LIVING,
        })
    })
}

/// Adds 1 to the event counter in the 4 bytes at `offset` of a shared or resizable area, a multiple
/// of 4, and wakes all who wait for it, in all processes. Both are one system call: a kill leaves
/// no waiters asleep. Zeros are a counter that begins at 0; it wraps around.
///
/// AREAS_ERROR_READ_ONLY, AREAS_ERROR_OUT_OF_RANGE, AREAS_ERROR_INVALID_INPUT;
/// AREAS_ERROR_NO_MEMORY where a hugetlb page was taken away; AREAS_ERROR_UNSUPPORTED,
/// AREAS_ERROR_FROZEN for areas of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn areas_event_signal(area: Option<&Handle>, offset: usize) -> c_int {
    status(|| Event::new(place(area, "signal an event")?, offset)?.signal())
}

/// Returns the count of an event counter.
///
/// As areas_event_signal, but for AREAS_ERROR_READ_ONLY where it may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_event_count(area: Option<&Handle>, offset: usize, count: *mut u32) -> c_int {
    status(|| {
        const WHAT: &str = "get the count of an event";
        let event = Event::new(place(area, WHAT)?, offset)?;
        // SAFETY: C passes NULL, or room for a number.
        unsafe { give(count, WHAT, || event.load()) }
    })
}

/// Waits until the count of an event counter is another one than `seen`, and returns that: for so
/// many milliseconds; a negative time is no timeout. It takes the right to read only. A
/// cancellation point. Signals of processes do not end the wait. What was written before
/// areas_event_signal is seen behind it.
///
/// AREAS_ERROR_TIMED_OUT; AREAS_ERROR_FROZEN: the area was frozen, and no process can signal any
/// more; as areas_event_count.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn areas_event_wait(
    area: Option<&Handle>,
    offset: usize,
    seen: u32,
    milliseconds: i64,
    count: *mut u32,
) -> c_int {
    let whole = time(milliseconds);
    in_steps(whole, |step| {
        let mut goes_on = false;
        let answer = number(|| {
            const WHAT: &str = "wait for an event";
            let event = Event::new(place(area, WHAT)?, offset)?;
            // SAFETY: C passes NULL, or room for a number.
            match unsafe { give(count, WHAT, || event.wait(seen, length(&step))) } {
                Ok(()) => Ok(0),
                Err(error) => ended(error, &step, whole, &mut goes_on),
            }
        });
        (!goes_on).then_some(answer)
    })
}

/// The writer of a sequence lock: areas_seqlock_writer makes it, areas_seqlock_end ends it. Any
/// thread may use it, one at a time. Its area's handle must stay as long.
#[derive(Debug)]
pub struct Writing {
    area: *const Handle,
    writer: DetachedWriter,
}

/// Bytes that a sequence lock takes besides what is in it.
pub const AREAS_SEQLOCK_HEADER: usize = 16;
const _: () = assert!(AREAS_SEQLOCK_HEADER == SeqLock::HEADER);

/// Becomes the writer of the sequence lock at `offset` of a shared area, a multiple of 8, with
/// `size` bytes in it: it takes AREAS_SEQLOCK_HEADER bytes more. One process writes, and many read,
/// whole or not at all, without waiting for each other. Zeros are one that was never written.
///
/// AREAS_ERROR_BUSY: it has a writer, which is alive. AREAS_ERROR_OUT_OF_RANGE,
/// AREAS_ERROR_INVALID_INPUT, AREAS_ERROR_READ_ONLY; else as areas_mutex_lock at a thread's first
/// lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_seqlock_writer(
    area: *const Handle,
    offset: usize,
    size: usize,
) -> *mut Writing {
    made(|| {
        // SAFETY: C passes NULL, or a handle that it has not released and that no other call
        // changes now.
        let of = shared(unsafe { area.as_ref() }, "write a sequence lock")?;
        Ok(Writing { area, writer: SeqLock::new(of, offset, size)?.writer()?.detach() })
    })
}

/// Writes all that is in a sequence lock.
///
/// AREAS_ERROR_INVALID_INPUT for another size; AREAS_ERROR_NOT_PERMITTED in a forked child, and if
/// another process has written over the writer's word.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_seqlock_write(
    writer: *mut Writing,
    bytes: *const c_void,
    size: usize,
) -> c_int {
    status(|| {
        const WHAT: &str = "write a sequence lock";
        // SAFETY: NULL or a writer that was not ended, and that nothing else uses (C's promise).
        let writing = unsafe { writer.as_mut() }.ok_or_else(|| invalid(WHAT, "the writer is NULL"))?;
        // SAFETY: its area's handle was not released (C's promise).
        let area = shared(unsafe { writing.area.as_ref() }, WHAT)?;
        if size > area.size() || bytes.is_null() && size > 0 {
            return Err(invalid(WHAT, "the bytes are NULL, or more than the area has"));
        }
        let bytes = match size {
            0 => &[],
            // SAFETY: not NULL and of a size that memory can have (checked), and then so many bytes
            // of the caller's own (C's promise).
            _ => unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size) },
        };
        writing.writer.write(area, bytes)
    })
}

/// Whether the writer before died in the middle of a write, and nothing was written since: 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_seqlock_interrupted(writer: *const Writing) -> c_int {
    number(|| {
        // SAFETY: NULL or a writer that was not ended (C's promise).
        let writing = unsafe { writer.as_ref() };
        let writing = writing.ok_or_else(|| invalid("look at a sequence lock", "the writer is NULL"))?;
        Ok(c_int::from(writing.writer.is_interrupted()))
    })
}

/// Ends a writer: another one may come. NULL is nothing to do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_seqlock_end(writer: *mut Writing) {
    catch_panic((), || {
        if !writer.is_null() {
            // SAFETY: a writer that was made by `made` and not ended (C's promise): a box of its
            // own.
            let mut writing = unsafe { Box::from_raw(writer) };
            // SAFETY: its area's handle was not released (C's promise).
            let area = shared(unsafe { writing.area.as_ref() }, "end a writer");
            writing.writer.end(area.ok());
        }
    });
}

/// Copies out what was written last into a sequence lock, all of one write, into memory of the
/// caller's own. `version`, unless it is NULL, is how often it was written. It takes the right to
/// read only.
///
/// AREAS_ERROR_BUSY: no copy was whole in some thousand attempts; AREAS_ERROR_OWNER_DIED: its
/// writer died in the middle of a write, and no other one has written since;
/// AREAS_ERROR_OUT_OF_RANGE, AREAS_ERROR_INVALID_INPUT, AREAS_ERROR_READ_ONLY,
/// AREAS_ERROR_UNSUPPORTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_seqlock_read(
    area: Option<&Handle>,
    offset: usize,
    into: *mut c_void,
    size: usize,
    version: *mut u64,
) -> c_int {
    status(|| {
        const WHAT: &str = "read a sequence lock";
        let area = shared(area, WHAT)?;
        let lock = SeqLock::new(area, offset, size)?;
        if into.is_null() && size > 0 {
            return Err(invalid(WHAT, "the pointer to the bytes is NULL"));
        }
        let into = match size {
            0 => &mut [],
            // SAFETY: not NULL and no larger than an area (checked), and then so many bytes of the
            // caller's own, no part of an area (C's promise). Whatever is in them are bytes, and
            // none is read before it is written.
            _ => unsafe { std::slice::from_raw_parts_mut(into.cast::<u8>(), size) },
        };
        let read = lock.read(into)?;
        if !version.is_null() {
            // SAFETY: not NULL (checked), and then room for a number (C's promise).
            unsafe { version.write_unaligned(read) };
        }
        Ok(())
    })
}

/// The shared area that C points to.
fn shared<'a>(area: Option<&'a Handle>, what: &'static str) -> Result<&'a Area<Shared>> {
    match look(area, what)? {
        Any::Shared(area) => Ok(area),
        other => Err(refused(other, what)),
    }
}

/// The area that C points to, for an event.
fn place<'a>(area: Option<&'a Handle>, what: &'static str) -> Result<Place<'a>> {
    match look(area, what)? {
        Any::Shared(area) => Ok(area.into()),
        Any::Resizable(area) => Ok(area.into()),
        other => Err(refused(other, what)),
    }
}

fn refused(area: &Any, what: &'static str) -> Error {
    match area {
        Any::Frozen(_) => Error::new(ErrorKind::Frozen, what).with_facts("no process can write it any more"),
        Any::Resizable(_) => Error::new(ErrorKind::Unsupported, what)
            .with_facts(
                "the area may shrink at any moment, so that no word in it can be accessed without a fault",
            )
            .with_remedy("put it into an area of kind AREAS_SHARED or AREAS_GROWABLE (events work here)"),
        _ => Error::new(ErrorKind::Unsupported, what)
            .with_facts("it is private or stored memory, which no other process shares as an area")
            .with_remedy("make it shared: kind AREAS_SHARED"),
    }
}

fn length(step: &Step) -> Duration {
    step.time.unwrap_or(Duration::MAX)
}

/// How a step ended that failed: the wait goes on if only its time was over.
fn ended(error: Error, step: &Step, whole: Option<Duration>, goes_on: &mut bool) -> Result<c_int> {
    if error.kind() != ErrorKind::TimedOut {
        return Err(error);
    }
    if !step.last {
        *goes_on = true;
        return Ok(0);
    }
    let reported = Error::new(ErrorKind::TimedOut, error.what().to_owned());
    Err(reported.with_facts(format!("that did not happen within {:?}", whole.unwrap_or_default())))
}

/// Gives C a number.
///
/// # Safety
/// NULL, or room for one.
unsafe fn give(number: *mut u32, what: &'static str, ask: impl FnOnce() -> Result<u32>) -> Result<()> {
    if number.is_null() {
        return Err(invalid(what, "the pointer to the count is NULL"));
    }
    let asked = ask()?;
    // SAFETY: not NULL (checked), and then room for a number (the caller).
    unsafe { number.write_unaligned(asked) };
    Ok(())
}
