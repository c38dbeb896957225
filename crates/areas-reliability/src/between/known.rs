//! What a looker knows of the trial: its peer, and whether all others must be seen.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};

/// The peer's process, and the id of what it offers.
static PEER: OnceLock<(u32, i32)> = OnceLock::new();

/// Whether all others of the registry must be seen, whatever changes.
static STRICT: AtomicBool = AtomicBool::new(false);

pub(super) fn is_strict() -> bool {
    STRICT.load(Ordering::Relaxed)
}

pub(super) fn peer() -> Result<(u32, i32)> {
    PEER.get().copied().context("there is no peer yet")
}

/// Takes note of them.
pub(super) fn note(strict: bool, pid: u32, id: i32) {
    STRICT.store(strict, Ordering::Relaxed);
    PEER.get_or_init(|| (pid, id));
}
