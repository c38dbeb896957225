//! Areas that change: names, notes, sizes, rights, contents, places.

use std::ffi::{c_char, c_int, c_void};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Duration;

use areas::registry;
use areas::{Area, AreaId, Placement, Policy, Protection, Result, Shared};

use super::super::counting::{Row, Sides, functions};
use super::super::record::Record;
use super::{
    C_NAME, CONTEXT, NAME, NULL, PAGE, PRIVATE, RESIZABLE, SHARED, STORED, attributes, create, done, named,
    published, release, shared,
};

functions! {
    fn areas_publish(area: *mut c_void, name: *const c_char) -> i32;
    fn areas_publish_exclusive(area: *mut c_void, name: *const c_char) -> i32;
    fn areas_unpublish(area: *mut c_void) -> c_int;
    fn areas_retire(area: *mut c_void) -> c_int;
    fn areas_set_note(area: *mut c_void, bytes: *const c_void, size: usize) -> c_int;
    fn areas_resize(area: *mut c_void, size: usize) -> c_int;
    fn areas_widen(area: *mut c_void, span: usize) -> c_int;
    fn areas_trim(area: *mut c_void, span: usize) -> c_int;
    fn areas_protect(area: *mut c_void, protection: u32) -> c_int;
    fn areas_freeze(area: *mut c_void, milliseconds: i64) -> c_int;
    fn areas_sync(area: *mut c_void) -> c_int;
    fn areas_populate(area: *mut c_void, on_progress: *const c_void, context: *mut c_void) -> c_int;
    fn areas_fill(area: *mut c_void, file: c_int, on_progress: *const c_void, context: *mut c_void) -> c_int;
    fn areas_read_at(area: *const c_void, offset: usize, into: *mut c_void, size: usize) -> c_int;
    fn areas_write_at(area: *mut c_void, offset: usize, bytes: *const c_void, size: usize) -> c_int;
    fn areas_copy(from: *const c_void, offset: usize, to: *mut c_void, at: usize, size: usize) -> c_int;
    fn areas_place(area: *mut c_void, offset: usize, size: usize, placement: *const c_void) -> c_int;
    fn areas_place_split(
        area: *mut c_void,
        offset: usize,
        size: usize,
        parts: *const c_void,
        count: usize,
    ) -> c_int;
    fn areas_migrate(
        area: *mut c_void,
        placement: *const c_void,
        migration: *mut c_void,
        on_stayed: *const c_void,
        on_progress: *const c_void,
        context: *mut c_void,
    ) -> c_int;
    fn areas_migrate_id(
        id: i32,
        placement: *const c_void,
        migration: *mut c_void,
        on_stayed: *const c_void,
        on_progress: *const c_void,
        context: *mut c_void,
    ) -> c_int;
    fn areas_provider_file(file: c_int, flags: u32) -> *mut c_void;
}

pub(super) const ROWS: &[Row] = &[
    Row::new(&["areas_publish", "areas_unpublish"], publish),
    Row::new(&["areas_publish_exclusive", "areas_unpublish"], publish_exclusive),
    Row::new(&["areas_create", "areas_retire", "areas_release"], retire).handle(),
    Row::new(&["areas_set_note"], note),
    Row::new(&["areas_resize", "areas_widen", "areas_trim"], resize),
    Row::new(&["areas_protect"], protect),
    Row::new(&["areas_create", "areas_freeze", "areas_release"], freeze).handle(),
    Row::new(&["areas_sync"], sync),
    Row::new(&["areas_populate", "areas_fill"], fill),
    Row::new(&["areas_read_at", "areas_write_at", "areas_copy"], copy),
    Row::new(&["areas_place"], place),
    Row::new(&["areas_place_split"], split),
    Row::new(&["areas_migrate"], migrate),
    Row::new(&["areas_migrate_id"], migrate_id),
];

type Publish = unsafe fn(*mut c_void, *const c_char) -> i32;

