//! Deaths by the dozen: without core dumps.

use rustix::process::{Resource, Rlimit, setrlimit};

/// For this process and those it makes.
pub(crate) fn no_core_dumps() {
    // Where it is refused, a core dump costs time only.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}
