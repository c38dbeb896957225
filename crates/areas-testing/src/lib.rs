//! What the kernel says of memory and of processes, read from `/proc`: what tests hold the library
//! against. Nothing in here calls the library, and nothing is remembered: each call reads again.
//!
//! | module | file | what |
//! |---|---|---|
//! | [`maps`] | `/proc/PID/maps` | mappings: addresses, rights, what of |
//! | [`smaps`] | `/proc/PID/smaps` | the same, with what of it is in RAM, locked, huge |
//! | [`pagemap`] | `/proc/self/pagemap` | page frames |
//! | [`numa_maps`] | `/proc/self/numa_maps` | policies, and pages by node |
//! | [`meminfo`] | `/proc/meminfo`, a node's `meminfo` | memory of the machine |
//! | [`status`] | `/proc/PID/status` | what a process may and has |
//! | [`stat`] | `/proc/PID/stat` | whether it lives, runs, whose child it is |
//! | [`descriptors`] | `/proc/PID/fd` | what it has open |
//! | [`fdinfo`] | `/proc/PID/fdinfo` | how it has that open, and locks on it |
//! | [`sysctl`] | `/proc/sys` | limits of the machine |
//!
//! Besides, [`skipped`] says aloud what could not be checked.
//!
//! What cannot be read is an [`io::Error`](std::io::Error) where the process may be gone, and a
//! panic elsewhere. A process that looks at itself at a limit (of descriptors, of mappings) can do
//! so: nothing is kept open, and what looks for one mapping holds no list of all.

pub mod descriptors;
pub mod fdinfo;
pub mod maps;
pub mod meminfo;
pub mod numa_maps;
pub mod pagemap;
mod process;
mod skips;
pub mod smaps;
pub mod stat;
pub mod status;
pub mod sysctl;

pub use process::{Process, processes};
pub use skips::{noted, skipped};
