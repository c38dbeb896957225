//! Providers: where areas come from, and the layers over them.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use areas::provider::{Counted, Fixed};
use areas::{Error, ErrorKind, Mapping, Provider, Rejected, Request, Result, System};

use super::errors::{invalid, made, status};
use super::nodes::{Nodes, node};
use super::placement::{Placed, placement_at};
use super::sized::{Versioned, room};
use crate::edge::catch_panic;

/// Where areas come from. It is made by the functions below, used by any number of threads at once,
/// and released by areas_provider_release: areas and layers that came from it keep what they need
/// of it.
#[derive(Clone)]
pub struct Source {
    /// `None` is the kernel.
    provider: Option<Arc<dyn Provider>>,
    /// The same one, where it is a layer that counts.
    counted: Option<Arc<Counted<Source>>>,
}

impl Source {
    const SYSTEM: Source = Source { provider: None, counted: None };

    pub(super) fn new(provider: impl Provider + 'static) -> Self {
        Source { provider: Some(Arc::new(provider)), counted: None }
    }

    fn counting(inner: Source) -> Self {
        let counted = Arc::new(inner.counted());
        Source { provider: Some(counted.clone()), counted: Some(counted) }
    }

    fn provider(&self) -> &dyn Provider {
        const SYSTEM: &System = &System::new();
        self.provider.as_deref().unwrap_or(SYSTEM)
    }
}

/// What was counted of a provider. Initialise with AREAS_STATISTICS.
///
/// Other threads go on concurrently, so the members are not of the very same instant; but `mapped
/// <= peak` and `unmaps <= maps` always hold.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Counts {
    /// sizeof(areas_statistics).
    pub struct_size: usize,
    /// Bytes of addresses that are mapped now: whole pages, a reserve included.
    pub mapped: usize,
    /// The largest value that `mapped` ever had.
    pub peak: usize,
    /// How many mappings were made.
    pub maps: u64,
    /// How many of them have been unmapped.
    pub unmaps: u64,
    /// How many requests ended in an error.
    pub failures: u64,
}

// SAFETY: numbers, the first a `usize`.
unsafe impl Versioned for Counts {
    const NAME: &'static str = "areas_statistics";
    const FIRST: usize = 48;
}
const _: () = assert!(size_of::<Counts>() == 48);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.provider().fmt(f)
    }
}

impl Provider for Source {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        self.provider().map(request)
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        self.provider().unmap(mapping)
    }
}

/// The provider that C points to (one that was not released); NULL is the kernel itself.
pub(super) fn source_or_system(from: Option<&Source>) -> Source {
    from.cloned().unwrap_or(Source::SYSTEM)
}

/// The nodes that C points to.
///
/// # Safety
/// NULL or a set.
unsafe fn set(nodes: *const Nodes, what: &'static str) -> Result<areas::NodeSet> {
    if nodes.is_null() {
        return Err(invalid(what, "the set of nodes is NULL"));
    }
    // SAFETY: not NULL (checked), and then a set (the caller), which any bits are.
    let set = unsafe { nodes.read_unaligned() }.set();
    if set.is_empty() { Err(invalid(what, "the set of nodes is empty")) } else { Ok(set) }
}

/// `inner` (NULL: the kernel) with a placement for areas that bring none. NULL if the placement
/// makes no sense.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_placed(
    inner: Option<&Source>,
    placement: *const Placed,
) -> *mut Source {
    made(|| {
        // SAFETY: `inner` is NULL, or a provider that C has not released.
        let placement = unsafe { placement_at(placement) }?;
        Ok(Source::new(source_or_system(inner).placed(placement)))
    })
}

/// `inner` (NULL: the kernel) with blocks of so many pages on each of the nodes in turn. NULL for
/// no nodes or no pages.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_striped(
    inner: Option<&Source>,
    nodes: *const Nodes,
    pages: usize,
) -> *mut Source {
    made(|| {
        const WHAT: &str = "make a striped provider";
        // SAFETY: C passes NULL or a set of nodes.
        let set = unsafe { set(nodes, WHAT) }?;
        if pages == 0 {
            return Err(invalid(WHAT, "a block has no page"));
        }
        Ok(Source::new(source_or_system(inner).striped(set, pages)))
    })
}

