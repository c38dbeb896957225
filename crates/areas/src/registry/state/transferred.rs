//! Areas that other teams have transferred to this process.

use crate::registry::own::Key;
use crate::registry::source::Source;
use crate::registry::table::AreaId;

/// An area that another team has transferred to this process, and that the program has not taken
/// yet.
///
/// It is this process's own by now: mapped, published, found by others, and listed under this
/// process, which holds it until the program takes it with `take` and drops it, or ends.
///
/// As long as it is not taken it counts: a program has at most 256 of them, at most an eighth of
/// the descriptors that it may have (`RLIMIT_NOFILE`), 4 TiB of addresses, half of the RAM and an
/// eighth of it locked. Transfers beyond that stay pending in the kernel, and are accepted when
/// others were taken.
#[derive(Clone, Debug)]
pub struct Transferred {
    key: Key,
    source: Source,
    from: u32,
    former: AreaId,
}

impl Transferred {
    pub(in crate::registry) fn new(key: Key, source: Source, from: u32, former: AreaId) -> Self {
        Transferred { key, source, from, former }
    }

    pub(in crate::registry) fn key(&self) -> Key {
        self.key
    }

    /// Its description: its name, its id now, its address.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Its id now.
    #[must_use]
    pub fn id(&self) -> AreaId {
        self.source.id()
    }

    /// The id that it had where it came from. No area has it any more, unless it was assigned again
    /// since.
    #[must_use]
    pub fn former_id(&self) -> AreaId {
        self.former
    }

    /// The process that gave it, by the kernel's word; 0 for one outside this pid namespace. It may
    /// be gone.
    #[must_use]
    pub fn from(&self) -> u32 {
        self.from
    }
}
