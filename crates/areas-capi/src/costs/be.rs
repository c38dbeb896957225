//! BeOS's calls. Those that change an area, or describe an own one, ask the kernel first what is
//! left of it: so does the library's side, where that is one of its calls.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use areas::registry::{self, Source};
use areas::{AreaId, Protection, Reservation, Resizable, files};

use super::counting::{Other, Row, Sides, for_ever, functions};
use super::record::Record;

functions! {
    safe fn area_for(address: *mut c_void) -> i32;
    fn find_area(name: *const c_char) -> i32;
    fn create_area(
        name: *const c_char,
        address: *mut *mut c_void,
        spec: u32,
        size: usize,
        lock: u32,
        protection: u32,
    ) -> i32;
    fn clone_area(
        name: *const c_char,
        address: *mut *mut c_void,
        spec: u32,
        protection: u32,
        source: i32,
    ) -> i32;
    safe fn delete_area(id: i32) -> i32;
    safe fn resize_area(id: i32, size: usize) -> i32;
    safe fn set_area_protection(id: i32, protection: u32) -> i32;
    fn _kern_transfer_area(id: i32, address: *mut *mut c_void, spec: u32, team: i32) -> i32;
    fn _kern_reserve_address_range(address: *mut usize, spec: u32, size: usize) -> i32;
    safe fn _kern_unreserve_address_range(address: *mut c_void, size: usize) -> i32;
    fn _get_area_info(id: i32, info: *mut c_void, size: usize) -> i32;
    fn _get_next_area_info(team: i32, cookie: *mut isize, info: *mut c_void, size: usize) -> i32;
    fn _get_team_info(team: i32, info: *mut c_void, size: usize) -> i32;
    fn _get_next_team_info(cookie: *mut i32, info: *mut c_void, size: usize) -> i32;
    fn _get_thread_info(thread: i32, info: *mut c_void, size: usize) -> i32;
    fn find_thread(name: *const c_char) -> i32;
    fn wait_for_thread(thread: i32, exit_value: *mut i32) -> i32;
    safe fn snooze(microseconds: i64) -> i32;
    safe fn system_time() -> i64;
    safe fn areas_be_strerror(error: i32) -> *mut c_char;
}

pub(super) const ROWS: &[Row] = &[
    Row::new(&["find_area"], find_own).asks(),
    Row::new(&["find_area"], find_others),
    Row::new(&["area_for"], at_address).asks(),
    Row::new(&["_get_area_info"], describe_own),
    Row::new(&["_get_area_info"], describe_others),
    Row::new(&["_get_next_area_info"], describe_next),
    Row::new(&["create_area", "delete_area"], create),
    Row::new(&["clone_area", "delete_area"], clone),
    Row::new(&["resize_area"], resize),
    Row::new(&["set_area_protection"], protect),
    Row::new(&["_kern_transfer_area"], transfer),
    Row::new(&["_kern_reserve_address_range", "_kern_unreserve_address_range"], reserve).dearer(
        0,
        2,
        "the range's place in the table, and the list of those that are released in part",
    ),
    Row::new(&["_get_team_info"], describe_team).parses(),
    Row::new(&["_get_next_team_info"], describe_next_team).parses(),
    Row::new(&["_get_thread_info"], describe_thread).parses(),
    Row::new(&["find_thread"], this_thread),
    Row::new(&["find_thread"], named_thread).parses(),
    Row::new(&["wait_for_thread"], wait),
    Row::new(&["snooze"], sleep),
    Row::new(&["areas_be_strerror", "system_time"], nothing),
];

const NAME: &str = "costs";
const C_NAME: *const c_char = c"costs".as_ptr();
const CLONED: *const c_char = c"costs: cloned".as_ptr();
/// Of several pages, so that there is something to cut off.
const SIZE: usize = 4 * 4096;

/// A team with an area of its own, which lives as long as the row.
fn another_team() -> Other {
    Other::start(|ready| {
        let area = areas::builder(4096).name(NAME).shared().unwrap();
        area.write_at(0, &[1; 4096]).unwrap();
        ready();
        for_ever();
    })
}