/// `inner` (NULL: the kernel) with nodes that are filled one after the other, in the order given.
/// NULL for no nodes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_spilled(
    inner: Option<&Source>,
    order: *const u32,
    count: usize,
) -> *mut Source {
    made(|| {
        const WHAT: &str = "make a spilled provider";
        if order.is_null() || count == 0 || count > 1024 {
            return Err(invalid(WHAT, "the order is NULL, or has no node or more than there can be"));
        }
        let mut nodes = Vec::with_capacity(count);
        for index in 0..count {
            // SAFETY: the array has `count` numbers (C's promise).
            let at = unsafe { order.add(index) };
            // SAFETY: `at` is the place of one of `count` numbers that C has there.
            nodes.push(node(unsafe { at.read_unaligned() })?);
        }
        Ok(Source::new(source_or_system(inner).spilled(nodes)))
    })
}

/// A part of an area that is split: its node, and how large it is beside the others.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Part {
    /// The node.
    pub node: u32,
    /// Its share of the sum of all weights; not 0.
    pub weight: u32,
}

/// The parts that C points to.
///
/// # Safety
/// NULL, or as many parts as `count` says.
pub(super) unsafe fn parts_at(
    parts: *const Part,
    count: usize,
    what: &'static str,
) -> Result<Vec<(areas::Node, u32)>> {
    if parts.is_null() || count == 0 || count > 1024 {
        return Err(invalid(what, "the parts are NULL, none, or more than 1024"));
    }
    let mut list = Vec::with_capacity(count);
    for index in 0..count {
        // SAFETY: the array has `count` parts (the caller).
        let at = unsafe { parts.add(index) };
        // SAFETY: `at` is the place of one of `count` parts (the caller), and any bits are a part.
        let part = unsafe { at.read_unaligned() };
        if part.weight == 0 {
            return Err(invalid(what, "a weight is 0"));
        }
        list.push((node(part.node)?, part.weight));
    }
    Ok(list)
}

/// `inner` (NULL: the kernel) with contiguous parts of each area, in the order given, as large as
/// their weights say, each bound to its node; they begin between huge pages where each has room for
/// one, else at the nearest page. NULL for no parts, and for a weight of 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_split(
    inner: Option<&Source>,
    parts: *const Part,
    count: usize,
) -> *mut Source {
    made(|| {
        const WHAT: &str = "make a provider that splits";
        // SAFETY: `inner` is NULL, or a provider that C has not released.
        let list = unsafe { parts_at(parts, count, WHAT) }?;
        Ok(Source::new(source_or_system(inner).split(list)))
    })
}

/// `inner` (NULL: the kernel) with at most so many bytes of addresses mapped at once. More is
/// AREAS_ERROR_LIMIT.
#[unsafe(no_mangle)]
pub extern "C" fn areas_provider_limited(inner: Option<&Source>, bytes: usize) -> *mut Source {
    made(|| Ok(Source::new(source_or_system(inner).limited(bytes))))
}

/// `inner` (NULL: the kernel) with counters of what it maps, unmaps, and refuses:
/// areas_provider_statistics reads them.
#[unsafe(no_mangle)]
pub extern "C" fn areas_provider_counted(inner: Option<&Source>) -> *mut Source {
    made(|| Ok(Source::counting(source_or_system(inner))))
}

/// Gets what was counted of a provider that areas_provider_counted made; at any time, by any
/// thread, while others map and unmap. A mapping is counted until its addresses are unmapped,
/// however that comes about.
///
/// AREAS_ERROR_UNSUPPORTED for any other provider, also for a layer over one that counts;
/// AREAS_ERROR_INVALID_INPUT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_statistics(
    provider: Option<&Source>,
    statistics: *mut Counts,
) -> c_int {
    status(|| {
        const WHAT: &str = "get the statistics of a provider";
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let room = unsafe { room(statistics) }?;
        let provider = provider.ok_or_else(|| invalid(WHAT, "the provider is NULL"))?;
        let Some(counted) = &provider.counted else {
            return Err(Error::new(ErrorKind::Unsupported, WHAT)
                .with_facts(format!("{provider:?} does not count"))
                .with_remedy("make a layer that does, areas_provider_counted, and ask that one"));
        };
        let reported = counted.statistics();
        let counts = Counts {
            struct_size: 0,
            mapped: reported.mapped,
            peak: reported.peak,
            maps: reported.maps,
            unmaps: reported.unmaps,
            failures: reported.failures,
        };
        // SAFETY: C's structure is the one that `room` looked at, and stays writable until this
        // call returns.
        unsafe { room.fill(&counts) };
        Ok(())
    })
}

/// `inner` (NULL: the kernel) with so many inaccessible pages before and behind each area.
#[unsafe(no_mangle)]
pub extern "C" fn areas_provider_guarded(inner: Option<&Source>, pages: usize) -> *mut Source {
    made(|| Ok(Source::new(source_or_system(inner).guarded(pages))))
}

