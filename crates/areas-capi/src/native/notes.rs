//! What a holder notes beside an area.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};

use areas::{Error, ErrorKind, Note, Result};

use super::area::{Any, Handle, change};
use super::errors::{invalid, status};

/// The most bytes that a note has.
pub const AREAS_LONGEST_NOTE: usize = 256;
const _: () = assert!(Note::MAX == AREAS_LONGEST_NOTE);

/// The bytes of a note; `None` for NULL.
///
/// # Safety
/// `note` is NULL, or points to `size` bytes that outlive the answer.
pub(super) unsafe fn note<'a>(
    note: *const c_void,
    size: usize,
    what: &'static str,
) -> Result<Option<&'a [u8]>> {
    match (note.is_null(), size) {
        (true, 0) => Ok(None),
        (true, _) => Err(invalid(what, "its note is NULL, and its note_size is not 0")),
        // Before as many bytes are believed to be there.
        (false, size) if size > AREAS_LONGEST_NOTE => Err(Error::new(ErrorKind::InvalidInput, what)
            .with_facts(format!("the note has {size} bytes"))
            .with_remedy(
                "a note has up to AREAS_LONGEST_NOTE bytes: put what is longer into the area itself",
            )),
        // SAFETY: as many bytes are there (the caller), few enough for a slice (looked at).
        (false, size) => Ok(Some(unsafe { std::slice::from_raw_parts(note.cast::<u8>(), size) })),
    }
}

/// Notes something beside an area for those who find it, in place of what was noted before: up to
/// AREAS_LONGEST_NOTE bytes that mean what the program says (a type and a shape, a version). NULL
/// and 0 remove it. Concurrent readers get the old note or the new one, whole (`note` in
/// areas_info). Where the area is not published yet, the note is published with the name. Clones
/// that exist keep theirs.
///
/// AREAS_ERROR_INVALID_INPUT for a longer one; AREAS_ERROR_UNSUPPORTED for private and stored
/// areas; AREAS_ERROR_LIMIT where this process has published so many areas that there is no room
/// for it: what was noted stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_set_note(
    area: Option<&mut Handle>,
    bytes: *const c_void,
    size: usize,
) -> c_int {
    status(|| {
        const WHAT: &str = "note something beside an area";
        let area = change(area, WHAT)?;
        // SAFETY: NULL or `size` bytes (C's promise).
        let note = unsafe { note(bytes, size, WHAT) }?.unwrap_or_default();
        match area {
            Any::Private(_) | Any::Stored(_) => Err(Error::new(ErrorKind::Unsupported, WHAT)
                .with_facts("it is private or stored memory, which no other process can find")
                .with_remedy("make it shared: kind AREAS_SHARED")),
            area => area.set_note(note),
        }
    })
}
