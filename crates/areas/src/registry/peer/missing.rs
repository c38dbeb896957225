//! Areas that a peer lists although their memory is not under the number that it published: a
//! program closed the descriptor, or put another file there. Who looks for a name passes over them,
//! so that another holder of that name is found.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::asking;
use crate::registry::table::AreaId;

/// More are not remembered: for a team with so many of them it begins again.
const MAX_REMEMBERED: usize = 4096;

/// The areas of a peer that were found missing. (The mutex is a peer's own: see [`asking`].)
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// Whether there are any: what all look at.
    any: AtomicBool,
    ids: Mutex<HashSet<AreaId>>,
}

impl Missing {
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    pub(super) fn has(&self, id: AreaId) -> bool {
        if !self.any() {
            return false;
        }
        let _asking = asking();
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    pub(super) fn add(&self, id: AreaId) {
        let _asking = asking();
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() >= MAX_REMEMBERED {
            ids.clear();
        }
        ids.insert(id);
        self.any.store(true, Ordering::Relaxed);
    }
}
