//! Ranges of addresses whose owner is not a [`Mapping`](crate::Mapping): what other languages hold.
//!
//! A C program has an address and a length, and nothing that is dropped. These functions do to such
//! a range what the rest of the library does to its own mappings: map it with whatever flags the
//! program asks for, place it, lock it, unmap as much as was granted, and measure where its pages
//! are. Rust programs want [`System`](crate::System) and [`Area`](crate::Area) instead, where all
//! of that is safe.

#![expect(unsafe_code, reason = "maps and unmaps what callers own; each block has its proof")]

mod parts;

use std::ops::Range;
use std::ptr::NonNull;

use crate::error::{Error, ErrorKind, Result, remedy};
use crate::mapping::{in_words, refused, refused_placement};
use crate::nodes::{Node, Placement, Policy};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::provider::LEFT_FREE;
use crate::residency::{Residency, measure_parts};
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::{Advice, At, MapFlags};
use crate::topology::Topology;
use parts::Part;

/// What mmap(2) is asked, as C has it.
#[derive(Clone, Copy, Debug)]
pub struct Mmap {
    /// Where the program would like it: a hint, unless a flag makes it more. 0 for none.
    pub hint: usize,
    /// Bytes.
    pub len: usize,
    /// `PROT_*`.
    pub protection: i32,
    /// `MAP_*`.
    pub flags: i32,
    /// The open file, or -1.
    pub fd: i32,
    /// Where to start in the file, in bytes.
    pub offset: i64,
}

impl Mmap {
    /// So many bytes of private zeroed memory, readable and writable, anywhere.
    #[must_use]
    pub const fn private(len: usize) -> Self {
        Mmap {
            hint: 0,
            len,
            protection: libc::PROT_READ | libc::PROT_WRITE,
            flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            fd: -1,
            offset: 0,
        }
    }

    /// Maps. The range is the caller's, who releases it with [`unmap`].
    ///
    /// # Errors
    /// As mmap(2) refuses; among others [`ErrorKind::NoMemory`], [`ErrorKind::Limit`],
    /// [`ErrorKind::AddressInUse`], [`ErrorKind::NotPermitted`], and [`ErrorKind::InvalidInput`]
    /// for arguments that make no sense.
    ///
    /// # Safety
    /// With `MAP_FIXED`, the caller owns the range that is replaced, and nothing uses what was
    /// there.
    #[doc(alias = "aml_area_linux_mmap")]
    pub unsafe fn map(&self) -> Result<NonNull<u8>> {
        let &Mmap { hint, len, protection, flags, fd, offset } = self;
        let raw = sys::memory::Raw { hint, len, protection, flags, fd, offset };
        // SAFETY: with MAP_FIXED the caller owns what is replaced, and nothing uses it again (the
        // caller).
        unsafe { sys::memory::map_raw(&raw) }.map_err(|errno| self.refused(errno))
    }

    fn refused(&self, errno: sys::Errno) -> Error {
        let at = match self.flags & libc::MAP_FIXED_NOREPLACE == libc::MAP_FIXED_NOREPLACE {
            true => At::Exactly(self.hint),
            false => At::Anywhere,
        };
        let page = self.page_size();
        let span = page.round_up(self.len).unwrap_or(self.len);
        let flags = in_words(MapFlags::from_bits_retain(self.flags.cast_unsigned()));
        let protection = Protection::from_bits_truncate(u8::try_from(self.protection & 7).unwrap_or(0));
        let call = format!(
            "mmap({:#x}, {}, {protection}, {flags}, {}, {})",
            self.hint, self.len, self.fd, self.offset
        );
        let nonsense = errno == sys::Errno::BADF
            || errno == sys::Errno::INVAL && (self.len == 0 || page == PageSize::base());
        match nonsense {
            true => Error::new(ErrorKind::InvalidInput, format!("map {}", Bytes::from(self.len)))
                .with_system_call(call, errno)
                .with_remedy(
                    "size above 0, MAP_PRIVATE or MAP_SHARED, open descriptor, offset and address by pages",
                ),
            false => refused(at, self.len, span, page, None, call, errno),
        }
    }

    /// The pages that the flags ask for.
    fn page_size(&self) -> PageSize {
        if self.flags & libc::MAP_HUGETLB == 0 {
            return PageSize::base();
        }
        let log2 = self.flags.cast_unsigned() >> 26 & 63;
        u8::try_from(log2).ok().and_then(PageSize::from_log2).unwrap_or(PageSize::HUGE_2M)
    }
}

