//! Signals of the program: its handlers run on its own threads, and not on ours.

#![expect(unsafe_code, reason = "the signal mask of a thread; each block has its proof")]

use std::mem::MaybeUninit;

/// What a thread brings about itself, by what it does. They stay as they are: the kernel kills a
/// process for a fault whose signal is blocked, where a handler of the program's would have written
/// a report, or made a system call for a sandbox (SIGSYS).
const OF_THE_THREAD: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// As long as it lives, this thread gets no signals, and the threads that it starts never do. What
/// comes in that time goes to another thread, or to this one afterwards.
#[derive(Debug)]
pub(crate) struct Blocked {
    /// `None` where the kernel did not let it be.
    before: Option<Mask>,
}

struct Mask(libc::sigset_t);

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask")
    }
}

impl Blocked {
    pub(crate) fn new() -> Self {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: there is room for a set, all of which is written. (The C library leaves out the
        // signals that are its own.)
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        // SAFETY: written above.
        let mut all = unsafe { all.assume_init() };
        for signal in OF_THE_THREAD {
            // SAFETY: a set, and a signal that there is.
            unsafe { libc::sigdelset(&raw mut all, signal) };
        }
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: a set that outlives the call, and room for another.
        let status = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, before.as_mut_ptr()) };
        let before = (status == 0).then(|| {
            // SAFETY: the call succeeded, and has written it.
            Mask(unsafe { before.assume_init() })
        });
        Blocked { before }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        if let Some(Mask(before)) = &self.before {
            // SAFETY: the set that this thread had, which outlives the call.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signals that are blocked for the calling thread, as bits from signal 1 on.
    fn blocked() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    }

    #[test]
    fn threads_that_are_started_concurrently_get_none() {
        let before = blocked();
        let guard = Blocked::new();
        let worker = std::thread::spawn(blocked);
        drop(guard);
        assert_eq!(blocked(), before);
        let worker = worker.join().unwrap();
        for signal in 1..=64 {
            let open = OF_THE_THREAD.contains(&signal)
                // These cannot be blocked, and the C library keeps two for itself.
                || [libc::SIGKILL, libc::SIGSTOP, 32, 33].contains(&signal);
            assert!(open || worker & (1 << (signal - 1)) != 0, "signal {signal}: {worker:#x}");
            assert!(
                !OF_THE_THREAD.contains(&signal) || (worker ^ before) & (1 << (signal - 1)) == 0,
                "signal {signal}: {worker:#x}"
            );
        }
    }
}
