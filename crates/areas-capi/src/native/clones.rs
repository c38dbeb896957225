//! Clones of published areas.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{CStr, c_char, c_void};

use areas::registry::{self, Source};
use areas::{AreaId, Result};

use super::area::{Any, Handle};
use super::errors::{invalid, made, text};
use super::notes::note;
use super::sized::{Versioned, read};
use super::words;

/// How a published area is to be cloned. Initialise with AREAS_CLONING: what may be done with the
/// clone is what may be done with its source, anywhere, not published. Its lock is inherited.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Cloning {
    /// sizeof(areas_cloning).
    pub struct_size: usize,
    /// The name under which the clone is published; NULL leaves it unpublished.
    pub name: *const c_char,
    /// A union of AREAS_READ, AREAS_WRITE, AREAS_EXECUTE; 0 is the source's, AREAS_NOTHING is
    /// nothing. Without AREAS_WRITE the kernel ensures that the clone never writes.
    pub protection: u32,
    /// AREAS_ANYWHERE or another form of addresses, AREAS_AT_SOURCE among them.
    pub address_form: u32,
    /// For the forms of addresses that name one.
    pub address: *mut c_void,
    /// How many bytes of addresses the clone of a resizable area takes to grow into; 0 is as many
    /// as the source has.
    pub room: usize,
    /// What is noted beside the clone; NULL is what is noted beside its source.
    pub note: *const c_void,
    /// How many bytes that is: at most AREAS_LONGEST_NOTE.
    pub note_size: usize,
}

// SAFETY: numbers and addresses, the first a `usize`.
unsafe impl Versioned for Cloning {
    const NAME: &'static str = "areas_cloning";
    const FIRST: usize = 40;
}

/// Makes a clone of whatever kind the source is.
///
/// # Safety
/// `how` is NULL, or has as many bytes as it says, a name that is NULL or a string, and a note that
/// is NULL or as many bytes as its size says.
unsafe fn make(source: &Source, how: *const Cloning) -> Result<Any> {
    let mut cloning = source.cloning();
    if !how.is_null() {
        // SAFETY: as many bytes as it says (the caller).
        let how = unsafe { read(how) }?;
        cloning = match words::address(how.address_form, how.address)? {
            Some(address) => cloning.at(address),
            None => cloning.same_address(),
        };
        if let Some(asked) = words::protection(how.protection)? {
            cloning = cloning.protection(asked);
        }
        // SAFETY: NULL, or as many bytes as it says (the caller).
        if let Some(note) = unsafe { note(how.note, how.note_size, "clone an area") }? {
            cloning = cloning.note(note);
        }
        if how.room != 0 {
            cloning = cloning.room(how.room);
        }
        if !how.name.is_null() {
            // SAFETY: a string (the caller) that is not NULL (checked).
            cloning = cloning.name(unsafe { CStr::from_ptr(how.name) }.to_bytes());
        }
    }
    cloning.open_any()
}

/// Clones the area of that id: the same memory, under an id and at addresses of the clone's own.
/// `how` may be NULL. NULL if it cannot be had.
///
/// AREAS_ERROR_INVALID_INPUT, AREAS_ERROR_NO_SUCH_AREA, AREAS_ERROR_UNREADABLE: no such area, or
/// one whose holder may not be read. AREAS_ERROR_READ_ONLY, AREAS_ERROR_FROZEN: for writing what
/// its holder may not write, or what is frozen. Otherwise as areas_create.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_clone(id: i32, how: *const Cloning) -> *mut Handle {
    made(|| {
        let source = AreaId::new(id).and_then(registry::get)?;
        // SAFETY: C passes NULL, or as many bytes as the structure's first member says.
        unsafe { make(&source, how) }.map(Handle::new)
    })
}

/// Clones the oldest area of that name. `how` may be NULL. NULL if it cannot be had; as
/// areas_clone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_clone_named(name: *const c_char, how: *const Cloning) -> *mut Handle {
    made(|| {
        // SAFETY: NULL or a string (C's promise).
        let name = unsafe { text(name, "clone an area") }?;
        if name.is_empty() {
            return Err(invalid("clone an area", "the name is empty"));
        }
        let source = registry::find(name.to_bytes())?;
        // SAFETY: C passes NULL, or as many bytes as the structure's first member says.
        unsafe { make(&source, how) }.map(Handle::new)
    })
}
