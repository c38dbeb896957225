//! Areas that were found, as they stood in their holders' tables.

mod info;
mod listing;

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::peer::Peer;
use super::process::OWN_DESCRIPTORS;
use super::table::{AreaId, Name, Note, Record};
use crate::object::is_retired;
use crate::protection::Protection;
use crate::sys;
pub use info::Info;
pub use listing::{Listing, UnreadableTeam};

/// Whose table an area stands in.
#[derive(Clone, Debug)]
pub(super) enum Holder {
    /// This process's.
    Own,
    /// Another team's.
    Peer(Arc<Peer>),
}

impl Holder {
    pub(super) fn is_live(&self) -> bool {
        match self {
            Holder::Own => true,
            Holder::Peer(peer) => peer.is_live(),
        }
    }

    /// Whether an area of that id was found not to be where its table says.
    pub(super) fn is_missing(&self, id: AreaId) -> bool {
        match self {
            Holder::Own => false,
            Holder::Peer(peer) => peer.is_missing(id),
        }
    }
}

/// A published area, as it stood in its holder's table when it was looked up.
///
/// It holds nothing: the area can go at any time, and what asks after it then says so.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) holder: Holder,
    pub(super) record: Arc<Record>,
}

impl Source {
    pub(super) fn new(holder: Holder, record: impl Into<Arc<Record>>) -> Self {
        Source { holder, record: record.into() }
    }

    /// By process, then by address. `own` is our own process: to ask for it at each comparison is a
    /// system call each time.
    pub(super) fn order(&self, own: u32) -> (u32, u64, AreaId) {
        let pid = match &self.holder {
            Holder::Own => own,
            Holder::Peer(peer) => peer.pid(),
        };
        (pid, self.record.address, self.record.id)
    }

    /// Whether its memory was found not to be where its table says.
    pub(super) fn is_missing(&self) -> bool {
        self.holder.is_missing(self.record.id)
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> AreaId {
        self.record.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.record.name
    }

    /// What its holder had noted beside it when it was looked up: its word, unchecked.
    /// [`Note::as_bytes`] is empty where that is nothing.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.record.note
    }

    /// Where it begins in the process that holds it: meaningful there only.
    #[must_use]
    pub fn address(&self) -> usize {
        usize::try_from(self.record.address).unwrap_or(usize::MAX)
    }

    /// The process that holds it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        match &self.holder {
            Holder::Own => sys::process::pid(),
            Holder::Peer(peer) => peer.pid(),
        }
    }

    /// Whether it is this process's own.
    #[must_use]
    pub fn is_own(&self) -> bool {
        matches!(self.holder, Holder::Own)
    }

    /// Whether its memory is retired, as far as it can be seen.
    pub(crate) fn is_retired(&self) -> bool {
        let stat = match &self.holder {
            // (An error would be explained, which asks the state that may be asking here.)
            Holder::Own => sys::file::stat_number(self.record.descriptor).ok(),
            Holder::Peer(peer) => peer.look_at(&self.record),
        };
        self.record.physical.is_none()
            && stat.is_some_and(|stat| stat.identity == self.record.object && is_retired(&stat))
    }

    /// Why a clone of it may not be written, if it may not.
    ///
    /// Another team gives no more than it has itself. One's own team has what it made; what it was
    /// given for reading only stays so through all clones, though the kernel would open it for
    /// writing by way of `/proc`.
    pub(crate) fn forbids_writing(&self) -> Option<String> {
        match &self.holder {
            Holder::Peer(peer) if !self.record.protection.contains(Protection::WRITE) => {
                Some(format!("process {} holds it with protection {}", peer.pid(), self.record.protection))
            }
            Holder::Own => {
                let descriptor = format!("{OWN_DESCRIPTORS}/{}", self.record.descriptor);
                // The link's own mode says how the descriptor was opened. One that is gone is
                // reported where it is opened.
                let mode = std::fs::symlink_metadata(descriptor).ok()?.mode();
                (mode & 0o200 == 0).then(|| "this process was given it for reading only".to_owned())
            }
            Holder::Peer(_) => None,
        }
    }
}
