//! Threads, as `OS.h` tells of them, and waiting for them.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::c_char;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use rustix::thread::{NanosleepRelativeResult, gettid, nanosleep};

use super::errors::{
    BAD_ADDRESS, BAD_THREAD_ID, BAD_VALUE, ERROR, INTERRUPTED, NAME_NOT_FOUND, OK, Status, wrong,
};
use super::layout::{self, NAME_LENGTH, ThreadInfo};
use super::proc::{self, Stat};
use crate::edge::guarded;
use crate::text;

/// Linux keeps 15 bytes of a thread's name.
const LINUX_NAME: usize = 15;

fn describe(thread: i32) -> Result<ThreadInfo, Status> {
    let gone = || wrong(BAD_THREAD_ID, "tell of a thread", "no thread has that number");
    if thread <= 0 {
        return Err(gone());
    }
    let team = proc::team_of(thread).ok_or_else(gone)?;
    let stat = Stat::read(thread).ok_or_else(gone)?;
    let (stack_base, stack_end) = stack(thread, team);
    let (running, ready, asleep, suspended, waiting) = (1, 2, 4, 5, 6);
    let state = match stat.state {
        b'R' if thread == gettid().as_raw_nonzero().get() => running,
        b'R' => ready,
        b'T' | b't' | b'Z' | b'X' => suspended,
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

/// A process's first stack, if the thread is the first one and it may be seen; other threads' stacks are not marked as such.
fn stack(thread: i32, team: i32) -> (usize, usize) {
    if thread != team {
        return (0, 0);
    }
    // Paths in it may be in any encoding.
    let maps = text::read(format!("/proc/{team}/maps")).unwrap_or_default();
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

/// Waits until a thread has ended: a forked child, whose exit code it gives (-1 if a signal ended it), or any other one.
fn wait(id: i32) -> Result<i32, Status> {
    const WHAT: &str = "wait for a thread";
    let bad = |why| wrong(BAD_THREAD_ID, WHAT, why);
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    if id == gettid().as_raw_nonzero().get() || id == own {
        return Err(bad("it would wait for itself"));
    }
    let Some(pid) = Some(id).filter(|&id| id > 0).and_then(Pid::from_raw) else {
        return Err(bad("no thread has that number"));
    };
    match waitpid(Some(pid), WaitOptions::empty()) {
        Ok(ended) => return Ok(ended.map_or(0, |(_, status)| exit_code(status))),
        Err(Errno::INTR) => return Err(wrong(INTERRUPTED, WHAT, "a signal came")),
        Err(_) => {}
    }
    // No child of ours. Linux tells nobody else how it ended.
    let started = Stat::read(id).ok_or_else(|| bad("no thread has that number"))?.started();
    let lives = |stat: Stat| stat.started() == started && !matches!(stat.state, b'Z' | b'X');
    while Stat::read(id).is_some_and(lives) {
        thread::sleep(Duration::from_millis(2));
    }
    Ok(0)
}

fn exit_code(status: WaitStatus) -> i32 {
    status.exit_status().unwrap_or(-1)
}

/// The calling thread, or the thread of this team that has a name.
///
/// # Safety
/// `name` is NULL or a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn find_thread(name: *const c_char) -> i32 {
    guarded(ERROR, || {
        // SAFETY: the caller's promise.
        match unsafe { layout::text::<{ NAME_LENGTH - 1 }>(name) } {
            None => gettid().as_raw_nonzero().get(),
            Some((bytes, len)) => find(&bytes[..len]),
        }
    })
}

/// What can be told of a thread.
///
/// # Safety
/// `info` is NULL, or points to `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn _get_thread_info(thread: i32, info: *mut ThreadInfo, size: usize) -> i32 {
    guarded(ERROR, || {
        if info.is_null() {
            return wrong(BAD_ADDRESS, "tell of a thread", "the pointer to the structure is NULL");
        }
        if size != size_of::<ThreadInfo>() {
            return wrong(BAD_VALUE, "tell of a thread", "the structure has another size");
        }
        match describe(thread) {
            Ok(found) => {
                // SAFETY: the caller's promise, and `size` is the structure's (checked).
                unsafe { layout::put(info, found) };
                OK
            }
            Err(status) => status,
        }
    })
}

/// Sleeps for some microseconds.
#[unsafe(no_mangle)]
extern "C" fn snooze(microseconds: i64) -> i32 {
    guarded(ERROR, || {
        let Ok(microseconds) = u64::try_from(microseconds) else { return OK };
        let time = Duration::from_micros(microseconds);
        let Ok(time) = time.try_into() else { return BAD_VALUE };
        match nanosleep(&time) {
            NanosleepRelativeResult::Ok => OK,
            NanosleepRelativeResult::Interrupted(_) => INTERRUPTED,
            NanosleepRelativeResult::Err(_) => BAD_VALUE,
        }
    })
}

/// Waits until a thread, or a forked child, has ended.
///
/// # Safety
/// `exit_value` is NULL or points to a number.
#[unsafe(no_mangle)]
unsafe extern "C" fn wait_for_thread(thread: i32, exit_value: *mut i32) -> i32 {
    guarded(ERROR, || match wait(thread) {
        Ok(code) => {
            // SAFETY: the caller's promise.
            unsafe { layout::put(exit_value, code) };
            OK
        }
        Err(status) => status,
    })
}
