//! Root looks into another user's registry: looking only. Nothing is published there, made or
//! cleared away.

use std::sync::atomic::{AtomicU64, Ordering};

use super::state::state;
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
pub(super) fn is_anothers() -> bool {
    LOOKED_INTO.load(Ordering::Relaxed) != NO_USER
}

/// From now on this process looks into the registry of that user, and publishes nothing; `None`:
/// into its own again. For the command, which root runs.
///
/// # Errors
/// [`ErrorKind::NotPermitted`] for processes that are not root, [`ErrorKind::Registry`] where this
/// process has joined a registry already.
#[doc(hidden)]
pub fn look_into(user: Option<u32>) -> Result<()> {
    let own = sys::process::user();
    let user = user.filter(|&user| user != own);
    let what = || match user {
        Some(user) => format!("look into the registry of user {user}"),
        None => "look into this user's registry again".to_owned(),
    };
    if own != 0 && user.is_some() {
        return Err(Error::new(ErrorKind::NotPermitted, what())
            .with_facts(format!("we are user {own}, and only root may look into the registries of others"))
            .with_remedy("run it with sudo"));
    }
    let mut state = state()?;
    if !state.look_elsewhere() {
        return Err(Error::new(ErrorKind::Registry, what())
            .with_facts("this process has joined a registry: it would publish its areas for another user"));
    }
    LOOKED_INTO.store(user.map_or(NO_USER, u64::from), Ordering::Relaxed);
    Ok(())
}

/// An error where nothing may be published.
pub(super) fn only_look() -> Result<()> {
    match is_anothers() {
        false => Ok(()),
        true => Err(Error::new(ErrorKind::NotPermitted, "join the registry")
            .with_facts(format!("this process looks into the registry of user {}, and only looks", user()))),
    }
}
