//! Handles: made, cloned, looked at, released.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};

use areas::registry;
use areas::{CreatedOrOpened, Error, ErrorKind, ReceiveOptions};

use super::super::counting::{Row, Sides, functions};
use super::super::record::Record;
use super::{
    C_NAME, CONTEXT, NAME, NULL, PAGE, SHARED, attributes, create, done, named, published, release, shared,
};

functions! {
    fn areas_create_or_open(attributes: *const c_void, created: *mut c_int) -> *mut c_void;
    fn areas_clone(id: i32, how: *const c_void) -> *mut c_void;
    fn areas_clone_named(name: *const c_char, how: *const c_void) -> *mut c_void;
    fn areas_from_descriptor(descriptor: c_int, how: *const c_void) -> *mut c_void;
    fn areas_address(area: *const c_void) -> *mut c_void;
    fn areas_size(area: *const c_void) -> usize;
    fn areas_id(area: *const c_void) -> i32;
    fn areas_descriptor(area: *const c_void) -> c_int;
    fn areas_granted(
        area: *const c_void,
        grant: *mut c_void,
        on_fallback: *const c_void,
        context: *mut c_void,
    ) -> c_int;
    fn areas_look(area: *const c_void, info: *mut c_void) -> c_int;
    safe fn areas_error_number() -> c_int;
    safe fn areas_error_errno() -> c_int;
    safe fn areas_error_text() -> *const c_char;
    safe fn areas_error_help() -> *const c_char;
    safe fn areas_error_remedy() -> *const c_char;
    fn areas_error_set(number: c_int, what: *const c_char, help: *const c_char) -> c_int;
}

pub(super) const ROWS: &[Row] = &[
    Row::new(&["areas_create", "areas_release"], make).handle(),
    Row::new(&["areas_create", "areas_release"], publish).handle(),
    Row::new(&["areas_create_or_open", "areas_release"], create_it).handle(),
    Row::new(&["areas_create_or_open", "areas_release"], open_it).handle(),
    Row::new(&["areas_clone", "areas_release"], clone).handle(),
    Row::new(&["areas_clone_named", "areas_release"], clone_named).handle(),
    Row::new(&["areas_from_descriptor", "areas_release"], from_descriptor).handle(),
    Row::new(&["areas_address", "areas_size", "areas_id", "areas_descriptor"], ask),
    Row::new(&["areas_granted"], granted),
    Row::new(&["areas_look"], look),
    Row::new(&["areas_look"], look_at_published),
    Row::new(&["areas_error_set"], fail),
    Row::new(
        &[
            "areas_error_number",
            "areas_error_errno",
            "areas_error_text",
            "areas_error_help",
            "areas_error_remedy",
        ],
        describe_failure,
    ),
];

fn make(sides: &mut Sides) {
    let wanted = attributes(SHARED);
    sides.count(&mut || release(create(&wanted)), &mut || drop(shared()));
}

fn publish(sides: &mut Sides) {
    let wanted = named();
    sides.count(&mut || release(create(&wanted)), &mut || {
        drop(published());
    });
}

/// Whether it was made.
fn create_or_open(wanted: &Record) -> bool {
    let mut created = -1;
    // SAFETY: as many bytes as it says, and a place for a number.
    let area = unsafe { areas_create_or_open(wanted.as_ptr(), &raw mut created) };
    assert!(!area.is_null());
    release(area);
    created == 1
}

fn create_it(sides: &mut Sides) {
    let wanted = named();
    sides.count(&mut || assert!(create_or_open(&wanted)), &mut || {
        let made = areas::builder(PAGE).name(NAME).create_or_open().unwrap();
        assert!(matches!(made, CreatedOrOpened::Created(_)));
    });
}

fn open_it(sides: &mut Sides) {
    let wanted = named();
    let _there = published();
    sides.count(&mut || assert!(!create_or_open(&wanted)), &mut || {
        let opened = areas::builder(PAGE).name(NAME).create_or_open().unwrap();
        assert!(matches!(opened, CreatedOrOpened::Opened(_)));
    });
}

fn clone(sides: &mut Sides) {
    let area = published();
    let id = area.id().unwrap();
    let edge = &mut || {
        // SAFETY: NULL is as it is.
        let clone = unsafe { areas_clone(id.get(), NULL) };
        assert!(!clone.is_null());
        release(clone);
    };
    sides.count(edge, &mut || drop(registry::get(id).unwrap().cloning().open_any().unwrap()));
}

