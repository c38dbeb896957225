//! This process and others: identity, clocks, processors.

#![expect(unsafe_code, reason = "handlers of fork, the auxiliary vector; each block has its proof")]

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::process::{self, Pid, PidfdFlags, PidfdGetfdFlags};
use rustix::thread::{self, ClockId};

use super::descriptor::own;
use super::foreign::own_foreign;
use super::{Errno, Result};

/// Our process number, in the pid namespace that we are in.
pub(crate) fn pid() -> u32 {
    process::getpid().as_raw_nonzero().get().unsigned_abs()
}

/// The user whose rights we have.
pub(crate) fn user() -> u32 {
    process::geteuid().as_raw()
}

/// The user who started us: what others see as the sender of a packet.
pub(crate) fn real_user() -> u32 {
    process::getuid().as_raw()
}

/// An environment variable that is not empty.
///
/// None in a program that runs with more rights than its caller has (set-uid, set-gid, file
/// capabilities): the caller chose the variables, and not the rights. It is the rule of
/// `secure_getenv`.
pub(crate) fn variable(name: &str) -> Option<std::ffi::OsString> {
    // SAFETY: reads a number that the kernel gave to this process when the program began.
    let secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    if secure { None } else { std::env::var_os(name).filter(|value| !value.is_empty()) }
}

/// Whether a process of this number exists, a zombie included; a number that
/// is none (0, or more than `i32` holds) belongs to no process.
pub(crate) fn exists(pid: u32) -> bool {
    let Some(pid) = to_pid(pid) else { return false };
    // EPERM says that it exists and is not ours.
    !matches!(process::test_kill_process(pid), Err(Errno::SRCH))
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// A handle of a process that no other process can take over.
pub(crate) fn open(pid: u32) -> Result<OwnedFd> {
    let pid = to_pid(pid).ok_or(Errno::SRCH)?;
    own(|| process::pidfd_open(pid, PidfdFlags::empty()))
}

/// Whether two threads have one table of descriptors: threads of a process mostly do, and need not
/// (`unshare(CLONE_FILES)`).
///
/// EPERM for a process that may not look into them, ESRCH if one has ended, ENOSYS from kernels
/// without `kcmp`.
pub(crate) fn share_descriptors(one: u32, other: u32) -> Result<bool> {
    const KCMP_FILES: libc::c_long = 2;
    let (one, other) = (libc::c_long::from(one), libc::c_long::from(other));
    // SAFETY: all arguments are numbers; the call only compares.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, one, other, KCMP_FILES, 0, 0) };
    if order < 0 { Err(super::memory::last_errno()) } else { Ok(order == 0) }
}

/// A copy of another process's descriptor (ptrace attach rights).
///
/// It is of whatever the number has come to lead to, and must be looked at before it is closed
/// ([`foreign`](super::foreign)).
pub(crate) fn take_descriptor(process: BorrowedFd<'_>, number: i32) -> Result<OwnedFd> {
    own_foreign(|| process::pidfd_getfd(process, number, PidfdGetfdFlags::empty()))
}

/// Whether this process gets no transparent huge pages, and programs that it starts: inherited by
/// `fork`, kept by `exec`. What was so before.
pub(crate) fn set_huge_pages_disabled(disabled: bool) -> Result<bool> {
    const NONE: libc::c_ulong = 0;
    // SAFETY: asks for a number, and takes no memory.
    let before = unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, NONE, NONE, NONE, NONE) };
    if before < 0 {
        return Err(super::memory::last_errno());
    }
    // SAFETY: which pages the kernel takes changes no content; the call takes no memory.
    let status =
        unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, libc::c_ulong::from(disabled), NONE, NONE, NONE) };
    if status == 0 { Ok(before != 0) } else { Err(super::memory::last_errno()) }
}

/// Nanoseconds since boot, time asleep included: the same for all processes, never set back.
pub(crate) fn boot_time() -> u64 {
    nanoseconds(ClockId::Boottime)
}

/// The clock that stamps files: nanoseconds since 1970, a tick coarse.
pub(crate) fn file_time() -> u64 {
    nanoseconds(ClockId::RealtimeCoarse)
}

/// Nanoseconds since some time in the past, a tick coarse: the cheapest clock, which cannot be set.
pub(crate) fn coarse_time() -> u64 {
    nanoseconds(ClockId::MonotonicCoarse)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = rustix::time::clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// The processors that this thread may run on.
pub(crate) fn processors() -> Result<Vec<usize>> {
    let set = thread::sched_getaffinity(None)?;
    Ok((0..thread::CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Keeps this thread on the given processors.
pub(crate) fn stay_on(processors: &[usize]) -> Result<()> {
    let mut set = thread::CpuSet::new();
    for &cpu in processors.iter().filter(|&&cpu| cpu < thread::CpuSet::MAX_CPU) {
        set.set(cpu);
    }
    thread::sched_setaffinity(None, &set)
}

/// The processor that this thread is on at this moment.
pub(crate) fn processor() -> usize {
    thread::sched_getcpu()
}

/// Has two functions called around each `fork` of this process: before it, and after it in parent
/// and child.
pub(crate) fn at_fork(before: extern "C" fn(), after: extern "C" fn()) -> Result<()> {
    // SAFETY: the functions are part of this library, which stays as long as its handlers (glibc
    // takes them off when the library is unloaded), and may be called in any thread that forks.
    let status = unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    if status == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(status)) }
}

/// RAM and swap of the machine, in bytes.
pub(crate) fn memory() -> (u64, u64) {
    let info = rustix::system::sysinfo();
    let unit = u64::from(info.mem_unit.max(1));
    (info.totalram.saturating_mul(unit), info.totalswap.saturating_mul(unit))
}

/// Whether any page of the machine is swapped out.
pub(crate) fn is_swapping() -> bool {
    let info = rustix::system::sysinfo();
    info.totalswap != info.freeswap
}
