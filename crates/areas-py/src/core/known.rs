//! The areas of this process, by their memory: handles that lead to memory which is here already do
//! not open it again.
//!
//! Only the thread that has the interpreter comes here, so that none waits. Where the mutex is
//! taken all the same, this is a child that a C library's thread forked at that moment: then
//! nothing is known, and memory is opened again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use super::Core;

type Cores = Vec<Weak<Core>>;

/// By inode, and whether it may be written: each that is open, mostly one.
static HELD: Mutex<BTreeMap<(u64, bool), Cores>> = Mutex::new(BTreeMap::new());

/// Lets handles find it.
pub(crate) fn remember(core: &Arc<Core>, write: bool) {
    if let Ok(mut held) = HELD.try_lock() {
        held.entry((core.inode(), write)).or_default().push(Arc::downgrade(core));
    }
}

/// It goes: another area may get its inode.
pub(crate) fn forget(inode: u64) {
    if let Ok(mut held) = HELD.try_lock() {
        for write in [false, true] {
            let Some(cores) = held.get_mut(&(inode, write)) else { continue };
            cores.retain(|core| core.strong_count() > 0);
            if cores.is_empty() {
                held.remove(&(inode, write));
            }
        }
    }
}

/// The memory of that inode, where this process has it already: to be written, or whichever way it
/// is open.
pub(crate) fn find(inode: u64, write: bool) -> Option<Arc<Core>> {
    let held = HELD.try_lock().ok()?;
    let find = |write| held.get(&(inode, write))?.iter().find_map(Weak::upgrade);
    find(true).or_else(|| if write { None } else { find(false) })
}