fn clone_named(sides: &mut Sides) {
    let _area = published();
    let edge = &mut || {
        // SAFETY: a string, and NULL is as it is.
        let clone = unsafe { areas_clone_named(C_NAME, NULL) };
        assert!(!clone.is_null());
        release(clone);
    };
    sides.count(edge, &mut || drop(registry::find(NAME).unwrap().cloning().open_any().unwrap()));
}

fn from_descriptor(sides: &mut Sides) {
    let area = shared();
    let descriptor = area.as_fd();
    let edge = &mut || {
        // SAFETY: it is open; NULL is as it is.
        let area = unsafe { areas_from_descriptor(descriptor.as_raw_fd(), NULL) };
        assert!(!area.is_null());
        release(area);
    };
    sides.count(edge, &mut || drop(ReceiveOptions::new().of_descriptor(descriptor).unwrap()));
}

fn ask(sides: &mut Sides) {
    let (area, own) = (create(&named()), published());
    let edge = &mut || {
        // SAFETY: a handle of this row's.
        assert!(!unsafe { areas_address(area) }.is_null());
        // SAFETY: a handle of this row's.
        assert_eq!(unsafe { areas_size(area) }, PAGE);
        // SAFETY: a handle of this row's.
        assert!(unsafe { areas_id(area) } > 0);
        // SAFETY: a handle of this row's.
        assert!(unsafe { areas_descriptor(area) } > 2);
    };
    sides.count(edge, &mut || {
        assert!(!own.as_ptr().is_null() && own.size() == PAGE);
        assert!(own.id().is_some() && own.as_fd().as_raw_fd() > 2);
    });
}

fn granted(sides: &mut Sides) {
    let (area, own) = (create(&attributes(SHARED)), shared());
    let mut grant = Record::begun("areas_grant");
    let edge = &mut || {
        // SAFETY: a handle of this row's, as many bytes as it says, and no callback.
        done(unsafe { areas_granted(area, grant.as_mut_ptr(), NULL, CONTEXT) });
    };
    sides.count(edge, &mut || assert_eq!(own.granted().mapped(), PAGE));
}

fn look_at(sides: &mut Sides, area: *const c_void, library: &mut dyn FnMut()) {
    let mut info = Record::begun("areas_info");
    // SAFETY: a handle of the row's, and as many bytes as it says.
    sides.count(&mut || done(unsafe { areas_look(area, info.as_mut_ptr()) }), library);
}

fn look(sides: &mut Sides) {
    let own = shared();
    look_at(sides, create(&attributes(SHARED)), &mut || {
        assert!(!own.object().is_frozen().unwrap() && own.size() == own.mapped());
        assert!(own.placement().policy().nodes().is_none() && own.name().is_none());
        // The structure has the process.
        assert!(std::process::id() > 0);
    });
}

fn look_at_published(sides: &mut Sides) {
    let own = published();
    look_at(sides, create(&named()), &mut || {
        assert!(!own.object().is_frozen().unwrap() && own.placement().policy().nodes().is_none());
        let info = registry::get(own.id().unwrap()).unwrap().info().unwrap();
        assert!(info.size == PAGE && info.command().is_some());
    });
}

const WHAT: &CStr = c"be counted";
const HELP: &CStr = c"nothing";
const BUSY: c_int = -11;

/// The last error of the thread.
fn set_error() {
    // SAFETY: two strings.
    assert_eq!(unsafe { areas_error_set(BUSY, WHAT.as_ptr(), HELP.as_ptr()) }, BUSY);
}

fn fail(sides: &mut Sides) {
    let mut kept = None;
    sides.count(&mut set_error, &mut || {
        let error = Error::new(ErrorKind::Busy, WHAT.to_string_lossy().into_owned());
        kept = Some(error.with_remedy(HELP.to_string_lossy().into_owned()));
    });
    assert!(kept.is_some());
}

/// The words are made when it is first asked for.
fn describe_failure(sides: &mut Sides) {
    set_error();
    let edge = &mut || {
        assert_eq!((areas_error_number(), areas_error_errno()), (BUSY, 0));
        assert!(!areas_error_text().is_null() && !areas_error_help().is_null());
        assert!(!areas_error_remedy().is_null());
    };
    sides.count(edge, &mut || {});
}
