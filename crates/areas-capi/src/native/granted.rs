//! What an area was actually given.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{CString, c_char, c_int, c_void};

use super::area::{Handle, each, look};
use super::errors::status;
use super::sized::{Versioned, room};

/// What was actually given, where it differs from what was asked only as far as that was allowed.
/// Initialise with AREAS_GRANT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Given {
    /// sizeof(areas_grant).
    pub struct_size: usize,
    /// Bytes in whole pages.
    pub mapped: usize,
    /// Bytes of addresses taken, a reserve included.
    pub span: usize,
    /// Bytes of the pages that it is mapped with.
    pub page_size: usize,
    /// Bytes that were collapsed into transparent huge pages.
    pub collapsed: usize,
    /// How often something else was given than was asked first.
    pub fallbacks: usize,
}

// SAFETY: numbers, the first a `usize`.
unsafe impl Versioned for Given {
    const NAME: &'static str = "areas_grant";
    const FIRST: usize = 48;
}

/// Called with each fallback, in words: what was asked, what was given instead, why.
pub type OnFallback = Option<
    unsafe extern "C" fn(
        asked: *const c_char,
        given: *const c_char,
        why: *const c_char,
        context: *mut c_void,
    ),
>;

/// Describes what an area was granted, and each fallback that was taken (`on_fallback` may be
/// NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_granted(
    area: Option<&Handle>,
    grant: *mut Given,
    on_fallback: OnFallback,
    context: *mut c_void,
) -> c_int {
    status(|| {
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let room = unsafe { room(grant) }?;
        let granted = each!(look(area, "list what an area was granted")?, area => area.granted());
        let words = |text: &str| CString::new(text).unwrap_or_default();
        let mut fallbacks = Vec::new();
        if on_fallback.is_some() {
            fallbacks.extend(granted.fallbacks().iter().map(|fallback| {
                [words(&fallback.asked), words(&fallback.given), words(&fallback.because.to_string())]
            }));
        }
        let given = Given {
            struct_size: 0,
            mapped: granted.mapped(),
            span: granted.span(),
            page_size: granted.page_size().bytes(),
            collapsed: granted.collapsed(),
            fallbacks: granted.fallbacks().len(),
        };
        // SAFETY: C's structure is the one that `room` looked at, and stays writable until this
        // call returns.
        unsafe { room.fill(&given) };
        // Last, with nothing borrowed from the area: what C does with its handle then is C's
        // affair.
        let Some(call) = on_fallback else { return Ok(()) };
        for [asked, given, because] in &fallbacks {
            // SAFETY: C's own function, with its context, and strings that live as long as the
            // call.
            unsafe { call(asked.as_ptr(), given.as_ptr(), because.as_ptr(), context) };
        }
        Ok(())
    })
}
