//! What is asked of a new area, and making it.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{CStr, c_char, c_int, c_void};

use areas::{Error, ErrorKind, Result};

use super::area::{Any, Handle};
use super::errors::{invalid, made};
use super::notes::note;
use super::placement::Placed;
use super::provider::Source;
use super::sized::{Versioned, read};
use super::words::{
    self, AREAS_FROZEN, AREAS_GROWABLE, AREAS_PRIVATE, AREAS_RESIZABLE, AREAS_SHARED, AREAS_STORED,
};

/// What is asked of a new area. Initialise with AREAS_ATTRIBUTES: zeroed, readable and writable,
/// shared, in base pages, placed nowhere in particular, not locked, not published.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Attributes {
    /// sizeof(areas_attributes).
    pub struct_size: usize,
    /// Bytes: at least 1.
    pub size: usize,
    /// The name under which it is published at once; NULL leaves it unpublished (areas_publish does
    /// that later). 1 to 255 bytes.
    pub name: *const c_char,
    /// Where it shall come from, instead of the kernel as it is; or NULL.
    pub provider: *const Source,
    /// AREAS_SHARED, AREAS_PRIVATE, AREAS_GROWABLE, AREAS_RESIZABLE or AREAS_STORED.
    pub kind: u32,
    /// A union of AREAS_READ, AREAS_WRITE, AREAS_EXECUTE; 0 is reading and writing, AREAS_NOTHING
    /// is nothing.
    pub protection: u32,
    /// AREAS_LOCK_NONE or another.
    pub lock: u32,
    /// AREAS_PAGES_BASE or another.
    pub pages: u32,
    /// Bytes of a hugetlb page, where one was asked for; 0 is 2 MiB.
    pub page_size: usize,
    /// Up to how many bytes a growable or resizable area may grow: it takes that many addresses.
    pub max: usize,
    /// For the forms of addresses that name one.
    pub address: *mut c_void,
    /// AREAS_ANYWHERE or another form of addresses.
    pub address_form: u32,
    /// 0.
    pub reserved: u32,
    /// Where its pages shall come from.
    pub placement: Placed,
    /// 0, or a union of AREAS_NOT_DUMPED and AREAS_EXCLUSIVE.
    pub flags: u64,
    /// What is noted beside it for those who find it: bytes that mean what the program says; NULL
    /// is nothing. For areas that are not private.
    pub note: *const c_void,
    /// How many bytes that is: at most AREAS_LONGEST_NOTE.
    pub note_size: usize,
}

/// Core dumps of this process leave the area out. (Growable and resizable ones always are left out.
/// Of other areas the kernel writes every page, and takes memory for those that were never touched.
/// For a clone, madvise(MADV_DONTDUMP) does the same.)
pub const AREAS_NOT_DUMPED: u64 = 1;

/// No other area may have its name: AREAS_ERROR_NAME_TAKEN if one has. Of several processes and
/// threads that ask for that at once, at most one gets the name; none waits longer than
/// AREAS_DEFAULT_TIMEOUT for one that was stopped in the middle (AREAS_ERROR_BUSY then). The name
/// is exclusive among those who ask for it, and against what was published before.
pub const AREAS_EXCLUSIVE: u64 = 2;

// SAFETY: numbers and addresses, the first a `usize`.
unsafe impl Versioned for Attributes {
    const NAME: &'static str = "areas_attributes";
    const FIRST: usize = 224;
}

