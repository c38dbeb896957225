//! The gate through which each call goes that uses areas, and at which who forks waits for all.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::unreconciled::begin_again;
use crate::slot::Slot;

/// Held for reading by threads in the middle of something with an area, for writing by who forks:
/// so a child finds every area whole, and no mutex that a thread holds which it does not have.
static GATE: RwLock<()> = RwLock::new(());

/// Goes through the gate, for the time of one call.
pub(super) fn enter() -> RwLockReadGuard<'static, ()> {
    GATE.read().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static FORKING: Slot<RwLockWriteGuard<'static, ()>> = const { Slot::new() };
}

/// Takes the gate, for a thread that is about to fork; [`unlock_after_fork`] releases it, in the
/// parent and in the child.
pub(super) fn lock_for_fork() {
    FORKING.with(|held| {
        // Called twice, it must not wait for itself: `forking::ready` says when that can be.
        let gate = held.take().unwrap_or_else(|| GATE.write().unwrap_or_else(PoisonError::into_inner));
        held.put(Some(gate));
    });
}

/// Releases the gate.
pub(super) fn unlock_after_fork() {
    drop(FORKING.with(Slot::take));
}

/// The same in a child, which has none of the threads that were about to take addresses away: what
/// they have come to is looked at by the next call.
pub(super) fn unlock_after_fork_in_child() {
    begin_again();
    unlock_after_fork();
}

/// Whether this thread is about to fork, or has just done so, and has the gate: it must not wait
/// for it.
pub(super) fn is_forking() -> bool {
    FORKING.with(|held| held.look(|_| ()).is_some())
}
