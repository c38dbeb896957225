//! What is known of others: their teams, and the names that were found.

use std::sync::Arc;

use crate::registry::peer::{Peer, Reason};
use crate::registry::source::Holder;
use crate::registry::table::Record;

/// A team whose link was seen.
#[derive(Debug)]
pub(super) enum Known {
    Readable(Arc<Peer>),
    Unreadable(Reason),
}

/// What is remembered of a name that was found.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    pub(super) holder: Holder,
    pub(super) number: u32,
    pub(super) generation: u64,
    /// What it said in that generation.
    pub(super) record: Arc<Record>,
}