fn find(sides: &mut Sides) {
    // SAFETY: a string.
    sides.count(&mut || assert!(unsafe { find_area(C_NAME) } > 0), &mut || {
        assert!(registry::find(NAME).unwrap().id().get() > 0);
    });
}

fn find_own(sides: &mut Sides) {
    let _area = areas::builder(4096).name(NAME).shared().unwrap();
    find(sides);
}

fn find_others(sides: &mut Sides) {
    let _other = another_team();
    registry::join().unwrap();
    find(sides);
}

fn at_address(sides: &mut Sides) {
    let area = areas::builder(4096).name(NAME).shared().unwrap();
    let address = area.as_ptr();
    sides.count(&mut || assert!(area_for(address.cast()) > 0), &mut || {
        assert!(registry::id_at(address.addr()).unwrap().get() > 0);
    });
}

fn describe(id: i32, info: &mut Record) {
    // SAFETY: as many bytes as it says.
    assert_eq!(unsafe { _get_area_info(id, info.as_mut_ptr(), info.size()) }, 0);
}

/// What the library does for the same: the area, what is reported of it, and its bytes in RAM.
fn described(source: &Source) -> usize {
    let look = source.inspect().unwrap();
    look.info().mapped + usize::try_from(look.resident().unwrap()).unwrap()
}

fn describe_own(sides: &mut Sides) {
    let area = areas::builder(4096).name(NAME).shared().unwrap();
    area.write_at(0, &[1; 4096]).unwrap();
    let id = area.id().unwrap();
    let mut info = Record::zeroed("area_info");
    // It is looked at first: whether the kernel has it where it was.
    sides.count(&mut || describe(id.get(), &mut info), &mut || {
        let source = registry::get(id).unwrap();
        assert!(source.is_mapped());
        let (info, resident) = source.describe_own().unwrap();
        assert_eq!(info.mapped + usize::try_from(resident).unwrap(), 8192);
    });
}

fn describe_others(sides: &mut Sides) {
    let _other = another_team();
    registry::join().unwrap();
    let id = registry::find(NAME).unwrap().id();
    let mut info = Record::zeroed("area_info");
    sides.count(&mut || describe(id.get(), &mut info), &mut || {
        assert_eq!(described(&registry::get(id).unwrap()), 8192);
    });
}

fn describe_next(sides: &mut Sides) {
    let other = another_team();
    registry::join().unwrap();
    let mut info = Record::zeroed("area_info");
    let next = &mut || {
        let mut cookie = 0;
        // SAFETY: a number, and as many bytes as it says.
        let status =
            unsafe { _get_next_area_info(other.pid(), &raw mut cookie, info.as_mut_ptr(), info.size()) };
        assert_eq!(status, 0);
    };
    sides.count(next, &mut || {
        assert!(described(&registry::next(other.pid().unsigned_abs(), 0).unwrap().unwrap()) > 0);
    });
}

fn create_it() -> AreaId {
    let mut address = std::ptr::null_mut();
    // SAFETY: a string, and a place for a pointer.
    let id = unsafe { create_area(C_NAME, &raw mut address, 0, SIZE, 0, 3) };
    AreaId::new(id).unwrap()
}

fn delete(id: AreaId) {
    assert_eq!(delete_area(id.get()), 0);
}

/// As `places.rs` has it: where there is much room, else three times the size, a MiB at least.
fn with_reserve() -> usize {
    areas::roomy_maximum(SIZE).unwrap_or(SIZE + (1 << 20))
}

/// Published when it has its place in `held.rs`: a process that finds it finds that. (At once it
/// would be one system call less: the descriptor is looked at again.)
fn made() -> areas::Area<Resizable> {
    let mut area = areas::builder(SIZE).resizable(with_reserve()).unwrap();
    area.publish(NAME).unwrap();
    area
}

/// What each call that changes an area looks at: whose the id is, and what is left of the area.
fn looked_at(area: &areas::Area<Resizable>) {
    assert!(registry::get(area.id().unwrap()).unwrap().is_own());
    assert_eq!(area.missing().unwrap(), []);
}

