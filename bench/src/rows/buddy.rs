//! AML's buddy allocator, as a program in C has it, against one of AML's manner.

use std::ffi::{c_int, c_void};
use std::ptr;

use anyhow::{Context as _, Result, ensure};

use crate::bench::{Bench, Contest, SHORT};
use crate::peers::Work;

/// `struct allocator` of `peers/buddy.c`.
#[repr(C)]
struct Allocator {
    alloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
    data: *mut c_void,
}

type Create = unsafe extern "C" fn(*mut *mut c_void, *const c_void, *mut c_void) -> c_int;

pub fn run(bench: &mut Bench) -> Result<()> {
    let Some(path) = std::env::var_os("AREAS_BENCH_C") else {
        bench.skip("buddy", "AREAS_BENCH_C does not name libareas.so");
        return Ok(());
    };
    let peer = bench.library("buddy").context("compiled by the same command")?;
    // SAFETY: this project's own library, whose initialisers do nothing that others could see.
    let library = unsafe { libloading::Library::new(&path) }
        .with_context(|| format!("cannot load {}", path.display()))?;
    // It stays: what it gave is used until the end.
    let library: &'static libloading::Library = Box::leak(Box::new(library));
    // SAFETY: they have the types that their headers say.
    let (create, alloc, free, area) = unsafe {
        (
            *library.get::<Create>(b"aml_allocator_buddy_create")?,
            *library.get(b"aml_alloc")?,
            *library.get(b"aml_free")?,
            *library.get::<*const c_void>(b"aml_area_linux")?,
        )
    };
    // One for each case. They stay, with nothing out.
    let cases = [
        ("sizes from 1 byte to 128 KiB, at random", 0, Some(1.0)),
        ("64 B", 64, None),
        ("4 KiB", 4096, None),
    ];
    for (case, size, target) in cases {
        let mut data = ptr::null_mut();
        // SAFETY: a place for a pointer, an area that stays, and no options.
        ensure!(unsafe { create(&raw mut data, area, ptr::null_mut()) } == 0, "aml_allocator_buddy_create");
        let ours: &'static mut Allocator = Box::leak(Box::new(Allocator { alloc, free, data }));
        let work = Work::of_size(size);
        let by = Work { from: ptr::from_mut(ours).cast(), ..work };
        let ours = peer.side("aml_alloc, aml_free", "peer_buddy_by", by)?;
        let contest = Contest::new(format!("{case}; half of 4,096 places are out"), SHORT, ours)
            .against(peer.side("a buddy of AML's manner, in C", "peer_buddy", work)?, target);
        bench.contest(contest)?;
        peer.call("peer_buddy_end", by)?;
    }
    Ok(())
}
