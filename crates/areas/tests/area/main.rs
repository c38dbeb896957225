//! Areas on the real kernel: what they promise is measured in smaps, mincore, move_pages and fstat,
//! never read back from the library. What needs a process of its own (counts, limits, other
//! holders) runs in one.

#[expect(dead_code, reason = "the tests of providers and errors use the rest")]
#[path = "../area_support/mod.rs"]
mod support;

mod access;
mod addresses;
mod again;
mod any;
mod clones;
mod contiguous;
mod cut;
mod dumps;
mod encodings;
mod found;
mod freeze;
mod freeze_busy;
mod growth;
mod huge;
mod huge_growth;
mod kin;
mod lent;
mod locks;
mod measured;
mod races;
mod ranges;
mod shape;
mod words;

use areas::{Area, Shared};

/// The bytes of a shared area, copied out.
fn bytes(area: &Area<Shared>) -> Vec<u8> {
    let mut bytes = vec![0; area.size()];
    area.read_at(0, &mut bytes).unwrap();
    bytes
}

/// The size of a base page.
fn page() -> usize {
    rustix::param::page_size()
}
