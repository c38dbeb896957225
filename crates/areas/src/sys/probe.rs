//! Which system calls this process may make, and which of them would end it, found out without
//! dying: a forked child makes them.
//!
//! A seccomp filter may answer a call with an error number, kill for it, or ask a supervisor who
//! never answers. All of that is the child's to bear: it says before each call which one comes, and
//! afterwards the result. Where it falls silent, the call that it had announced was the reason, and
//! another child goes on behind it. Each call is made such that it does nothing: with no bytes, or
//! with arguments that the kernel refuses once it has looked at the call's number and flags.

#![expect(unsafe_code, reason = "forks, and makes bare system calls in the child; each block has its proof")]

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use linux_raw_sys::mempolicy as raw;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::descriptor::{guard, move_up};
use super::maps::PROCMAP_QUERY;
use super::memory::last_errno;
use super::pages::PAGEMAP_SCAN;
use super::{Errno, Result};

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The kernel knows it and lets it through. For calls that give a number, that number.
    Works(u8),
    /// An error number that the kernel has not for such a call, unless it lacks it (ENOSYS) or a
    /// filter forbids it.
    Refused(Errno),
    /// The child was killed for it.
    Kills,
    /// No answer within two seconds: a supervisor that is asked does not answer.
    Silent,
    /// It was not made: there was no child to make it.
    Unasked,
}

/// A call to be tried.
struct Probe {
    name: &'static str,
    /// Makes it: what it gave, or the error number.
    call: fn() -> Result<i64>,
    /// The errors by which the kernel shows that it knows the call.
    known: &'static [Errno],
}

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// With so many calls that are not answered at all, no more are made.
const MAX_SILENT: usize = 3;
/// Announces a call, where an error number would stand otherwise.
const BEGUN: u8 = u8::MAX;
/// Bytes of what the child writes at once: which call, the result, what it returned, and one that
/// is not used.
const RECORD: usize = 4;

/// The outcome of each call and of each feature of one, by name, in a fixed order.
pub(crate) fn answers() -> Vec<(&'static str, Answer)> {
    let mut answers = vec![Answer::Unasked; PROBES.len()];
    let mut next = 0;
    while next < PROBES.len()
        && answers.iter().filter(|answer| **answer == Answer::Silent).count() < MAX_SILENT
    {
        match ask_from(next, &mut answers) {
            Some(after) if after > next => next = after,
            _ => break,
        }
    }
    PROBES.iter().map(|probe| probe.name).zip(answers).collect()
}

/// Has a child make the calls from that one on. Where the next child is to go on; `None` if nothing
/// can be learnt.
fn ask_from(first: usize, answers: &mut [Answer]) -> Option<usize> {
    let quiet = first > 0 && matches!(answers[0], Answer::Works(_));
    let (from, to) = pipe().ok()?;
    // SAFETY: the child makes bare system calls alone, and ends without coming back: it needs no
    // lock that another thread may hold.
    let child = unsafe { libc::fork() };
    if child == 0 {
        make_calls(first, quiet, to.as_raw_fd());
    }
    drop(to);
    if child < 0 {
        return None;
    }
    let child = Pid::from_raw(child)?;
    let (last, ended) = listen(&from, answers);
    if !ended {
        // It has its end of the pipe, and so its number.
        let _ = kill_process(child, Signal::KILL);
    }
    // Where SIGCHLD is ignored the kernel has reaped it: ECHILD.
    while matches!(waitpid(Some(child), WaitOptions::empty()), Err(Errno::INTR)) {}
    last.map(|at| at + 1)
}

/// Reads what the child says: the last call that it began, and whether it has ended.
fn listen(from: &OwnedFd, answers: &mut [Answer]) -> (Option<usize>, bool) {
    let mut last: Option<(usize, bool)> = None;
    loop {
        let mut record = [0; RECORD];
        let timeout = Timespec { tv_sec: TIMEOUT.as_secs().cast_signed(), tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&timeout));
        let heard = match ready {
            Err(Errno::INTR) => continue,
            Ok(0) | Err(_) => None,
            // Records are written whole, and so they are read.
            Ok(_) => Some(rustix::io::read(from.as_fd(), &mut record)),
        };
        match heard {
            Some(Err(Errno::INTR)) => {}
            Some(Ok(RECORD)) if usize::from(record[0]) < answers.len() => {
                let at = usize::from(record[0]);
                last = Some((at, record[1] != BEGUN));
                if record[1] != BEGUN {
                    answers[at] = answer(&PROBES[at], record[1], record[2]);
                }
            }
            other => {
                let ended = other.is_some();
                if let Some((at, false)) = last {
                    answers[at] = if ended { Answer::Kills } else { Answer::Silent };
                }
                return (last.map(|(at, _)| at), ended);
            }
        }
    }
}

