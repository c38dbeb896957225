//! Joining the registry, and staying in it though its folder is removed.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::Ordering;

use super::{Counted, Held, Key, State};
use crate::error::{Error, ErrorKind, Result};
use crate::registry::directory::{Directory, Now};
use crate::registry::own::Team;
use crate::registry::own::by_address::{Place, Places};
use crate::sys;

impl State {
    /// Our team, which begins here where there was none, with or without an area to be published.
    /// One that is there was [replaced](State::replace_closed_table) before.
    pub(super) fn team(&mut self, empty: bool) -> Result<(&Directory, &mut Team)> {
        // The folder of teams may have been removed. What else is open is looked at where it is
        // needed: to begin, and to lease ids.
        let begins = self.own.as_ref().is_none_or(Team::needs_ids);
        if begins {
            self.notice_user()?;
        }
        let mut is_in_use = match self.directory.as_ref().map(Directory::now) {
            None | Some(Now::Gone) => false,
            Some(Now::Here(_) | Now::Unknown) => true,
            Some(Now::OtherUsers) => {
                self.become_user()?;
                false
            }
        };
        is_in_use &= !begins || self.directory.as_ref().is_some_and(Directory::is_joined);
        if !is_in_use {
            self.stay()?;
            let is_in_use = |directory: &Directory| directory.is_joined() && !directory.is_gone();
            if !self.directory.as_ref().is_some_and(is_in_use) {
                self.forget_teams();
                self.directory = Some(Directory::join()?);
            }
        }
        let Some(directory) = &self.directory else { unreachable!("joined above") };
        let team = match &mut self.own {
            Some(team) => team,
            none => none.insert(Team::create(directory, empty)?),
        };
        Ok((directory, team))
    }

    /// Joins the registry without an area: others can transfer some to us.
    pub(in crate::registry) fn join(&mut self) -> Result<()> {
        self.notice_user()?;
        self.replace_closed_table()?;
        self.publish_inherited()?;
        self.retry_if_removed(|state| {
            let (directory, team) = state.team(true)?;
            team.open_transfer_socket(directory)
        })
    }

    /// Joins where this process has not, for who only looks. What kept it from joining is tried
    /// again after a while.
    pub(in crate::registry) fn join_once(&mut self) {
        /// A second.
        const WHILE: u64 = 1_000_000_000;
        if self.own.as_ref().and_then(Team::transfer_socket).is_none() {
            let now = sys::process::boot_time();
            if now < self.not_again_before {
                return;
            }
            self.not_again_before = now + WHILE;
            if self.join().is_err() {
                return;
            }
        }
        self.here.is_team.store(true, Ordering::Relaxed);
    }

    /// Ensures that others find our team: publishes it again where the folder, or its link
    /// alone, was removed.
    pub(in crate::registry) fn keep(&mut self) -> Result<()> {
        self.notice_user()?;
        self.replace_closed_table()?;
        self.publish_inherited()?;
        self.retry_if_removed(Self::try_to_keep)?;
        match self.held.values().filter(|held| held.number.is_none()).count() {
            0 => Ok(()),
            lost => Err(Error::new(ErrorKind::Registry, "keep this process's areas published")
                .with_facts(format!(
                    "this process has closed the descriptors of {lost} of them, which others cannot find now"
                ))
                .with_remedy("do not close descriptors that are not yours (close_range, closefrom)")),
        }
    }

    fn try_to_keep(&mut self) -> Result<()> {
        self.stay()?;
        if let (Some(team), Some(directory)) = (&mut self.own, &self.directory)
            && !directory.has(team.link())?
        {
            claim(team, directory, &self.held, &mut self.places)?;
        }
        if let (Some(team), Some(directory)) = (&mut self.own, &self.directory)
            && team.transfer_socket().is_some()
        {
            // All else works without it.
            let _ = team.open_transfer_socket(directory);
        }
        Ok(())
    }

    /// What publishing needs of that: a table, and a folder.
    fn stay(&mut self) -> Result<()> {
        self.replace_closed_table()?;
        self.rejoin()
    }

    /// Joins again where the folder was removed under a team of ours.
    pub(super) fn rejoin(&mut self) -> Result<()> {
        if self.own.is_none() {
            return Ok(());
        }
        match self.directory.as_ref().map(Directory::now) {
            Some(Now::Here(_) | Now::Unknown) => return Ok(()),
            Some(Now::OtherUsers) => return self.become_user(),
            Some(Now::Gone) | None => {}
        }
        self.replace_closed_table()?;
        let Some(team) = &mut self.own else { return Ok(()) };
        let directory = Directory::join()?;
        // It is still there if only our descriptor of the folder was closed.
        if !directory.has(team.link())? {
            claim(team, &directory, &self.held, &mut self.places)?;
        }
        self.forget_teams();
        self.directory = Some(directory);
        Ok(())
    }
}

/// Claims a slot for our team in a folder. If it is another one, all areas have other ids, and
/// readers are notified.
pub(super) fn claim(
    team: &mut Team,
    directory: &Directory,
    held: &HashMap<Key, Held, BuildHasherDefault<Counted>>,
    places: &mut Places,
) -> Result<()> {
    let before = team.link().slot;
    let claimed = team.claim(directory);
    if claimed.is_err() || team.link().slot != before {
        for Held { area, number } in held.values().filter(|held| !held.area.claiming) {
            if let Some((_, record)) = number.and_then(|number| team.table().view().record(number)) {
                let _ = places.put(&Place::of(record.id, area).entry());
            }
        }
    }
    claimed
}
