//! Stopping a process at each of its system calls, by ptrace.
//!
//! A victim says when its operation begins and ends by two calls that no kernel has; only what is
//! between them counts. What it does before is not stopped at all. Threads that it starts in the
//! meantime are followed like itself.

#![expect(unsafe_code, reason = "a union of the kernel's; the block has its proof")]

use std::collections::HashMap;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use areas_testing::stat;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::call::{BEGIN, Call, END};
use crate::operation::Subject;

/// On which side of a call a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    /// The kernel has not begun with it.
    Entry,
    /// The kernel has done it; the process does not know yet.
    Exit,
}

/// Where a process is stopped: at its `index`-th call since the operation began, from 0 on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    pub(crate) index: usize,
    pub(crate) side: Side,
    pub(crate) call: Call,
    /// The process.
    pub(crate) pid: Pid,
}

/// What is to happen at a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    GoOn,
    Kill,
    /// At an entry: the call is not made, and gives this error number.
    Refuse(i32),
    /// At an entry: the call is made, and this error number given all the same.
    DoAndTell(i32),
    /// It runs on without us. (Its other threads must have ended.)
    Detach,
}

/// How it came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    /// By us.
    Killed,
    Signaled(Signal),
    /// It has not: it runs on.
    Detached,
}

/// Nothing that is tried here takes that long, even on a machine that is busy.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Ends a process that hangs, so that the trial ends with a message.
struct Watchdog {
    watched: Arc<AtomicI32>,
    /// The state in which it hung, as `/proc/PID/stat` has it.
    state: Arc<AtomicU8>,
}

/// The state of a process, as `/proc/PID/stat` has it.
pub(crate) fn state_of(pid: u32) -> char {
    stat::of(pid).map_or('?', |stat| stat.state)
}

impl Watchdog {
    /// `awaited`: a process that it may wait for in a way that no signal ends.
    fn on(pid: Pid, timeout: Duration, awaited: Option<Pid>) -> Self {
        let watched = Arc::new(AtomicI32::new(pid.as_raw()));
        let theirs = Arc::clone(&watched);
        let state = Arc::new(AtomicU8::new(0));
        let reported = Arc::clone(&state);
        std::thread::spawn(move || {
            let step = Duration::from_millis(250);
            let mut left = timeout;
            while theirs.load(Ordering::Acquire) != 0 {
                if left.is_zero() {
                    reported.store(
                        u8::try_from(state_of(pid.as_raw().cast_unsigned())).unwrap_or(b'?'),
                        Ordering::Release,
                    );
                    let _ = kill(Pid::from_raw(theirs.swap(0, Ordering::AcqRel)), Signal::SIGKILL);
                    if let Some(awaited) = awaited {
                        let _ = kill(awaited, Signal::SIGKILL);
                    }
                    return;
                }
                std::thread::sleep(step);
                left = left.saturating_sub(step);
            }
        });
        Watchdog { watched, state }
    }

    /// Whether it was still waiting; else the state in which the process hung.
    fn off(&self) -> Result<(), char> {
        match self.watched.swap(0, Ordering::AcqRel) {
            0 => Err(char::from(self.state.load(Ordering::Acquire))),
            _ => Ok(()),
        }
    }
}

/// What is known of a thread that is followed.
#[derive(Clone, Copy, Debug, Default)]
struct Thread {
    at: Option<(usize, Call)>,
    fault: Option<(bool, i32)>,
}

/// Follows a victim that stopped itself, and asks at each stop what is to happen.
#[derive(Debug)]
pub(crate) struct Tracer {
    victim: Pid,
    /// The process whose calls count: the victim, or the child that it forks.
    subject: Option<Pid>,
    forks: bool,
    threads: HashMap<Pid, Thread>,
    next: usize,
    counting: bool,
    timeout: Duration,
    awaited: Option<Pid>,
}

