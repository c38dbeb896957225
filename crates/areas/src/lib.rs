//! Chunks of memory as first-class things on Linux.
//!
//! Ask for an area by size; say where it must live; name it; let other processes clone it; grow it
//! for all holders; freeze it; see where every page really is. The kernel frees the memory with its
//! last holder, however that ends.
//!
//! # First area
//!
//! ```
//! let mut area = areas::builder(1 << 20).private()?; // 1 MiB, zeroed, this process's alone
//! area[..5].copy_from_slice(b"hello");
//! assert_eq!(area.len(), 1 << 20);
//! println!("{}", area.residency()?); // measured: how much of it is in RAM, and on which node
//! # Ok::<(), areas::Error>(())
//! ```
//!
//! # Sharing
//!
//! One process makes an area and names it; others find it and clone it. A clone is the same memory:
//! a write through one is seen through all, and the memory stays as long as any of them is held.
//!
//! ```
//! let ring = areas::builder(1 << 16).name("doc: ring").shared()?;
//! ring.write_at(0, b"hello")?;
//!
//! // In any process of the same user:
//! let clone = areas::registry::find("doc: ring")?.open()?;
//! let mut bytes = [0; 5];
//! clone.read_at(0, &mut bytes)?;
//! assert_eq!(&bytes, b"hello");
//! # Ok::<(), areas::Error>(())
//! ```
//!
//! # Handing over
//!
//! An area can be given to another process for good: the giver keeps nothing, and may end, or be
//! killed, at once. The other process has it at its next call into the [`registry`], under a new
//! id; until then it is pending, and cannot be found.
//!
//! ```
//! use areas::{Address, AnyArea, Transfer, registry};
//! // In the process that is to get something: it joins, and waits.
//! registry::join()?;
//!
//! // In the one that gives. (Given to itself, an area moves: a new id, at other addresses.)
//! let area = areas::builder(1 << 16).name("doc: handed over").shared()?;
//! match area.transfer(std::process::id(), Address::Any)? {
//!     Transfer::Own(area) => assert_eq!(registry::find("doc: handed over")?.id(), area.id().unwrap()),
//!     _ => println!("given"),
//! }
//!
//! // And in the one that gets it:
//! for came in registry::transferred()? {
//!     if let AnyArea::Shared(area) = came.take()? {
//!         println!("{area} from process {}", came.from());
//!     }
//! }
//! # Ok::<(), areas::Error>(())
//! ```
//!
//! To other users, and into containers, areas go over a Unix socket: offered and taken at a path
//! ([`gate`]), or over one that is connected ([`Area::send`], [`receive`]).
//!
//! # Placing, and looking
//!
//! ```
//! use areas::{NodeSet, Policy};
//! let mut area = areas::builder(4 << 20).place(Policy::Interleave(NodeSet::ALL)).private()?;
//! area.populate()?; // in parallel, on the nodes that were asked for, or an error
//! let residency = area.residency()?;
//! assert_eq!(residency.resident(), 4 << 20);
//! for (node, bytes) in residency.nodes() {
//!     println!("node {node}: {bytes} bytes");
//! }
//! # Ok::<(), areas::Error>(())
//! ```
//!
//! # Which type do I want?
//!
//! - Memory of this process alone: [`builder`]`(n).private()`, an [`Area`]`<`[`Private`]`>`. It
//!   lends `&[u8]` and `&mut [u8]`.
//! - Memory that others write too: `.shared()`, an [`Area`]`<`[`Shared`]`>`. It lends no reference,
//!   because Rust's references promise what another process does not keep: copies
//!   ([`Area::read_at`], [`Area::write_at`]), atomic words ([`Area::load`], [`Area::store`]),
//!   [`SharedSlice`], raw pointers.
//! - Data that many read and no process changes any more: [`Area::freeze`], an
//!   [`Area`]`<`[`Frozen`]`>`. It lends `&[u8]`.
//! - An area of another process: [`registry::find`], a [`registry::Source`]; then `open`,
//!   `open_read_only` or `open_frozen`, or `open_any`, which gives an [`AnyArea`] of the kind that
//!   it is.
//! - Memory behind a descriptor that came some other way: [`AnyArea::from_descriptor`].
//! - Memory from somewhere of your own: a [`Provider`]. Mapped memory without the rest: [`System`]
//!   and its [`Mapping`].
//!
//! # Lending bytes to other libraries
//!
//! Frozen and private areas are owners of bytes (`AsRef<[u8]>`, at one address for as long as they
//! are held; `Send`, `Sync`, `UnwindSafe`, `'static`): libraries that share bytes take them as they
//! are, without a copy, and release them with the last reference. With
//! [`bytes`](https://docs.rs/bytes), and by way of it Arrow:
//!
//! ```
//! let area = areas::builder(4096).shared()?;
//! area.write_at(0, &7_u64.to_le_bytes())?;
//! let frozen = area.freeze().map_err(|rejected| rejected.error)?;
//! let address = frozen.as_ptr().cast_const();
//!
//! let bytes = bytes::Bytes::from_owner(frozen);
//! assert_eq!(bytes.as_ptr(), address); // in place
//!
//! let column = arrow_buffer::ScalarBuffer::<u64>::from(arrow_buffer::Buffer::from(bytes));
//! assert_eq!(column[0], 7);
//! drop(column); // and the area is gone
//! # Ok::<(), areas::Error>(())
//! ```
//!
//! `Buffer::from_custom_allocation(start, len, Arc::new(frozen))` takes one, too (its constructor
//! is unsafe: start and length are the caller's word). What others may write ([`Shared`],
//! [`Resizable`]) lends no bytes, and cannot be given to such a library in safe code.
//!
//! # Tasks
//!
//! Sharing, placing, freezing, growing, streams of frames, locks, providers of your own: a chapter
//! each in the [`cookbook`].
//!
//! # What it does not do
//!
//! - It does not coordinate writers by itself: shared memory is as racy as its users make it. There
//!   is [`sync`] for who asks: a mutex, events, sequence locks; or bring a protocol of your own.
//! - It does not reach other machines; names hold for one user in one pid namespace. (To other
//!   users, areas are offered: [`gate`].)
//! - It keeps nothing: an area without a holder is gone. What must outlive its holders belongs into
//!   a file.
//! - It does not log, print, or start threads that outlive a call; those that it starts get none of
//!   the program's signals. No call is async-signal-safe.
//! - It does not bear that a thread is cancelled inside of a call (`pthread_cancel`, by way of C),
//!   as little as the standard library does. The C interface does.
//! - It is not unloaded: a plugin (`dlclose`) with this library in it has to be linked with `-z
//!   nodelete` (`-C link-arg=-Wl,-z,nodelete`). `libareas.so` is.
//! - It does not guess: what was asked and cannot be had is an error, unless you allowed a
//!   fallback, which is then recorded.
//!
//! # Children made by fork
//!
//! A forked child holds every shared area that its parent holds: the same memory, at the same
//! address, under the same name. From its first call into the [`registry`] on, it is a team of its
//! own, with ids of its own; a child that calls none, because it calls exec, pays nothing. Private
//! areas are copied on write, as any private memory. (What counts is the C library's `fork`, which
//! runs the handlers that keep this library's state whole; a raw `clone` in a program with several
//! threads does not. A child that shares its parent's descriptors (`CLONE_FILES`) without its
//! memory must make no call: it would close the parent's. Children that only call exec may be made
//! in any way, `vfork` and `posix_spawn` among them.)

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("areas is for 64-bit little-endian Linux");

