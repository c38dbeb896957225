//! Limits of this process.

use rustix::process::{self, Resource};

/// A limit of this process in bytes or pieces; `None` is unlimited.
pub(crate) fn limit(of: Limit) -> Option<u64> {
    process::getrlimit(match of {
        Limit::AddressSpace => Resource::As,
        Limit::LockedMemory => Resource::Memlock,
        Limit::FileSize => Resource::Fsize,
        Limit::OpenFiles => Resource::Nofile,
    })
    .current
}

/// The limits that matter to memory objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    AddressSpace,
    LockedMemory,
    FileSize,
    OpenFiles,
}
