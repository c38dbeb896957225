//! Becoming another user: another user, another group, with or without a capability.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

/// Makes this process, which has one thread and belongs to root, an ordinary user's. Of root's
/// capabilities it keeps at most the one named.
pub(crate) fn become_user(user: u32, group: u32, capability: CapabilitySet) -> rustix::io::Result<()> {
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_keep_capabilities(true)?;
    rustix::thread::set_thread_res_uid(user, user, user)?;
    let sets =
        CapabilitySets { effective: capability, permitted: capability, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)?;
    rustix::thread::set_keep_capabilities(false)?;
    // Whoever changes users becomes unreadable for all; a program that is started as that user is
    // not.
    set_dumpable(true)
}

/// The effective user alone, as a daemon does that goes back and forth. What the kernel makes of
/// that (capabilities, dumpable) stays.
pub(crate) fn set_effective_user(user: u32) -> rustix::io::Result<()> {
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::from_raw(user), Uid::ROOT)
}

/// Whether others of the same user may look into this process.
pub(crate) fn set_dumpable(dumpable: bool) -> rustix::io::Result<()> {
    set_dumpable_behavior(match dumpable {
        true => DumpableBehavior::Dumpable,
        false => DumpableBehavior::NotDumpable,
    })
}

/// Goes into a user namespace of our own, in which we are who we are outside.
pub(crate) fn new_user_namespace() -> std::io::Result<()> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    super::raw::new_user_namespace()?;
    set_dumpable(true)?;
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}