/// Unmaps what was mapped for `len` bytes: of huge pages the whole last one, which munmap(2) by
/// itself refuses.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for an address inside of a page or no bytes; [`ErrorKind::System`]
/// with what munmap said.
///
/// # Safety
/// The caller owns the range, and nothing uses it again.
#[doc(alias = "aml_area_linux_munmap")]
pub unsafe fn unmap(start: NonNull<u8>, len: usize) -> Result<()> {
    // SAFETY: the caller owns the range, and nothing uses it again.
    match unsafe { sys::memory::unmap_for_program(start, len) } {
        Ok(()) => Ok(()),
        Err(errno) => {
            if let (sys::Errno::INVAL, Some(whole)) = (errno, whole_huge_pages(start, len)) {
                // SAFETY: the same mapping to the end of its last page, which was granted together
                // with the rest.
                if unsafe { sys::memory::unmap_for_program(start, whole) }.is_ok() {
                    return Ok(());
                }
            }
            let kind = if errno == sys::Errno::INVAL { ErrorKind::InvalidInput } else { ErrorKind::System };
            Err(Error::new(kind, format!("unmap {}", Bytes::from(len)))
                .with_system_call(format!("munmap({start:p}, {len})"), errno))
        }
    }
}

/// Whether this thread is in a call of the library's own that unmaps: for who interposes munmap(2),
/// and has to distinguish those calls from the program's.
#[doc(hidden)]
#[must_use]
pub fn is_unmapping_its_own() -> bool {
    sys::memory::is_unmapping()
}

/// Sets where the pages of a range come from, from now on. Pages that are there already stay where
/// they are.
///
/// The placement is one that [`Placement::resolve`] has checked against
/// [`allowed_nodes`](crate::allowed_nodes): the kernel drops nodes that it does not allow, and says
/// nothing.
///
/// # Errors
/// [`ErrorKind::OutOfRange`] where not all of it is mapped, [`ErrorKind::InvalidInput`] for an
/// address inside of a page, [`ErrorKind::Unsupported`] for what this kernel does not know,
/// [`ErrorKind::NotPermitted`] where a sandbox forbids it.
#[doc(alias = "mbind")]
pub fn place(start: NonNull<u8>, len: usize, placement: &Placement) -> Result<()> {
    place_by(start, len, placement, sys::policy::bind)
}

/// The same, and pages that are there already and lie on other nodes are moved (`MPOL_MF_MOVE`).
///
/// It moves what it can: a page that is pinned or that another process has mapped too stays, as one
/// does for which its node has no room, and that is not an error. [`residency`] reports where each
/// page is afterwards.
///
/// # Errors
/// As [`place`].
#[doc(alias = "aml_area_linux_mbind")]
#[doc(alias = "MPOL_MF_MOVE")]
pub fn place_and_move(start: NonNull<u8>, len: usize, placement: &Placement) -> Result<()> {
    place_by(start, len, placement, sys::policy::bind_and_move)
}

/// Fills nodes one after the other, for a range in which nothing is yet: as much of it as the first
/// has free now prefers that, the next part the second, and the last has the rest. What
/// [`Spilled`](crate::provider::Spilled) does for mappings.
///
/// # Errors
/// As [`place`]; [`ErrorKind::InvalidInput`] for no nodes; as [`Topology::read`].
pub fn place_in_order(start: NonNull<u8>, len: usize, nodes: &[Node]) -> Result<()> {
    let Some((&last, others)) = nodes.split_last() else {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("place {} on nodes in turn", Bytes::from(len)),
        )
        .with_facts("no node is given"));
    };
    let page = PageSize::base().bytes();
    let mut at = 0;
    // Of one node there is nothing to choose.
    let topology = if others.is_empty() { None } else { Some(Topology::read()?) };
    for &node in others {
        let info = topology.as_ref().and_then(|topology| topology.node(node));
        let available = info.and_then(|info| info.memory?.available()).unwrap_or(0);
        let room = usize::try_from(available.saturating_sub(LEFT_FREE)).unwrap_or(usize::MAX) / page * page;
        let part = room.min(len - at);
        if part > 0 {
            let start = start.map_addr(|base| base.saturating_add(at));
            place(start, part, &Placement::new(Policy::Preferred(node)))?;
        }
        at += part;
        if at == len {
            return Ok(());
        }
    }
    place(start.map_addr(|base| base.saturating_add(at)), len - at, &Placement::new(Policy::Preferred(last)))
}

