//! Which machine and registry this is: whether who asks sees the same areas as who answers.

use std::os::unix::fs::MetadataExt as _;

use twox_hash::XxHash3_128;

use crate::hex::hex;

/// A word that is the same for processes that see the same registry on the same machine, since it
/// booted. Of the machine it reveals nothing else.
///
/// It is a hint only: whoever finds it to be his own looks for the area himself, and at the area.
pub(crate) fn identity() -> Option<String> {
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let folder = std::fs::metadata(areas::registry::path().ok()??).ok()?;
    let mut all = boot;
    all.extend(folder.dev().to_be_bytes());
    all.extend(folder.ino().to_be_bytes());
    all.extend(rustix::process::geteuid().as_raw().to_be_bytes());
    Some(hex(&XxHash3_128::oneshot(&all).to_be_bytes()))
}
