//! The other teams: meeting those that came, forgetting those that went.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::State;
use super::joining::claim;
use super::known::{Hit, Known};
use super::news::{Quiet, is_settled};
use crate::error::Result;
use crate::registry::directory::{Directory, Link, Now, Times};
use crate::registry::peer::{State as PeerState, examine, is_proven_dead};
use crate::registry::source::Holder;

impl State {
    pub(super) fn forget_teams(&mut self) {
        self.teams.clear();
        self.names.clear();
        self.read_at = None;
        self.seen = None;
        self.quiet = Quiet::default();
    }

    /// Forgets a team that is proven dead, and clears its link away.
    pub(super) fn remove_dead_peer(&mut self, holder: &Holder) {
        if let Holder::Peer(peer) = holder {
            if let Some(directory) = &self.directory {
                directory.remove(peer.link());
            }
            self.teams.remove(peer.link());
        }
        forget_names(&mut self.names, &self.teams);
    }

    /// Meets the teams that came, forgets those that went. Without a change of the folder it is one
    /// `fstat`.
    pub(super) fn read_folder(&mut self, thoroughly: bool) -> Result<()> {
        self.retry_if_removed(|state| state.try_to_read_folder(thoroughly))
    }

    fn try_to_read_folder(&mut self, thoroughly: bool) -> Result<()> {
        let looked = self.settle_folder(thoroughly)?;
        self.seen = looked;
        let (Some(directory), Some(Times { teams: changed, .. })) = (&self.directory, looked) else {
            return Ok(());
        };
        if !thoroughly && self.read_at == Some(changed) {
            return Ok(());
        }
        let settled = is_settled(changed.time);
        let links = directory.links()?;
        self.link_again(&links)?;
        self.update_teams(links);
        if thoroughly {
            self.clear_empty_teams()?;
        }
        let any_unreadable = self.teams.values().any(|team| matches!(team, Known::Unreadable(_)));
        self.read_at = (settled && !any_unreadable).then_some(changed);
        Ok(())
    }

    /// Sees to it that the folder is the one that is in use now, and says when it changed last;
    /// `None` where there is none.
    #[inline]
    fn settle_folder(&mut self, thoroughly: bool) -> Result<Option<Times>> {
        if thoroughly {
            // What was not published yet is tried again at the next call, and reported to those who
            // publish.
            let _ = self.notice_user();
        }
        let mut looked = match self.directory.as_ref().map(Directory::now) {
            Some(Now::Here(times)) => Some(times),
            Some(Now::OtherUsers) => {
                let _ = self.become_user();
                None
            }
            Some(Now::Gone | Now::Unknown) | None => None,
        };
        // Who only looks may have come when another place was in use, and meets no process there.
        if looked.is_some()
            && self.own.is_none()
            && (thoroughly || self.teams.is_empty())
            && self.directory.as_ref().map(Directory::is_left).transpose()? == Some(true)
        {
            self.directory = None;
            looked = None;
        }
        if looked.is_none() {
            self.rejoin()?;
            // Whoever has a team joins, and does not only look: a folder that went in this moment
            // is an error below, and tried again.
            if self.own.is_none() && self.directory.as_ref().is_none_or(Directory::is_gone) {
                self.directory = Directory::open()?;
                self.forget_teams();
            }
            looked = self.directory.as_ref().map(Directory::times).transpose()?;
        }
        Ok(looked)
    }

    /// Makes our own team's link again, if it is not among those that are in the folder.
    fn link_again(&mut self, links: &[Link]) -> Result<()> {
        if let (Some(directory), Some(team)) = (&self.directory, &mut self.own)
            && !is_there(directory, links, team.link())?
            // Without its descriptor there is nothing to lead to: the next publication starts over.
            && team.is_intact()?
        {
            claim(team, directory, &self.held, &mut self.places)?;
        }
        Ok(())
    }

    /// Forgets the teams whose links are gone, and looks at those that are new.
    fn update_teams(&mut self, links: Vec<Link>) {
        // Whatever else names our own table is no other team's.
        let own = self.own.as_ref().map(|team| (team.link().pid, team.link().inode));
        let known = self.teams.len();
        // A dead one's link may be there for long: who knows its table keeps that, and a
        // descriptor, for as long.
        self.teams.retain(|link, team| match team {
            Known::Readable(peer) => links.contains(link) && peer.is_live(),
            Known::Unreadable(_) => links.contains(link),
        });
        if self.teams.len() < known {
            forget_names(&mut self.names, &self.teams);
        }
        for link in links.into_iter().filter(|link| Some((link.pid, link.inode)) != own) {
            // One that could not be read may let itself be read by now.
            if let Some(Known::Readable(_)) = self.teams.get(&link) {
                continue;
            }
            match examine(&link) {
                PeerState::Live(peer) => {
                    self.teams.insert(link, Known::Readable(Arc::from(peer)));
                }
                PeerState::Unreadable(reason) => {
                    self.teams.insert(link, Known::Unreadable(reason));
                }
                PeerState::Dead => {
                    // One that could not be read, and has died since, was known.
                    self.teams.remove(&link);
                    if let Some(directory) = &self.directory {
                        directory.remove(&link);
                    }
                }
            }
        }
    }

    /// Clears away the links of dead teams that had published nothing: no other process looks at
    /// these.
    fn clear_empty_teams(&self) -> Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let empty = directory.all_links()?.into_iter().filter(|link| link.empty);
        empty.filter(is_proven_dead).for_each(|dead| directory.remove(&dead));
        Ok(())
    }

    /// The control file, to wait on; `None` where there is no registry.
    pub(in crate::registry) fn control(&mut self) -> Result<Option<OwnedFd>> {
        self.read_folder(false)?;
        Ok(self.directory.as_ref().and_then(Directory::control))
    }

    /// Why the registry is not where it is looked for first; `None` where it is.
    pub(in crate::registry) fn remark(&mut self) -> Result<Option<String>> {
        self.read_folder(false)?;
        Ok(self.directory.as_ref().and_then(Directory::remark).map(str::to_owned))
    }

    /// Where the registry is, if it is there.
    pub(in crate::registry) fn path(&self) -> Option<std::path::PathBuf> {
        self.directory.as_ref().map(|directory| directory.path().to_owned())
    }
}

/// Whether our own link is in the folder, of which these links were read.
fn is_there(directory: &Directory, links: &[Link], own: &Link) -> Result<bool> {
    if own.empty { directory.has(own) } else { Ok(links.contains(own)) }
}

/// Forgets names of teams that are gone: who remembers one has the dead team's table open, and so
/// keeps it in memory.
fn forget_names(names: &mut HashMap<Box<[u8]>, Hit>, teams: &HashMap<Link, Known>) {
    names.retain(|_, hit| match &hit.holder {
        Holder::Own => true,
        Holder::Peer(peer) => teams.contains_key(peer.link()),
    });
}
