//! NUMA memory policies: mbind, get_mempolicy, set_mempolicy_home_node.
//!
//! The kernel reads `maxnode - 1` bits of a mask (`mm/mempolicy.c`, `get_nodes`), so a caller that
//! passes the number of bits loses the last node. That is known to this file and to no other.

#![expect(unsafe_code, reason = "system calls that no kept crate wraps; each block has its proof")]

use std::ptr::NonNull;

use linux_raw_sys::mempolicy as raw;

use super::memory::last_errno;
use super::{Errno, Result};
use crate::nodes::{Node, NodeSet, Placement, Policy};

/// Words of a mask, and the length that the kernel is given.
const MASK_WORDS: usize = 16;
const MAXNODE: usize = MASK_WORDS * 64 + 1;

fn mode_of(policy: &Policy) -> raw::_bindgen_ty_1 {
    use raw::_bindgen_ty_1 as mode;
    match policy {
        Policy::Default => mode::MPOL_DEFAULT,
        Policy::Local => mode::MPOL_LOCAL,
        Policy::Bind(_) => mode::MPOL_BIND,
        Policy::Preferred(_) => mode::MPOL_PREFERRED,
        Policy::PreferredMany(_) => mode::MPOL_PREFERRED_MANY,
        Policy::Interleave(_) => mode::MPOL_INTERLEAVE,
        Policy::WeightedInterleave(_) => mode::MPOL_WEIGHTED_INTERLEAVE,
    }
}

/// The nodes of a policy's mask, where it has one: the kernel answers EINVAL to the others with a
/// mask, however empty it is. `made` is room for one that has to be made.
fn mask_of<'a>(policy: &'a Policy, made: &'a mut NodeSet) -> Option<&'a NodeSet> {
    match policy {
        Policy::Default | Policy::Local => None,
        Policy::Preferred(node) => {
            *made = NodeSet::single(*node);
            Some(made)
        }
        Policy::Bind(nodes)
        | Policy::PreferredMany(nodes)
        | Policy::Interleave(nodes)
        | Policy::WeightedInterleave(nodes) => Some(nodes),
    }
}

/// Sets the policy of a range in which no page need be yet, and whether it is balanced: `mbind`
/// without any move flag. (A home node is a call of its own.)
///
/// The range begins at a page (a huge one for huge pages). The nodes must have been checked: the
/// kernel silently intersects masks that are only partly allowed.
#[inline]
pub(crate) fn bind(address: NonNull<u8>, len: usize, placement: &Placement) -> Result<()> {
    mbind(address, len, placement, 0)
}

/// The same, and pages that are there and that no other process has mapped are moved to the
/// policy's nodes (`MPOL_MF_MOVE`). Pages that cannot be moved stay, and that is not an error.
pub(crate) fn bind_and_move(address: NonNull<u8>, len: usize, placement: &Placement) -> Result<()> {
    mbind(address, len, placement, raw::MPOL_MF_MOVE)
}

#[inline]
fn mbind(address: NonNull<u8>, len: usize, placement: &Placement, flags: u32) -> Result<()> {
    let policy = placement.policy_ref();
    let mut made = NodeSet::EMPTY;
    let (pointer, maxnode) = match mask_of(policy, &mut made) {
        None => (std::ptr::null(), 0),
        // No more than is set: the kernel looks at each word.
        Some(nodes) => (nodes.words().as_ptr(), nodes.words_in_use() * 64 + 1),
    };
    let mode = mode_of(policy) as u32 | if placement.is_balanced() { raw::MPOL_F_NUMA_BALANCING } else { 0 };
    // SAFETY: the mask outlives the call and has MASK_WORDS words, which `maxnode` does not exceed;
    // a policy decides where pages come from, a flag whether they are moved there, and neither
    // changes content.
    let status = unsafe {
        libc::syscall(
            libc::SYS_mbind,
            address.as_ptr(),
            len,
            libc::c_ulong::from(mode),
            pointer,
            maxnode,
            flags,
        )
    };
    if status == 0 { Ok(()) } else { Err(last_errno()) }
}

/// The kernel's numbers for a policy: for tables that other processes read.
pub(crate) fn number_of(policy: &Policy) -> u8 {
    // The modes are 0 to 6.
    u8::try_from(mode_of(policy) as u32).unwrap_or(u8::MAX)
}

/// The policy that a number and a mask stand for; `None` for what is not a policy.
pub(crate) fn from_number(number: u32, nodes: NodeSet) -> Option<Policy> {
    use raw::_bindgen_ty_1 as mode;
    let known = [
        (mode::MPOL_DEFAULT, Some(Policy::Default)),
        (mode::MPOL_LOCAL, Some(Policy::Local)),
        (mode::MPOL_BIND, Some(Policy::Bind(nodes))),
        (mode::MPOL_PREFERRED, Some(nodes.first().map_or(Policy::Local, Policy::Preferred))),
        (mode::MPOL_PREFERRED_MANY, Some(Policy::PreferredMany(nodes))),
        (mode::MPOL_INTERLEAVE, Some(Policy::Interleave(nodes))),
        (mode::MPOL_WEIGHTED_INTERLEAVE, Some(Policy::WeightedInterleave(nodes))),
    ];
    known.into_iter().find(|(mode, _)| *mode as u32 == number).and_then(|(_, policy)| policy)
}

/// The policy of the memory at an address, as the kernel has it. Faults nothing in.
pub(crate) fn policy_at(address: NonNull<u8>) -> Result<Policy> {
    Ok(placement_at(address)?.policy())
}