fn create(sides: &mut Sides) {
    sides.count(&mut || delete(create_it()), &mut || looked_at(&made()));
}

fn clone(sides: &mut Sides) {
    let source = create_it();
    let edge = &mut || {
        let mut address = std::ptr::null_mut();
        // SAFETY: a string, and a place for a pointer.
        let id = unsafe { clone_area(CLONED, &raw mut address, 0, 3, source.get()) };
        delete(AreaId::new(id).unwrap());
    };
    sides.count(edge, &mut || {
        let source = registry::get(source).unwrap();
        assert!(source.is_mapped());
        // Its size of the moment is what the reserve goes by.
        assert_eq!(source.info().unwrap().mapped, SIZE);
        let clone = source.cloning().protection(Protection::READ | Protection::WRITE).room(with_reserve());
        let mut clone = clone.open_resizable().unwrap();
        clone.publish("costs: cloned").unwrap();
        looked_at(&clone);
    });
    delete(source);
}

fn resize(sides: &mut Sides) {
    let (id, mut area) = (create_it(), made());
    let edge = &mut || [4096, SIZE].into_iter().for_each(|size| assert_eq!(resize_area(id.get(), size), 0));
    sides.count(edge, &mut || {
        for size in [4096, SIZE] {
            looked_at(&area);
            area.resize(size).unwrap();
        }
    });
    delete(id);
}

fn protect(sides: &mut Sides) {
    let (id, mut area) = (create_it(), made());
    let edge = &mut || [1, 3].into_iter().for_each(|bits| assert_eq!(set_area_protection(id.get(), bits), 0));
    sides.count(edge, &mut || {
        for protection in [Protection::READ, Protection::READ | Protection::WRITE] {
            looked_at(&area);
            area.protect(protection).unwrap();
        }
    });
    delete(id);
}

/// To this very team: it moves.
fn transfer(sides: &mut Sides) {
    let own = std::process::id();
    let (mut id, mut area) = (create_it(), Some(made()));
    let edge = &mut || {
        let mut address = std::ptr::null_mut();
        // SAFETY: a place for a pointer.
        let moved = unsafe { _kern_transfer_area(id.get(), &raw mut address, 0, own.cast_signed()) };
        id = AreaId::new(moved).unwrap();
    };
    sides.count(edge, &mut || {
        let moves = area.take().unwrap();
        looked_at(&moves);
        // Whether that is this one is asked by its number.
        match moves.transfer(std::process::id(), areas::Address::Any).unwrap() {
            areas::Transfer::Own(moved) => area = Some(moved),
            _ => panic!("it is another team's"),
        }
    });
}

fn reserve(sides: &mut Sides) {
    let edge = &mut || {
        let mut address = 0;
        // SAFETY: a place for an address.
        assert_eq!(unsafe { _kern_reserve_address_range(&raw mut address, 0, SIZE) }, 0);
        let address = std::ptr::without_provenance_mut(address);
        assert_eq!(_kern_unreserve_address_range(address, SIZE), 0);
    };
    sides.count(edge, &mut || {
        Reservation::placed(areas::Address::Any, SIZE).unwrap().release(0..SIZE).unwrap();
    });
}

/// A file that describes a process.
fn read(process: u32, file: &str) {
    assert!(!files::read(format!("/proc/{process}/{file}")).unwrap().is_empty());
}

fn read_team(own: u32) {
    ["status", "stat", "cmdline", "maps"].into_iter().for_each(|file| read(own, file));
    assert!(registry::next(own, 0).unwrap().is_none());
}

fn describe_team(sides: &mut Sides) {
    registry::join().unwrap();
    let mut info = Record::zeroed("team_info");
    // SAFETY: as many bytes as it says.
    let edge = &mut || assert_eq!(unsafe { _get_team_info(0, info.as_mut_ptr(), info.size()) }, 0);
    sides.count(edge, &mut || read_team(std::process::id()));
}

