//! Files of hugetlbfs, wherever it is mounted.

use std::collections::BTreeSet;

use super::args::Kind;
use super::memory::Memory;
use super::mounts::Mounts;
use super::posix::{self, File};
use super::walk::Walk;

pub(super) fn memories(mounts: &Mounts, walk: &mut Walk, trouble: &mut Vec<String>) -> Vec<Memory> {
    let mut files: Vec<File> = Vec::new();
    for mount in mounts.huge() {
        posix::list(&mount.point, &mount.point, mount.device, &mut files, trouble);
    }
    // One may be mounted twice.
    let mut seen = BTreeSet::new();
    files.retain(|file| seen.insert(file.object));
    files.into_iter().map(|file| posix::memory(Kind::Huge, file, walk)).collect()
}