impl Attributes {
    /// # Safety
    /// The name is NULL or a string, the note NULL or as many bytes as its size says, the provider
    /// NULL or one that was not released.
    unsafe fn make(&self, created: Option<&mut bool>) -> Result<Any> {
        const WHAT: &str = "make an area";
        if self.reserved != 0 {
            return Err(invalid(WHAT, "the reserved field of its attributes is not 0"));
        }
        if self.max != 0 && !matches!(self.kind, AREAS_GROWABLE | AREAS_RESIZABLE) {
            return Err(invalid(WHAT, "max is for growable and resizable areas"));
        }
        if self.flags & !(AREAS_NOT_DUMPED | AREAS_EXCLUSIVE) != 0 {
            return Err(invalid(WHAT, "its attributes have an unknown flag"));
        }
        let Some(address) = words::address(self.address_form, self.address)? else {
            return Err(invalid(WHAT, "only a clone has a source's address"));
        };
        // SAFETY: NULL or a provider (the caller).
        let provider = unsafe { self.provider.as_ref() }.cloned();
        let mut builder = areas::builder(self.size)
            .place(self.placement.placement()?)
            .pages(words::pages(self.pages, self.page_size)?)
            .lock(words::lock(self.lock)?)
            .protection(words::protection(self.protection)?.unwrap_or_default())
            .dump(self.flags & AREAS_NOT_DUMPED == 0)
            .at(address);
        if let Some(provider) = &provider {
            builder = builder.provider(provider);
        }
        if !self.name.is_null() {
            // SAFETY: a string (the caller) that is not NULL (checked).
            builder = builder.name(unsafe { CStr::from_ptr(self.name) }.to_bytes());
        }
        // SAFETY: NULL, or as many bytes as it says (the caller).
        if let Some(note) = unsafe { note(self.note, self.note_size, WHAT) }? {
            builder = builder.note(note);
        }
        if self.flags & AREAS_EXCLUSIVE != 0 {
            builder = builder.exclusive();
        }
        if let Some(created) = created {
            return self.create_or_open(&builder, created);
        }
        Ok(match self.kind {
            AREAS_SHARED => Any::Shared(builder.shared()?),
            AREAS_PRIVATE => Any::Private(builder.private()?),
            AREAS_GROWABLE => Any::Shared(builder.growable(self.max).shared()?),
            AREAS_RESIZABLE => Any::Resizable(builder.resizable(self.max.max(self.size))?),
            AREAS_STORED => Any::Stored(builder.stored()?),
            AREAS_FROZEN => {
                return Err(invalid(WHAT, "a frozen area could never be filled")
                    .with_remedy("make a shared one, fill it, areas_freeze"));
            }
            other => {
                return Err(Error::new(ErrorKind::InvalidInput, WHAT)
                    .with_facts(format!("no kind has number {other}")));
            }
        })
    }

    fn create_or_open(&self, builder: &areas::AreaBuilder<'_>, created: &mut bool) -> Result<Any> {
        let builder = match self.kind {
            AREAS_SHARED => builder.clone(),
            AREAS_GROWABLE => builder.clone().growable(self.max),
            _ => {
                return Err(invalid("create or open an area", "what is made can be shared or growable")
                    .with_remedy(
                        "for other kinds: areas_create with AREAS_EXCLUSIVE, and areas_clone_named",
                    ));
            }
        };
        Ok(match builder.create_or_open()? {
            areas::CreatedOrOpened::Created(area) => {
                *created = true;
                Any::Shared(area)
            }
            areas::CreatedOrOpened::Opened(area) => area,
        })
    }
}

/// Makes an area. NULL if it cannot be had as it was asked for.
///
/// AREAS_ERROR_INVALID_INPUT: a size of 0, a bad name, words that mean nothing or do not go
/// together. AREAS_ERROR_NODE_NOT_ALLOWED, AREAS_ERROR_NO_MEMORY, AREAS_ERROR_LIMIT,
/// AREAS_ERROR_ADDRESS_IN_USE, AREAS_ERROR_UNSUPPORTED, AREAS_ERROR_NOT_PERMITTED: as the request
/// meets the machine. AREAS_ERROR_REGISTRY: it cannot be published.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_create(attributes: *const Attributes) -> *mut Handle {
    made(|| {
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let attributes = unsafe { read(attributes) }?;
        // SAFETY: what C's structure points to (names, nodes, a provider) is NULL or as areas.h
        // describes it, and stays for the call.
        unsafe { attributes.make(None) }.map(Handle::new)
    })
}

/// Makes a shared or growable area of that name, or clones the one that is there: of several that
/// ask for that at once, one makes it, and the others clone it. `created` becomes 1 or 0; it may be
/// NULL. NULL if it cannot be had.
///
/// A clone is of the area that exists, whatever was asked of a new one (areas_look says what it
/// is): with its holder's protection, published under the same name, so that the name outlives any
/// one holder. What is made is zeros until its maker has written it.
///
/// AREAS_ERROR_BUSY where another process was stopped in the middle of taking the name; otherwise
/// as areas_create and areas_clone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_create_or_open(
    attributes: *const Attributes,
    created: *mut c_int,
) -> *mut Handle {
    made(|| {
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let attributes = unsafe { read(attributes) }?;
        let mut made = false;
        // SAFETY: what C's structure points to (names, nodes, a provider) is NULL or as areas.h
        // describes it, and stays for the call.
        let area = unsafe { attributes.make(Some(&mut made)) }?;
        if !created.is_null() {
            // SAFETY: not NULL (looked at), and C's to write an int to (its promise).
            unsafe { created.write(c_int::from(made)) };
        }
        Ok(Handle::new(area))
    })
}
