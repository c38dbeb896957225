//! What areas leave to the rest of the program of the mappings that a process may have.
//!
//! A process that has used up `vm.max_map_count` can neither allocate memory nor start a thread: it
//! dies of the next `malloc`, not of the area that was one too many. So areas stop short of the
//! limit, with an error.
//!
//! How many mappings there are only the kernel knows (it merges adjacent VMAs, and the program maps
//! what it likes), and to ask takes the longer the more there are. So it is asked again when half
//! of the room that there was has been used: 16 times on the way to the limit, and never for a
//! program of a few hundred areas. At the limit itself it is asked each time.

use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// The part of the limit that is left to others: one of this many, 4,095 of 65,530.
const PART: usize = 16;

/// How many more areas may be made before the kernel is asked.
static UNASKED: AtomicUsize = AtomicUsize::new(256);

/// Refuses one more area where it would take what others need. It comes before the mapping is made.
///
/// # Errors
/// [`ErrorKind::Limit`].
pub(crate) fn keep(what: impl FnOnce() -> String) -> Result<()> {
    let less_one = |unasked: usize| unasked.checked_sub(1);
    if UNASKED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less_one).is_ok() {
        return Ok(());
    }
    // Where it cannot be asked (no descriptor, no /proc), the kernel's own limit is all there is.
    let (Some(used), Some(limit)) = (used(), limit()) else { return Ok(()) };
    match room(used, limit) {
        0 => Err(Error::new(ErrorKind::Limit, what())
            .with_facts(format!(
                "vm.max_map_count is {limit}, {used} mappings in use, 1 wanted; {} are left to the program",
                limit / PART
            ))
            .with_remedy(format!(
                "`sysctl vm.max_map_count={}` as root; or make fewer and larger areas",
                limit.saturating_mul(4)
            ))),
        room => {
            UNASKED.store(unasked_for(room), Ordering::Relaxed);
            Ok(())
        }
    }
}

/// How many mappings may still be made for areas.
fn room(used: usize, limit: usize) -> usize {
    (limit - limit / PART).saturating_sub(used)
}

/// Half of the room, as the program maps things too. One of them is the area that asks.
fn unasked_for(room: usize) -> usize {
    (room / 2).saturating_sub(1)
}

fn limit() -> Option<usize> {
    crate::sys::text::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

/// The lines of this process's list of mappings, without keeping megabytes of them.
fn used() -> Option<usize> {
    let mut list = crate::sys::text::open("/proc/thread-self/maps").ok()?;
    let mut bytes = vec![0; 1 << 16];
    let mut lines = 0;
    loop {
        match list.read(&mut bytes) {
            Ok(0) => return Some(lines),
            Ok(len) => lines += bytes[..len].iter().filter(|&&byte| byte == b'\n').count(),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_left() {
        for (used, limit, expected) in [
            (0, 65_530, 61_435),
            (61_434, 65_530, 1),
            (61_435, 65_530, 0),
            (65_530, 65_530, 0),
            // The limit may be lowered under us.
            (70_000, 65_530, 0),
            (0, 0, 0),
        ] {
            assert_eq!(room(used, limit), expected, "{used} of {limit}");
        }
    }

    /// Whatever the room, areas made without asking never take more than there was.
    #[test]
    fn nothing_is_taken_unasked() {
        for room in 1..1000 {
            assert!(unasked_for(room) < room, "{room}");
        }
        let (mut room, mut asked) = (61_435, 0);
        while room > 0 {
            room -= 1 + unasked_for(room);
            asked += 1;
        }
        assert_eq!(asked, 17);
    }

    #[test]
    fn the_kernel_says_how_many_there_are() {
        let listed = std::fs::read_to_string("/proc/thread-self/maps").unwrap().lines().count();
        let counted = used().unwrap();
        // Other tests map and unmap concurrently.
        assert!(counted.abs_diff(listed) < 1000 && counted > 0, "{counted}, {listed}");
    }
}
