//! What a forked child has of its parent's slices and leases.
//!
//! A child has its parent's mappings, and whatever lies in its memory of slices and leases. It
//! holds none of the blocks by that: their owner would reuse them under it as soon as the parent
//! drops them. So who forks first takes a reader's seat for the child, and says there that the
//! child reads whatever the parent has.

use std::collections::HashMap;
use std::sync::Arc;

use areas::Result;

use crate::attachments;
use crate::layout::Table;
use crate::owner::Owner;
use crate::reader::Reader;
use crate::seat::{Held, Seat};

/// A forked child's part in a slab, made by its parent before:
/// [`Slab::before_fork`](crate::Slab::before_fork), [`Reader::before_fork`].
///
/// Between that and the fork no slice or lease of the slab is to be made or dropped, by whatever
/// thread: the child has what there was.
#[must_use = "behind the fork it is either the parent's or the child's: `in_parent`, `in_child`"]
pub struct Heir {
    of: Of,
    table: Arc<Table>,
    seat: Seat,
}

enum Of {
    Owner(Arc<Owner>),
    Reader(Reader),
}

impl Heir {
    pub(crate) fn of_owner(
        owner: &Arc<Owner>,
        table: &Arc<Table>,
        owned: &[(u32, u32, usize)],
    ) -> Result<Option<Self>> {
        let held = owned.iter().map(|&(slot, generation, leases)| (slot, Held::new(generation, leases)));
        Heir::new(Of::Owner(owner.clone()), table, held)
    }

    pub(crate) fn of_reader(
        reader: &Reader,
        table: &Arc<Table>,
        held: &HashMap<u32, Held>,
    ) -> Result<Option<Self>> {
        Heir::new(Of::Reader(reader.clone()), table, held.iter().map(|(&slot, &held)| (slot, held)))
    }

    fn new(
        of: Of,
        table: &Arc<Table>,
        held: impl ExactSizeIterator<Item = (u32, Held)>,
    ) -> Result<Option<Self>> {
        if held.len() == 0 {
            return Ok(None);
        }
        let seat = Seat::take(table.view())?;
        for (slot, held) in held {
            seat.read(table, slot, held)?;
        }
        Ok(Some(Heir { of, table: table.clone(), seat }))
    }

    /// To be called in the parent when it has forked, or could not: the child has it alone from
    /// here on.
    pub fn in_parent(self) {
        // The child's mapping keeps its mark, if there is a child.
        drop(self);
    }

    /// To be called in the child: its slices and leases hold their blocks from here on, until they
    /// are dropped or it ends. Its parent's mark it has no part in any more.
    pub fn in_child(self) {
        let Heir { of, table, seat } = self;
        match of {
            Of::Owner(owner) => {
                let reader = Reader::inherited(table, seat);
                owner.inherit(reader.clone());
                attachments::known(reader);
            }
            Of::Reader(reader) => {
                reader.inherit(seat);
                attachments::known(reader);
            }
        }
    }
}

impl Reader {
    /// To be called before this process forks: what the child will have of the slices that this
    /// process reads. `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](areas::ErrorKind::Limit) if as many processes read the slab as may:
    /// then [`pin`](Reader::pin) keeps the blocks for the child.
    /// [`ErrorKind::NotPermitted`](areas::ErrorKind::NotPermitted) in a forked child that has no
    /// part in it; [`ErrorKind::System`](areas::ErrorKind::System) as [`attach`](Reader::attach).
    pub fn before_fork(&self) -> Result<Option<Heir>> {
        let held = self.held()?;
        Heir::of_reader(self, self.table(), &held)
    }
}

impl std::fmt::Debug for Heir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heir").field("area", &self.table.area).finish_non_exhaustive()
    }
}