#[inline]
fn place_by(
    start: NonNull<u8>,
    len: usize,
    placement: &Placement,
    bind: impl Fn(NonNull<u8>, usize, &Placement) -> sys::Result<()>,
) -> Result<()> {
    let policy = placement.policy_ref();
    // The kernel rounds it up to no bytes, and says that it has placed them.
    if PageSize::base().round_up(len).is_none() {
        return Err(Error::new(ErrorKind::OutOfRange, format!("place {} as {placement}", Bytes::from(len)))
            .with_facts("it is more than there are addresses"));
    }
    let failed = |errno| {
        let call = format!("mbind({start:p}, {}, {policy})", Bytes::from(len));
        let error = |kind| {
            Error::new(kind, format!("place {} as {placement}", Bytes::from(len)))
                .with_system_call(call.clone(), errno)
        };
        match errno {
            sys::Errno::FAULT => error(ErrorKind::OutOfRange).with_facts("not all of the range is mapped"),
            sys::Errno::INVAL if !start.addr().get().is_multiple_of(sys::page_size()) => {
                error(ErrorKind::InvalidInput)
                    .with_facts(format!("the address is not a multiple of {}", PageSize::base()))
            }
            _ => refused_placement(len, placement, call.clone(), errno),
        }
    };
    match bind(start, len, placement) {
        Ok(()) => {}
        Err(errno) => match (errno, whole_huge_pages(start, len)) {
            (sys::Errno::INVAL, Some(whole)) => bind(start, whole, placement).map_err(failed)?,
            _ => return Err(failed(errno)),
        },
    }
    if let Some(home) = placement.home_node() {
        sys::policy::set_home_node(start, len, home).map_err(|errno| {
            let call = format!("set_mempolicy_home_node({start:p}, {}, {home})", Bytes::from(len));
            refused_placement(len, placement, call, errno)
        })?;
    }
    Ok(())
}

/// Faults the pages of a range in, for writing or for reading: what `MAP_POPULATE` does, for after
/// a range was placed.
///
/// # Errors
/// [`ErrorKind::System`] with what madvise said.
pub fn populate(start: NonNull<u8>, len: usize, writable: bool) -> Result<()> {
    let advice = if writable { Advice::PopulateWrite } else { Advice::PopulateRead };
    sys::memory::advise(start, len, advice).map_err(|errno| {
        Error::new(ErrorKind::System, format!("populate {}", Bytes::from(len)))
            .with_system_call(format!("madvise({start:p}, {len}, {advice:?})"), errno)
    })
}

/// Locks a range in RAM: what `MAP_LOCKED` does, for after a range was placed.
///
/// # Errors
/// [`ErrorKind::Limit`] with RLIMIT_MEMLOCK and what is in use.
pub fn lock(start: NonNull<u8>, len: usize) -> Result<()> {
    sys::memory::lock(start, len, false).map_err(|errno| {
        let error = Error::new(ErrorKind::Limit, format!("lock {}", Bytes::from(len)))
            .with_system_call(format!("mlock({start:p}, {})", Bytes::from(len)), errno);
        remedy::locked_memory(error, len)
    })
}

/// The policies of a range, as the kernel has them: parts in bytes from its beginning, in order,
/// without gaps. Faults nothing in.
///
/// # Errors
/// [`ErrorKind::OutOfRange`] where not all of it is mapped; [`ErrorKind::System`] with what
/// `get_mempolicy` said.
pub fn policies(start: NonNull<u8>, len: usize) -> Result<Vec<(Range<usize>, Policy)>> {
    let mut found: Vec<(Range<usize>, Policy)> = Vec::new();
    let page = sys::page_size();
    for Part { range, shared, .. } in parts::of(start, len)? {
        // One mapping has one policy, unless its memory is shared: then the object has one for each
        // page.
        let step = if shared { page } else { range.len() };
        for at in range.clone().step_by(step) {
            let address = start.map_addr(|base| base.saturating_add(at));
            let policy = sys::policy::policy_at(address).map_err(|errno| {
                Error::new(ErrorKind::System, "ask for the policy of a range")
                    .with_system_call(format!("get_mempolicy({address:p}, MPOL_F_ADDR)"), errno)
            })?;
            match found.last_mut() {
                Some((before, same)) if *same == policy => before.end = range.end.min(at + step),
                _ => found.push((at..range.end.min(at + step), policy)),
            }
        }
    }
    Ok(found)
}

/// Where the pages of a range are: of private memory those in our page tables, of memory shared
/// with children all that are in RAM. Faults nothing in.
///
/// # Errors
/// [`ErrorKind::OutOfRange`] where not all of it is mapped; otherwise as
/// [`Area::residency`](crate::Area::residency).
#[doc(alias = "move_pages")]
pub fn residency(start: NonNull<u8>, len: usize) -> Result<Residency> {
    let parts = parts::of(start, len)?;
    measure_parts(parts.iter().map(|part| {
        let address = start.map_addr(|base| base.saturating_add(part.range.start));
        (address, part.range.len(), part.in_core)
    }))
}