impl Tracer {
    /// Waits until the victim has made everything ready.
    pub(crate) fn attach(victim: &Child, subject: Subject) -> Result<Self> {
        let victim = Pid::from_raw(i32::try_from(victim.id()).context("a process number")?);
        let watchdog = Watchdog::on(victim, TIMEOUT, None);
        let status = waitpid(victim, Some(WaitPidFlag::__WALL)).context("waitpid")?;
        let _ = watchdog.off();
        match status {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
            other => bail!("the victim did not come to its operation: {other:?}"),
        }
        let forks = subject != Subject::Itself;
        let mut options =
            Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACECLONE;
        if forks {
            options |= Options::PTRACE_O_TRACEFORK;
        }
        ptrace::setoptions(victim, options).context("PTRACE_SETOPTIONS")?;
        let subject = (!forks).then_some(victim);
        let threads = HashMap::new();
        let (next, counting, timeout, awaited) = (0, false, TIMEOUT, None);
        Ok(Tracer { victim, subject, forks, threads, next, counting, timeout, awaited })
    }

    /// How long it may take, and a process that it may wait for in a way that no signal ends: that
    /// one is killed with it.
    pub(crate) fn within(self, timeout: Duration, awaited: Option<u32>) -> Self {
        let awaited = awaited.and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        Tracer { timeout, awaited, ..self }
    }

    /// Lets it run to its end, or to ours. `Ended` is of the process whose calls count.
    pub(crate) fn follow(mut self, at_stop: &mut dyn FnMut(&Stop) -> Result<Then>) -> Result<Ended> {
        let timeout = self.timeout;
        let watchdog = Watchdog::on(self.victim, self.timeout, self.awaited);
        match self.forks {
            // Its own calls are not looked at, the fork alone is.
            true => ptrace::cont(self.victim, None),
            false => ptrace::syscall(self.victim, None),
        }
        .context("PTRACE_SYSCALL")?;
        let ended = self.run(at_stop);
        let in_time = watchdog.off();
        if ended.is_err() {
            let _ = self.kill();
        }
        if let Err(state) = in_time {
            bail!("it was still running after {timeout:?}, in state {state}");
        }
        ended
    }

