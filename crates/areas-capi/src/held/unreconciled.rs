//! Whether areas have the addresses that are reported of them, or the program may have taken some
//! away.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What makes an area's addresses uncertain: [`MOVED`], [`LOOKING`] for each thread that looks at
/// all areas therefore, and [`UNDER_WAY`] for each call of the program that may be taking some away
/// at this moment.
static UNRECONCILED: AtomicUsize = AtomicUsize::new(0);

/// The program has taken addresses away from areas at a moment when that could not be looked at.
const MOVED: usize = 1;

const UNDER_WAY: usize = 2;

const LOOKING: usize = 1 << 32;

/// Has the next call look at what is left of all areas.
pub(crate) fn note_moved() {
    UNRECONCILED.fetch_or(MOVED, Ordering::AcqRel);
}

/// Whether all areas have the addresses that are reported for them, as far as is known here.
#[inline]
pub(crate) fn is_reconciled() -> bool {
    UNRECONCILED.load(Ordering::Acquire) == 0
}

/// Whether some area may still be said to have addresses that another one has by now: the thread
/// that is in the middle of something with it, or the next call, looks at it.
pub(crate) fn is_moved() -> bool {
    let now = UNRECONCILED.load(Ordering::Acquire);
    now & MOVED != 0 || now >= LOOKING
}

/// Whether all areas are to be looked at now, by this thread; until [`end_looking`], others go on
/// looking themselves.
pub(super) fn take_moved() -> bool {
    let under_way = |now: usize| (now & MOVED != 0).then(|| now - MOVED + LOOKING);
    !is_reconciled() && UNRECONCILED.fetch_update(Ordering::AcqRel, Ordering::Acquire, under_way).is_ok()
}

/// Says that they were looked at.
pub(super) fn end_looking() {
    end(LOOKING);
}

/// (A child that was forked since the beginning has [begun again](begin_again).)
fn end(what: usize) {
    let _ = UNRECONCILED.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |now| now.checked_sub(what));
}

/// Says that the program is about to call something that may take addresses away from areas: a
/// caller that gets an address from now on looks at it.
pub(super) fn begin_taking() {
    UNRECONCILED.fetch_add(UNDER_WAY, Ordering::AcqRel);
}

/// Says that it has been done, and looked at.
pub(super) fn end_taking() {
    end(UNDER_WAY);
}

/// For a forked child, which has none of the threads that were about to take addresses away: what
/// they have come to is looked at by the next call.
pub(super) fn begin_again() {
    if !is_reconciled() {
        UNRECONCILED.store(MOVED, Ordering::Release);
    }
}