/// How many bytes there are to the end of the last page, where a range begins in hugetlb pages and
/// does not end at one.
fn whole_huge_pages(start: NonNull<u8>, len: usize) -> Option<usize> {
    let page = parts::page_size_at(start)?;
    page.round_up(len).filter(|&whole| page != PageSize::base() && whole != len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::NodeSet;

    const PAGE: usize = 4096;

    fn bind() -> Placement {
        Placement::new(Policy::Bind(NodeSet::single(Node::of::<0>())))
    }

    /// Some memory that is released.
    struct Held(NonNull<u8>, usize);

    impl Held {
        fn new(asked: &Mmap) -> Self {
            // SAFETY: without MAP_FIXED no range is replaced.
            Held(unsafe { asked.map() }.unwrap(), asked.len)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            // SAFETY: mapped by `new`, and nothing uses it again.
            unsafe { unmap(self.0, self.1) }.unwrap();
        }
    }

    #[test]
    fn policies_are_reported_by_part_and_pages_are_measured() {
        let page = sys::page_size();
        for shared in [false, true] {
            let mut asked = Mmap::private(8 * page);
            if shared {
                asked.flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
            }
            let held = Held::new(&asked);
            let third = held.0.map_addr(|base| base.saturating_add(2 * page));
            if let Err(error) = place(third, 3 * page, &bind()) {
                crate::testing::skipped(
                    "policies_are_reported_by_part_and_pages_are_measured",
                    &error.to_string(),
                );
                return;
            }
            populate(third, page, true).unwrap();
            let reported = policies(held.0, 8 * page).unwrap();
            let bound = bind().policy();
            let expected = [
                (0..2 * page, Policy::Default),
                (2 * page..5 * page, bound),
                (5 * page..8 * page, Policy::Default),
            ];
            assert_eq!(reported, expected, "shared: {shared}");
            let measured = residency(held.0, 8 * page).unwrap();
            assert_eq!((measured.size(), measured.resident()), (8 * page as u64, page as u64));
            // A range that ends inside of a page counts it whole.
            assert_eq!(policies(held.0, 2 * page + 1).unwrap()[1].0, 2 * page..3 * page);
        }
    }

    #[test]
    fn a_gap_is_an_error() {
        let page = sys::page_size();
        let held = Held::new(&Mmap::private(3 * page));
        let middle = held.0.map_addr(|base| base.saturating_add(page));
        // SAFETY: a page of ours that nothing uses.
        unsafe { unmap(middle, page) }.unwrap();
        // No other mapping may have come there concurrently for this test to mean something: other
        // tests run in processes of their own, or map larger ranges.
        let error = policies(held.0, 3 * page).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfRange);
        assert_eq!(residency(held.0, 3 * page).unwrap_err().kind(), ErrorKind::OutOfRange);
        assert_eq!(place(held.0, 3 * page, &bind()).unwrap_err().kind(), ErrorKind::OutOfRange);
    }

    #[test]
    fn nonsense_is_reported_as_such() {
        let held = Held::new(&Mmap::private(PAGE));
        let cases = [
            (Mmap { len: 0, ..Mmap::private(PAGE) }, ErrorKind::InvalidInput),
            (Mmap { flags: 0, ..Mmap::private(PAGE) }, ErrorKind::InvalidInput),
            (Mmap { flags: libc::MAP_PRIVATE, fd: 987_654, ..Mmap::private(PAGE) }, ErrorKind::InvalidInput),
            (
                Mmap {
                    flags: libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    ..Mmap::private(PAGE)
                },
                ErrorKind::InvalidInput,
            ),
            (
                Mmap {
                    hint: held.0.addr().get(),
                    flags: libc::MAP_FIXED_NOREPLACE | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    ..Mmap::private(PAGE)
                },
                ErrorKind::AddressInUse,
            ),
            (Mmap::private(usize::MAX / 2), ErrorKind::InvalidInput),
        ];
        for (asked, expected) in cases {
            // SAFETY: the only MAP_FIXED is at address 0, which is refused.
            let error = unsafe { asked.map() }.unwrap_err();
            assert_eq!(error.kind(), expected, "{asked:?}: {error}");
        }
        let inside = held.0.map_addr(|base| base.saturating_add(1));
        // SAFETY: refused: no mapping begins there.
        assert_eq!(unsafe { unmap(inside, PAGE) }.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(place(inside, PAGE - 1, &bind()).unwrap_err().kind(), ErrorKind::InvalidInput);
        for len in [usize::MAX, usize::MAX - PAGE + 2] {
            assert_eq!(place(held.0, len, &bind()).unwrap_err().kind(), ErrorKind::OutOfRange, "{len}");
            assert_eq!(policies(held.0, len).unwrap_err().kind(), ErrorKind::OutOfRange, "{len}");
            assert_eq!(residency(held.0, len).unwrap_err().kind(), ErrorKind::OutOfRange, "{len}");
        }
    }
}
