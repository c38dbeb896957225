//! What the kernel does with memory policies.

#![expect(unsafe_code, reason = "raw mappings and system calls; each block has its proof")]

use std::os::fd::AsRawFd as _;

use super::{Map, allocated, memfd};
use crate::support::child::{Ended, in_child, without_nice};
use crate::support::machine::{OnCpu, pool};
use crate::support::pages::{advise, errno, mbind, nodes_of, numa_maps, status};
use crate::support::{HUGE, PAGE, guest};

const DEFAULT: i32 = 0;
const PREFERRED: i32 = 1;
const BIND: i32 = 2;
const INTERLEAVE: i32 = 3;
const LOCAL: i32 = 4;
const PREFERRED_MANY: i32 = 5;
const STRICT: i32 = 1;
const MOVE: i32 = 2;
const MOVE_ALL: i32 = 4;
const BITS: usize = 64;

/// The policy of an address by `get_mempolicy`: mode and mask.
fn policy_at(address: *const u8) -> (i32, u64) {
    let (mut mode, mut mask) = (-1, 0_u64);
    // SAFETY: both outlive the call, which writes 64 bits at most.
    let status =
        unsafe { libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, &raw mut mask, BITS + 1, address, 2) };
    assert_eq!(status, 0, "get_mempolicy: {}", std::io::Error::last_os_error());
    (mode, mask)
}

#[test]
fn mbind_reads_one_bit_less_than_it_is_given() {
    guest!();
    let map = Map::private(4 * PAGE);
    assert_eq!(mbind(map.0, map.1, BIND, 1 << 3, 4, 0), Err(libc::EINVAL), "node 3 is bit 4 of 4");
    assert_eq!(mbind(map.0, map.1, BIND, 1 << 3, 5, 0), Ok(()));
    map.touch(PAGE);
    assert_eq!(map.nodes(), [3; 4]);
    // With the nodes 1 and 3 the last one is silently lost.
    assert_eq!(mbind(map.0, map.1, BIND, 0b1010, 4, 0), Ok(()));
    assert_eq!(policy_at(map.0), (BIND, 0b10));
}

#[test]
fn mbind_intersects_masks_silently() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let map = Map::private(4 * PAGE);
    assert_eq!(mbind(map.0, map.1, BIND, 1 << 1 | 1 << 7, BITS, 0), Ok(()));
    assert_eq!(policy_at(map.0), (BIND, 1 << 1));
    map.touch(PAGE);
    assert_eq!(map.nodes(), [1; 4]);
    assert_eq!(mbind(map.0, map.1, BIND, 1 << 7, BITS, 0), Err(libc::EINVAL), "none is left");
}

#[test]
fn mbind_refuses_what_makes_no_sense() {
    guest!();
    let map = Map::private(4 * PAGE);
    for (mode, mask, flags) in [(BIND, 0, 0), (DEFAULT, 1, 0), (LOCAL, 1, 0), (99, 1, 0), (BIND, 1, 1 << 20)]
    {
        assert_eq!(mbind(map.0, map.1, mode, mask, BITS, flags), Err(libc::EINVAL), "{mode} {mask} {flags}");
    }
    assert_eq!(mbind(map.0.wrapping_add(1), PAGE, BIND, 1, BITS, 0), Err(libc::EINVAL), "unaligned");
    // No nodes means local, several mean the first.
    assert_eq!(mbind(map.0, map.1, PREFERRED, 0, BITS, 0), Ok(()));
    assert_eq!(policy_at(map.0), (LOCAL, 0));
    assert_eq!(mbind(map.0, map.1, PREFERRED, 0b1100, BITS, 0), Ok(()));
    assert_eq!(policy_at(map.0), (PREFERRED, 0b100));
}

#[test]
fn policies_of_memfds_are_the_objects_own() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let fd = memfd(12 * PAGE, 0);
    {
        let map = Map::of(&fd, 12 * PAGE);
        assert_eq!(mbind(map.0, 8 * PAGE, BIND, 1 << 2, BITS, 0), Ok(()));
    }
    // The mapping is gone: writing, allocating and another process still obey.
    // SAFETY: a byte that outlives the call.
    assert_eq!(unsafe { libc::pwrite(fd.as_raw_fd(), c"x".as_ptr().cast(), 1, 0) }, 1);
    let page = PAGE.try_into().unwrap();
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::fallocate(fd.as_raw_fd(), 0, page, 3 * page) }, 0);
    let other = in_child(|| {
        let _cpu = OnCpu::of_node(1);
        Map::of(&fd, 8 * PAGE).touch(PAGE);
    });
    assert_eq!(other, Ended::Well);
    let map = Map::of(&fd, 12 * PAGE);
    // Where mbind did not reach there is no policy.
    map.touch(PAGE);
    assert_eq!(map.nodes(), [[2; 8].as_slice(), &[0; 4]].concat());
}

