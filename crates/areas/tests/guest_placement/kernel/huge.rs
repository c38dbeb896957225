//! What the kernel does with transparent huge pages of objects on several nodes, and with their
//! neighbours.

#![expect(unsafe_code, reason = "raw mappings; each block has its proof")]

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use super::{Map, allocated, memfd};
use crate::support::pages::{advise, huge_bytes, mbind, move_to, nodes_of, status, touch};
use crate::support::{HUGE, PAGE, guest};

const BIND: i32 = 2;
const INTERLEAVE: i32 = 3;
const BITS: usize = 64;
const COLLAPSE: i32 = 25;

/// An object mapped where its huge pages can be mapped as such.
fn aligned(fd: &OwnedFd, len: usize) -> Map {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE;
    let address = std::ptr::without_provenance_mut(0x5000_0000_0000);
    // SAFETY: nothing that is mapped is replaced.
    let start = unsafe { libc::mmap(address, len, access, flags, fd.as_raw_fd(), 0) };
    assert_eq!(start, address, "mmap: {}", std::io::Error::last_os_error());
    Map(start.cast(), len)
}

#[test]
fn collapsing_takes_the_node_that_has_most_and_fills_the_holes() {
    guest!();
    let fd = memfd(3 * HUGE, 0);
    let map = aligned(&fd, 3 * HUGE);
    let block = |at: usize| map.0.wrapping_add(at * HUGE);
    // A block that is interleaved by the page: a tie, which the lowest node wins.
    assert_eq!(mbind(block(0), HUGE, INTERLEAVE, 0b1001, BITS, 0), Ok(()));
    // SAFETY: mapped, writable and ours.
    unsafe { touch(block(0), HUGE, PAGE) };
    let before = nodes_of(block(0), HUGE, PAGE);
    assert_eq!(before.iter().filter(|&&node| node == 3).count(), 256);
    // One that has a single page; and one that has none.
    assert_eq!(mbind(block(1), HUGE, BIND, 0b0100, BITS, 0), Ok(()));
    // SAFETY: a page of the same mapping, which is writable and ours.
    unsafe { touch(block(1).wrapping_add(77 * PAGE), PAGE, PAGE) };
    assert_eq!(advise(block(0), HUGE, COLLAPSE), Ok(()));
    assert_eq!(advise(block(1), HUGE, COLLAPSE), Ok(()));
    assert_eq!(advise(block(2), HUGE, COLLAPSE), Err(libc::EINVAL), "there is nothing to collapse");
    // SAFETY: two of its three blocks, writable and ours.
    unsafe { touch(map.0, 2 * HUGE, PAGE) };
    assert_eq!(nodes_of(block(0), HUGE, PAGE), [0; 512], "whatever the policy");
    assert_eq!(nodes_of(block(1), HUGE, PAGE), [2; 512]);
    assert_eq!(huge_bytes(map.0, map.1), 2 * HUGE as u64);
    assert_eq!(allocated(&fd), 2 * HUGE as u64);
}

/// Where interleaving begins: the number of a page and that of the inode, together, say whose turn
/// it is.
#[test]
fn the_turn_of_a_page_is_given_by_the_inode_and_its_number() {
    guest!();
    let order = [0, 2, 3];
    for _ in 0..3 {
        let fd = memfd(30 * PAGE, 0);
        let inode = std::fs::File::from(fd.try_clone().unwrap()).metadata().unwrap().ino();
        let map = Map::of(&fd, 30 * PAGE);
        assert_eq!(mbind(map.0, map.1, INTERLEAVE, 0b1101, BITS, 0), Ok(()));
        map.touch(PAGE);
        let expected: Vec<u32> =
            (0..30).map(|page| order[(usize::try_from(inode).unwrap() + page) % 3]).collect();
        assert_eq!(map.nodes(), expected, "inode {inode}");
    }
}

#[test]
fn whoever_names_one_page_of_a_huge_page_moves_it_whole() {
    guest!();
    let fd = memfd(HUGE, 0);
    let map = aligned(&fd, HUGE);
    map.touch(PAGE);
    assert_eq!(advise(map.0, HUGE, COLLAPSE), Ok(()));
    map.touch(PAGE);
    for (page, node) in [(0, 2), (100, 1), (511, 3)] {
        move_to(map.0.wrapping_add(page * PAGE), node);
        map.touch(PAGE);
        assert_eq!(map.nodes(), vec![node; 512], "by page {page}");
        assert_eq!(huge_bytes(map.0, map.1), HUGE as u64, "and is one still");
    }
}

/// Why a window that pages are moved through shows nothing beside them.
#[test]
fn reading_one_page_maps_its_neighbours_along() {
    guest!();
    let fd = memfd(64 * PAGE, 0);
    let file = std::fs::File::from(fd.try_clone().unwrap());
    file.write_all_at(&[1; 64 * PAGE], 0).unwrap();
    let there = |map: &Map| status(map.0, map.1, PAGE).iter().filter(|&&node| node >= 0).count();
    let map = Map::of(&fd, 64 * PAGE);
    assert_eq!(there(&map), 0, "written past the mapping");
    assert_eq!(advise(map.0.wrapping_add(20 * PAGE), PAGE, libc::MADV_POPULATE_READ), Ok(()));
    assert!(there(&map) > 1, "{}", there(&map));
    // Not beyond the mapping, which is all that keeps them apart.
    let narrow = Map::of(&fd, PAGE);
    assert_eq!(advise(narrow.0, PAGE, libc::MADV_POPULATE_READ), Ok(()));
    assert_eq!(there(&narrow), 1);
}
