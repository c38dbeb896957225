//! The handle of an area, whatever its kind; its address, size and id; its release.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};
use std::os::fd::AsRawFd;

pub(super) use areas::AnyArea as Any;
use areas::{Error, ErrorKind, Result};

use super::errors::{failed, invalid, number};
use crate::edge::catch_panic;

/// An area that this process holds: areas_create, areas_clone, areas_receive and areas_take make
/// one, areas_release releases it.
///
/// Calls that take it as const may be made by several threads at once; any other call has the
/// handle to itself, as with any object of C's that has no mutex. A forked child has its parent's
/// handles, for the same memory at the same addresses.
#[derive(Debug)]
pub struct Handle {
    /// Empty once it was handed over to another team.
    area: Option<Any>,
}

// Any thread may have it, and several at once for calls that take it as const: as promised to C
// above.
const _: () = {
    const fn any_thread<T: Send + Sync>() {}
    any_thread::<Handle>();
    any_thread::<super::provider::Source>();
    any_thread::<super::custom::Mapped>();
};

/// Does the same with an area of whatever kind.
macro_rules! each {
    ($any:expr, $area:ident => $what:expr) => {
        match $any {
            $crate::native::area::Any::Private($area) => $what,
            $crate::native::area::Any::Shared($area) => $what,
            $crate::native::area::Any::Resizable($area) => $what,
            $crate::native::area::Any::Frozen($area) => $what,
            $crate::native::area::Any::Stored($area) => $what,
        }
    };
}
pub(super) use each;

impl Handle {
    pub(super) fn new(area: Any) -> Self {
        Handle { area: Some(area) }
    }

    /// Takes the area out; what follows puts it back, or does not.
    pub(super) fn take(&mut self, what: &'static str) -> Result<Any> {
        self.area.take().ok_or_else(|| empty(what))
    }

    pub(super) fn put_back(&mut self, area: Any) {
        self.area = Some(area);
    }
}

fn empty(what: &'static str) -> Error {
    Error::new(ErrorKind::NoSuchArea, what)
        .with_facts("it was transferred to another team, and does not belong to this process any more")
        .with_remedy("release the handle")
}

// In functions that C calls, a handle that may be NULL is an `Option` of a reference, which has the
// layout of a pointer that may be NULL. What a reference demands is what C is asked for above: a
// handle that was not released, and that no other call changes, or for `&mut` uses, concurrently.

/// The handle that C points to.
pub(super) fn handle<'a>(area: Option<&'a mut Handle>, what: &'static str) -> Result<&'a mut Handle> {
    area.ok_or_else(|| invalid(what, "the area is NULL"))
}

/// The area that C points to, to change it.
pub(super) fn change<'a>(area: Option<&'a mut Handle>, what: &'static str) -> Result<&'a mut Any> {
    handle(area, what)?.area.as_mut().ok_or_else(|| empty(what))
}

/// The area that C points to, to look at it.
pub(super) fn look<'a>(area: Option<&'a Handle>, what: &'static str) -> Result<&'a Any> {
    let handle = area.ok_or_else(|| invalid(what, "the area is NULL"))?;
    handle.area.as_ref().ok_or_else(|| empty(what))
}

/// Releases an area: unmaps it and withdraws its name and id. The memory is freed with its last
/// holder. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_release(area: *mut Handle) {
    catch_panic((), || {
        if !area.is_null() {
            // SAFETY: a handle that was made by `made` and not released (C's promise): a box of its
            // own.
            drop(unsafe { Box::from_raw(area) });
        }
    });
}

/// Where an area begins; NULL if the handle is NULL or holds none any more.
///
/// Several processes may write shared memory at once: what C's memory model says of threads holds
/// for them.
///
/// The addresses are the area's, its reserve included: they must not be unmapped, mapped over
/// (MAP_FIXED, SHM_REMAP) or moved away (mremap) by the program. areas_resize and areas_trim
/// release memory and addresses, areas_release all of them. (BeOS's areas may be cut so: see
/// areas_forget_range.)
#[unsafe(no_mangle)]
pub extern "C" fn areas_address(area: Option<&Handle>) -> *mut c_void {
    catch_panic(std::ptr::null_mut(), || match look(area, "get the address of an area") {
        Ok(area) => each!(area, area => area.as_ptr()).cast(),
        Err(error) => {
            failed(error);
            std::ptr::null_mut()
        }
    })
}

/// How many bytes an area has now; 0 if the handle is NULL or holds none any more. For areas that
/// may grow it asks the kernel.
#[unsafe(no_mangle)]
pub extern "C" fn areas_size(area: Option<&Handle>) -> usize {
    catch_panic(0, || match look(area, "get the size of an area") {
        Ok(area) => each!(area, area => area.size()),
        Err(error) => {
            failed(error);
            0
        }
    })
}

/// An area's id, by which other processes, and BeOS's calls, know it; 0 if it is not published.
///
/// AREAS_ERROR_INVALID_INPUT for NULL, AREAS_ERROR_NO_SUCH_AREA for a handle that holds none any
/// more.
#[unsafe(no_mangle)]
pub extern "C" fn areas_id(area: Option<&Handle>) -> i32 {
    number(|| {
        let area = look(area, "get the id of an area")?;
        Ok(each!(area, area => area.id()).map_or(0, areas::AreaId::get))
    })
}

/// The descriptor of the memory object behind an area: it stays the area's, and is open as long as
/// the handle is.
///
/// AREAS_ERROR_UNSUPPORTED for private and stored areas, which have none.
#[unsafe(no_mangle)]
pub extern "C" fn areas_descriptor(area: Option<&Handle>) -> c_int {
    number(|| {
        const WHAT: &str = "get the descriptor of an area";
        let area = look(area, WHAT)?;
        let none = || {
            Error::new(ErrorKind::Unsupported, WHAT)
                .with_facts("it is private or stored memory, and has no object")
        };
        area.descriptor().map(|descriptor| descriptor.as_raw_fd()).ok_or_else(none)
    })
}
