//! Which of a peer's objects may be taken by their numbers (`pidfd_getfd`): those that were there
//! when they were looked at.
//!
//! To take is faster than to look through `/proc` first, and it gives whatever has the number by
//! now. What turns out to be another file is neither used nor closed ([`crate::sys::foreign`]), and
//! from then on nothing is taken from that peer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::registry::directory::anothers;
use crate::registry::table::Record;
use crate::sys;

/// How many objects are remembered, by the lowest bits of their numbers in the peer. One that is
/// not is looked at again.
const REMEMBERED: usize = 64;

/// What is known of a peer's numbers. (No mutex: a forked child could inherit it held.)
#[derive(Debug)]
pub(super) struct Taking {
    /// It is not allowed, or a number has led to another file.
    given_up: AtomicBool,
    /// Whether any object of it was seen.
    any: AtomicBool,
    /// For each number the object that it led to, both as one word; 0 for none.
    seen: [AtomicU64; REMEMBERED],
}

impl Default for Taking {
    fn default() -> Self {
        Taking {
            given_up: AtomicBool::new(false),
            any: AtomicBool::new(false),
            seen: [const { AtomicU64::new(0) }; REMEMBERED],
        }
    }
}

impl Taking {
    /// Whether an area's object was seen under its number, and nothing speaks against taking it.
    pub(super) fn may_take(&self, record: &Record) -> bool {
        self.place(record).load(Ordering::Relaxed) == word(record) && self.may_take_any()
    }

    /// Whether one that is looked at now may be taken next: not of a peer that is met once, as that
    /// takes a descriptor of the process; nor of another user's, who may do to us what they could
    /// not do to themselves.
    pub(super) fn may_look(&self) -> bool {
        self.any.load(Ordering::Relaxed) && self.may_take_any() && !anothers::is_anothers()
    }

    fn may_take_any(&self) -> bool {
        !self.given_up.load(Ordering::Relaxed) && sys::foreign::may_take()
    }

    /// An area's object was looked at, and was there.
    pub(super) fn remember(&self, record: &Record) {
        self.any.store(true, Ordering::Relaxed);
        self.place(record).store(word(record), Ordering::Relaxed);
    }

    /// Nothing is taken any more.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    fn place(&self, record: &Record) -> &AtomicU64 {
        &self.seen[record.descriptor.unsigned_abs() as usize % REMEMBERED]
    }
}

/// Number and object as one word. Two that have the same one cost what a number that leads
/// elsewhere costs: all that is taken is looked at.
fn word(record: &Record) -> u64 {
    let number = u64::from(record.descriptor.unsigned_abs());
    record.object.inode.wrapping_add(record.object.device.rotate_left(48)) ^ number.rotate_left(32) | 1
}
