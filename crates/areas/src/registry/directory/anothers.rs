//! Root looks into another user's registry: looking only. Nothing is published there, made or
//! cleared away.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::sys;

/// No user has that number.
const NO_USER: u64 = u64::MAX;

/// Whose registry is looked into; [`NO_USER`]: the one of the user that this process works for.
static LOOKED_INTO: AtomicU64 = AtomicU64::new(NO_USER);

/// The user whose registry it is.
#[doc(hidden)]
pub fn user() -> u32 {
    u32::try_from(LOOKED_INTO.load(Ordering::Relaxed)).unwrap_or_else(|_| sys::process::user())
}

/// Whether it is another user's, so that it is only looked at.
pub(in crate::registry) fn is_anothers() -> bool {
    LOOKED_INTO.load(Ordering::Relaxed) != NO_USER
}

/// From now on that user's is looked into; `None`: one's own again.
pub(in crate::registry) fn set(user: Option<u32>) {
    LOOKED_INTO.store(user.map_or(NO_USER, u64::from), Ordering::Relaxed);
}

/// An error where nothing may be published.
pub(in crate::registry) fn only_look() -> Result<()> {
    match is_anothers() {
        false => Ok(()),
        true => Err(Error::new(ErrorKind::NotPermitted, "join the registry")
            .with_facts(format!("this process looks into the registry of user {}, and only looks", user()))),
    }
}
