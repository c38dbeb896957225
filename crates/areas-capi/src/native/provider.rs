//! Providers: where areas come from, and the layers over them.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::fmt;
use std::sync::Arc;

use areas::{Mapping, Provider, Rejected, Request, Result, System};

use super::errors::{invalid, made};
use super::nodes::{Nodes, node};
use super::placement::{Placed, placement_at};
use crate::edge::guarded;

/// Where areas come from. It is made by the functions below, used by any number of threads at once, and let go by
/// areas_provider_release: areas and layers that came from it keep what they need of it.
#[derive(Clone)]
pub struct Source(Arc<dyn Provider>);

impl Source {
    pub(super) fn new(provider: impl Provider + 'static) -> Self {
        Source(Arc::new(provider))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Provider for Source {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        self.0.map(request)
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        self.0.unmap(mapping)
    }
}

/// The provider that C points to; `None` for NULL.
///
/// # Safety
/// NULL or a provider that was not released.
pub(super) unsafe fn source(from: *const Source) -> Option<Source> {
    // SAFETY: the caller's promise.
    unsafe { from.as_ref() }.cloned()
}

/// The same; NULL is the kernel itself.
///
/// # Safety
/// As for [`source`].
pub(super) unsafe fn source_or_system(from: *const Source) -> Source {
    // SAFETY: the caller's promise.
    unsafe { source(from) }.unwrap_or_else(|| Source::new(System::new()))
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

/// `inner` (NULL: the kernel) with a placement for areas that bring none. NULL if the placement makes no sense.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_placed(
    inner: *const Source,
    placement: *const Placed,
) -> *mut Source {
    made(|| {
        // SAFETY: C's promise.
        let placement = unsafe { placement_at(placement) }?;
        // SAFETY: C's promise.
        Ok(Source::new(unsafe { source_or_system(inner) }.placed(placement)))
    })
}

/// `inner` (NULL: the kernel) with blocks of so many pages on each of the nodes in turn. NULL for no nodes or no pages.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_striped(
    inner: *const Source,
    nodes: *const Nodes,
    pages: usize,
) -> *mut Source {
    made(|| {
        const WHAT: &str = "make a striped provider";
        // SAFETY: C's promise.
        let set = unsafe { set(nodes, WHAT) }?;
        if pages == 0 {
            return Err(invalid(WHAT, "a block has no page"));
        }
        // SAFETY: C's promise.
        Ok(Source::new(unsafe { source_or_system(inner) }.striped(set, pages)))
    })
}

/// `inner` (NULL: the kernel) with nodes that are filled one after the other, in the order given. NULL for no nodes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_spilled(
    inner: *const Source,
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
            // SAFETY: as above.
            nodes.push(node(unsafe { at.read_unaligned() })?);
        }
        // SAFETY: C's promise.
        Ok(Source::new(unsafe { source_or_system(inner) }.spilled(nodes)))
    })
}

/// `inner` (NULL: the kernel) with at most so many bytes of addresses mapped at once. More is AREAS_ERROR_LIMIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_limited(inner: *const Source, bytes: usize) -> *mut Source {
    // SAFETY: C's promise.
    made(|| Ok(Source::new(unsafe { source_or_system(inner) }.limited(bytes))))
}

/// `inner` (NULL: the kernel) with so many inaccessible pages before and behind each area.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_guarded(inner: *const Source, pages: usize) -> *mut Source {
    // SAFETY: C's promise.
    made(|| Ok(Source::new(unsafe { source_or_system(inner) }.guarded(pages))))
}

/// `first` (NULL: the kernel), or else `second` (NULL: the kernel). What the first could not do is told by areas_granted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_or(first: *const Source, second: *const Source) -> *mut Source {
    made(|| {
        // SAFETY: C's promise.
        let first = unsafe { source_or_system(first) };
        // SAFETY: C's promise.
        Ok(Source::new(first.or(unsafe { source_or_system(second) })))
    })
}

/// Lets a provider go. What came from it stays. NULL is nothing to do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_provider_release(provider: *mut Source) {
    guarded((), || {
        if !provider.is_null() {
            // SAFETY: a provider that was made by `made` and not released (C's promise): a box of its own.
            drop(unsafe { Box::from_raw(provider) });
        }
    });
}
