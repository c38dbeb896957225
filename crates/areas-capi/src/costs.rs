//! What the edge costs, held against the library's own calls: no system call, and no allocation but that of a handle of `areas.h`,
//! which is the area itself: what a Rust program has in a variable.

#![expect(
    unsafe_code,
    reason = "calls C's functions, forks and counts allocations; each block has its proof"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::io::{Read, Write};

use areas::Protection;
use areas::registry::{self, Source};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) };
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// After this time a registry in which nobody comes or goes is known, and not read again.
const SETTLED: std::time::Duration = std::time::Duration::from_millis(150);
const ATTEMPTS: usize = 2;

/// How often something allocates, once it has done all that is done once.
fn allocations(does: &dyn Fn()) -> usize {
    does();
    does();
    let before = ALLOCATIONS.get();
    does();
    ALLOCATIONS.get() - before
}

/// How many system calls something makes, once it has done all that is done once: those of two times less those of one, each as few as
/// there were in several attempts. (A registry that has just changed is read at each call: the child's own coming changes it, and others
/// come and go.)
fn system_calls(does: &dyn Fn()) -> usize {
    let stops = |times: usize| {
        // SAFETY: the child makes calls of this library, which are made for forked children, and ends.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                does();
                std::thread::sleep(SETTLED);
                does();
                ptrace::traceme().unwrap();
                raise(Signal::SIGSTOP).unwrap();
                for _ in 0..times {
                    does();
                }
                // SAFETY: ends this process, without the handlers of the parent's.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => {
                assert!(matches!(waitpid(child, None).unwrap(), WaitStatus::Stopped(_, Signal::SIGSTOP)));
                let mut stops = 0;
                loop {
                    ptrace::syscall(child, None).unwrap();
                    match waitpid(child, None).unwrap() {
                        WaitStatus::Stopped(_, Signal::SIGTRAP) => stops += 1,
                        WaitStatus::Exited(_, 0) => return stops,
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    };
    let fewest = |times| (0..ATTEMPTS).map(|_| stops(times)).min().unwrap_or_default();
    // One stop as a call begins and one as it ends.
    (fewest(2) - fewest(1)) / 2
}

/// The same by the edge and by the library: as many system calls, and so many allocations more.
fn same(what: &str, more: usize, edge: &dyn Fn(), library: &dyn Fn()) {
    compare(what, (0, more), edge, library);
}

/// The same, but that the edge asks the kernel once whether the area is still there: its programs unmap parts of areas themselves.
fn asks(what: &str, edge: &dyn Fn(), library: &dyn Fn()) {
    compare(what, (1, 0), edge, library);
}

fn compare(what: &str, (calls, more): (usize, usize), edge: &dyn Fn(), library: &dyn Fn()) {
    let (by_edge, by_library) = (system_calls(edge), system_calls(library));
    println!("{what}: {by_edge} system calls, {by_library} by the library");
    // Where the kernel answers no such question (before Linux 6.11), none is asked.
    registry::ask_by_address();
    let answers = if registry::asks_by_address() { calls } else { 0 };
    assert_eq!(by_edge, by_library + answers, "system calls of {what}");
    let (by_edge, by_library) = (allocations(edge), allocations(library));
    println!("{what}: {by_edge} allocations, {by_library} by the library");
    assert_eq!(by_edge, by_library + more, "allocations of {what}");
}

#[repr(C)]
struct Opaque([u8; 0]);

unsafe extern "C" {
    static aml_area_linux: Opaque;
    fn aml_area_mmap(area: *const Opaque, size: usize, options: *mut c_void) -> *mut c_void;
    fn aml_area_munmap(area: *const Opaque, start: *mut c_void, size: usize) -> c_int;
    fn area_for(address: *const c_void) -> i32;
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
    fn delete_area(id: i32) -> i32;
    fn resize_area(id: i32, size: usize) -> i32;
    fn _get_area_info(id: i32, info: *mut c_void, size: usize) -> i32;
    fn _get_next_area_info(team: i32, cookie: *mut isize, info: *mut c_void, size: usize) -> i32;
    fn aml_allocator_area_create(out: *mut *mut Opaque, area: *const Opaque, options: *mut c_void) -> c_int;
    fn aml_allocator_buddy_create(out: *mut *mut Opaque, area: *const Opaque, options: *mut c_void) -> c_int;
    fn aml_allocator_sized_create(
        out: *mut *mut Opaque,
        size: usize,
        area: *const Opaque,
        options: *mut c_void,
    ) -> c_int;
    fn aml_alloc(allocator: *mut Opaque, size: usize) -> *mut c_void;
    fn aml_free(allocator: *mut Opaque, start: *mut c_void) -> c_int;
    fn areas_find(name: *const c_char) -> i32;
    fn areas_at(address: *const c_void) -> i32;
    fn areas_get(id: i32, info: *mut c_void) -> c_int;
    fn areas_create(attributes: *const c_void) -> *mut Opaque;
    fn areas_release(area: *mut Opaque);
    fn areas_address(area: *const Opaque) -> *mut c_void;
    fn areas_size(area: *const Opaque) -> usize;
    fn areas_protect(area: *mut Opaque, protection: u32) -> c_int;
}

#[test]
fn the_edge_adds_no_system_call_and_no_allocation() {
    let area = areas::builder(4096).name("costs of the edge").shared().unwrap();
    let address = area.as_ptr();
    // A forked child, in which system calls are counted, has it under another id.
    let here = || registry::id_at(address.addr()).unwrap();
    let name = c"costs of the edge".as_ptr();

    // SAFETY: a string.
    same("areas_find", 0, &|| assert!(unsafe { areas_find(name) } > 0), &|| {
        assert!(registry::find("costs of the edge").unwrap().id().get() > 0);
    });
    // SAFETY: a string.
    // (Of an own one it asks the kernel once; here the oldest is the parent's.)
    same("find_area", 0, &|| assert!(unsafe { find_area(name) } > 0), &|| {
        assert!(registry::find("costs of the edge").unwrap().id().get() > 0);
    });
    let by_address = || assert!(registry::id_at(address.addr()).unwrap().get() > 0);
    // SAFETY: an address, which is not followed.
    same("areas_at", 0, &|| assert!(unsafe { areas_at(address.cast()) } > 0), &by_address);
    // SAFETY: as above.
    asks("area_for", &|| assert!(unsafe { area_for(address.cast()) } > 0), &by_address);

    // An areas_info, of which only the size is known here.
    const INFO: usize = 568;
    let get = || {
        let mut info = [0_usize; INFO / 8];
        info[0] = INFO;
        // SAFETY: as many bytes as it says.
        assert_eq!(unsafe { areas_get(here().get(), info.as_mut_ptr().cast()) }, 0);
    };
    same("areas_get", 0, &get, &|| {
        let info = registry::get(here()).unwrap().info().unwrap();
        assert!(info.size == 4096 && info.command().is_some());
    });
    // areas_attributes: the first two words are its size and the area's, all zeros besides.
    let make = || {
        let mut attributes = [0_usize; 224 / 8];
        (attributes[0], attributes[1]) = (224, 4096);
        // SAFETY: as many bytes as it says.
        let area = unsafe { areas_create(attributes.as_ptr().cast()) };
        assert!(!area.is_null());
        // SAFETY: it was just made.
        assert!(!unsafe { areas_address(area) }.is_null());
        // SAFETY: as above.
        assert_eq!(unsafe { areas_size(area) }, 4096);
        // SAFETY: as above.
        assert_eq!(unsafe { areas_protect(area, 1) }, 0);
        // SAFETY: as above; it is not used again.
        unsafe { areas_release(area) };
    };
    same("areas_create, …_protect, …_release: the handle alone", 1, &make, &|| {
        let mut area = areas::builder(4096).shared().unwrap();
        assert!(!area.as_ptr().is_null() && area.size() == 4096);
        area.protect(Protection::READ).unwrap();
    });

    let map = || {
        // SAFETY: an area of this library's, and no options.
        let start = unsafe { aml_area_mmap(&raw const aml_area_linux, 4096, std::ptr::null_mut()) };
        assert!(!start.is_null());
        // SAFETY: what was just mapped, and is not used again.
        assert_eq!(unsafe { aml_area_munmap(&raw const aml_area_linux, start, 4096) }, 0);
    };
    same("aml_area_mmap, aml_area_munmap", 0, &map, &|| {
        // SAFETY: anywhere, so over nothing.
        let start = unsafe { areas::range::Mmap::private(4096).map() }.unwrap();
        // SAFETY: what was just mapped, and is not used again.
        unsafe { areas::range::unmap(start, 4096) }.unwrap();
    });
}

/// BeOS's `area_info`, as large as it is.
const AREA_INFO: usize = 88;

fn info_of(id: i32) {
    let mut info = [0_u64; AREA_INFO / 8];
    // SAFETY: as many bytes as it says.
    assert_eq!(unsafe { _get_area_info(id, info.as_mut_ptr().cast(), AREA_INFO) }, 0);
}

/// What the library does for the same: the area, what is told of it, and its bytes in RAM.
fn told(source: &Source) -> usize {
    let look = source.look().unwrap();
    look.info().mapped + usize::try_from(look.resident().unwrap()).unwrap()
}

#[test]
fn beos_calls_that_look_cost_what_the_library_does() {
    let area = areas::builder(4096).name("costs: looked at").shared().unwrap();
    area.write_at(0, &[1; 4096]).unwrap();
    let address = area.as_ptr();
    let here = || registry::id_at(address.addr()).unwrap();
    // One's own is looked at first: whether the kernel has it where it was. That and what is told of it take no more calls than opening it does.
    let told_here = || {
        let source = registry::get(here()).unwrap();
        assert!(source.is_mapped());
        let (info, resident) = source.told_here().unwrap();
        assert_eq!(info.mapped + usize::try_from(resident).unwrap(), 8192);
    };
    same("get_area_info, own", 0, &|| info_of(here().get()), &told_here);
    let by_opening = system_calls(&|| assert_eq!(told(&registry::get(here()).unwrap()), 8192));
    assert!(system_calls(&told_here) <= by_opening, "{by_opening} system calls by opening it");
    // A child that lives as long as the test: another team.
    let other = Other::start();
    let id = || registry::find("costs: of another team").unwrap().id();
    same("get_area_info, of another team", 0, &|| info_of(id().get()), &|| {
        assert_eq!(told(&registry::get(id()).unwrap()), 8192);
    });
    // The first of its areas, by either.
    let next = || {
        let (mut cookie, mut info) = (0_isize, [0_u64; AREA_INFO / 8]);
        let team = other.0.as_raw();
        // SAFETY: a number, and as many bytes as it says.
        let status =
            unsafe { _get_next_area_info(team, &raw mut cookie, info.as_mut_ptr().cast(), AREA_INFO) };
        assert_eq!(status, 0);
    };
    let pid = other.0.as_raw().unsigned_abs();
    same("get_next_area_info, of another team", 0, &next, &|| {
        assert!(told(&registry::next(pid, 0).unwrap().unwrap()) > 0);
    });
}

/// A forked child with an area, killed at the end.
struct Other(nix::unistd::Pid);

impl Other {
    fn start() -> Self {
        let (hear, tell) = std::io::pipe().unwrap();
        // SAFETY: the child makes calls of this library, which are made for forked children, and sleeps until it is killed.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
                let area = areas::builder(4096).name("costs: of another team").shared().unwrap();
                area.write_at(0, &[1; 4096]).unwrap();
                drop((&tell).write_all(b"r"));
                loop {
                    nix::unistd::pause();
                }
            }
            ForkResult::Parent { child } => {
                drop(tell);
                let other = Other(child);
                (&hear).read_exact(&mut [0]).unwrap();
                other
            }
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        nix::sys::signal::kill(self.0, Signal::SIGKILL).unwrap();
        waitpid(self.0, None).unwrap();
    }
}

/// Where an area of this process's is.
fn id_address(id: i32) -> usize {
    registry::get(areas::AreaId::new(id).unwrap()).unwrap().address()
}

#[test]
fn beos_calls_that_make_and_change_cost_what_the_library_does() {
    // Of several pages, so that there is something to cut off.
    const SIZE: usize = 4 * 4096;
    // As `places.rs` has it: where there is much room, else three times the size, a MiB at least.
    let with_reserve = || areas::roomy_maximum(SIZE).unwrap_or(SIZE + (1 << 20));
    let name = c"costs: made".as_ptr();
    let create = || {
        let mut address = std::ptr::null_mut();
        // SAFETY: a string, and a place for a pointer.
        let id = unsafe { create_area(name, &raw mut address, 0, SIZE, 0, 3) };
        assert!(id > 0);
        id
    };
    // SAFETY: an id of this test's.
    let delete = |id| assert_eq!(unsafe { delete_area(id) }, 0);
    // Published when it has its place in `held.rs`: whoever finds it finds that. (At once it would be one system call less: the descriptor
    // is looked at again.)
    let made = || {
        let mut area = areas::builder(SIZE).resizable(with_reserve()).unwrap();
        area.publish("costs: made").unwrap();
        area
    };
    same("create_area, delete_area", 0, &|| delete(create()), &|| {
        let area = made();
        // `delete_area` looks whose the id is, and what is left of the area.
        assert!(registry::get(area.id().unwrap()).unwrap().is_own());
        assert_eq!(area.missing().unwrap(), []);
    });

    let kept = create();
    let id = || registry::find("costs: made").unwrap().id();
    let clone = || {
        let mut address = std::ptr::null_mut();
        // SAFETY: a string, and a place for a pointer.
        let id = unsafe { clone_area(c"costs: cloned".as_ptr(), &raw mut address, 0, 3, id().get()) };
        assert!(id > 0);
        delete(id);
    };
    same("clone_area, delete_area", 0, &clone, &|| {
        let source = registry::get(id()).unwrap();
        assert!(source.is_mapped());
        // Its size of the moment is what the reserve goes by.
        assert_eq!(source.info().unwrap().mapped, SIZE);
        let clone = source.cloning().protection(Protection::READ | Protection::WRITE).room(with_reserve());
        let mut clone = clone.open_resizable().unwrap();
        let id = clone.publish("costs: cloned").unwrap();
        assert!(registry::get(id).unwrap().is_own());
        assert_eq!(clone.missing().unwrap(), []);
    });
    delete(kept);

    let kept = create();
    // A forked child, in which system calls are counted, has what it inherited under another id.
    let at = id_address(kept);
    let resize = || {
        for size in [4096, SIZE] {
            // SAFETY: an id of this process's.
            assert_eq!(unsafe { resize_area(registry::id_at(at).unwrap().get(), size) }, 0);
        }
    };
    let by_edge = (system_calls(&resize), allocations(&resize));
    delete(kept);
    // The library's value cannot be changed through a shared reference: a cell for the count alone.
    let area = std::cell::RefCell::new(made());
    let resize = || {
        for size in [4096, SIZE] {
            let mut area = area.borrow_mut();
            let id = registry::id_at(area.as_ptr().addr()).unwrap();
            assert!(registry::get(id).unwrap().is_own());
            assert_eq!(area.missing().unwrap(), []);
            area.resize(size).unwrap();
        }
    };
    let by_library = (system_calls(&resize), allocations(&resize));
    println!("resize_area: {by_edge:?}, {by_library:?} by the library (system calls, allocations)");
    assert_eq!(by_edge, by_library, "resize_area");
}

#[test]
fn amls_allocators_map_what_they_give_and_no_more() {
    let area = &raw const aml_area_linux;
    let none = std::ptr::null_mut();
    let mut made = [std::ptr::null_mut(); 3];
    // SAFETY: a place for a pointer, an area of this library's, and no options.
    assert_eq!(unsafe { aml_allocator_area_create(&raw mut made[0], area, none) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { aml_allocator_buddy_create(&raw mut made[1], area, none) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { aml_allocator_sized_create(&raw mut made[2], 256, area, none) }, 0);
    // An allocator for areas has a mapping for each, and the others cut what they have.
    let cases = [("area", made[0], 2), ("buddy", made[1], 0), ("sized", made[2], 0)];
    for (what, allocator, system) in cases {
        let does = || {
            // SAFETY: an allocator that was made above.
            let start = unsafe { aml_alloc(allocator, 256) };
            assert!(!start.is_null());
            // SAFETY: what it gave, which nobody uses again.
            assert_eq!(unsafe { aml_free(allocator, start) }, 0);
        };
        println!("{what}: {} system calls, {} allocations", system_calls(&does), allocations(&does));
        assert_eq!(system_calls(&does), system, "system calls of the {what} allocator");
        // Its table keeps the room that it once had.
        assert_eq!(allocations(&does), 0, "allocations of the {what} allocator");
    }
}

/// One look at our table and one at the folder: who waits for a name, and who gives us an area, show in the latter.
#[test]
fn a_publication_takes_two_system_calls() {
    const SIZE: usize = 4096;
    let _joined = areas::builder(SIZE).name("costs: joined").shared().unwrap();
    let made = system_calls(&|| drop(areas::builder(SIZE).shared().unwrap()));
    let published = system_calls(&|| drop(areas::builder(SIZE).name("costs: published").shared().unwrap()));
    assert_eq!(published, made + 2);
}
