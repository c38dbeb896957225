//! System calls of a side, counted by a tracer: in a forked child, which does the work a few times
//! and once more so many, so that what is done once falls out. The numbers are the same on a busy
//! machine.

use std::io;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::measure::Side;

/// So often the work is done, and so often in the longer one of two runs.
const TIMES: (u64, u64) = (4, 12);

/// After this time a registry in which no team comes or goes is known.
const SETTLED: Duration = Duration::from_millis(150);

/// System calls that one time makes; `None` where it cannot be traced.
pub fn calls(side: &mut Side<'_>) -> Result<Option<f64>> {
    let (Some(few), Some(many)) = (traced(side, TIMES.0)?, traced(side, TIMES.1)?) else { return Ok(None) };
    Ok(Some(many.saturating_sub(few) as f64 / (TIMES.1 - TIMES.0) as f64))
}

fn traced(side: &mut Side<'_>, times: u64) -> Result<Option<u64>> {
    // SAFETY: the child does the work, which is made for forked children (areas are), and ends
    // without anything of its parent's.
    match unsafe { libc::fork() } {
        -1 => bail!("fork: {}", io::Error::last_os_error()),
        0 => {
            let child = |side: &mut Side<'_>| -> Result<()> {
                // A forked child publishes what it inherited at its first call. That changes the
                // registry, and what has just changed is looked at more often.
                (side.work)(2)?;
                std::thread::sleep(SETTLED);
                (side.work)(2)?;
                // SAFETY: numbers only.
                if unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } != 0 {
                    bail!("traced by another process");
                }
                // SAFETY: stops this process, for its tracer.
                unsafe { libc::raise(libc::SIGSTOP) };
                (side.work)(times).map(drop)
            };
            let done = child(side);
            // SAFETY: ends this process without its parent's handlers and buffers.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        child => count(child),
    }
}

/// Stops at each system call, as it begins and as it ends, until it is over.
fn count(child: libc::pid_t) -> Result<Option<u64>> {
    let mut stops = 0;
    let mut started = false;
    loop {
        let mut status = 0;
        // SAFETY: a child of ours, a place for its status.
        if unsafe { libc::waitpid(child, &raw mut status, 0) } != child {
            bail!("waitpid: {}", io::Error::last_os_error());
        }
        if libc::WIFEXITED(status) {
            // One that failed had nothing to count: a contest will say why.
            return Ok((libc::WEXITSTATUS(status) == 0 && started).then_some(stops / 2));
        }
        if !libc::WIFSTOPPED(status) {
            return Ok(None);
        }
        let signal = match libc::WSTOPSIG(status) {
            libc::SIGSTOP if !started => {
                started = true;
                0
            }
            libc::SIGTRAP => {
                stops += 1;
                0
            }
            other => other,
        };
        // SAFETY: a stopped child of ours, and the signal that it is to have.
        if unsafe { libc::ptrace(libc::PTRACE_SYSCALL, child, 0, signal) } != 0 {
            bail!("ptrace: {}", io::Error::last_os_error());
        }
    }
}
