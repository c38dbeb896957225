//! The functions that the program would call were we not here: those of the next object that has
//! them (a sanitizer, another interposer, the C library).
//!
//! They are looked up once, when this object is loaded, and not at the first call: `dlsym` takes
//! the loader's lock and may allocate, and a first call may come in the middle of `malloc` or in a
//! signal handler. Calls that come before (constructors of other objects) go to the kernel.

use std::ffi::{CStr, c_int, c_long, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// One function of the next object.
pub(crate) struct Next {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Next {
    const fn new(name: &'static CStr) -> Self {
        Next { name, found: AtomicPtr::new(null_mut()) }
    }

    fn look_up(&self) {
        // SAFETY: a C string. Called from this object, and not as a tail call: "next" is the next
        // after this one.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.found.store(found, Ordering::Relaxed);
    }

    /// `F` is the type of the function of that name.
    fn get<F: Copy>(&self) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>(), "a function pointer") };
        let found = self.found.load(Ordering::Relaxed);
        // SAFETY: not null, and so the address of the function of that name, whose type the callers
        // below name; both have one size.
        (!found.is_null()).then(|| unsafe { std::mem::transmute_copy(&found) })
    }
}

static MUNMAP: Next = Next::new(c"munmap");
pub(crate) static MMAP: Next = Next::new(c"mmap");
pub(crate) static MMAP64: Next = Next::new(c"mmap64");
static MREMAP: Next = Next::new(c"mremap");
static SHMAT: Next = Next::new(c"shmat");

extern "C" fn look_up_all() {
    [&MUNMAP, &MMAP, &MMAP64, &MREMAP, &SHMAT].into_iter().for_each(Next::look_up);
}

/// What the loader calls once this object is loaded, before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = look_up_all;

type Munmap = unsafe extern "C" fn(*mut c_void, usize) -> c_int;
type Mmap = unsafe extern "C" fn(*mut c_void, usize, c_int, c_int, c_int, i64) -> *mut c_void;
type Mremap = unsafe extern "C" fn(*mut c_void, usize, usize, c_int, ...) -> *mut c_void;
type Shmat = unsafe extern "C" fn(c_int, *const c_void, c_int) -> *mut c_void;

/// What the C library gives for an address: -1 where the kernel refused (`errno` says why).
fn address(answer: c_long) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(answer.cast_unsigned().try_into().unwrap_or(usize::MAX))
}

/// # Safety
/// The caller owns the range, and nothing uses it again: munmap(2).
pub(crate) unsafe fn munmap(start: *mut c_void, length: usize) -> c_int {
    match MUNMAP.get::<Munmap>() {
        // SAFETY: the program unmaps what it owns and does not use again (the caller).
        Some(next) => unsafe { next(start, length) },
        // SAFETY: the program unmaps what it owns and does not use again (the caller).
        None => match unsafe { libc::syscall(libc::SYS_munmap, start, length) } {
            0 => 0,
            _ => -1,
        },
    }
}

/// By [`MMAP`] or [`MMAP64`].
///
/// # Safety
/// With MAP_FIXED in `flags` the caller owns the range that is mapped over, and nothing uses again
/// what was there: mmap(2).
pub(crate) unsafe fn map(
    function: &Next,
    start: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: i64,
) -> *mut c_void {
    match function.get::<Mmap>() {
        // SAFETY: with MAP_FIXED the caller owns what is mapped over, and does not use it again;
        // else the kernel maps over nothing.
        Some(next) => unsafe { next(start, length, protection, flags, file, offset) },
        None => {
            // SAFETY: with MAP_FIXED the caller owns what is mapped over, and does not use it
            // again; else the kernel maps over nothing.
            let mapped =
                unsafe { libc::syscall(libc::SYS_mmap, start, length, protection, flags, file, offset) };
            address(mapped)
        }
    }
}

/// # Safety
/// The caller owns what is moved, and with MREMAP_FIXED what is mapped over, and nothing uses them
/// again where they were: mremap(2).
pub(crate) unsafe fn mremap(
    start: *mut c_void,
    length: usize,
    new_length: usize,
    flags: c_int,
    new_start: *mut c_void,
) -> *mut c_void {
    match MREMAP.get::<Mremap>() {
        // SAFETY: what is moved, and with MREMAP_FIXED what is mapped over, the caller owns and
        // does not use at its old address. The C library looks at the last argument where the flags
        // say so.
        Some(next) => unsafe { next(start, length, new_length, flags, new_start) },
        None => {
            // As the C library does it: what was not given is not passed on.
            let given = flags & libc::MREMAP_FIXED != 0;
            let new_start = if given { new_start } else { null_mut() };
            // SAFETY: what is moved, and with MREMAP_FIXED what is mapped over, the caller owns and
            // does not use at its old address.
            address(unsafe { libc::syscall(libc::SYS_mremap, start, length, new_length, flags, new_start) })
        }
    }
}

/// # Safety
/// With SHM_REMAP in `flags` the caller owns what is mapped over, and nothing uses again what was
/// there: shmat(2).
pub(crate) unsafe fn shmat(segment: c_int, start: *const c_void, flags: c_int) -> *mut c_void {
    match SHMAT.get::<Shmat>() {
        // SAFETY: with SHM_REMAP nothing uses what is mapped over (the caller); else the kernel
        // attaches over nothing.
        Some(next) => unsafe { next(segment, start, flags) },
        // SAFETY: with SHM_REMAP nothing uses what is mapped over (the caller); else the kernel
        // attaches over nothing.
        None => address(unsafe { libc::syscall(libc::SYS_shmat, segment, start, flags) }),
    }
}