fn describe_next_team(sides: &mut Sides) {
    registry::join().unwrap();
    let mut info = Record::zeroed("team_info");
    let own = std::process::id().cast_signed();
    let edge = &mut || {
        let mut cookie = own - 1;
        // SAFETY: a number, and as many bytes as it says.
        assert_eq!(unsafe { _get_next_team_info(&raw mut cookie, info.as_mut_ptr(), info.size()) }, 0);
        assert_eq!(cookie, own);
    };
    sides.count(edge, &mut || {
        assert!(!files::names_in("/proc", usize::MAX).unwrap().is_empty());
        read_team(own.cast_unsigned());
    });
}

fn describe_thread(sides: &mut Sides) {
    let own = std::process::id();
    let mut info = Record::zeroed("thread_info");
    let edge = &mut || {
        // SAFETY: as many bytes as it says.
        let status = unsafe { _get_thread_info(own.cast_signed(), info.as_mut_ptr(), info.size()) };
        assert_eq!(status, 0);
    };
    sides.count(edge, &mut || {
        ["status", "stat", "maps"].into_iter().for_each(|file| read(own, file));
        // Of a thread that runs it is asked whether it is the caller.
        let _ = rustix::thread::gettid();
    });
}

fn this_thread(sides: &mut Sides) {
    // SAFETY: NULL is this thread.
    sides.count(&mut || assert!(unsafe { find_thread(std::ptr::null()) } > 0), &mut || {
        let _ = rustix::thread::gettid();
    });
}

fn named_thread(sides: &mut Sides) {
    let own = std::process::id();
    nix::sys::prctl::set_name(c"costs").unwrap();
    // SAFETY: a string.
    let edge = &mut || assert_eq!(unsafe { find_thread(C_NAME) }, own.cast_signed());
    sides.count(edge, &mut || {
        assert_eq!(files::names_in("/proc/self/task", usize::MAX).unwrap().len(), 1);
        read(own, "stat");
    });
}

/// A child that ends at once.
fn child() -> nix::unistd::Pid {
    // SAFETY: the child ends.
    match unsafe { nix::unistd::fork() }.unwrap() {
        // SAFETY: ends this process.
        nix::unistd::ForkResult::Child => unsafe { libc::_exit(7) },
        nix::unistd::ForkResult::Parent { child } => child,
    }
}

fn wait(sides: &mut Sides) {
    let edge = &mut || {
        let mut code = 0;
        // SAFETY: a place for a number.
        assert_eq!(unsafe { wait_for_thread(child().as_raw(), &raw mut code) }, 0);
        assert_eq!(code, 7);
    };
    sides.count(edge, &mut || {
        let ended = nix::sys::wait::waitpid(child(), None).unwrap();
        assert!(matches!(ended, nix::sys::wait::WaitStatus::Exited(_, 7)));
    });
}

fn sleep(sides: &mut Sides) {
    sides.count(&mut || assert_eq!(snooze(1), 0), &mut || std::thread::sleep(Duration::from_micros(1)));
}

fn nothing(sides: &mut Sides) {
    let edge = &mut || {
        for error in [0, 1, i32::MIN, -7] {
            assert!(!areas_be_strerror(error).is_null());
        }
        assert!(system_time() > 0);
    };
    sides.count(edge, &mut || {});
}

#[test]
fn beos_calls_cost_what_the_library_does() {
    super::counting::check(ROWS.iter());
}

/// What is reported of an own area is asked of its own descriptor. With the look that comes first,
/// that takes no more calls than opening the area.
#[test]
fn describing_an_own_area_takes_no_more_than_opening_it() {
    let [(describing, _), (opening, _)] = super::counting::sides(|sides| {
        let area = areas::builder(4096).name(NAME).shared().unwrap();
        area.write_at(0, &[1; 4096]).unwrap();
        let id = area.id().unwrap();
        let mut info = Record::zeroed("area_info");
        sides.count(&mut || describe(id.get(), &mut info), &mut || {
            assert_eq!(described(&registry::get(id).unwrap()), 8192);
        });
    });
    assert!(describing <= opening, "{describing} system calls, {opening} by opening it");
}
