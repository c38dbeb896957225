//! Threads, as `OS.h` describes them, and waiting for them.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::c_char;
use std::time::Duration;

use areas::files;
use areas::registry;
use rustix::io::Errno;
use rustix::thread::gettid;

use super::errors::{
    BAD_ADDRESS, BAD_THREAD_ID, BAD_VALUE, ERROR, INTERRUPTED, NAME_NOT_FOUND, OK, Status, wrong,
};
use super::layout::{self, NAME_LENGTH, ThreadInfo};
use super::proc::{self, Stat};
use crate::edge::catch_panic;
use crate::waiting::{sleep, wait_for_child};

/// Linux keeps 15 bytes of a thread's name.
const LINUX_NAME: usize = 15;

fn describe(thread: i32) -> Result<ThreadInfo, Status> {
    let gone = || wrong(BAD_THREAD_ID, "describe a thread", "no thread has that number");
    if thread <= 0 {
        return Err(gone());
    }
    registry::join_once();
    let team = proc::team_of(thread).ok_or_else(gone)?;
    let stat = Stat::read(thread).filter(Stat::is_teams).ok_or_else(gone)?;
    let (stack_base, stack_end) = stack(thread, team);
    let (running, ready, asleep, suspended, waiting) = (1, 2, 4, 5, 6);
    let state = match stat.state {
        b'R' if thread == gettid().as_raw_nonzero().get() => running,
        b'R' => ready,
        b'T' | b't' => suspended,
        b'D' => waiting,
        _ => asleep,
    };
    Ok(ThreadInfo {
        thread,
        team,
        name: layout::field(&stat.name),
        state,
        priority: stat.priority(),
        sem: -1,
        user_time: stat.user_time(),
        kernel_time: stat.kernel_time(),
        stack_base,
        stack_end,
    })
}

/// A process's first stack, if the thread is the first one and it may be seen; other threads'
/// stacks are not marked as such.
fn stack(thread: i32, team: i32) -> (usize, usize) {
    if thread != team {
        return (0, 0);
    }
    // Paths in it may be in any encoding.
    let maps = files::read(format!("/proc/{team}/maps")).unwrap_or_default();
    let maps = String::from_utf8_lossy(&maps);
    let range = maps.lines().find(|line| line.ends_with("[stack]")).and_then(|line| {
        let (start, rest) = line.split_once('-')?;
        let end = rest.split(' ').next()?;
        Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    });
    range.unwrap_or((0, 0))
}

fn find(name: &[u8]) -> Status {
    let name = &name[..name.len().min(LINUX_NAME)];
    let named = |&thread: &i32| Stat::read(thread).is_some_and(|stat| stat.name == name);
    let found = proc::own_threads().into_iter().find(named);
    found.unwrap_or_else(|| wrong(NAME_NOT_FOUND, "find a thread", "no thread of this team has that name"))
}

const WAIT: &str = "wait for a thread";
const NO_THREAD: &str = "no thread has that number";
/// How often a thread that is not a child of ours is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Waits until a thread has ended: a forked child, whose exit code it gives (-1 if a signal ended
/// it), or any other one.
///
/// The thread may be cancelled while it waits: there is nothing here to drop.
fn wait(id: i32) -> Result<i32, Status> {
    if id <= 0 {
        return Err(bad(NO_THREAD));
    }
    match wait_for_child(id) {
        Ok(status) if libc::WIFEXITED(status) => return Ok(libc::WEXITSTATUS(status)),
        Ok(_) => return Ok(-1),
        Err(Errno::INTR) => return Err(catch_panic(ERROR, || wrong(INTERRUPTED, WAIT, "a signal came"))),
        Err(_) => {}
    }
    // No process is its own child, so that a child needs no question who asks.
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    if id == own || id == gettid().as_raw_nonzero().get() {
        return Err(bad("it would wait for itself"));
    }
    // No child of ours. Linux reports to no other process how it ended.
    let found = || Stat::read(id).filter(|stat| !stat.is_kernels()).map(|stat| stat.started());
    let started = catch_panic(None, found).ok_or_else(|| bad(NO_THREAD))?;
    let lives = |stat: Stat| stat.started() == started && !stat.has_ended();
    while catch_panic(false, || Stat::read(id).is_some_and(lives)) {
        // A signal makes it look sooner.
        sleep(LOOK_EVERY);
    }
    Ok(0)
}

fn bad(why: &'static str) -> Status {
    catch_panic(ERROR, || wrong(BAD_THREAD_ID, WAIT, why))
}

/// The calling thread, or the thread of this team that has a name.
///
/// # Safety
/// `name` is NULL or a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn find_thread(name: *const c_char) -> i32 {
    catch_panic(ERROR, || {
        // SAFETY: `name` is NULL, or a string that ends with a NUL (the caller).
        match unsafe { layout::text::<{ NAME_LENGTH - 1 }>(name) } {
            None => gettid().as_raw_nonzero().get(),
            Some((bytes, len)) => find(&bytes[..len]),
        }
    })
}

/// The description of a thread.
///
/// # Safety
/// `info` is NULL, or points to `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn _get_thread_info(thread: i32, info: *mut ThreadInfo, size: usize) -> i32 {
    catch_panic(ERROR, || {
        if info.is_null() {
            return wrong(BAD_ADDRESS, "describe a thread", "the pointer to the structure is NULL");
        }
        if size != size_of::<ThreadInfo>() {
            return wrong(BAD_VALUE, "describe a thread", "the structure has another size");
        }
        match describe(thread) {
            Ok(found) => {
                // SAFETY: `info` is NULL, or points to `size` writable bytes (the caller), which is
                // the structure's size (checked).
                unsafe { layout::put(info, found) };
                OK
            }
            Err(status) => status,
        }
    })
}

/// Sleeps for some microseconds. A cancellation point.
#[unsafe(no_mangle)]
extern "C-unwind" fn snooze(microseconds: i64) -> i32 {
    let Ok(microseconds) = u64::try_from(microseconds) else { return OK };
    if sleep(Duration::from_micros(microseconds)) { OK } else { INTERRUPTED }
}

/// Waits until a thread, or a forked child, has ended. A cancellation point.
///
/// # Safety
/// `exit_value` is NULL or points to a number.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn wait_for_thread(thread: i32, exit_value: *mut i32) -> i32 {
    match wait(thread) {
        Ok(code) => {
            // SAFETY: `exit_value` is NULL, or points to room for the value (the caller).
            unsafe { layout::put(exit_value, code) };
            OK
        }
        Err(status) => status,
    }
}
