//! Sandboxes that kill: a filter may end the process at a call that it does not know, where others
//! answer with an error number. So what is only faster, or has a substitute, is not called where
//! that is to be feared.

use std::sync::atomic::{AtomicU8, Ordering};

use super::{process, text};

/// Names calls that are not to be made, with commas between.
const VARIABLE: &str = "AREAS_WITHOUT";

/// A call that the library can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Taking another process's descriptor by its number: else it is opened through `/proc`.
    PidfdGetfd,
    /// Resident bytes of an object: else `mincore`, on a mapping.
    Cachestat,
    /// Resident pages of a mapping: without it they are not reported.
    Mincore,
    /// The nodes of pages: without it only totals are reported.
    MovePages,
}

impl Call {
    const ALL: [Call; 4] = [Call::PidfdGetfd, Call::Cachestat, Call::Mincore, Call::MovePages];

    const fn name(self) -> &'static str {
        match self {
            Call::PidfdGetfd => "pidfd_getfd",
            Call::Cachestat => "cachestat",
            Call::Mincore => "mincore",
            Call::MovePages => "move_pages",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The calls that are not made, a bit each, and [`KNOWN`] once that was looked up. (No mutex: a
/// forked child could inherit it held. Looked up twice, it comes out the same.)
static WITHOUT: AtomicU8 = AtomicU8::new(0);
const KNOWN: u8 = 1 << 7;

/// Whether a call may be made. What is asked the first time holds for the life of the process.
pub(crate) fn may(call: Call) -> bool {
    let mut without = WITHOUT.load(Ordering::Relaxed);
    if without & KNOWN == 0 {
        let named = process::variable(VARIABLE);
        without = KNOWN | look_up(named.as_ref().and_then(|named| named.to_str()), is_filtered);
        WITHOUT.store(without, Ordering::Relaxed);
    }
    without & call.bit() == 0
}

/// Leaves out calls, by name, whatever the variable says: for callers that have found out which of
/// them kill.
pub fn leave_out(names: &[&str]) {
    let bits = Call::ALL.into_iter().filter(|call| names.contains(&call.name())).map(Call::bit);
    // So that what the variable says, and what a filter makes likely, is looked up first.
    may(Call::Mincore);
    WITHOUT.fetch_or(bits.fold(0, |all, bit| all | bit), Ordering::Relaxed);
}

/// What the variable says. Where it says nothing, a process that has a filter already does without
/// what the lists from which filters are made do not have: `pidfd_getfd` is for debuggers there
/// (systemd's `@debug`), and saves two calls; `cachestat` is younger than most of them.
fn look_up(named: Option<&str>, is_filtered: impl FnOnce() -> bool) -> u8 {
    match named {
        Some(named) => {
            let has = |call: &Call| named.split(',').any(|name| name.trim() == call.name());
            Call::ALL.into_iter().filter(has).map(Call::bit).fold(0, |all, bit| all | bit)
        }
        None if is_filtered() => Call::PidfdGetfd.bit() | Call::Cachestat.bit(),
        None => 0,
    }
}

/// Whether this thread has a seccomp filter. `prctl(PR_GET_SECCOMP)` would say, and may be what the
/// filter kills for.
fn is_filtered() -> bool {
    match text::read_to_string("/proc/thread-self/status") {
        Ok(status) => has_filter(&status),
        // Nothing is lost but speed.
        Err(_) => true,
    }
}

fn has_filter(status: &str) -> bool {
    let field = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    field.is_some_and(|mode| mode.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_left_out() {
        let filtered = || true;
        assert_eq!(look_up(Some("pidfd_getfd"), filtered), Call::PidfdGetfd.bit());
        assert_eq!(
            look_up(Some("mincore, cachestat"), filtered),
            Call::Mincore.bit() | Call::Cachestat.bit()
        );
        assert_eq!(look_up(Some("move_pages"), filtered), Call::MovePages.bit());
        assert_eq!(look_up(Some("none"), filtered), 0);
        assert_eq!(look_up(None, filtered), Call::PidfdGetfd.bit() | Call::Cachestat.bit());
        assert_eq!(look_up(None, || false), 0);
    }

    #[test]
    fn a_filter_shows_in_the_status() {
        assert!(!has_filter("Name:\tx\nSeccomp:\t0\nSeccomp_filters:\t0\n"));
        assert!(has_filter("NoNewPrivs:\t1\nSeccomp:\t2\n"));
        // A kernel without seccomp has no filters.
        assert!(!has_filter("Name:\tx\n"));
    }
}
