//! Slabs: many small arrays in one memory area, handed between processes by handles of 40 bytes.
//!
//! An area has a descriptor, a mapping and a record in the registry. For ten thousand arrays that
//! is too much of each: a process may have 1,024 descriptors and 65,530 mappings. A slab is one
//! area that many blocks are taken from.
//!
//! ```
//! use areas_slab::{Slab, open};
//!
//! // In the process that makes arrays:
//! let slab = Slab::create("doc: batches", 4 << 20)?;
//! let slice = slab.put(b"a batch")?;
//! let handle = slice.handle().to_bytes(); // 40 bytes: send them
//!
//! // In one that reads them:
//! let batch = open(&areas_slab::Handle::from_bytes(&handle)?)?;
//! assert_eq!(batch.to_vec()?, b"a batch");
//!
//! // The block is reused when both have dropped it.
//! drop(slice);
//! assert_eq!(slab.reclaim()?, 0);
//! drop(batch);
//! assert_eq!(slab.reclaim()?, 1);
//! # Ok::<(), areas::Error>(())
//! ```
//!
//! # Who holds what
//!
//! - The process that makes a slab **owns** it, and it alone takes blocks. Its books are in its
//!   private memory: whatever others write into the area, no two blocks overlap, and nothing
//!   crashes. (What they may destroy is what is in the blocks, and which of them are reused too
//!   early, or never: they may write the memory.)
//! - A **slice** is the owner's: it holds its block. [`Slice::handle`] is good as long as the slice
//!   is.
//! - A **lease** is a reader's. A block that its owner has dropped stays as long as a process has a
//!   lease of it; and as long as it is there it can be opened: [`Lease::handle`] hands it on.
//! - [`Slice::give`] makes a handle that holds the block until one process [takes](take) it: a
//!   producer gives a batch and drops it at once. What no process takes, [`Slab::take_back`] frees.
//!
//! # What dies
//!
//! - A reader that is killed reads nothing any more: the kernel says so to the owner (a record lock
//!   that goes with the process), who looks before it waits. Only what was given to it and not
//!   taken stays until `take_back`.
//! - An owner that is killed puts nothing more in. What others have leases of stays as it is, until
//!   they drop it; then the memory goes.
//! - A forked child of either has their memory as it was, and no part in the slab: it opens for
//!   itself. Unless who forks prepares for it: by [`before_fork`] the child reads what its parent
//!   has, for itself, until it drops it or ends.
//!
//! # Which allocator
//!
//! Blocks are found by `offset-allocator`: two levels of bins, in constant time, and its books are
//! apart from the memory that they are about. See `docs/design/slabs.md` for what it was compared
//! with.

mod attachments;
mod books;
mod handle;
mod heir;
mod layout;
mod opening;
mod owner;
mod protocol;
mod reader;
mod seat;
mod slab;
mod slice;

pub use books::Usage;
pub use handle::Handle;
pub use heir::Heir;
pub use opening::{before_fork, detach_dead, open, owned, take};
pub use reader::{Lease, Reader};
pub use slab::{Slab, SlabBuilder};
pub use slice::Slice;

/// The example of the README of this crate is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