fn answer(probe: &Probe, errno: u8, value: u8) -> Answer {
    if errno == 0 {
        return Answer::Works(value);
    }
    let errno = Errno::from_raw_os_error(errno.into());
    if probe.known.contains(&errno) { Answer::Works(0) } else { Answer::Refused(errno) }
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let _taken = guard();
    // SAFETY: the kernel writes two numbers into the array.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(last_errno());
    }
    let [from, to] = ends.map(|end| {
        // SAFETY: the kernel has just given us this descriptor, and nothing else knows its number.
        unsafe { OwnedFd::from_raw_fd(end) }
    });
    Ok((move_up(from)?, move_up(to)?))
}

/// The child: nothing but system calls, on this stack.
fn make_calls(first: usize, quiet: bool, to: i32) -> ! {
    let say = |record: [u8; RECORD]| {
        // SAFETY: reads the four bytes of the record.
        let written = unsafe { libc::write(to, record.as_ptr().cast(), RECORD) };
        if written != RECORD.cast_signed() {
            end();
        }
    };
    if quiet {
        let _ = no_core_dump();
    }
    let (mut at, probes) = (0_u8, PROBES.iter());
    for probe in probes {
        if usize::from(at) >= first {
            say([at, BEGUN, 0, 0]);
            let (errno, value) = match (probe.call)() {
                // Numbers of descriptors and bytes: the low byte does.
                Ok(value) => (0, value.to_le_bytes()[0]),
                Err(errno) => (errno.raw_os_error().to_le_bytes()[0], 0),
            };
            say([at, errno, value, 0]);
        }
        at = at.wrapping_add(1);
    }
    end();
}

fn end() -> ! {
    // SAFETY: ends this process, and runs nothing of it before.
    unsafe { libc::_exit(0) }
}

/// A bare system call with numbers alone.
fn bare(number: libc::c_long, arguments: [usize; 6]) -> Result<i64> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: made in a child that has copies of all memory and nothing to lose: at worst it dies,
    // which is what is to be found out.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { Err(last_errno()) } else { Ok(result) }
}

/// A C `int` as an argument: the kernel looks at its low half.
fn int(value: i32) -> usize {
    value.cast_unsigned() as usize
}

/// A number that a call gave.
fn number(value: i64) -> usize {
    usize::try_from(value).unwrap_or(NONE)
}

fn own_number() -> Result<usize> {
    bare(libc::SYS_getpid, [0; 6]).map(number)
}

/// No descriptor.
const NONE: usize = usize::MAX;
/// Of this process.
const SELF: usize = 0;

/// A killed process may leave a core dump: this one has nothing worth keeping.
fn no_core_dump() -> Result<i64> {
    let none = [0_u64; 2];
    bare(libc::SYS_prlimit64, [SELF, libc::RLIMIT_CORE as usize, none.as_ptr().addr(), 0, 0, 0])
}

fn is_advice(advice: i32) -> Result<i64> {
    // Of no bytes: the kernel looks at the advice first.
    bare(libc::SYS_madvise, [0, 0, int(advice), 0, 0, 0])
}

fn is_policy(mode: usize) -> Result<i64> {
    // For no bytes: the kernel looks at the mode first.
    bare(libc::SYS_mbind, [0, 0, mode, 0, 0, 0])
}

/// Asks a file of `/proc` something with no place for the answer: EFAULT, if it knows the question.
fn is_question(path: &std::ffi::CStr, question: usize) -> Result<i64> {
    let file = bare(
        libc::SYS_openat,
        [int(libc::AT_FDCWD), path.as_ptr().addr(), int(libc::O_RDONLY | libc::O_CLOEXEC), 0, 0, 0],
    )?;
    bare(libc::SYS_ioctl, [number(file), question, 0, 0, 0, 0])
}

const fn probe(name: &'static str, call: fn() -> Result<i64>, known: &'static [Errno]) -> Probe {
    Probe { name, call, known }
}

const FILE: &[Errno] = &[Errno::BADF];
const TEXT: &[Errno] = &[Errno::FAULT, Errno::BADF, Errno::INVAL];
const RANGE: &[Errno] = &[Errno::INVAL, Errno::NOMEM, Errno::FAULT];
const NOTHING: &[Errno] = &[];

