//! Areas that are found, described and measured, own and foreign.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::NonNull;

use areas::registry;
use areas::{AreaId, Residency};

use super::super::counting::{Other, Row, Sides, for_ever, functions};
use super::super::record::Record;
use super::{C_NAME, CONTEXT, NAME, NULL, PAGE, attributes, create, done, published, shared};

functions! {
    fn areas_find(name: *const c_char) -> i32;
    fn areas_wait(name: *const c_char, milliseconds: i64) -> i32;
    safe fn areas_at(address: *const c_void) -> i32;
    fn areas_get(id: i32, info: *mut c_void) -> c_int;
    fn areas_next(pid: u32, after: *const c_void, info: *mut c_void) -> c_int;
    fn areas_list(on_area: OnArea, on_unreadable: *const c_void, context: *mut c_void) -> c_int;
    fn areas_resident(id: i32, bytes: *mut u64) -> c_int;
    safe fn areas_is_frozen(id: i32) -> c_int;
    safe fn areas_forget_range(start: *mut c_void, length: usize) -> c_int;
    safe fn areas_join() -> c_int;
    safe fn areas_ensure_published() -> c_int;
    safe fn areas_keep() -> c_int;
    fn areas_measure(
        area: *const c_void,
        residency: *mut c_void,
        on_run: *const c_void,
        context: *mut c_void,
    ) -> c_int;
    fn areas_measure_id(
        id: i32,
        residency: *mut c_void,
        on_run: *const c_void,
        context: *mut c_void,
    ) -> c_int;
    fn areas_measure_range(
        start: *const c_void,
        size: usize,
        residency: *mut c_void,
        on_run: *const c_void,
        context: *mut c_void,
    ) -> c_int;
    fn areas_verify(
        area: *const c_void,
        verification: *mut c_void,
        on_misplaced: *const c_void,
        context: *mut c_void,
    ) -> c_int;
}

type OnArea = unsafe extern "C" fn(info: *const c_void, context: *mut c_void) -> c_int;

pub(super) const ROWS: &[Row] = &[
    Row::new(&["areas_find", "areas_wait"], find_own),
    Row::new(&["areas_find", "areas_wait"], find_others),
    Row::new(&["areas_at"], at_address),
    Row::new(&["areas_get"], get_own),
    Row::new(&["areas_get"], get_others),
    Row::new(&["areas_next"], next),
    Row::new(&["areas_list"], list),
    Row::new(&["areas_resident", "areas_is_frozen"], ask_own),
    Row::new(&["areas_resident", "areas_is_frozen"], ask_others),
    Row::new(&["areas_forget_range"], forget_nothing),
    Row::new(&["areas_join", "areas_ensure_published", "areas_keep"], join),
    Row::new(&["areas_measure"], measure),
    Row::new(&["areas_measure_id"], measure_id),
    Row::new(&["areas_measure_range"], measure_range),
    Row::new(&["areas_verify"], verify),
];

/// A team with an area of its own, which lives as long as the row; this one has joined it.
fn another_team() -> (Other, AreaId) {
    let other = Other::start(|ready| {
        let area = published();
        area.write_at(0, &[1; PAGE]).unwrap();
        ready();
        for_ever();
    });
    registry::join().unwrap();
    (other, registry::find(NAME).unwrap().id())
}

fn find(sides: &mut Sides) {
    let edge = &mut || {
        // SAFETY: a string.
        assert!(unsafe { areas_find(C_NAME) } > 0);
        // SAFETY: a string that ends with a zero byte.
        assert!(unsafe { areas_wait(C_NAME, 1000) } > 0);
    };
    sides.count(edge, &mut || {
        assert!(registry::find(NAME).unwrap().id().get() > 0);
        let found = registry::wait(NAME, Some(std::time::Duration::from_secs(1))).unwrap();
        assert!(found.id().get() > 0);
    });
}

fn find_own(sides: &mut Sides) {
    let _area = published();
    find(sides);
}

fn find_others(sides: &mut Sides) {
    let _other = another_team();
    find(sides);
}

fn at_address(sides: &mut Sides) {
    let area = published();
    let address = area.as_ptr();
    sides.count(&mut || assert!(areas_at(address.cast()) > 0), &mut || {
        assert!(registry::id_at(address.addr()).unwrap().get() > 0);
    });
}

fn get(sides: &mut Sides, id: AreaId) {
    let mut record = Record::begun("areas_info");
    // SAFETY: as many bytes as it says.
    let edge = &mut || done(unsafe { areas_get(id.get(), record.as_mut_ptr()) });
    sides.count(edge, &mut || {
        let info = registry::get(id).unwrap().info().unwrap();
        assert!(info.size == PAGE && info.command().is_some());
    });
}

fn get_own(sides: &mut Sides) {
    let area = published();
    get(sides, area.id().unwrap());
}

fn get_others(sides: &mut Sides) {
    let (_other, id) = another_team();
    get(sides, id);
}

