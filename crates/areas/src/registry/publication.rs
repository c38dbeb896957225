//! An area of this process that is published: taken back when it is dropped.

use std::ops::Range;
use std::time::Duration;

use super::own::Key;
use super::state::Transferred;
use super::table::{Announcement, AreaId, Name, Note};
use super::{Arrival, state};
use crate::error::Result;
use crate::nodes::Placement;
use crate::object::Extent;
use crate::protection::Protection;
use crate::provider::Address;
use crate::sys::file::Identity;

/// An area's place in the registry, in this process and in the children that inherit it. Dropping
/// it withdraws the area.
#[derive(Debug)]
pub(crate) struct Publication(Key);

impl Publication {
    /// The area's place, and the id that it has there.
    pub(crate) fn new(area: Announcement) -> Result<(Self, AreaId)> {
        let mut state = state::state()?;
        let (key, id) = state.publish(area)?;
        state.hear();
        // Withdrawing, if it comes to that, takes the state's mutex.
        drop(state);
        Ok((Publication(key), id))
    }

    /// The same, where no other area has the name.
    pub(crate) fn alone(area: Announcement, timeout: Duration) -> Result<(Self, AreaId)> {
        let (key, id) = state::publish_alone(area, timeout)?;
        Ok((Publication(key), id))
    }

    /// Publishes the area under another name instead of its own; alone, if there is a timeout for
    /// that. The id that it has from then on. After an error all is as it was. `what` completes
    /// "cannot …".
    pub(crate) fn rename(&mut self, name: Name, alone: Option<Duration>, what: &str) -> Result<AreaId> {
        let (key, id) = state::rename(self.0, name, alone, what)?;
        self.0 = key;
        Ok(id)
    }

    /// The id, which is another one in a child that was forked since.
    pub(crate) fn id(&self) -> Option<AreaId> {
        state::state().ok()?.id_of(self.0)
    }

    pub(crate) fn set_placement(&self, placement: Placement) {
        if let Ok(mut state) = state::state() {
            state.update(self.0, |area| area.placement = placement.into());
        }
    }

    /// Publishes what is noted beside the area from now on.
    pub(crate) fn set_note(&self, note: Note) -> Result<()> {
        state::state()?.set_note(self.0, note)
    }

    /// Publishes how many bytes of addresses the area has now, and up to where it may grow.
    pub(crate) fn set_extent(&self, span: u64, extent: Extent) {
        if let Ok(mut state) = state::state() {
            state.update(self.0, |area| (area.span, area.extent) = (span, extent));
        }
    }

    /// The place of an area that another team has transferred to us, and whether it is frozen;
    /// `None` if another thread was quicker.
    pub(crate) fn take(transferred: &Transferred) -> Result<Option<(Self, Arrival, bool)>> {
        let taken = state::state()?.take(transferred.key())?;
        Ok(taken.map(|(arrival, frozen)| (Publication(arrival.key()), arrival, frozen)))
    }

    /// Transfers the area to another team, which has it from then on. The id that it will have
    /// there. At exact addresses `used` bytes must be free.
    pub(crate) fn offer(
        &self,
        team: u32,
        address: Address,
        used: u64,
        descriptor: std::os::fd::BorrowedFd<'_>,
    ) -> Result<AreaId> {
        state::state()?.offer(self.0, team, (address, used), descriptor)
    }

    /// Publishes the area again, under a new id.
    pub(crate) fn replace(&self, area: Announcement) -> Result<()> {
        state::state()?.replace(self.0, area)
    }

    /// Puts parts of the area in its place: the first has its id, the others, under the same name,
    /// ids of their own.
    pub(crate) fn divide(&self, parts: Vec<Announcement>) -> Vec<Publication> {
        let Ok(mut state) = state::state() else { return Vec::new() };
        let others = state.divide(self.0, parts);
        if !others.is_empty() {
            state.publish_parts();
        }
        others.into_iter().map(Publication).collect()
    }

    /// The parts of its object that other published areas of this process have, in bytes of it.
    pub(crate) fn other_parts(&self, object: Identity) -> Option<Vec<Range<u64>>> {
        state::state().ok().map(|state| state.parts_of(object, Some(self.0)))
    }

    /// The same of an area that is withdrawn by now.
    pub(crate) fn parts_of(object: Identity) -> Option<Vec<Range<u64>>> {
        state::state().ok().map(|state| state.parts_of(object, None))
    }

    /// Whether that area is this one.
    pub(crate) fn is(&self, id: AreaId) -> bool {
        self.id() == Some(id)
    }

    pub(crate) fn set_protection(&self, protection: Protection) {
        if let Ok(mut state) = state::state() {
            state.set_protection(self.0, protection);
        }
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        state::withdraw(self.0);
    }
}
