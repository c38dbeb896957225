//! Address hints: the first free addresses above one, or any at random.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::sync::Arc;

use super::request::Address;
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{Mapping, Plan, Reservation, reserved};
use crate::page::PageSize;
use crate::sys::maps;
use crate::sys::memory::At;

/// Below this the kernel maps nothing for ordinary users (`vm.mmap_min_addr` is not more than that
/// on any distribution).
const LOWEST: usize = 1 << 16;
/// Where user addresses end on every 64-bit machine that Linux runs on, with the usual page tables.
const HIGHEST: usize = (1 << 47) - (1 << 12);
/// Room below the stack into which it may grow.
const STACK_ROOM: usize = 1 << 30;
/// How often a place that was taken concurrently is looked for again.
const ATTEMPTS: usize = 16;

impl Reservation {
    /// Takes `size` bytes of addresses, rounded up to whole pages, where `address` says.
    ///
    /// # Errors
    /// As [`Reservation::new`]; [`ErrorKind::AddressInUse`] if something is mapped at the very
    /// addresses that were wanted.
    pub fn placed(address: Address, size: usize) -> Result<Arc<Self>> {
        let page = PageSize::base();
        // A size that cannot be is reported where there is no hint.
        let Some(span) = page.round_up(size).filter(|&span| span > 0) else {
            return Reservation::new(size, 1);
        };
        let plan = reserved(At::Anywhere, span);
        let mapping = match address {
            Address::Any => return Reservation::new(size, 1),
            Address::Exactly(exact) => return Reservation::at(exact, span),
            Address::AtOrAbove(hint) => at_or_above(&plan, hint, page.bytes()),
            Address::Random => at_random(&plan, 0, page.bytes()),
            Address::RandomAtOrAbove(lowest) => at_random(&plan, lowest, page.bytes()),
        };
        mapping.map(Reservation::of)
    }
}

/// Maps at the first free addresses at or above `hint`; where there are none, wherever the kernel
/// likes.
pub(super) fn at_or_above(plan: &Plan<'_>, hint: usize, align: usize) -> Result<Mapping> {
    for _ in 0..ATTEMPTS {
        let maps = read_maps()?;
        let place = gaps(&maps).find_map(|gap| {
            let start = gap.start.max(hint).checked_next_multiple_of(align)?;
            (start.checked_add(plan.span)? <= gap.end).then_some(start)
        });
        let Some(start) = place else { break };
        match Mapping::new(&Plan { at: At::Exactly(start), ..*plan }) {
            Err(error) if error.kind() == ErrorKind::AddressInUse => {}
            other => return other,
        }
    }
    let anywhere = Plan { at: At::Anywhere, ..*plan };
    if align > plan.page.bytes() { Mapping::aligned(&anywhere, align) } else { Mapping::new(&anywhere) }
}

/// Maps at random addresses, at or above `lowest`.
pub(super) fn at_random(plan: &Plan<'_>, lowest: usize, align: usize) -> Result<Mapping> {
    let room = (HIGHEST - STACK_ROOM).saturating_sub(lowest.max(1 << 32)).saturating_sub(plan.span) / align;
    for _ in 0..ATTEMPTS {
        let Some(pages) = random().checked_rem(room) else { break };
        let start = (lowest.max(1 << 32) + pages * align).next_multiple_of(align);
        match Mapping::new(&Plan { at: At::Exactly(start), ..*plan }) {
            Err(error) if error.kind() == ErrorKind::AddressInUse => {}
            other => return other,
        }
    }
    at_or_above(plan, lowest, align)
}

pub(super) fn random() -> usize {
    usize::try_from(RandomState::new().build_hasher().finish()).unwrap_or(0)
}

fn read_maps() -> Result<String> {
    maps::read_own().map_err(|error| {
        Error::new(ErrorKind::System, "look for free addresses")
            .with_facts("/proc/thread-self/maps cannot be read")
            .caused_by(error)
    })
}

/// Whether a process with these `maps` (as `/proc/PID/maps` lists them) has so many bytes of
/// addresses free there.
pub(crate) fn is_free(maps: &str, start: usize, span: u64) -> bool {
    let end = usize::try_from(span).ok().and_then(|span| start.checked_add(span));
    end.is_some_and(|end| gaps(maps).any(|gap| gap.start <= start && end <= gap.end))
}

/// The free ranges of addresses, in order, from the text of `/proc/self/maps`.
pub(crate) fn gaps(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let taken = maps::named(text).map(|(region, name)| {
        let room = if name == "[stack]" { STACK_ROOM } else { 0 };
        (region.start.saturating_sub(room), region.end)
    });
    let mut free = LOWEST;
    taken.chain([(HIGHEST, usize::MAX)]).filter_map(move |(start, end)| {
        let gap = free..start.min(HIGHEST);
        free = free.max(end);
        (gap.start < gap.end).then_some(gap)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_what_is_mapped() {
        let maps = "00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/x\n\
                    00452000-00453000 rw-p 00052000 08:02 173521 /usr/bin/x\n\
                    7f0000000000-7f0000001000 rw-p 00000000 00:00 0\n\
                    7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0          [stack]\n\
                    ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]\n";
        let found: Vec<_> = gaps(maps).collect();
        let expected = [
            LOWEST..0x40_0000,
            0x45_3000..0x7f00_0000_0000,
            0x7f00_0000_1000..0x7ffe_0000_0000 - STACK_ROOM,
            0x7ffe_0002_1000..HIGHEST,
        ];
        assert_eq!(found, expected);
        assert!(is_free(maps, 0x45_3000, 0x1000) && is_free(maps, LOWEST, 0x1000));
        for (start, span) in [
            (0x45_2000, 0x2000),
            (0x45_2fff, 1),
            (0, 0x1000),
            (usize::MAX, 1),
            (LOWEST, u64::MAX),
            (HIGHEST, 0x1000),
        ] {
            assert!(!is_free(maps, start, span), "{start:#x} {span:#x}");
        }
        assert!(gaps("").eq(std::iter::once(LOWEST..HIGHEST)));
        assert_eq!(gaps("junk\n\n-\nzz-yy rw-p\n").count(), 1);
        // Found by the fuzzer: a range that runs backwards.
        assert_eq!(gaps("70000000-60000000 rw-p\n").count(), 1);
    }
}
