//! Calls that a signal has interrupted.

use super::{Errno, Result};

/// Calls again when a signal interrupted it.
pub(super) fn retry<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
