//! Publishing areas under this process's team.

use std::sync::atomic::{Ordering, fence};

use super::{Held, Key, State};
use crate::error::Result;
use crate::registry::directory::{Directory, Now};
use crate::registry::table::{Announcement, AreaId};
use crate::registry::transfer::Claim;
use crate::sys;

/// How often the folder may be removed under a call, one time after the other, before the call
/// gives up.
const MAX_REMOVALS: u32 = 100;

impl State {
    /// Publishes what was inherited, under ids of our own. What could not be is tried again at the
    /// next call.
    pub(super) fn publish_inherited(&mut self) -> Result<()> {
        if !self.waiting {
            return Ok(());
        }
        let mut waiting: Vec<Key> =
            self.held.iter().filter(|(_, held)| held.number.is_none()).map(|(&key, _)| key).collect();
        // In the order in which they were made: which one is the oldest of a name stays so.
        waiting.sort_unstable();
        // A table that is started over concurrently makes them wait again.
        self.waiting = false;
        for key in waiting {
            // In a child, or after the program closed all descriptors, there may be none to lead
            // others to.
            let Some(held) = self.held.get(&key).filter(|held| held.has_descriptor()) else { continue };
            let area = held.area.clone();
            let (number, id) = self.announce(&area, None).inspect_err(|_| self.waiting = true)?;
            if let Some(held) = self.held.get_mut(&key) {
                held.number = Some(number);
            }
            self.show(key, id);
        }
        Ok(())
    }

    /// Publishes an area under this process's team, which begins with its first one.
    pub(in crate::registry) fn publish(&mut self, area: Announcement) -> Result<(Key, AreaId)> {
        self.publish_claimed(area, None)
    }

    /// The same for an area that another team has given, under the id that it claimed for it, if
    /// that can be.
    pub(super) fn publish_claimed(
        &mut self,
        area: Announcement,
        claim: Option<&Claim>,
    ) -> Result<(Key, AreaId)> {
        let address = area.address;
        let (key, id) = self.publish_beside(area, claim)?;
        self.addresses.insert(address, key);
        self.show(key, id);
        Ok((key, id))
    }

    /// The same, where another one may be shown at its address, which stays so.
    pub(super) fn publish_beside(
        &mut self,
        area: Announcement,
        claim: Option<&Claim>,
    ) -> Result<(Key, AreaId)> {
        self.replace_closed_table()?;
        self.publish_inherited()?;
        let (number, id) = self.announce(&area, claim)?;
        let key = Key(self.next_key);
        self.next_key += 1;
        self.held.insert(key, Held { area, number: Some(number) });
        Ok((key, id))
    }

    /// Has one that was published beside another one take that one's place, which goes.
    pub(super) fn take_place(&mut self, of: Key, key: Key) {
        self.withdraw(of);
        let Some(held) = self.held.get(&key) else { return };
        self.addresses.insert(held.area.address, key);
        if let Some(id) = self.id_of(key) {
            self.show(key, id);
        }
    }

    /// Does what needs the folder, and once more where that was removed concurrently. What has
    /// another reason is reported at once: who may not make the folder again may not the next time
    /// either.
    pub(super) fn retry_if_removed<T>(&mut self, mut call: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        for _ in 0..MAX_REMOVALS {
            match call(self) {
                Err(error)
                    if error.errno() == Some(sys::Errno::NOENT.into())
                        && self.directory.as_ref().is_some_and(Directory::is_gone) => {}
                other => return other,
            }
        }
        call(self)
    }

    /// The number of its record, and the id that it has now.
    pub(super) fn announce(&mut self, area: &Announcement, claim: Option<&Claim>) -> Result<(u32, AreaId)> {
        self.seen = None;
        if claim.is_none()
            && let Some(published) = self.announce_here(area)?
        {
            return Ok(published);
        }
        self.retry_if_removed(|state| {
            let (directory, team) = state.team(false)?;
            let published = team.publish(directory, area, claim)?;
            directory.wake_waiters();
            Ok(published)
        })
    }

    /// The same in the folder that we have joined, under an id that is leased: first the record,
    /// and then one look, which says whether the folder is still in use and whether there is news
    /// in it. `None` where it takes more than that: then nothing is published.
    fn announce_here(&mut self, area: &Announcement) -> Result<Option<(u32, AreaId)>> {
        let (Some(directory), Some(team)) = (&self.directory, &mut self.own) else { return Ok(None) };
        if team.needs_ids() || team.link().empty {
            return Ok(None);
        }
        let (number, id) = team.publish(directory, area, None)?;
        // Who waits looks for the record once the notification can be seen.
        fence(Ordering::SeqCst);
        match directory.now() {
            Now::Here(times) => self.seen = Some(times),
            Now::Unknown => {}
            Now::Gone | Now::OtherUsers => {
                // No process could find it there.
                team.withdraw(number)?;
                return Ok(None);
            }
        }
        self.wake_waiters();
        Ok(Some((number, id)))
    }
}
