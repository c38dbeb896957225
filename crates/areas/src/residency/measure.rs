//! Measuring a mapping of ours: which of its pages are in RAM, brought into our page tables where
//! the kernel would not report their node otherwise, and never taken out of a hole or of the swap.

use std::ops::Range;
use std::ptr::NonNull;

use super::Residency;
use super::cache::Cache;
use super::object::measure_object;
use super::ruler::{LOOKS, Ruler, WAIT, bring_in_view};
use super::table::{Table, View};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{BackedBy, Mapping};
use crate::object::Object;
use crate::page::PageSize;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;

/// Where the first `len` bytes of a mapping are. `object` is what lies behind it, if it is one.
///
/// - Private memory: what our page tables have.
/// - Objects, and memory shared with children: what is in RAM, whichever process brought it in. Our
///   page tables get entries for it, and nothing else changes.
/// - Files, and hugetlb pages shared with children: what our page tables have; there may be more.
///
/// # Errors
/// [`ErrorKind::OutOfRange`] beyond the mapping; [`ErrorKind::ReadOnly`] for memory that may not be
/// read, where the kernel does not report it then; [`ErrorKind::Unsupported`] for a hugetlb object
/// with pages that only other processes have mapped, where the kernel has no way to report which
/// (see [`measure_object`]); [`ErrorKind::System`] with what the kernel said.
pub(crate) fn measure(mapping: &Mapping, object: Option<&Object>, len: usize) -> Result<Residency> {
    if let (Some(object), false) = (object, mapping.protection().contains(Protection::READ)) {
        // Pages that we may not read cannot be brought into this mapping's page tables: into
        // another's they can.
        return measure_object(object, len);
    }
    let end = whole_pages(mapping, len)?;
    measure_range(mapping, object, 0..end)
}

/// The same of a part of a mapping, in whole pages; its runs begin where it does.
///
/// # Errors
/// As [`measure`].
pub(crate) fn measure_range(
    mapping: &Mapping,
    object: Option<&Object>,
    range: Range<usize>,
) -> Result<Residency> {
    let base = mapping.check(range.start, range.len(), mapping.span())?;
    let view = View { base, range };
    let mut ruler = Ruler::new(mapping.page_size());
    let cache = match (object, mapping.backed_by()) {
        (Some(object), _) => Cache::of(object, &mut ruler.table, Some(&view))?,
        (None, BackedBy::Inherited) if mapping.page_size() == PageSize::base() => {
            if !mapping.protection().contains(Protection::READ) {
                let error =
                    Error::new(ErrorKind::ReadOnly, format!("measure {}", Bytes::from(view.range.len())));
                return Err(error
                    .with_facts(format!("its protection is {}", mapping.protection()))
                    .with_remedy(
                        "pages that are shared with children can only be looked up where they may be read",
                    ));
            }
            Cache::Anonymous
        }
        _ => Cache::Table,
    };
    ruler.windows(&view, &cache)?;
    ruler.finish(&view, cache.knows_swap())
}

/// How many of the first `len` bytes our page tables have in RAM. Cheap: no page is asked for by
/// itself. Before 6.7, private pages that were only read count, too.
///
/// # Errors
/// [`ErrorKind::OutOfRange`] beyond the mapping; [`ErrorKind::System`] with what the kernel said.
pub(crate) fn present_bytes(mapping: &Mapping, len: usize) -> Result<usize> {
    let end = whole_pages(mapping, len)?;
    let mut table = Table::new(mapping.page_size());
    let view = View { base: mapping.base(), range: 0..end };
    let (mut present, mut away) = table.count(&view, 0..end)?;
    for look in 0..LOOKS {
        if away == 0 || (look > 0 && sys::process::is_swapping()) {
            break;
        }
        std::thread::sleep(WAIT * (1 << look));
        let now = table.count(&view, 0..end)?;
        (present, away) = (present.max(now.0), away.min(now.1));
    }
    Ok(present)
}

/// Where the pages of parts of addresses are that no mapping of ours owns, one part behind the
/// other: where each begins, its bytes, and whether all that is in RAM of it is looked up and not
/// only what our page tables have.
///
/// # Errors
/// As [`measure`].
pub(crate) fn measure_parts(parts: impl Iterator<Item = (NonNull<u8>, usize, bool)>) -> Result<Residency> {
    let mut ruler = Ruler::new(PageSize::base());
    let mut knows_swap = true;
    for (base, len, in_core) in parts {
        let cache = if in_core { Cache::Anonymous } else { Cache::Table };
        knows_swap &= cache.knows_swap();
        let view = View { base, range: 0..len };
        ruler.windows(&view, &cache)?;
        ruler.count_huge(&view);
    }
    Ok(ruler.done(knows_swap))
}

fn whole_pages(mapping: &Mapping, len: usize) -> Result<usize> {
    let end = mapping.page_size().round_up(len).unwrap_or(usize::MAX);
    mapping.check(0, end, mapping.span())?;
    Ok(end)
}

/// Makes entries in our page tables for pages of a mapping that are in RAM.
///
/// # Errors
/// [`ErrorKind::Unsupported`] before Linux 5.14; [`ErrorKind::Io`] for RAM that is broken;
/// [`ErrorKind::NoMemory`] and [`ErrorKind::System`] with what the kernel said.
pub(crate) fn bring_in(mapping: &Mapping, range: Range<usize>) -> Result<()> {
    mapping.check(range.start, range.len(), mapping.span())?;
    bring_in_view(&View { base: mapping.base(), range: 0..mapping.span() }, &range)
}