/// The same, and whether it is balanced. A home node does not show.
pub(crate) fn placement_at(address: NonNull<u8>) -> Result<Placement> {
    let mut mode: libc::c_int = 0;
    let mut words = [0_u64; MASK_WORDS];
    // SAFETY: `mode` and `words` outlive the call, and the kernel writes at most MAXNODE - 1 bits,
    // which fit.
    let status = unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            &raw mut mode,
            words.as_mut_ptr(),
            MAXNODE,
            address.as_ptr(),
            raw::MPOL_F_ADDR,
        )
    };
    if status != 0 {
        return Err(last_errno());
    }
    let reported = u32::try_from(mode).map_err(|_| Errno::INVAL)?;
    let policy =
        from_number(reported & !raw::MPOL_MODE_FLAGS, NodeSet::from_words(words)).ok_or(Errno::INVAL)?;
    let placement = Placement::new(policy);
    Ok(if reported & raw::MPOL_F_NUMA_BALANCING != 0 { placement.balanced() } else { placement })
}

/// The policy that this thread brings pages in by, where their memory has none of its own.
pub(crate) fn of_thread() -> Result<Policy> {
    let (number, words) = thread()?;
    let number = u32::try_from(number).map_err(|_| Errno::INVAL)? & !raw::MPOL_MODE_FLAGS;
    from_number(number, NodeSet::from_words(words)).ok_or(Errno::INVAL)
}

/// The number of this thread's policy, flags included, and its mask.
fn thread() -> Result<(libc::c_int, [u64; MASK_WORDS])> {
    let (mut mode, mut words) = (0, [0; MASK_WORDS]);
    // SAFETY: both outlive the call, and the kernel writes at most MAXNODE - 1 bits, which fit;
    // without an address it reports the thread's.
    let status = unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            &raw mut mode,
            words.as_mut_ptr(),
            MAXNODE,
            std::ptr::null::<u8>(),
            0,
        )
    };
    if status == 0 { Ok((mode, words)) } else { Err(last_errno()) }
}

/// The node of the page at an address (MPOL_F_NODE with MPOL_F_ADDR). **It faults the page in** if
/// it is not there: only for pages that are.
pub(crate) fn node_at(address: NonNull<u8>) -> Result<i32> {
    let mut node: libc::c_int = -1;
    // SAFETY: `node` outlives the call; without a mask nothing else is written, and the address is
    // looked up as a read access would be, which changes no content.
    let status = unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            &raw mut node,
            std::ptr::null_mut::<u64>(),
            0_usize,
            address.as_ptr(),
            raw::MPOL_F_NODE | raw::MPOL_F_ADDR,
        )
    };
    if status == 0 { Ok(node) } else { Err(last_errno()) }
}

/// The nodes that this process may take memory from (its cpuset, among others).
///
/// A kernel without NUMA has node 0 (ENOSYS).
pub(crate) fn allowed_nodes() -> Result<NodeSet> {
    let mut words = [0_u64; MASK_WORDS];
    // SAFETY: `words` outlives the call, and the kernel writes at most MAXNODE - 1 bits, which fit;
    // the mode pointer may be null with MPOL_F_MEMS_ALLOWED.
    let status = unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            std::ptr::null_mut::<libc::c_int>(),
            words.as_mut_ptr(),
            MAXNODE,
            std::ptr::null::<u8>(),
            raw::MPOL_F_MEMS_ALLOWED,
        )
    };
    match status {
        0 => Ok(NodeSet::from_words(words)),
        _ => match last_errno() {
            Errno::NOSYS => Ok(NodeSet::EMPTY.union(NodeSet::from_words(first_node_only()))),
            other => Err(other),
        },
    }
}

const fn first_node_only() -> [u64; MASK_WORDS] {
    let mut words = [0; MASK_WORDS];
    words[0] = 1;
    words
}

/// The node from which bind and preferred-many start looking (5.17).
pub(crate) fn set_home_node(address: NonNull<u8>, len: usize, home: Node) -> Result<()> {
    // SAFETY: decides where future pages come from and changes no content.
    let status = unsafe {
        libc::syscall(
            libc::SYS_set_mempolicy_home_node,
            address.as_ptr(),
            len,
            libc::c_ulong::from(home.get()),
            0_usize,
        )
    };
    if status == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Makes a call under another policy of this thread, which counts where the memory has none of its
/// own, and puts the thread's policy back as it was. (A home node is none of a thread's.)
pub(crate) fn within<T>(placement: &Placement, call: impl FnOnce() -> T) -> Result<T> {
    /// The thread's own, to be put back, however the call ends.
    struct Before(libc::c_int, [u64; MASK_WORDS]);
    impl Drop for Before {
        fn drop(&mut self) {
            // It was the thread's, so the kernel takes it again.
            let _ = set_thread(self.0, &self.1);
        }
    }
    let (mode, words) = thread()?;
    let _before = Before(mode, words);
    let mut made = NodeSet::EMPTY;
    let policy = placement.policy_ref();
    let words = mask_of(policy, &mut made).unwrap_or(&NodeSet::EMPTY).words();
    let mode = mode_of(policy) as u32 | if placement.is_balanced() { raw::MPOL_F_NUMA_BALANCING } else { 0 };
    set_thread(libc::c_int::try_from(mode).map_err(|_| Errno::INVAL)?, words)?;
    Ok(call())
}

fn set_thread(mode: libc::c_int, words: &[u64; MASK_WORDS]) -> Result<()> {
    let (pointer, maxnode) = match words.iter().all(|&word| word == 0) {
        true => (std::ptr::null(), 0),
        false => (words.as_ptr(), MAXNODE),
    };
    // SAFETY: the mask outlives the call and has MASK_WORDS words, which is what MAXNODE says; a
    // policy decides where future pages come from and changes no content.
    let status = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, maxnode) };
    if status == 0 { Ok(()) } else { Err(last_errno()) }
}