#[test]
fn policies_of_pool_memfds_are_each_mappings_own() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _pools = [pool(0, HUGE, 2), pool(3, HUGE, 2)];
    let fd = memfd(HUGE, libc::MFD_HUGETLB);
    let first = Map::of(&fd, HUGE);
    assert_eq!(mbind(first.0, HUGE, BIND, 1 << 3, BITS, 0), Ok(()));
    let second = Map::of(&fd, HUGE);
    assert_eq!((policy_at(first.0), policy_at(second.0)), ((BIND, 1 << 3), (DEFAULT, 0)));
    second.touch(HUGE);
    assert_eq!(nodes_of(second.0, HUGE, HUGE), [0]);
    assert_eq!(mbind(first.0, PAGE, BIND, 1, BITS, 0), Err(libc::EINVAL), "a part of a hugetlb page");
}

#[test]
fn an_empty_pool_is_sigbus_and_populating_says_efault() {
    guest!();
    let _pools = [pool(0, HUGE, 2), pool(1, HUGE, 0)];
    let map = Map::new(HUGE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB, None);
    assert_eq!(mbind(map.0, HUGE, BIND, 1 << 1, BITS, 0), Ok(()), "mapping and binding succeed");
    assert_eq!(advise(map.0, HUGE, libc::MADV_POPULATE_WRITE), Err(libc::EFAULT));
    assert_eq!(in_child(|| map.touch(HUGE)), Ended::Signal(libc::SIGBUS));
}

#[test]
fn moving_with_mbind_is_no_proof() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let map = Map::private(4 * PAGE);
    map.touch(PAGE);
    // STRICT alone on misplaced pages: an error, and the policy is not set.
    assert_eq!(mbind(map.0, map.1, BIND, 1 << 1, BITS, STRICT), Err(libc::EIO));
    assert_eq!(policy_at(map.0), (DEFAULT, 0));
    // MOVE with interleaving leaves what lies on one of the nodes.
    assert_eq!(mbind(map.0, map.1, INTERLEAVE, 0b11, BITS, MOVE | STRICT), Ok(()));
    assert_eq!(map.nodes(), [0; 4]);
    assert_eq!(mbind(map.0, map.1, BIND, 1 << 1, BITS, MOVE | STRICT), Ok(()));
    assert_eq!(map.nodes(), [1; 4]);
}

/// Looking at a memfd takes pages where there were none: look for data first.
#[test]
fn reading_a_hole_of_a_memfd_allocates_it() {
    guest!();
    let fd = memfd(8 * PAGE, 0);
    let map = Map::of(&fd, 8 * PAGE);
    assert_eq!(status(map.0, map.1, PAGE), [-libc::ENOENT; 8], "asking does not");
    assert_eq!(allocated(&fd), 0);
    assert_eq!(advise(map.0, 2 * PAGE, libc::MADV_POPULATE_READ), Ok(()));
    assert_eq!(allocated(&fd), 2 * PAGE as u64);
    // SAFETY: mapped, and inside of the object.
    unsafe { map.0.wrapping_add(5 * PAGE).read_volatile() };
    assert_eq!(allocated(&fd), 3 * PAGE as u64);
}

/// `move_pages` knows nothing of pages that this process has not touched, and `get_mempolicy`
/// faults them in.
#[test]
fn only_touched_pages_are_known() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let fd = memfd(4 * PAGE, 0);
    let map = Map::of(&fd, 4 * PAGE);
    assert_eq!(in_child(|| map.touch(PAGE)), Ended::Well);
    assert_eq!(allocated(&fd), 4 * PAGE as u64);
    assert_eq!(status(map.0, map.1, PAGE), [-libc::ENOENT; 4], "they are the child's");
    assert!(numa_maps(map.0, map.1)[0].pages.is_empty());
    let mut node = -1_i32;
    // SAFETY: `node` outlives the call; MPOL_F_NODE with MPOL_F_ADDR, which needs no mask.
    let asked = unsafe {
        libc::syscall(libc::SYS_get_mempolicy, &raw mut node, std::ptr::null_mut::<u64>(), 0, map.0, 3)
    };
    assert_eq!((asked, node), (0, 0), "{}", errno());
    assert_eq!(status(map.0, map.1, PAGE)[0], 0, "asking for its node has brought it in");
}