/// Gives an area a name, by a call of each side, and takes it away.
fn count_publishing(
    sides: &mut Sides,
    by_edge: Publish,
    by_library: fn(&mut Area<Shared>) -> Result<AreaId>,
) {
    let (area, mut own) = (create(&attributes(SHARED)), shared());
    let edge = &mut || {
        // SAFETY: a handle of this row's, and a string.
        assert!(unsafe { by_edge(area, C_NAME) } > 0);
        // SAFETY: a handle of this row's.
        assert_eq!(unsafe { areas_unpublish(area) }, 1);
    };
    sides.count(edge, &mut || {
        by_library(&mut own).unwrap();
        assert!(own.unpublish().is_some());
    });
}

fn publish(sides: &mut Sides) {
    count_publishing(sides, areas_publish, |own| own.publish(NAME));
}

fn publish_exclusive(sides: &mut Sides) {
    count_publishing(sides, areas_publish_exclusive, |own| own.publish_exclusive(NAME));
}

fn retire(sides: &mut Sides) {
    let wanted = named();
    let edge = &mut || {
        let area = create(&wanted);
        // SAFETY: just made.
        done(unsafe { areas_retire(area) });
        release(area);
    };
    sides.count(edge, &mut || published().retire().unwrap());
}

fn note(sides: &mut Sides) {
    let area = create(&named());
    let mut own = published();
    let bytes = b"a note";
    let edge = &mut || {
        // SAFETY: a handle of this row's, and as many bytes.
        done(unsafe { areas_set_note(area, bytes.as_ptr().cast(), bytes.len()) });
    };
    sides.count(edge, &mut || own.set_note(bytes).unwrap());
}

fn resize(sides: &mut Sides) {
    const ROOM: usize = 16 * PAGE;
    let area = create(&attributes(RESIZABLE).set("max", ROOM as u64));
    let mut own = areas::builder(PAGE).resizable(ROOM).unwrap();
    let edge = &mut || {
        for size in [2 * PAGE, PAGE] {
            // SAFETY: a handle of this row's.
            done(unsafe { areas_resize(area, size) });
        }
        // SAFETY: a handle of this row's.
        done(unsafe { areas_trim(area, ROOM / 2) });
        // SAFETY: a handle of this row's.
        done(unsafe { areas_widen(area, ROOM) });
    };
    sides.count(edge, &mut || {
        [2 * PAGE, PAGE].into_iter().for_each(|size| own.resize(size).unwrap());
        own.trim_reserve(ROOM / 2);
        own.widen_reserve(ROOM).unwrap();
    });
}

fn protect(sides: &mut Sides) {
    let (area, mut own) = (create(&attributes(SHARED)), shared());
    let both = Protection::READ | Protection::WRITE;
    let edge = &mut || {
        for protection in [1, 3] {
            // SAFETY: a handle of this row's.
            done(unsafe { areas_protect(area, protection) });
        }
    };
    sides.count(edge, &mut || {
        [Protection::READ, both].into_iter().for_each(|bits| own.protect(bits).unwrap());
    });
}

fn freeze(sides: &mut Sides) {
    let wanted = attributes(SHARED);
    let edge = &mut || {
        let area = create(&wanted);
        // SAFETY: just made.
        done(unsafe { areas_freeze(area, 1000) });
        release(area);
    };
    sides.count(edge, &mut || drop(shared().freeze_within(Duration::from_secs(1)).unwrap()));
}

/// A file of a page, which is open.
fn file(sides: &Sides) -> File {
    let path = sides.folder().join("file");
    std::fs::write(&path, [1; PAGE]).unwrap();
    File::options().read(true).write(true).open(path).unwrap()
}

fn sync(sides: &mut Sides) {
    let files = [file(sides), file(sides)];
    // SAFETY: an open file.
    let provider = unsafe { areas_provider_file(files[0].as_raw_fd(), 0) };
    let area = create(&attributes(STORED).point("provider", provider));
    let storage = areas::provider::Storage::of_number(files[1].as_raw_fd()).unwrap();
    let own = areas::builder(PAGE).provider(&storage).stored().unwrap();
    // SAFETY: a handle of this row's.
    sides.count(&mut || done(unsafe { areas_sync(area) }), &mut || own.sync().unwrap());
}

