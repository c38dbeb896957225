//! Our own interface: a handle is the area itself, in one allocation. A file for each of the things
//! that one does with it.

use std::ffi::{c_int, c_void};

use areas::{Area, Shared};

use super::counting::{Row, functions};
use super::record::Record;

mod changing;
mod finding;
mod machine;
mod making;
mod passing;
mod providers;
mod syncing;

pub(super) const ROWS: &[&[Row]] = &[
    making::ROWS,
    changing::ROWS,
    finding::ROWS,
    passing::ROWS,
    syncing::ROWS,
    providers::ROWS,
    machine::ROWS,
];

functions! {
    fn areas_create(attributes: *const c_void) -> *mut c_void;
    fn areas_release(area: *mut c_void);
}

const NAME: &str = "costs";
const C_NAME: *const std::ffi::c_char = c"costs".as_ptr();
const PAGE: usize = 4096;

/// `AREAS_PRIVATE` and others.
const SHARED: u64 = 0;
const PRIVATE: u64 = 1;
const RESIZABLE: u64 = 3;
const STORED: u64 = 5;

/// Attributes of an area of one page.
fn attributes(kind: u64) -> Record {
    Record::begun("areas_attributes").set("size", PAGE as u64).set("kind", kind)
}

/// The same, published.
fn named() -> Record {
    attributes(SHARED).point("name", C_NAME)
}

fn create(attributes: &Record) -> *mut c_void {
    // SAFETY: as many bytes as it says; what it points to is there.
    let area = unsafe { areas_create(attributes.as_ptr()) };
    assert!(!area.is_null());
    area
}

fn release(area: *mut c_void) {
    // SAFETY: a handle of this row's, which is not used again.
    unsafe { areas_release(area) };
}

/// An area of a page, for the library's side.
fn shared() -> Area<Shared> {
    areas::builder(PAGE).shared().unwrap()
}

/// The same, published.
fn published() -> Area<Shared> {
    areas::builder(PAGE).name(NAME).shared().unwrap()
}

/// No callback, and nothing that is asked for in particular.
const NULL: *const c_void = std::ptr::null();
const CONTEXT: *mut c_void = std::ptr::null_mut();

/// What a function gives that succeeds.
#[track_caller]
fn done(status: c_int) {
    assert_eq!(status, 0);
}

#[test]
fn our_own_calls_cost_what_the_library_does() {
    super::counting::check(ROWS.iter().copied().flatten());
}
