//! What the library finds out of a machine and of a process, for the command that says it all:
//! `areas doctor`. No part of the interface for programs.

pub use crate::cgroup::{Room, Version, folder_of, hugetlb_rooms_of, memory_rooms_of, path_of};
pub use crate::populate::room::refuse_what_cannot_fit;
pub use crate::provider::transparent::{forbidden as transparent_forbidden, given as transparent_given};
pub use crate::registry::{Place, examine_place, usual_places};
pub use crate::sys::probe::{Answer, answers};
pub use crate::sys::sandbox::leave_out;
