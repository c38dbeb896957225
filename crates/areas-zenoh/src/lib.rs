//! [Zenoh](https://zenoh.io)'s shared memory, from areas.
//!
//! A publisher allocates its messages in an area ([`AreasBackend`]); a subscriber in the same
//! registry gets that very memory ([`AreasClient`]); all others get bytes by Zenoh's
//! transport. The segment's id is the area's id, and nothing has a name in a file system: when the
//! last holder is gone, however it ended, the kernel frees the memory.
//!
//! ```no_run
//! use std::sync::Arc;
//! use areas_zenoh::{AreasBackend, clients};
//! use zenoh::Wait;
//! use zenoh::shm::{BlockOn, GarbageCollect, ShmProviderBuilder};
//!
//! # fn main() -> zenoh::Result<()> {
//! // Both sides open their session with a client for areas.
//! let session = zenoh::open(zenoh::Config::default()).with_shm_clients(Arc::new(clients()?)).wait()?;
//!
//! // The publisher: 64 MiB, placed and populated as any area is.
//! let backend = AreasBackend::new(areas::builder(64 << 20).name("camera"))?;
//! let provider = ShmProviderBuilder::backend(backend).wait();
//! let mut message = provider.alloc(4 << 20).with_policy::<BlockOn<GarbageCollect>>().wait()?;
//! message[0] = 1;
//! session.put("camera/front", message).wait()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What this does not do
//!
//! - Zenoh keeps tables of its own (reference counts, watchdogs, what was negotiated) in POSIX
//!   segments, whatever provider there is. These are files in `/dev/shm`, and stay behind a process
//!   that is killed until another process that uses them starts or ends. [`posix::keep_nothing`]
//!   makes areas of these, too.
//! - Zenoh believes the length that comes with a message. Who can send to a subscriber over shared
//!   memory can make it read outside of the area: all processes of a user that exchange areas
//!   through Zenoh trust each other, as with Zenoh's own segments.
//! - A subscriber keeps a segment mapped as long as its session lives, also when the publisher has
//!   gone: so Zenoh's reader does it.

mod backend;
mod client;
pub mod posix;
mod protocol;

pub use backend::AreasBackend;
pub use client::AreasClient;
pub use protocol::protocol;

use std::sync::Arc;

use zenoh::shm::ShmClientStorage;

/// The bytes that a chunk's number counts in: a cache line. So 32 bits of it reach 256 GiB.
const GRANULE: usize = 64;

/// The note of an area that is a segment. Others are refused, whatever a message says.
const NOTE: &str = "areas-zenoh segment, granules of 64 bytes";

/// Clients for a session: Zenoh's own, for POSIX segments, and one for areas.
///
/// # Errors
/// As [`protocol`].
pub fn clients() -> zenoh::Result<ShmClientStorage> {
    let areas: Arc<dyn zenoh::shm::ShmClient> = Arc::new(AreasClient::new()?);
    Ok(ShmClientStorage::builder().with_default_client_set().with_client(areas)?.build())
}