fn fill(sides: &mut Sides) {
    let (file, area, mut own) = (file(sides), create(&attributes(SHARED)), shared());
    let edge = &mut || {
        // SAFETY: a handle of this row's, and no callback.
        done(unsafe { areas_populate(area, NULL, CONTEXT) });
        // SAFETY: a handle of this row's, an open file, and no callback.
        done(unsafe { areas_fill(area, file.as_raw_fd(), NULL, CONTEXT) });
    };
    sides.count(edge, &mut || {
        own.populate_with(&mut |_| {}).unwrap();
        own.fill_from(&file, &mut |_| {}).unwrap();
    });
}

fn copy(sides: &mut Sides) {
    let (area, private) = (create(&attributes(SHARED)), create(&attributes(PRIVATE)));
    let (own, mut own_private) = (shared(), areas::builder(PAGE).private().unwrap());
    let mut bytes = [7_u8; 64];
    let mut again = bytes;
    let edge = &mut || {
        for area in [area, private] {
            // SAFETY: a handle of this row's, and as many bytes.
            done(unsafe { areas_write_at(area, 0, bytes.as_ptr().cast(), bytes.len()) });
            // SAFETY: a handle of this row's, and as many bytes to be written.
            done(unsafe { areas_read_at(area, 0, bytes.as_mut_ptr().cast(), bytes.len()) });
        }
        // SAFETY: two handles of this row's.
        done(unsafe { areas_copy(area, 0, private, 0, 64) });
    };
    sides.count(edge, &mut || {
        own.write_at(0, &again).unwrap();
        own.read_at(0, &mut again).unwrap();
        own_private[..64].copy_from_slice(&again);
        own.read_at(0, &mut own_private[..64]).unwrap();
    });
}

/// On node 0, which each machine has.
fn on_node() -> (Record, Placement) {
    const BIND: u64 = 2;
    let placed = Record::zeroed("areas_placement").set("policy", BIND).node_0("nodes");
    (placed, Placement::new(Policy::Bind("0".parse().unwrap())))
}

fn place(sides: &mut Sides) {
    let (area, mut own) = (create(&attributes(SHARED)), shared());
    let (wanted, placement) = on_node();
    // SAFETY: a handle of this row's, and a placement.
    let edge = &mut || done(unsafe { areas_place(area, 0, PAGE, wanted.as_ptr()) });
    sides.count(edge, &mut || own.place(0..PAGE, placement).unwrap());
}

fn split(sides: &mut Sides) {
    let (area, mut own) = (create(&attributes(SHARED)), shared());
    let part = Record::zeroed("areas_part").set("weight", 1);
    let node = areas::Node::new(0).unwrap();
    // SAFETY: a handle of this row's, and one part.
    let edge = &mut || done(unsafe { areas_place_split(area, 0, PAGE, part.as_ptr(), 1) });
    sides.count(edge, &mut || own.place_split(0..PAGE, [(node, 1)]).unwrap());
}

fn migrate(sides: &mut Sides) {
    let (area, mut own) = (create(&attributes(SHARED)), shared());
    let (wanted, placement) = on_node();
    let mut migration = Record::begun("areas_migration");
    let edge = &mut || {
        let (to, reported) = (wanted.as_ptr(), migration.as_mut_ptr());
        // SAFETY: a handle of this row's, a placement, as many bytes as it says, and no
        // callback.
        done(unsafe { areas_migrate(area, to, reported, NULL, NULL, CONTEXT) });
    };
    sides.count(edge, &mut || assert!(own.migrate_with(placement, &mut |_| {}).unwrap().is_placed()));
}

fn migrate_id(sides: &mut Sides) {
    let own = published();
    let id = own.id().unwrap();
    let (wanted, placement) = on_node();
    let mut migration = Record::begun("areas_migration");
    let edge = &mut || {
        let (to, reported) = (wanted.as_ptr(), migration.as_mut_ptr());
        // SAFETY: a placement, as many bytes as it says, and no callback.
        done(unsafe { areas_migrate_id(id.get(), to, reported, NULL, NULL, CONTEXT) });
    };
    sides.count(edge, &mut || {
        let done = registry::get(id).unwrap().migrate_with(placement, &mut |_| {}).unwrap();
        assert!(done.is_placed());
    });
}