/// In the order in which they are made. First what keeps a killed child from leaving a core dump.
static PROBES: [Probe; 50] = [
    probe("prlimit64", no_core_dump, NOTHING),
    probe("memfd_create", || bare(libc::SYS_memfd_create, [0, 3, 0, 0, 0, 0]), TEXT),
    probe("ftruncate", || bare(libc::SYS_ftruncate, [NONE, 0, 0, 0, 0, 0]), TEXT),
    probe("fallocate", || bare(libc::SYS_fallocate, [NONE, 0, 0, 1, 0, 0]), FILE),
    probe("fcntl", || bare(libc::SYS_fcntl, [NONE, int(libc::F_ADD_SEALS), 0, 0, 0, 0]), FILE),
    probe("fchmod", || bare(libc::SYS_fchmod, [NONE, 0, 0, 0, 0, 0]), FILE),
    probe("mmap", || bare(libc::SYS_mmap, [0, 0, 3, int(libc::MAP_SHARED), NONE, 0]), TEXT),
    probe("mprotect", || bare(libc::SYS_mprotect, [0, 0, 3, 0, 0, 0]), RANGE),
    probe("munmap", || bare(libc::SYS_munmap, [0, 0, 0, 0, 0, 0]), RANGE),
    probe("madvise", || is_advice(libc::MADV_NORMAL), NOTHING),
    probe("openat", || bare(libc::SYS_openat, [NONE, 0, 0, 0, 0, 0]), TEXT),
    probe("statx", || bare(libc::SYS_statx, [NONE, 0, 0, 0, 0, 0]), TEXT),
    probe("readlinkat", || bare(libc::SYS_readlinkat, [NONE, 0, 0, 0, 0, 0]), TEXT),
    probe("getdents64", || bare(libc::SYS_getdents64, [NONE, 0, 0, 0, 0, 0]), FILE),
    probe("mkdirat", || bare(libc::SYS_mkdirat, [NONE, 0, 0, 0, 0, 0]), TEXT),
    probe("symlinkat", || bare(libc::SYS_symlinkat, [0, NONE, 0, 0, 0, 0]), TEXT),
    probe("unlinkat", || bare(libc::SYS_unlinkat, [NONE, 0, 0, 0, 0, 0]), TEXT),
    probe("flock", || bare(libc::SYS_flock, [NONE, int(libc::LOCK_SH), 0, 0, 0, 0]), FILE),
    probe("pread64", || bare(libc::SYS_pread64, [NONE, 0, 0, 0, 0, 0]), FILE),
    probe("pwrite64", || bare(libc::SYS_pwrite64, [NONE, 0, 0, 0, 0, 0]), FILE),
    // Waking no thread, at no address: the kernel looks for the address.
    probe("futex", || bare(libc::SYS_futex, [0, int(libc::FUTEX_WAKE), 0, 0, 0, 0]), RANGE),
    probe("kill", || bare(libc::SYS_kill, [own_number()?, 0, 0, 0, 0, 0]), NOTHING),
    probe("sched_setaffinity", || bare(libc::SYS_sched_setaffinity, [SELF, 0, 0, 0, 0, 0]), RANGE),
    probe(
        "socket",
        || {
            bare(
                libc::SYS_socket,
                [int(libc::AF_UNIX), int(libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC), 0, 0, 0, 0],
            )
        },
        &[Errno::MFILE, Errno::NFILE],
    ),
    probe("bind", || bare(libc::SYS_bind, [NONE, 0, 0, 0, 0, 0]), FILE),
    probe("sendmsg", || bare(libc::SYS_sendmsg, [NONE, 0, 0, 0, 0, 0]), TEXT),
    probe("recvmsg", || bare(libc::SYS_recvmsg, [NONE, 0, 0, 0, 0, 0]), TEXT),
    probe(
        "pidfd_open",
        || bare(libc::SYS_pidfd_open, [own_number()?, 0, 0, 0, 0, 0]),
        &[Errno::MFILE, Errno::NFILE],
    ),
    probe("pidfd_getfd", || bare(libc::SYS_pidfd_getfd, [NONE, 0, 0, 0, 0, 0]), FILE),
    probe("process_vm_writev", || bare(libc::SYS_process_vm_writev, [own_number()?, 0, 0, 0, 0, 0]), NOTHING),
    // Where nothing may be locked (RLIMIT_MEMLOCK is 0) the answer is EPERM: that is reported where
    // the limit is.
    probe("mlock", || bare(libc::SYS_mlock, [0, 0, 0, 0, 0, 0]), NOTHING),
    probe("mlock2", || bare(libc::SYS_mlock2, [0, 0, 1, 0, 0, 0]), NOTHING),
    probe("munlock", || bare(libc::SYS_munlock, [0, 0, 0, 0, 0, 0]), NOTHING),
    probe("mbind", || is_policy(raw::_bindgen_ty_1::MPOL_DEFAULT as usize), NOTHING),
    probe("set_mempolicy", || bare(libc::SYS_set_mempolicy, [0, 0, 0, 0, 0, 0]), NOTHING),
    probe("get_mempolicy", || bare(libc::SYS_get_mempolicy, [0, 0, 0, 0, 0, 0]), NOTHING),
    probe("set_mempolicy_home_node", || bare(450, [0, 0, 0, 0, 0, 0]), &[Errno::INVAL]),
    probe("move_pages", || bare(libc::SYS_move_pages, [SELF, 0, 0, 0, 0, 0]), NOTHING),
    probe("cachestat", || bare(451, [NONE, 0, 0, 0, 0, 0]), TEXT),
    probe("mincore", || bare(libc::SYS_mincore, [0, 0, 0, 0, 0, 0]), RANGE),
    // LANDLOCK_CREATE_RULESET_VERSION: makes nothing, and gives a number.
    probe("landlock_create_ruleset", || bare(libc::SYS_landlock_create_ruleset, [0, 0, 1, 0, 0, 0]), NOTHING),
    probe("MFD_NOEXEC_SEAL", || bare(libc::SYS_memfd_create, [0, 11, 0, 0, 0, 0]), &[Errno::FAULT]),
    probe("MADV_POPULATE_WRITE", || is_advice(libc::MADV_POPULATE_WRITE), NOTHING),
    probe("MADV_COLLAPSE", || is_advice(libc::MADV_COLLAPSE), NOTHING),
    probe("MPOL_PREFERRED_MANY", || is_policy(raw::_bindgen_ty_1::MPOL_PREFERRED_MANY as usize), NOTHING),
    probe(
        "MPOL_WEIGHTED_INTERLEAVE",
        || is_policy(raw::_bindgen_ty_1::MPOL_WEIGHTED_INTERLEAVE as usize),
        NOTHING,
    ),
    probe(
        "balanced bind",
        || is_policy(raw::_bindgen_ty_1::MPOL_BIND as usize | raw::MPOL_F_NUMA_BALANCING as usize),
        NOTHING,
    ),
    probe(
        "balanced preferred-many",
        || is_policy(raw::_bindgen_ty_1::MPOL_PREFERRED_MANY as usize | raw::MPOL_F_NUMA_BALANCING as usize),
        NOTHING,
    ),
    probe("PAGEMAP_SCAN", || is_question(c"/proc/self/pagemap", PAGEMAP_SCAN as usize), &[Errno::FAULT]),
    probe(
        "PROCMAP_QUERY",
        || is_question(c"/proc/self/maps", usize::try_from(PROCMAP_QUERY).unwrap_or(0)),
        &[Errno::FAULT],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_asked_is_answered() {
        let answers = answers();
        assert_eq!(answers.len(), PROBES.len());
        assert!(
            answers.iter().all(|(_, answer)| !matches!(answer, Answer::Unasked | Answer::Silent)),
            "{answers:?}"
        );
        // Without these no test of this library would run.
        for name in ["memfd_create", "mmap", "fcntl", "openat", "MADV_POPULATE_WRITE"] {
            let (_, answer) = answers.iter().find(|(known, _)| *known == name).unwrap();
            assert!(matches!(answer, Answer::Works(_)), "{name}: {answer:?}");
        }
    }

    #[test]
    fn errors_that_the_kernel_has_for_such_a_call_are_no_refusal() {
        let of = |name: &str, errno: Errno| {
            let probe = PROBES.iter().find(|probe| probe.name == name).unwrap();
            answer(probe, errno.raw_os_error().to_le_bytes()[0], 0)
        };
        assert_eq!(of("pidfd_getfd", Errno::BADF), Answer::Works(0));
        assert_eq!(of("pidfd_getfd", Errno::PERM), Answer::Refused(Errno::PERM));
        assert_eq!(of("MADV_COLLAPSE", Errno::INVAL), Answer::Refused(Errno::INVAL));
        assert_eq!(of("mbind", Errno::NOSYS), Answer::Refused(Errno::NOSYS));
    }
}
