//! An area that is registered with CUDA (`cuMemHostRegister`, which is what `cudaHostRegister`
//! calls): a GPU copies from it and into it without a bounce buffer. Runs where libcuda and a GPU
//! are; not tried by its makers, who have none.

#![expect(unsafe_code, reason = "calls CUDA's driver with addresses; each block has its proof")]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::atomic::Ordering;

use areas::ErrorKind;
use libloading::{Library, Symbol};

/// `CU_MEMHOSTREGISTER_PORTABLE`: for all contexts.
const PORTABLE: c_uint = 1;

/// A function of the driver's, or a failed test.
///
/// # Safety
/// `F` is the type that cuda.h gives it.
unsafe fn function<'l, F>(library: &'l Library, name: &str) -> Symbol<'l, F> {
    // SAFETY: the function has that type (the caller's promise).
    unsafe { library.get(name) }.unwrap_or_else(|why| panic!("{name}: {why}"))
}

macro_rules! call {
    ($library:expr, $name:literal, ($($argument:expr => $type:ty),*)) => {{
        // SAFETY: the type is cuda.h's.
        let function = unsafe { function::<unsafe extern "C" fn($($type),*) -> c_int>($library, $name) };
        // SAFETY: arguments of these types, whose pointers are valid for the call (or for as long
        // as they are registered).
        unsafe { function($($argument),*) }
    }};
}

#[test]
fn a_gpu_copies_out_of_a_registered_area_and_into_it() {
    const TEST: &str = "a_gpu_copies_out_of_a_registered_area_and_into_it";
    const BYTES: usize = 4 << 20;
    // SAFETY: the driver's library has no requirements for being loaded.
    let library = match unsafe { Library::new("libcuda.so.1") } {
        Ok(library) => library,
        Err(why) => return areas_testing::skipped(TEST, &format!("there is no CUDA driver: {why}")),
    };
    let mut count: c_int = 0;
    let status = call!(&library, "cuInit", (0 => c_uint));
    if status != 0 || call!(&library, "cuDeviceGetCount", (&raw mut count => *mut c_int)) != 0 || count == 0 {
        return areas_testing::skipped(
            TEST,
            &format!("there is no GPU: cuInit gives {status}, and there are {count} devices"),
        );
    }
    let (mut device, mut context): (c_int, *mut c_void) = (0, ptr::null_mut());
    assert_eq!(call!(&library, "cuDeviceGet", (&raw mut device => *mut c_int, 0 => c_int)), 0);
    assert_eq!(
        call!(&library, "cuDevicePrimaryCtxRetain", (&raw mut context => *mut *mut c_void, device => c_int)),
        0
    );
    assert_eq!(call!(&library, "cuCtxSetCurrent", (context => *mut c_void)), 0);

    let area = areas::builder(BYTES).name("recipes: cuda").shared().unwrap();
    for word in 0..BYTES / 4 {
        area.store(word * 4, u32::try_from(word).unwrap(), Ordering::Relaxed).unwrap();
    }
    let address = area.as_ptr().cast::<c_void>();
    let registered =
        call!(&library, "cuMemHostRegister_v2", (address => *mut c_void, BYTES => usize, PORTABLE => c_uint));
    assert_eq!(registered, 0, "cuMemHostRegister: {}", name_of(&library, registered));

    let mut on_device: u64 = 0;
    assert_eq!(call!(&library, "cuMemAlloc_v2", (&raw mut on_device => *mut u64, BYTES => usize)), 0);
    assert_eq!(
        call!(&library, "cuMemcpyHtoD_v2", (on_device => u64, address => *const c_void, BYTES => usize)),
        0
    );
    area.write_at(0, &vec![0; BYTES]).unwrap();
    assert_eq!(
        call!(&library, "cuMemcpyDtoH_v2", (address => *mut c_void, on_device => u64, BYTES => usize)),
        0
    );
    let other = areas::registry::find("recipes: cuda").unwrap().open_read_only().unwrap();
    for word in (0..BYTES / 4).step_by(997) {
        assert_eq!(other.load::<u32>(word * 4, Ordering::Relaxed).unwrap(), u32::try_from(word).unwrap());
    }
    drop(other);

    // Its pages are pinned: as with io_uring it cannot be frozen, and the error says what may be
    // the reason.
    let rejected = area.freeze_within(std::time::Duration::ZERO).unwrap_err();
    assert_eq!(rejected.error.kind(), ErrorKind::Busy);
    assert!(format!("{:#}", rejected.error).contains("a GPU driver"), "{:#}", rejected.error);
    assert_eq!(call!(&library, "cuMemFree_v2", (on_device => u64)), 0);
    assert_eq!(call!(&library, "cuMemHostUnregister", (address => *mut c_void)), 0);
    assert_eq!(rejected.value.freeze().unwrap()[4..8], 1_u32.to_ne_bytes());
    assert_eq!(call!(&library, "cuDevicePrimaryCtxRelease_v2", (device => c_int)), 0);
}

/// What the driver calls an error.
fn name_of(library: &Library, status: c_int) -> String {
    let mut name: *const c_char = ptr::null();
    if call!(library, "cuGetErrorName", (status => c_int, &raw mut name => *mut *const c_char)) != 0
        || name.is_null()
    {
        return status.to_string();
    }
    // SAFETY: a string of the driver's, which stays.
    unsafe { std::ffi::CStr::from_ptr(name) }.to_string_lossy().into_owned()
}
