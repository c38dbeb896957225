//! An area that is watched.

use areas::registry::{self, Source};
use areas::{Name, Policy};

/// An area at one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) id: i32,
    pub(super) name: Name,
    pub(super) pid: u32,
    pub(super) command: Option<String>,
    pub(super) object: (u64, u64),
    pub(super) address: usize,
    pub(super) size: usize,
    pub(super) frozen: bool,
    pub(super) retired: bool,
    /// Where new pages come from, as the kernel has it; `None` where it does not report that.
    pub(super) policy: Option<String>,
}

impl Area {
    /// `None` if it has just gone, or cannot be looked at.
    pub(super) fn of(source: &Source, before: Option<&Area>) -> Option<Self> {
        let info = source.info().ok()?;
        // What is frozen stays so, and need not be opened.
        let known = before.filter(|before| before.object == info.object && before.frozen);
        let frozen = known.is_some() || source.inspect().is_ok_and(|look| look.is_frozen());
        let policies = source.policies().ok();
        let joined =
            |policies: Vec<Policy>| policies.iter().map(Policy::to_string).collect::<Vec<_>>().join(", ");
        Some(Area {
            id: info.id.get(),
            command: match before {
                Some(before) => before.command.clone(),
                None => registry::command_of(info.pid),
            },
            name: info.name,
            pid: info.pid,
            object: info.object,
            address: info.address,
            size: info.size,
            frozen,
            retired: info.retired,
            policy: policies.map(joined),
        })
    }

    /// Whether it is the same area under a new id: its holder has published it again.
    pub(super) fn is_successor_of(&self, before: &Area) -> bool {
        (self.pid, self.object, self.address) == (before.pid, before.object, before.address)
    }
}