mod acceptance;
mod area;
mod buffer;
mod cgroup;
#[doc(hidden)]
pub mod closed;
pub mod cookbook;
mod error;
/// Files of `/proc` and `/sys`, read whole, and the names in their folders, for the C edge and the
/// command: by descriptors that are none of 0, 1 and 2. And lines of mountinfo, taken apart.
#[doc(hidden)]
pub mod files {
    pub use crate::sys::mounts::{MountLine, unescape};
    pub use crate::sys::text::{names_in, read, read_to_string};
}
mod forking;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz;
pub mod gate;
mod growth;
pub mod inherit;
mod input;
mod lock;
#[doc(hidden)]
pub mod machine;
mod mapping;
mod migrate;
mod mover;
mod nodes;
mod object;
#[doc(hidden)]
pub mod others;
mod owner;
mod page;
mod physical;
pub mod place;
mod populate;
#[doc(hidden)]
pub mod presence;
mod protection;
pub mod provider;
pub mod range;
mod ranking;
pub mod registry;
mod renamed;
mod residency;
mod size;
pub mod sync;
mod sys;
#[cfg(test)]
mod testing;
mod text;
pub mod topology;
mod turns;
mod verify;

pub use area::{
    AnyArea, Area, AreaBuilder, AreaKind, Clonable, CloneBuilder, CreatedOrOpened, Cursor,
    DEFAULT_FREEZE_TIMEOUT, EXCLUSIVE_TIMEOUT, Freezable, Frozen, Granted, Private, ReceiveOptions, Received,
    Resizable, Shared, SharedSlice, Stored, Transfer, builder, receive,
};
#[doc(hidden)]
pub use buffer::PageBuffer;
#[doc(hidden)]
pub use error::in_words;
pub use error::{Errno, Error, ErrorKind, Rejected, Result};
pub use lock::Lock;
pub use mapping::{BackedBy, Fallback, Mapping, Reservation, roomy_maximum};
pub use migrate::{Migration, UnmovedRange};
pub use mover::UnmovedReason;
pub use nodes::{Node, NodeSet, Placement, Policy};
pub use object::{Extent, Object};
pub use page::{PageSize, Pages};
pub use populate::Progress;
pub use protection::Protection;
pub use provider::{Address, Backing, Placed, Provider, Request, System, allowed_nodes};
pub use registry::{AreaId, Name, Note};
#[expect(deprecated, reason = "older names, for one version")]
pub use renamed::{Access, EXCLUSIVE_PATIENCE, FREEZE_PATIENCE, Kind, Stayed, Where, Why};
pub use residency::{PageLocation, Residency, Run};
pub use size::Bytes;
pub use sys::copy::Word;
pub use text::{escape_invisible, escape_invisible_bytes};
pub use topology::Topology;
pub use verify::{Misplaced, Verification};

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The example of the README of this crate is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