    fn run(&mut self, at_stop: &mut dyn FnMut(&Stop) -> Result<Then>) -> Result<Ended> {
        loop {
            let status = waitpid(None, Some(WaitPidFlag::__WALL)).context("waitpid")?;
            let Some(tid) = status.pid() else { continue };
            match status {
                WaitStatus::PtraceSyscall(_) => {
                    let then = self.syscall_stop(tid, at_stop)?;
                    if then == Then::Kill {
                        self.kill()?;
                        return Ok(Ended::Killed);
                    }
                    if then == Then::Detach {
                        ptrace::detach(tid, None).context("PTRACE_DETACH")?;
                        return Ok(Ended::Detached);
                    }
                }
                WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_FORK) => {
                    let child = i32::try_from(ptrace::getevent(tid)?).context("a process number")?;
                    self.subject = Some(Pid::from_raw(child));
                    // The parent concerns no other process from here on.
                    ptrace::detach(tid, None).context("PTRACE_DETACH")?;
                }
                WaitStatus::PtraceEvent(..) => go_on(tid, None)?,
                // How a new thread or child begins.
                WaitStatus::Stopped(_, Signal::SIGSTOP) if !self.threads.contains_key(&tid) => {
                    self.threads.insert(tid, Thread::default());
                    go_on(tid, None)?;
                }
                WaitStatus::Stopped(_, signal) => go_on(tid, Some(signal))?,
                WaitStatus::Exited(pid, code) if Some(pid) == self.subject => return Ok(Ended::Exited(code)),
                WaitStatus::Signaled(pid, signal, _) if Some(pid) == self.subject => {
                    return Ok(Ended::Signaled(signal));
                }
                _ => {}
            }
        }
    }

    fn syscall_stop(&mut self, tid: Pid, at_stop: &mut dyn FnMut(&Stop) -> Result<Then>) -> Result<Then> {
        let info = ptrace::syscall_info(tid).context("PTRACE_GET_SYSCALL_INFO")?;
        let thread = self.threads.entry(tid).or_default();
        let mut then = Then::GoOn;
        let pid = self.subject.unwrap_or(self.victim);
        if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
            // SAFETY: `op` says that it is the entry's part of the union that the kernel has
            // filled.
            let entry = unsafe { info.u.entry };
            // Threads that begin and end unmap their stacks.
            let by_function = entry.nr == libc::SYS_munmap.cast_unsigned() && tid == pid;
            let returns = if by_function { word_at(tid, info.stack_pointer) } else { None };
            let call = Call { number: entry.nr, args: entry.args, from: info.instruction_pointer, returns };
            thread.at = None;
            match call.number {
                BEGIN => self.counting = true,
                _ if !self.counting => {}
                number => {
                    let index = self.next;
                    self.next += 1;
                    thread.at = Some((index, call));
                    then = at_stop(&Stop { index, side: Side::Entry, call, pid })?;
                    match then {
                        Then::Refuse(errno) => {
                            set_number(tid, u64::MAX)?;
                            thread.fault = Some((true, errno));
                        }
                        Then::DoAndTell(errno) => thread.fault = Some((false, errno)),
                        Then::GoOn | Then::Kill | Then::Detach => {}
                    }
                    self.counting = number != END;
                }
            }
        } else if let Some((index, call)) = thread.at.take() {
            if let Some((_, errno)) = thread.fault.take() {
                set_result(tid, -i64::from(errno))?;
            }
            if call.number != END {
                then = at_stop(&Stop { index, side: Side::Exit, call, pid })?;
            }
        }
        if !matches!(then, Then::Kill | Then::Detach) {
            go_on(tid, None)?;
        }
        Ok(then)
    }

    /// Kills the process whose calls count, and waits until it is gone.
    fn kill(&self) -> Result<()> {
        let pid = self.subject.unwrap_or(self.victim);
        match kill(pid, Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(errno).context("kill"),
        }
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::Signaled(gone, ..) | WaitStatus::Exited(gone, _)) if gone == pid => {
                    return Ok(());
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => return Ok(()),
                Err(errno) => return Err(errno).context("waitpid"),
            }
        }
    }
}

/// A thread may have been killed concurrently, with its process.
fn go_on(tid: Pid, signal: Option<Signal>) -> Result<()> {
    match ptrace::syscall(tid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno).context("PTRACE_SYSCALL"),
    }
}

/// Whether calls can be made to fail on this architecture.
pub(crate) const CAN_FAIL: bool = cfg!(target_arch = "x86_64");

/// What lies on top of a stopped thread's stack: where a function that has put nothing there
/// returns to.
fn word_at(tid: Pid, stack: u64) -> Option<u64> {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let address = usize::try_from(stack).ok()?;
    ptrace::read(tid, std::ptr::without_provenance_mut(address)).ok().map(libc::c_long::cast_unsigned)
}

/// Puts another call in place of the one that is entered; a number that no kernel has: none at all.
fn set_number(tid: Pid, number: u64) -> Result<()> {
    #[cfg(target_arch = "x86_64")]
    {
        let mut registers = ptrace::getregs(tid).context("PTRACE_GETREGS")?;
        registers.orig_rax = number;
        ptrace::setregs(tid, registers).context("PTRACE_SETREGS")
    }
    #[cfg(not(target_arch = "x86_64"))]
    bail!("not known for this architecture: thread {tid}, call {number}")
}

/// What a call that comes back gives.
fn set_result(tid: Pid, result: i64) -> Result<()> {
    #[cfg(target_arch = "x86_64")]
    {
        let mut registers = ptrace::getregs(tid).context("PTRACE_GETREGS")?;
        registers.rax = result.cast_unsigned();
        ptrace::setregs(tid, registers).context("PTRACE_SETREGS")
    }
    #[cfg(not(target_arch = "x86_64"))]
    bail!("not known for this architecture: thread {tid}, result {result}")
}
