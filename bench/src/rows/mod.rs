//! What is compared. One file a subject; each row says what its share of a peer's time is to be at
//! most.

mod buddy;
mod copies;
mod crowd;
mod finding;
mod growth;
mod info;
mod jobs;
mod listing;
mod map;
mod memory;
mod pages;
mod put;
mod python;
mod sharing;
mod slab;
mod through_c;
mod umf;
mod whose;

use anyhow::Result;

use crate::bench::Bench;

/// One row of the table.
pub struct Row {
    pub name: &'static str,
    pub what: &'static str,
    pub run: fn(&mut Bench) -> Result<()>,
}

/// All of them, in the order in which they run.
pub const ROWS: &[Row] = &[
    Row { name: "map", what: "map memory on a node, and unmap it", run: map::run },
    Row {
        name: "umf",
        what: "map memory on a node, and open another process's, beside oneAPI's UMF",
        run: umf::run,
    },
    Row { name: "share", what: "make an area that others find, and drop it", run: sharing::share },
    Row {
        name: "find",
        what: "find an area of another process, clone it, drop the clone",
        run: sharing::find,
    },
    Row { name: "c", what: "the same through C: make, find, map", run: through_c::run },
    Row {
        name: "crowd",
        what: "10,000 named areas made, opened and dropped by 8 processes",
        run: crowd::run,
    },
    Row {
        name: "slab",
        what: "hand small arrays to another mapping: by a slab, and by an area each",
        run: slab::run,
    },
    Row { name: "many", what: "find one of 100,000 areas in 64 processes", run: finding::run },
    Row { name: "info", what: "ask for what is known of an area", run: info::run },
    Row {
        name: "whose",
        what: "whose is this address: with many areas, by several threads",
        run: whose::run,
    },
    Row { name: "populate", what: "fault 1 GiB in", run: pages::populate },
    Row { name: "residency", what: "measure where each page of 1 GiB is", run: pages::residency },
    Row { name: "migrate", what: "move 1 GiB to another node", run: pages::migrate },
    Row { name: "copy", what: "copy into, out of, and between shared areas", run: copies::copies },
    Row { name: "random", what: "random reads over 2 GiB, in huge pages", run: copies::random },
    Row { name: "buddy", what: "allocate and free by AML's buddy allocator, in C", run: buddy::run },
    Row { name: "put", what: "put a file of 150 MB into an area: the command", run: put::run },
    Row { name: "cat", what: "give an area of 2 GiB out: the command", run: put::cat },
    Row {
        name: "jobs",
        what: "whole jobs: 4 GiB put and got, 1 GiB to eight readers, a ring of frames",
        run: jobs::run,
    },
    Row { name: "ls", what: "list 10,000 areas of 100 processes: the command", run: listing::run },
    Row {
        name: "memory",
        what: "what the registry takes, and what stays when all are dead",
        run: memory::run,
    },
    Row { name: "growth", what: "how costs grow with areas and teams", run: growth::run },
];

/// Sizes as people say them.
pub fn bytes(size: usize) -> String {
    areas::Bytes::from(size).to_string()
}
