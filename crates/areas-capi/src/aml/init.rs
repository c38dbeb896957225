//! `aml_init` and `aml_finalize`: counted, and nothing else. There is no thread to start and no
//! library to set up.

#![expect(unsafe_code, reason = "symbols without mangling")]

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::{SUCCESS, invalid};

/// How often it was initialised more than finalised.
static USERS: AtomicUsize = AtomicUsize::new(0);

/// The arguments are the program's; nothing in them is for this library, and they may be NULL.
#[unsafe(no_mangle)]
extern "C" fn aml_init(_argc: *mut c_int, _argv: *mut *mut *mut c_char) -> c_int {
    USERS.fetch_add(1, Ordering::Relaxed);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn aml_finalize() -> c_int {
    let less = USERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |users| users.checked_sub(1));
    match less {
        Ok(_) => SUCCESS,
        Err(_) => invalid("finalize AML", "it was finalised as often as it was initialised already"),
    }
}
