//! The signals that end a holder, or are passed on to its command.

#![expect(unsafe_code, reason = "signals that have no name; the block has its proof")]

use std::io::{self, Write as _};
use std::num::NonZeroI32;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use areas::{Error, ErrorKind};
use rustix::process::{Pid, Signal};
use signal_hook::consts::signal::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGWINCH,
};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::pipe;

use crate::event::Event;
use crate::failure::Result;
use crate::output::reader;

/// Whether our process group is in front on a terminal, so that it gets what is typed (^C); unknown
/// where the terminal does not control us.
///
/// Both groups may be outside our pid namespace, which the kernel calls 0: rustix's `Pid` cannot be
/// that.
pub(crate) fn is_in_front(terminal: impl AsFd) -> Option<bool> {
    Some(nix::unistd::tcgetpgrp(terminal).ok()? == nix::unistd::getpgrp())
}

/// End a holder. (So do the others whose default is to end a process; these have its area go in
/// order, and a status.)
const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Are passed on to a command, which knows what they mean to it: all that a process sends to a
/// process to say something, and that would end us or be lost.
///
/// Left as they are: those that stop and continue a process; those by which the kernel notifies of
/// a fault or a limit of ours (SIGSEGV and its like, SIGABRT, SIGXCPU, SIGXFSZ, SIGPIPE); SIGCHLD
/// and SIGURG, which are about our own children and sockets.
const FORWARDED: [i32; 13] = [
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGWINCH, SIGPWR,
    SIGSTKFLT,
];

/// What signal-hook does not name: the kernel's numbers, other ones on SPARC and MIPS.
const SIGPWR: i32 = Signal::POWER.as_raw();
const SIGSTKFLT: i32 = Signal::STKFLT.as_raw();

/// Those that the kernel has no name for, of which a C library keeps the first ones to itself.
const REAL_TIME: RangeInclusive<i32> = 34..=64;

/// Reports signals from now on, instead of being ended by them.
///
/// Those that we were started to ignore stay ignored: `nohup areas put …`, and background jobs of a
/// script.
pub(crate) fn watch(with_command: bool, events: Sender<Event>) -> areas::Result<()> {
    let wanted: &[i32] = if with_command { &FORWARDED } else { &ENDING };
    let ignored = ignored();
    let failed = |error| Error::new(ErrorKind::System, "wait for signals").caused_by(error);
    let mut signals =
        Signals::new(wanted.iter().filter(|&&signal| !is_in(ignored, signal))).map_err(failed)?;
    if with_command {
        for signal in REAL_TIME.filter(|&signal| !is_in(ignored, signal)) {
            // Where the C library keeps it to itself, no process sends it.
            let _ = signals.add_signal(signal);
        }
    }
    let watch = move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(watch).map_err(failed)?;
    Ok(())
}

/// From now on a signal writes its number down, and then a byte to a pipe.
pub(crate) fn remember(signal: i32, number: &Arc<AtomicUsize>, wake: &UnixStream) -> io::Result<()> {
    // In this order: who is woken finds the number.
    flag::register_usize(signal, Arc::clone(number), usize::try_from(signal).unwrap_or(0))?;
    pipe::register(signal, wake.try_clone()?)?;
    Ok(())
}

/// Something to wait for beside sockets: it can be read once a signal came that ends a holder.
#[derive(Debug)]
pub(crate) struct Wake {
    pipe: UnixStream,
    other: UnixStream,
    signal: Arc<AtomicUsize>,
    unread: Arc<AtomicBool>,
}

impl Wake {
    /// From now on those signals do no more than that. Those that we were started to ignore stay
    /// ignored.
    pub(crate) fn by_signals() -> areas::Result<Self> {
        let failed = |error| Error::new(ErrorKind::System, "wait for signals").caused_by(error);
        let (pipe, other) = UnixStream::pair().map_err(failed)?;
        let signal = Arc::new(AtomicUsize::new(0));
        let ignored = ignored();
        for ending in ENDING.into_iter().filter(|&signal| !is_in(ignored, signal)) {
            remember(ending, &signal, &other).map_err(failed)?;
        }
        Ok(Wake { pipe, other, signal, unread: Arc::default() })
    }

    /// From now on it can be read, too, once no process can read our standard output any more.
    pub(crate) fn without_reader(&self) -> Result<()> {
        let failed =
            |error| Error::new(ErrorKind::System, "wait for the reader of the output").caused_by(error);
        let (mut other, unread) = (self.other.try_clone().map_err(failed)?, Arc::clone(&self.unread));
        reader::when_gone(move || {
            // In this order: who is woken finds it.
            unread.store(true, Ordering::Release);
            let _ = other.write_all(b"x");
        })
    }

    /// Whether no process can read our output any more.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire)
    }

    /// The signal that came, if one did.
    pub(crate) fn signal(&self) -> Option<i32> {
        i32::try_from(self.signal.load(Ordering::Acquire)).ok().filter(|&signal| signal != 0)
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Sends a signal that was reported on to a process.
pub(crate) fn pass_on(signal: i32, to: Pid) {
    let Some(number) = NonZeroI32::new(signal) else { return };
    // SAFETY: the kernel has sent it to us, so that it is a signal's number, and we asked for none
    // that the C library keeps to itself.
    let signal = unsafe { Signal::from_raw_nonzero_unchecked(number) };
    // The process may have ended at this moment.
    let _ = rustix::process::kill_process(to, signal);
}

/// Whether we were started to ignore it when we were started: `nohup`, background jobs of a script.
pub(crate) fn is_ignored(signal: i32) -> bool {
    is_in(ignored(), signal)
}

/// The set of ignored signals, as `/proc/self/status` has it; none where that cannot be read.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status)
}

fn ignored_in(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok())
        .unwrap_or(0)
}

/// Bit `n - 1` is signal `n`.
fn is_in(set: u64, signal: i32) -> bool {
    u32::try_from(signal - 1).is_ok_and(|bit| set.checked_shr(bit).is_some_and(|set| set & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_their_mask() {
        let set = ignored_in("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n");
        assert!(is_in(set, SIGHUP) && is_in(set, 13));
        assert!(!is_in(set, SIGINT) && !is_in(set, SIGTERM) && !is_in(set, 64) && !is_in(set, 0));
        assert_eq!(ignored_in(""), 0);
        // Rust's runtime ignores SIGPIPE.
        assert!(is_in(ignored(), 13));
    }
}
