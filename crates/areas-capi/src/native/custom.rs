//! Providers that a C program writes: a table of functions with a context.
//!
//! Its `map` gets a request and answers with a mapping, which it has from a provider that exists;
//! so it can neither give addresses that are not its own nor the same ones twice, and what unmaps
//! them is the library. Which of its mappings it answers with is its choice, so the builder
//! compares the answer with the request.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};
use std::fmt;
use std::sync::Arc;

use areas::{Backing, Error, ErrorKind, Mapping, Provider, Request, Result};

use super::errors::{invalid, kind_of, made, number};
use super::placement::{Placed, placement_at};
use super::provider::{Source, source_or_system};
use super::sized::{Versioned, read};
use super::words::protection_number;
use crate::edge::catch_panic;
use crate::error::Kept;

/// What is asked of a provider: given to its `map`, and gone when that returns.
#[derive(Debug)]
pub struct Asked {
    _opaque: [u8; 0],
}

/// Mapped memory on its way to an area: areas_request_map makes one, `map` gives it away.
#[derive(Debug)]
pub struct Mapped(Mapping);

/// What a provider of one's own does. Initialise with AREAS_PROVIDER_OPERATIONS. The functions may
/// be called by any thread, several at once.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Operations {
    /// sizeof(areas_provider_operations).
    pub struct_size: usize,
    /// Maps what the request describes: puts a mapping (of areas_request_map) into `mapping` and
    /// returns 0; or returns the number of an error, best by areas_error_set, and leaves nothing
    /// mapped. The mapping is one that was made for this very request: with another one no area is
    /// made (AREAS_ERROR_UNSUPPORTED).
    pub map: Option<
        unsafe extern "C" fn(context: *mut c_void, request: *const Asked, mapping: *mut *mut Mapped) -> c_int,
    >,
    /// Called when the addresses of a mapping have been unmapped; or NULL.
    pub unmapped: Option<unsafe extern "C" fn(context: *mut c_void, address: *mut c_void, size: usize)>,
    /// Called when the context is not needed any more: the provider was released, and all that came
    /// from it is unmapped; or NULL.
    pub done: Option<unsafe extern "C" fn(context: *mut c_void)>,
}

// SAFETY: a number and addresses or NULL, the first a `usize`.
unsafe impl Versioned for Operations {
    const NAME: &'static str = "areas_provider_operations";
    const FIRST: usize = 32;
}

/// A C program's provider.
struct Custom {
    operations: Operations,
    context: *mut c_void,
}

// SAFETY: functions and a context that any thread may use (C's promise).
unsafe impl Send for Custom {}
// SAFETY: areas.h says that several threads may call the functions with that context at once.
unsafe impl Sync for Custom {}

impl Drop for Custom {
    fn drop(&mut self) {
        if let Some(done) = self.operations.done {
            // SAFETY: C's own function, with its context, for the last time.
            unsafe { done(self.context) };
        }
    }
}

struct Shared(Arc<Custom>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a provider of the program's own")
    }
}

/// Attached to what it mapped: dropped once that is unmapped.
struct Gone {
    custom: Arc<Custom>,
    address: usize,
    span: usize,
}

impl Drop for Gone {
    fn drop(&mut self) {
        if let Some(unmapped) = self.custom.operations.unmapped {
            let address = std::ptr::without_provenance_mut(self.address);
            // SAFETY: C's own function, with its context.
            unsafe { unmapped(self.custom.context, address, self.span) };
        }
    }
}

impl Provider for Shared {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let custom = &self.0;
        let what = || format!("map {} bytes from a provider of the program's own", request.size());
        let Some(map) = custom.operations.map else {
            return Err(Error::new(ErrorKind::Unsupported, what()).with_facts("its map is NULL"));
        };
        let mut mapped: *mut Mapped = std::ptr::null_mut();
        // What was there before is not what this call fails with.
        let before = crate::error::take();
        let asked = std::ptr::from_ref(request).cast::<Asked>();
        // SAFETY: C's own function, with its context; the request lives as long as the call.
        let answer = unsafe { map(custom.context, asked, &raw mut mapped) };
        let reported = crate::error::take();
        // As it was, words and all: the program may have them still, and was notified of no failure
        // since.
        crate::error::put_back(before);
        if answer != 0 {
            let plain =
                || Error::new(kind_of(answer), what()).with_facts(format!("its map returned {answer}"));
            return Err(reported.map_or_else(plain, Kept::into_error));
        }
        if mapped.is_null() {
            return Err(
                Error::new(ErrorKind::InvalidInput, what()).with_facts("its map returned 0 and no mapping")
            );
        }
        // SAFETY: a mapping of `areas_request_map`, given away (C's promise): a box of its own.
        let Mapped(mut mapping) = *unsafe { Box::from_raw(mapped) };
        // Without a callback for the end, nothing is needed that is dropped then.
        if custom.operations.unmapped.is_some() || custom.operations.done.is_some() {
            let (address, span) = (mapping.as_ptr().addr(), mapping.span());
            mapping.attach(Gone { custom: custom.clone(), address, span });
        }
        Ok(mapping)
    }
}

