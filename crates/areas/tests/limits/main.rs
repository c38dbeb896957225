//! Memory that cannot be had is refused with numbers, before the kernel kills: limits of control
//! groups, of both versions, on real groups that the tests make and remove; what two take at once.
//!
//! What needs another setting of the whole machine runs in a guest, and what is here runs there
//! again, with other kernels: `tests/guest_limits`.

#[expect(dead_code, reason = "the tests of areas, providers and errors use the rest")]
#[path = "../area_support/mod.rs"]
mod support;

mod at_once;
mod group;
mod hugetlb;
mod memory;
mod transparent;

const MIB: usize = 1 << 20;
