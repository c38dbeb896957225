//! What the edge costs, held against the library's own calls: no system call, and no allocation but that of a handle.

#![expect(
    unsafe_code,
    reason = "calls C's functions, forks and counts allocations; each block has its proof"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};

use areas::Protection;
use areas::registry;
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

/// How often something allocates, once it has done all that is done once.
fn allocations(does: &dyn Fn()) -> usize {
    does();
    does();
    let before = ALLOCATIONS.get();
    does();
    ALLOCATIONS.get() - before
}

/// How many system calls something makes, once it has done all that is done once: those of two times less those of one.
fn system_calls(does: &dyn Fn()) -> usize {
    let stops = |times: usize| {
        // SAFETY: the child makes calls of this library, which are made for forked children, and ends.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                does();
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
    // One stop as a call begins and one as it ends.
    (stops(2) - stops(1)) / 2
}

/// The same by the edge and by the library: as many system calls, and so many allocations more.
fn same(what: &str, more: usize, edge: &dyn Fn(), library: &dyn Fn()) {
    let (by_edge, by_library) = (system_calls(edge), system_calls(library));
    println!("{what}: {by_edge} system calls, {by_library} by the library");
    assert_eq!(by_edge, by_library, "system calls of {what}");
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
    same("find_area", 0, &|| assert!(unsafe { find_area(name) } > 0), &|| {
        assert!(registry::find("costs of the edge").unwrap().id().get() > 0);
    });
    let by_address = || assert!(registry::id_at(address.addr()).unwrap().get() > 0);
    // SAFETY: an address, which is not followed.
    same("areas_at", 0, &|| assert!(unsafe { areas_at(address.cast()) } > 0), &by_address);
    // SAFETY: as above.
    same("area_for", 0, &|| assert!(unsafe { area_for(address.cast()) } > 0), &by_address);

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