/// Makes a provider of a table of functions and a context for them. NULL if the table is NULL, was
/// not begun with AREAS_PROVIDER_OPERATIONS, or has no `map`; the context stays the caller's then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_custom(
    operations: *const Operations,
    context: *mut c_void,
) -> *mut Source {
    made(|| {
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let operations = unsafe { read(operations) }?;
        if operations.map.is_none() {
            return Err(invalid("make a provider", "its map is NULL"));
        }
        Ok(Source::new(Shared(Arc::new(Custom { operations, context }))))
    })
}

/// The request that C points to.
///
/// # Safety
/// NULL, or what a provider's `map` was given, while that runs.
unsafe fn request<'a>(asked: *const Asked) -> Result<&'a Request<'a>> {
    // SAFETY: it was made from a request (`Shared::map`), which lives as long as the call (the
    // caller).
    unsafe { asked.cast::<Request<'a>>().as_ref() }.ok_or_else(|| invalid("look at a request", "it is NULL"))
}

/// Maps what is asked from another provider (NULL: the kernel), with another placement or, if that
/// is NULL, the one that was asked for. The mapping is the caller's: to be filled, given away by
/// `map`, or unmapped by areas_mapping_unmap. NULL if it cannot be had.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_request_map(
    asked: *const Asked,
    from: Option<&Source>,
    placement: *const Placed,
) -> *mut Mapped {
    made(|| {
        // SAFETY: C passes NULL, or the request that its `map` was given, while that `map` runs.
        let request = unsafe { request(asked) }?;
        let from = source_or_system(from);
        if placement.is_null() {
            return from.map(request).map(Mapped);
        }
        // SAFETY: a placement (C's promise).
        let placement = unsafe { placement_at(placement) }?;
        from.map(&request.clone().placed(placement)).map(Mapped)
    })
}

/// How many bytes are asked for; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_request_size(asked: *const Asked) -> usize {
    // SAFETY: C passes NULL, or the request that its `map` was given, while that `map` runs.
    catch_panic(0, || unsafe { request(asked) }.map_or(0, Request::size))
}

/// What is to be done with the pages: a union of AREAS_READ, AREAS_WRITE, AREAS_EXECUTE, or
/// AREAS_NOTHING; 0 for NULL. What may not be written cannot be filled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_request_protection(asked: *const Asked) -> u32 {
    catch_panic(0, || {
        // SAFETY: C passes NULL, or the request that its `map` was given, while that `map` runs.
        unsafe { request(asked) }.map_or(0, |request| protection_number(request.wanted_protection()))
    })
}

/// Whether shared memory is asked for (1) or private memory (0), which are to be given;
/// AREAS_ERROR_INVALID_INPUT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_request_shared(asked: *const Asked) -> c_int {
    // SAFETY: C passes NULL, or the request that its `map` was given, while that `map` runs.
    number(|| Ok(c_int::from(matches!(unsafe { request(asked) }?.backing(), Backing::Object(_)))))
}

/// Gets the placement that was asked for: 1, or 0 if that is left to the provider (and `placement`
/// is unchanged). AREAS_ERROR_INVALID_INPUT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_request_placement(asked: *const Asked, placement: *mut Placed) -> c_int {
    number(|| {
        // SAFETY: C passes NULL, or the request that its `map` was given, while that `map` runs.
        let request = unsafe { request(asked) }?;
        if placement.is_null() {
            return Err(invalid("look at a request", "the pointer to the placement is NULL"));
        }
        let Some(wanted) = request.placement() else { return Ok(0) };
        // SAFETY: not NULL (checked), and then room for a placement (C's promise).
        unsafe { placement.write_unaligned(Placed::of(wanted)) };
        Ok(1)
    })
}

/// Where a mapping begins; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_mapping_address(mapping: *const Mapped) -> *mut c_void {
    catch_panic(std::ptr::null_mut(), || {
        // SAFETY: NULL or a mapping that was not given away (C's promise).
        unsafe { mapping.as_ref() }.map_or(std::ptr::null_mut(), |mapping| mapping.0.as_ptr().cast())
    })
}

/// How many bytes a mapping has; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_mapping_size(mapping: *const Mapped) -> usize {
    // SAFETY: NULL or a mapping that was not given away (C's promise).
    catch_panic(0, || unsafe { mapping.as_ref() }.map_or(0, |mapping| mapping.0.size()))
}

/// Unmaps a mapping that was not given away. NULL is nothing to do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_mapping_unmap(mapping: *mut Mapped) {
    catch_panic((), || {
        if !mapping.is_null() {
            // SAFETY: a mapping of `areas_request_map` that was not given away (C's promise): a box
            // of its own.
            drop(unsafe { Box::from_raw(mapping) });
        }
    });
}
