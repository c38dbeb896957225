//! The user in whose registry this process is: another one after `setuid`, and for root the one
//! that it looks into.

use super::{State, state};
use crate::error::{Error, ErrorKind, Result};
use crate::registry::directory::{Directory, anothers};
use crate::sys;

impl State {
    /// Begins again for the user that this process works for by now: as a team of its own in that
    /// user's registry, as a forked child does. What is still held is published there. The old
    /// user's processes see that the old table is gone.
    pub(super) fn become_user(&mut self) -> Result<()> {
        self.places.clear();
        if let (Some(team), Some(directory)) = (self.own.take(), self.directory.take()) {
            // Mostly that is no longer permitted: the next looker sees that it leads nowhere.
            directory.remove(team.link());
        }
        self.directory = None;
        self.forget_teams();
        self.publish_again();
        self.publish_inherited()
    }

    /// Forgets the folder that was looked into, where this process has not joined. Whether it has
    /// not.
    pub(super) fn look_elsewhere(&mut self) -> bool {
        let only_looks = self.own.is_none() && self.held.is_empty();
        if only_looks {
            self.directory = None;
            self.forget_teams();
        }
        only_looks
    }

    /// Looks whether this process works for another user by now: for calls that are not made often.
    pub(super) fn notice_user(&mut self) -> Result<()> {
        match self.directory.as_ref().is_some_and(Directory::is_other_users) {
            true => self.become_user(),
            false => Ok(()),
        }
    }
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
    anothers::set(user);
    Ok(())
}
