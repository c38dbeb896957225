//! What the library finds out of a machine and of a process, for the command that says it all:
//! `areas doctor`. No part of the interface for programs.

pub use crate::cgroup::{Room, Version, folder_of, hugetlb_rooms_of, memory_rooms_of, path_of};
pub use crate::populate::admission::refuse_what_cannot_fit;
pub use crate::provider::transparent::{forbidden as transparent_forbidden, given as transparent_given};
pub use crate::registry::{Place, examine_place, usual_places};
pub use crate::sys::sandbox::leave_out;

use crate::error::Errno;
use crate::sys::probe;

/// The result of a system call that a child has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
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

/// The result of each call and of each feature of one, by name, in a fixed order.
#[must_use]
pub fn answers() -> Vec<(&'static str, Answer)> {
    let answer = |answer| match answer {
        probe::Answer::Works(value) => Answer::Works(value),
        probe::Answer::Refused(errno) => Answer::Refused(errno.into()),
        probe::Answer::Kills => Answer::Kills,
        probe::Answer::Silent => Answer::Silent,
        probe::Answer::Unasked => Answer::Unasked,
    };
    probe::answers().into_iter().map(|(name, came)| (name, answer(came))).collect()
}