fn next(sides: &mut Sides) {
    let (other, _) = another_team();
    let pid = other.pid().unsigned_abs();
    let mut record = Record::begun("areas_info");
    // SAFETY: as many bytes as it says.
    let edge = &mut || assert_eq!(unsafe { areas_next(pid, NULL, record.as_mut_ptr()) }, 1);
    sides.count(edge, &mut || {
        let info = registry::next(pid, 0).unwrap().unwrap().info().unwrap();
        assert!(info.size == PAGE && info.command().is_some());
    });
}

/// Counts the areas that are reported.
unsafe extern "C" fn counted(_info: *const c_void, context: *mut c_void) -> c_int {
    // SAFETY: the number of the row that is being counted, which nothing else uses concurrently.
    unsafe { *context.cast::<usize>() += 1 };
    0
}

fn list(sides: &mut Sides) {
    // In this order: a child that was forked later would publish what it inherited.
    let (_other, _area) = (another_team(), published());
    let edge = &mut || {
        let mut areas = 0_usize;
        // SAFETY: a callback, and its number.
        done(unsafe { areas_list(counted, NULL, (&raw mut areas).cast()) });
        assert_eq!(areas, 2);
    };
    sides.count(edge, &mut || {
        let listing = registry::list().unwrap();
        let infos = listing.areas.iter().map(|source| source.info().unwrap());
        assert_eq!(infos.filter(|info| info.command().is_some()).count(), 2);
    });
}

fn ask(sides: &mut Sides, id: AreaId) {
    let edge = &mut || {
        let mut bytes = 0;
        // SAFETY: a place for a number.
        done(unsafe { areas_resident(id.get(), &raw mut bytes) });
        assert_eq!((bytes, areas_is_frozen(id.get())), (PAGE as u64, 0));
    };
    sides.count(edge, &mut || {
        assert_eq!(registry::get(id).unwrap().resident().unwrap(), PAGE as u64);
        assert!(!registry::get(id).unwrap().is_frozen().unwrap());
    });
}

fn ask_own(sides: &mut Sides) {
    let area = published();
    area.write_at(0, &[1; PAGE]).unwrap();
    ask(sides, area.id().unwrap());
}

fn ask_others(sides: &mut Sides) {
    let (_other, id) = another_team();
    ask(sides, id);
}

/// Where no area of BeOS's lies it is a search, for each `munmap` of a program.
fn forget_nothing(sides: &mut Sides) {
    let (_published, private) = (published(), areas::builder(PAGE).private().unwrap());
    let range = private.as_ptr();
    sides.count(&mut || done(areas_forget_range(range.cast(), PAGE)), &mut || {
        assert!(!registry::may_overlap(range.addr(), PAGE));
    });
}

fn join(sides: &mut Sides) {
    let _area = published();
    let edge = &mut || {
        done(areas_join());
        done(areas_ensure_published());
        done(areas_keep());
    };
    sides.count(edge, &mut || {
        registry::join().unwrap();
        registry::ensure_published().unwrap();
        registry::ensure_published().unwrap();
    });
}

/// What is reported of it.
fn looked_at(found: &Residency) {
    assert!(found.size() == PAGE as u64 && found.node_unknown() == 0 && found.runs().len() == 1);
}

fn measure(sides: &mut Sides) {
    let (area, own) = (create(&attributes(0)), shared());
    let mut record = Record::begun("areas_residency");
    // SAFETY: a handle of this row's, as many bytes as it says, and no callback.
    let edge = &mut || done(unsafe { areas_measure(area, record.as_mut_ptr(), NULL, CONTEXT) });
    sides.count(edge, &mut || looked_at(&own.residency().unwrap()));
}

fn measure_id(sides: &mut Sides) {
    let (_other, id) = another_team();
    let mut record = Record::begun("areas_residency");
    // SAFETY: as many bytes as it says, and no callback.
    let edge = &mut || done(unsafe { areas_measure_id(id.get(), record.as_mut_ptr(), NULL, CONTEXT) });
    sides.count(edge, &mut || looked_at(&registry::get(id).unwrap().residency().unwrap()));
}

fn measure_range(sides: &mut Sides) {
    let private = areas::builder(PAGE).private().unwrap();
    let start = NonNull::new(private.as_ptr()).unwrap();
    let mut record = Record::begun("areas_residency");
    let edge = &mut || {
        let at = start.as_ptr().cast_const().cast();
        // SAFETY: an address, as many bytes as it says, and no callback.
        done(unsafe { areas_measure_range(at, PAGE, record.as_mut_ptr(), NULL, CONTEXT) });
    };
    sides.count(edge, &mut || looked_at(&areas::range::residency(start, PAGE).unwrap()));
}

fn verify(sides: &mut Sides) {
    let (area, own) = (create(&attributes(0)), shared());
    let mut record = Record::begun("areas_verification");
    // SAFETY: a handle of this row's, as many bytes as it says, and no callback.
    let edge = &mut || done(unsafe { areas_verify(area, record.as_mut_ptr(), NULL, CONTEXT) });
    sides.count(edge, &mut || assert!(own.verify().unwrap().holds()));
}
