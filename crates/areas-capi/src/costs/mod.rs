//! What the edge costs, held against the library's own calls: no system call more, and no
//! allocation but that of a handle of `areas.h`, which is the area itself: what a Rust program has
//! in a variable.
//!
//! Each exported function has a row ([`counting::Row`]), or is [exempt](EXEMPT) for a reason that
//! is given: [`be`], [`aml`] and [`native`] have the rows, by interface. What is dearer
//! says so in its row, by how much, and why.

#![expect(
    unsafe_code,
    reason = "calls C's functions, forks and counts allocations; each block has its proof"
)]

use std::collections::BTreeSet;

use counting::Row;

mod aml;
mod be;
mod counting;
mod native;
mod record;

/// The exported symbols, by interface.
const SYMBOLS: [&str; 4] = [
    include_str!("../../abi/areas.symbols.txt"),
    include_str!("../../abi/be.symbols.txt"),
    include_str!("../../abi/aml.symbols.txt"),
    include_str!("../../abi/aml-0.1.symbols.txt"),
];

/// Symbols without a row, and why.
const EXEMPT: [(&str, &[&str]); 3] = [
    (
        "data, no function",
        &[
            "aml01_area_linux",
            "aml01_area_linux_data_default",
            "aml01_area_linux_ops",
            "aml_allocator_area_ops",
            "aml_allocator_buddy_ops",
            "aml_allocator_sized_ops",
            "aml_area_hwloc_default",
            "aml_area_hwloc_firsttouch",
            "aml_area_hwloc_interleave",
            "aml_area_hwloc_ops",
            "aml_area_hwloc_preferred_ops",
            "aml_area_linux",
            "aml_area_linux_data_default",
            "aml_area_linux_ops",
            "aml_version_major",
            "aml_version_minor",
            "aml_version_patch",
            "aml_version_revision",
            "aml_version_string",
        ],
    ),
    (
        "raises SIGTRAP, by which system calls are counted here; without a debugger it ends the process",
        &["debugger"],
    ),
    (
        "reads of every process of the machine, which come and go: no two calls have the same to do",
        &["areas_holders", "get_system_info"],
    ),
];

#[test]
fn every_function_has_a_row() {
    let _alone = counting::alone();
    let symbols: BTreeSet<&str> = SYMBOLS.iter().flat_map(|symbols| symbols.lines()).collect();
    let counted: BTreeSet<&str> = rows().flat_map(|row| row.functions).copied().collect();
    let exempt: BTreeSet<&str> = EXEMPT.iter().flat_map(|(_, symbols)| *symbols).copied().collect();
    let both: Vec<_> = counted.intersection(&exempt).collect();
    assert!(both.is_empty(), "these have a row, and are exempt from it: {both:?}");
    let known: BTreeSet<&str> = counted.union(&exempt).copied().collect();
    let missing: Vec<_> = symbols.difference(&known).collect();
    assert!(missing.is_empty(), "{} without a row: {missing:?}", missing.len());
    let strange: Vec<_> = known.difference(&symbols).collect();
    assert!(strange.is_empty(), "no header has these: {strange:?}");
}

/// One look at our table and one at the folder: who waits for a name, and who gives us an area,
/// show in the latter. And which user this is.
#[test]
fn a_publication_takes_three_system_calls() {
    let row = Row::new(&[], |sides| {
        let _joined = areas::builder(4096).name("costs: joined").shared().unwrap();
        sides.count(
            &mut || drop(areas::builder(4096).name("costs: published").shared().unwrap()),
            &mut || drop(areas::builder(4096).shared().unwrap()),
        );
    });
    counting::check([row.dearer(3, 1, "its name, the two looks, and the user")].iter());
}

fn rows() -> impl Iterator<Item = &'static Row> {
    [be::ROWS].into_iter().chain(aml::ROWS.iter().copied()).chain(native::ROWS.iter().copied()).flatten()
}
