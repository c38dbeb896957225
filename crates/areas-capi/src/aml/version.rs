//! Which version of AML's interface this is.

#![expect(unsafe_code, reason = "symbols without mangling")]

use std::ffi::{CStr, c_char, c_int};

/// A string constant that C reads: a pointer, in a static.
#[repr(transparent)]
struct Text(*const c_char);

// SAFETY: it points to bytes that nothing ever writes.
unsafe impl Sync for Text {}

const REVISION: &CStr = c"";
const STRING: &CStr = c"0.2.1";

#[unsafe(no_mangle)]
static aml_version_major: c_int = 0;
#[unsafe(no_mangle)]
static aml_version_minor: c_int = 2;
#[unsafe(no_mangle)]
static aml_version_patch: c_int = 1;
#[unsafe(no_mangle)]
static aml_version_revision: Text = Text(REVISION.as_ptr());
#[unsafe(no_mangle)]
static aml_version_string: Text = Text(STRING.as_ptr());