#[test]
fn private_policies_are_inherited_over_fork() {
    guest!();
    let map = Map::private(4 * PAGE);
    assert_eq!(mbind(map.0, map.1, BIND, 1 << 2, BITS, 0), Ok(()));
    let child = in_child(|| {
        let _cpu = OnCpu::of_node(1);
        map.touch(PAGE);
        assert_eq!(map.nodes(), [2; 4]);
    });
    assert_eq!(child, Ended::Well);
}

/// Bound to a full node: the kernel has no error for that, only its killer. (In a child, which it
/// takes.)
#[test]
fn binding_to_a_full_node_ends_in_a_kill() {
    guest!();
    let _crowded = crate::support::machine::crowd(3, 16 << 20);
    let kills = crate::support::machine::vmstat("oom_kill");
    let ended = in_child(|| {
        // The first to go, so that it is not the tests.
        std::fs::write("/proc/self/oom_score_adj", "1000").unwrap();
        let map = Map::private(48 << 20);
        assert_eq!(mbind(map.0, map.1, BIND, 1 << 3, BITS, 0), Ok(()));
        map.touch(PAGE);
    });
    assert_eq!(ended, Ended::Signal(libc::SIGKILL));
    assert_eq!(crate::support::machine::vmstat("oom_kill"), kills + 1);
}

#[test]
fn home_nodes_are_for_bind_and_preferred_many() {
    guest!();
    let map = Map::private(4 * PAGE);
    let set_home = |node: usize| {
        // SAFETY: a policy changes no content.
        let status = unsafe { libc::syscall(libc::SYS_set_mempolicy_home_node, map.0, map.1, node, 0) };
        if status == 0 { Ok(()) } else { Err(errno()) }
    };
    assert_eq!(set_home(1), Err(libc::ENOENT), "no policy of its own");
    assert_eq!(mbind(map.0, map.1, INTERLEAVE, 0b11, BITS, 0), Ok(()));
    assert_eq!(set_home(1), Err(libc::EOPNOTSUPP));
    for mode in [BIND, PREFERRED_MANY] {
        assert_eq!(mbind(map.0, map.1, mode, 0b11, BITS, 0), Ok(()));
        assert_eq!(set_home(1), Ok(()), "{mode}");
    }
    map.touch(PAGE);
    assert_eq!(map.nodes(), [1; 4]);
    assert_eq!(numa_maps(map.0, map.1)[0].policy, "prefer (many):0-1", "it does not show");
}

/// Pages that another process has mapped too: no privilege, no move, and no error from mbind.
#[test]
fn moving_what_others_have_mapped_takes_a_privilege() {
    guest!();
    let ended = in_child(|| {
        without_nice();
        let _cpu = OnCpu::of_node(0);
        let fd = memfd(4 * PAGE, 0);
        let map = Map::of(&fd, 4 * PAGE);
        map.touch(PAGE);
        let mut other = crate::support::child::Child::start(|line| {
            map.touch(PAGE);
            line.go();
            line.wait();
        });
        other.wait();
        assert_eq!(mbind(map.0, map.1, BIND, 1 << 1, BITS, MOVE_ALL), Err(libc::EPERM));
        let moved = mbind(map.0, map.1, BIND, 1 << 1, BITS, MOVE | STRICT);
        assert_eq!((moved, map.nodes()), (Ok(()), vec![0; 4]), "it says that all is well");
        let pages: Vec<*mut u8> = (0..4).map(|page| map.0.wrapping_add(page * PAGE)).collect();
        let mut status = [0_i32; 4];
        // SAFETY: all arrays have four elements; moving a page changes neither its content nor its
        // address.
        unsafe {
            libc::syscall(
                libc::SYS_move_pages,
                0,
                4,
                pages.as_ptr(),
                [1_i32; 4].as_ptr(),
                status.as_mut_ptr(),
                MOVE,
            )
        };
        assert_eq!(status, [-libc::EACCES; 4]);
        other.go();
        assert_eq!(other.end(), Ended::Well);
    });
    assert_eq!(ended, Ended::Well);
}
