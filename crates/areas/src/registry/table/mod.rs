//! The table of a team: a memory object in which one process lists its areas for all others to
//! read.
//!
//! One writer, its owner; all others have it mapped for reading only, and the seals ensure
//! that no process can do otherwise. Nothing in it is ever repaired: it goes with its owner.
//!
//! ```text
//! header | index: by hash of the name | by sequence: 2^19 x u32, the record of each id | records: 65,536 x 192 bytes |
//! their second parts: 65,536 x 288 bytes
//! ```
//!
//! The object is sparse: a part that the owner never wrote takes no memory, and readers take care
//! not to touch one, because reading a hole of a memory object fills it.
//!
//! - **Records** have a second part where a name is longer than 87 bytes or a node is from 64 on:
//!   the first one says so. They change little once they can be seen: the protection is one word;
//!   an id, a placement or an extent changes under a mark in the generation. That guards each
//!   record: odd, or 0, means absent. A reader copies the record out and looks at the generation
//!   before and after; it tries a few times and never waits. An area that is being changed is
//!   there.
//! - **The index** is open-addressed and holds each name once, with its oldest record; younger ones
//!   of the same name are chained behind it for the owner alone. It exists on two sides and in
//!   sizes that double: the owner fills the other side, then publishes it by one word, and a reader
//!   that found nothing looks whether that word is still the same.
//!
//! Whatever a reader finds here was written by another process, and is checked before it is
//! believed.

#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod id;
mod layout;
mod name;
mod note;
mod order;
mod protocol;
mod record;
#[cfg(test)]
mod tests;
mod view;
mod writer;

pub use id::AreaId;
pub(crate) use id::{FIRST_GIVEN, SEQUENCES, SLOTS};
pub(crate) use layout::{BLOCK, OWN_BLOCKS, RECORDS, TABLE_BYTES, VERSION};
pub use name::Name;
pub use note::Note;
pub(super) use order::Order;
pub(crate) use record::{Announcement, RECORD_BYTES, Record};
pub(crate) use view::{Owner, TransferSocketAt, View, candidates};
pub(crate) use writer::Table;