/// `first` (NULL: the kernel), or else `second` (NULL: the kernel). areas_granted reports what the
/// first could not do.
#[unsafe(no_mangle)]
pub extern "C" fn areas_provider_or(first: Option<&Source>, second: Option<&Source>) -> *mut Source {
    made(|| {
        let first = source_or_system(first);
        Ok(Source::new(first.or(source_or_system(second))))
    })
}

/// Called when given memory is not in use any more.
pub type OnDone = Option<unsafe extern "C" fn(context: *mut c_void)>;

/// The giver of memory: called once, when nothing of it is in use any more.
struct Giver {
    done: OnDone,
    context: *mut c_void,
}

// SAFETY: a function and a context that any thread may use (C's promise).
unsafe impl Send for Giver {}
// SAFETY: a shared `Giver` is only read: the function and the context are C's, and areas.h says
// that any thread may call it.
unsafe impl Sync for Giver {}

impl Drop for Giver {
    fn drop(&mut self) {
        if let Some(done) = self.done {
            // SAFETY: C's own function, with its context, for the only time.
            unsafe { done(self.context) };
        }
    }
}

/// A provider over memory that the program gives: private areas are parts of its whole pages,
/// zeroed as they are handed out, and never unmapped. It must be mapped, readable and writable, and
/// nothing else may use it, until `done` is called with `context` (by any thread, when the provider
/// was released and the last area over it is gone), or as long as the process lives where `done` is
/// NULL. What would change the memory as such is AREAS_ERROR_UNSUPPORTED: placements, locks,
/// addresses. Areas that find no room are AREAS_ERROR_NO_MEMORY.
///
/// NULL for NULL, and for memory without a whole page: `done` is not called then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_fixed(
    memory: *mut c_void,
    size: usize,
    done: OnDone,
    context: *mut c_void,
) -> *mut Source {
    made(|| {
        const WHAT: &str = "make a provider over memory that was given";
        let start = NonNull::new(memory.cast::<u8>()).ok_or_else(|| invalid(WHAT, "the memory is NULL"))?;
        if start.addr().get().checked_add(size).is_none() {
            return Err(invalid(WHAT, "it exceeds the address space"));
        }
        let giver = Giver { done: None, context };
        // The giver is called for what was made, and not for what was refused.
        let giver = Arc::new(Mutex::new(giver));
        // SAFETY: the `size` bytes at `memory` are mapped, readable and writable, and C leaves them
        // alone until `done` is called (areas.h).
        let fixed = unsafe { Fixed::from_raw_parts(start, size, giver.clone()) }?;
        giver.lock().unwrap_or_else(PoisonError::into_inner).done = done;
        Ok(Source::new(fixed))
    })
}

/// What is written to areas stays with them, and does not reach the file.
pub const AREAS_FILE_COPIED: u32 = 1;

/// A provider over an open file, or an open memory device (/dev/daxX.Y): areas of kind AREAS_STORED
/// are parts of its whole pages as it is now, the smallest free part that is large enough, the
/// first ones from the beginning. They hold what is stored there. The file stays open as long as
/// the provider or an area over it: the number is copied, and still the program's. `flags` is 0 or
/// AREAS_FILE_COPIED.
///
/// NULL with AREAS_ERROR_INVALID_INPUT for a file of less than a page, a number that is not open,
/// and flags that mean nothing; AREAS_ERROR_UNSUPPORTED for what is neither a file nor a memory
/// device; AREAS_ERROR_IO where the kernel does not report how large a device is; AREAS_ERROR_LIMIT
/// where no descriptor is free.
#[unsafe(no_mangle)]
pub extern "C" fn areas_provider_file(file: c_int, flags: u32) -> *mut Source {
    made(|| {
        const WHAT: &str = "make a provider over a file";
        if flags > AREAS_FILE_COPIED {
            return Err(invalid(WHAT, "the flags are unknown"));
        }
        let storage = areas::provider::Storage::of_number(file)?;
        Ok(Source::new(if flags == AREAS_FILE_COPIED { storage.copied() } else { storage }))
    })
}

/// Lets a provider go. What came from it stays. NULL is nothing to do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_release(provider: *mut Source) {
    catch_panic((), || {
        if !provider.is_null() {
            // SAFETY: a provider that was made by `made` and not released (C's promise): a box of
            // its own.
            drop(unsafe { Box::from_raw(provider) });
        }
    });
}
