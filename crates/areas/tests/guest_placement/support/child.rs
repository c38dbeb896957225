//! Forked children: other processes that share what the parent has, and go with it.

#![expect(unsafe_code, reason = "fork, waitpid, capset and the like; each block has its proof")]

use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::panic::AssertUnwindSafe;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It came to its end.
    Well,
    /// It panicked; it has said why on stderr.
    Panicked,
    /// By this signal.
    Signal(i32),
}

/// A child that was started. It is killed if it is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    pid: libc::pid_t,
    line: Option<Line>,
}

/// What parent and child hear of each other: that the other one has come so far.
#[derive(Debug)]
pub(crate) struct Line {
    from: PipeReader,
    to: PipeWriter,
}

impl Line {
    /// Asks the other side to go on.
    pub(crate) fn go(&mut self) {
        self.to.write_all(&[1]).unwrap();
    }

    /// Waits for that.
    #[track_caller]
    pub(crate) fn wait(&mut self) {
        self.from.read_exact(&mut [0]).unwrap_or_else(|_| panic!("the other process has ended"));
    }
}

impl Child {
    /// Runs `body` in a child of its own, beside this process.
    pub(crate) fn start(body: impl FnOnce(&mut Line)) -> Self {
        let ((from_child, to_parent), (from_parent, to_child)) =
            (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        // SAFETY: the tests run one at a time, so that no other thread holds what the child needs.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid > 0 {
            return Child { pid, line: Some(Line { from: from_child, to: to_child }) };
        }
        drop((from_child, to_child));
        // SAFETY: it only says that this process is to go when its parent does.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        std::panic::set_hook(Box::new(|info| {
            // libtest keeps what is printed, and would take it along into the grave.
            let _ = std::io::stderr().write_all(format!("in a child: {info}\n").as_bytes());
        }));
        let mut line = Line { from: from_parent, to: to_parent };
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| body(&mut line)));
        // SAFETY: ends this process without running what belongs to the parent (its tests, its exit
        // handlers).
        unsafe { libc::_exit(if ended.is_ok() { 0 } else { 101 }) }
    }

    pub(crate) fn go(&mut self) {
        self.line.as_mut().unwrap().go();
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) {
        self.line.as_mut().unwrap().wait();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        self.line = None;
        let mut status = 0;
        // SAFETY: `status` outlives the call, and the child is ours and has not been waited for.
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        assert_eq!(pid, self.pid);
        self.pid = 0;
        match (libc::WIFSIGNALED(status), libc::WEXITSTATUS(status)) {
            (true, _) => Ended::Signal(libc::WTERMSIG(status)),
            (false, 0) => Ended::Well,
            _ => Ended::Panicked,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.pid > 0 {
            // SAFETY: a child of ours that has not been waited for: no other process can have its
            // number.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            // SAFETY: that child, waited for here alone; the status is not asked for.
            unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
        }
    }
}

/// Runs `body` in a child and returns how that ended.
pub(crate) fn in_child(body: impl FnOnce()) -> Ended {
    Child::start(|_| body()).end()
}

/// Gives `CAP_SYS_NICE` up, for good: what moving pages that others have mapped takes.
pub(crate) fn without_nice() {
    without(23);
}

/// Gives a capability up, for good, by its number (`linux/capability.h`).
pub(crate) fn without(capability: u32) {
    // `_LINUX_CAPABILITY_VERSION_3`, this thread; effective, permitted and inheritable, the low
    // words first.
    let header = [0x2008_0522_u32, 0];
    let mut sets = [[0_u32; 3]; 2];
    // SAFETY: both have the kernel's layout and outlive the call.
    let got = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) };
    assert_eq!(got, 0);
    for set in &mut sets[0] {
        *set &= !(1 << capability);
    }
    // SAFETY: both have the kernel's layout and outlive the call, which only reads them.
    let set = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    assert_eq!(set, 0);
}

/// Makes this process one of an ordinary user, for good, which others of that user may look into.
pub(crate) fn as_nobody() {
    const NOBODY: u32 = 65534;
    // SAFETY: no group; the pointer is not read.
    assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) }, 0);
    // SAFETY: numbers.
    assert_eq!(unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) }, 0);
    // SAFETY: numbers.
    assert_eq!(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) }, 0);
    // SAFETY: a number; who changes his user is not dumpable else, and cannot be looked into.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) }, 0);
}

/// Has the kernel make no huge page for this process, nor collapse what it has mapped.
pub(crate) fn without_huge_pages() {
    // SAFETY: numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) }, 0);
}

/// Ends this process in so many seconds, even in the middle of a call (SIGALRM).
pub(crate) fn alarm(seconds: u32) {
    // SAFETY: a number; nothing is read or written.
    unsafe { libc::alarm(seconds) };
}

/// Sets an environment variable, in a child.
pub(crate) fn set_variable(name: &str, value: &str) {
    // SAFETY: a forked child has one thread.
    unsafe { std::env::set_var(name, value) };
}
