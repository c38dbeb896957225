//! Which of this process's areas has an address: answered without the registry's mutex, and mostly
//! without the kernel.
//!
//! Programs ask that for each pointer that they are given, from many threads. So what the answer
//! takes lies in [`Addresses`], beside the state: kept by the thread that has the state's mutex,
//! read by all. It may lack an area for a moment (a forked child begins with none), and is never
//! wrong: a reader that finds nothing asks the state.
//!
//! What can grow or shrink has addresses that are not its own yet, and where it ends is the
//! kernel's truth, not ours. But the first page is always an area's own, and what a growable area
//! has had it keeps, so that few addresses need the `fstat`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::addresses::{Addresses, END, Entry, Keeper, START, SURE, WORDS};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::ForkDetector;
use crate::object::Extent;
use crate::registry::table::{Announcement, AreaId};
use crate::sys;
use crate::sys::file::Identity;
use crate::sys::maps::{At, Region};

/// One a process, forever.
static HERE: OnceLock<Here> = OnceLock::new();
static ADDRESSES: Addresses = Addresses::new();

/// What readers need.
#[derive(Debug)]
pub(in crate::registry) struct Here {
    /// Not set in a forked child that has not begun again: what it inherited are its parent's ids.
    pub(in crate::registry) fork_detector: ForkDetector,
    /// Whether this process is a team, as far as was seen last: what
    /// [`join_once`](crate::registry::join_once) asks first.
    pub(in crate::registry) is_team: AtomicBool,
}

/// The writer's side.
pub(in crate::registry) type Places = Keeper<&'static Addresses>;

/// This process's, with the right to write; called once, by the thread that has the state's mutex.
pub(in crate::registry) fn begin() -> Result<(&'static Here, Places)> {
    if HERE.get().is_none() {
        // No other thread is here: the mutex.
        let _ = HERE.set(Here { fork_detector: ForkDetector::new()?, is_team: AtomicBool::new(false) });
    }
    let here = HERE.get().ok_or_else(|| Error::new(ErrorKind::System, "use the registry"))?;
    let mut places = Keeper::new(&ADDRESSES);
    places.clear();
    Ok((here, places))
}

/// An area of ours: what it takes to say whether it has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) struct Place {
    pub(in crate::registry) id: AreaId,
    start: u64,
    end: u64,
    /// Up to here its bytes are its own, whatever becomes of its size.
    sure: u64,
    descriptor: i32,
    object: Identity,
    /// Bytes of a page.
    page: u64,
    grows_only: bool,
    /// Bytes of its file that lie before it, in whole base pages.
    first: u64,
}

/// The bit of a word that says so of a place; below it is the logarithm of its page size.
const GROWS_ONLY: u32 = 6;

/// Whether an area has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) enum Has {
    Yes,
    /// And so have all before this one, forever: worth remembering.
    UpTo(u64),
    No,
}

impl Place {
    pub(in crate::registry) fn of(id: AreaId, area: &Announcement) -> Self {
        let end = area.address.saturating_add(area.span);
        let sure = match area.extent {
            Extent::Fixed => end,
            Extent::Growable { .. } | Extent::Resizable { .. } => {
                area.address.saturating_add(area.page.bytes() as u64).min(end)
            }
        };
        Place {
            id,
            start: area.address,
            end,
            sure,
            descriptor: area.descriptor,
            object: area.object,
            page: area.page.bytes() as u64,
            grows_only: matches!(area.extent, Extent::Growable { .. }),
            first: area.piece.first,
        }
    }

    /// Whether an address is one of its whole pages', not of the reserve behind them.
    #[inline]
    pub(in crate::registry) fn has(&self, address: u64) -> Has {
        if !(self.start..self.end).contains(&address) {
            return Has::No;
        }
        if address < self.sure { Has::Yes } else { self.ask(address) }
    }

    fn ask(&self, address: u64) -> Has {
        let Ok(stat) = sys::file::stat_number(self.descriptor) else { return Has::No };
        if stat.identity != self.object {
            return Has::No;
        }
        let mapped = stat
            .size
            .saturating_sub(self.first)
            .max(1)
            .checked_next_multiple_of(self.page)
            .unwrap_or(u64::MAX);
        let end = self.start.saturating_add(mapped).min(self.end);
        match address < end {
            true if self.grows_only => Has::UpTo(end),
            true => Has::Yes,
            false => Has::No,
        }
    }

    /// Whether what is mapped at an address is the byte of its object that belongs there, and all
    /// before it, too. (But its first page, which may be a mapping of its own: a thread that has
    /// lost it alone is still the same area, and begins behind it.)
    #[inline]
    fn is_mapped_up_to(&self, region: &Region, address: u64) -> bool {
        let wanted = self.first.wrapping_add(address.wrapping_sub(self.start));
        let found = region.offset.wrapping_add(address.wrapping_sub(region.start as u64));
        region.shared
            && region.file == self.object
            && found == wanted
            && region.start as u64 <= self.start.saturating_add(self.page)
    }

    /// The same, with more of it sure.
    pub(in crate::registry) fn sure_up_to(self, sure: u64) -> Self {
        Place { sure: self.sure.max(sure), ..self }
    }

    pub(in crate::registry) fn entry(&self) -> Entry {
        let mut entry: Entry = [0; WORDS];
        entry[START] = self.start;
        entry[END] = self.end;
        entry[SURE] = self.sure;
        entry[3] =
            u64::from(self.id.get().cast_unsigned()) << 32 | u64::from(self.descriptor.cast_unsigned());
        // A page has 2^12 bytes at least.
        entry[4] =
            self.first | u64::from(self.grows_only) << GROWS_ONLY | u64::from(self.page.trailing_zeros());
        (entry[5], entry[6]) = (self.object.device, self.object.inode);
        entry
    }

    #[inline]
    fn read(entry: &Entry) -> Option<Self> {
        Some(Place {
            start: entry[START],
            end: entry[END],
            sure: entry[SURE],
            id: id_of(entry)?,
            descriptor: half(entry[3])?,
            page: 1 << (entry[4] & 63),
            grows_only: entry[4] >> GROWS_ONLY & 1 == 1,
            first: entry[4] & !0xfff,
            object: Identity { device: entry[5], inode: entry[6] },
        })
    }
}

fn half(word: u64) -> Option<i32> {
    u32::try_from(word & 0xffff_ffff).ok().map(u32::cast_signed)
}

#[inline]
fn id_of(entry: &Entry) -> Option<AreaId> {
    AreaId::new(half(entry[3] >> 32)?).ok()
}

/// Whether this process is known to be a team. A forked child that has not begun again is none.
#[inline]
pub(in crate::registry) fn is_team() -> bool {
    HERE.get().is_some_and(|here| here.fork_detector.is_set() && here.is_team.load(Ordering::Relaxed))
}

/// The id of the area that has an address, as far as it is known here. `None` says nothing.
#[inline]
pub(in crate::registry) fn id_at(address: u64) -> Option<AreaId> {
    let here = HERE.get()?;
    if !here.fork_detector.is_set() {
        return None;
    }
    let entry = ADDRESSES.find(address)?;
    if address < entry[SURE] {
        return id_of(&entry);
    }
    let place = Place::read(&entry)?;
    (place.has(address) == Has::Yes).then_some(place.id)
}

/// The id of the area that has an address, and whether the kernel has its memory there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtAddress {
    /// It has, or it cannot be asked (before Linux 6.11; no `/proc`).
    Mapped(AreaId),
    /// Not all of it up to there: the program has unmapped some, or it is more than one mapping.
    Elsewhere(AreaId),
    /// Not asked yet: [`ask_by_address`](crate::registry::ask_by_address).
    NotAsked(AreaId),
    /// No area, as far as is known here.
    Unknown,
}

/// The same as [`id_at`], and asks the kernel: one system call.
#[inline]
pub(in crate::registry) fn mapped_at(address: u64) -> AtAddress {
    let unknown = AtAddress::Unknown;
    let Some(here) = HERE.get().filter(|here| here.fork_detector.is_set()) else { return unknown };
    let Some(place) = ADDRESSES.find_whole(address).and_then(|entry| Place::read(&entry)) else {
        return unknown;
    };
    if place.has(address) != Has::Yes {
        return unknown;
    }
    let Ok(wanted) = usize::try_from(address) else { return unknown };
    let reported = match sys::maps::at(wanted) {
        At::Mapped(region) if place.is_mapped_up_to(&region, address) => AtAddress::Mapped(place.id),
        At::Mapped(_) | At::Nothing => AtAddress::Elsewhere(place.id),
        At::CannotBeAsked => AtAddress::Mapped(place.id),
        At::NotAsked => AtAddress::NotAsked(place.id),
    };
    // A child that was forked during this (by a signal handler) has asked by its parent's
    // descriptor.
    if here.fork_detector.is_set() { reported } else { unknown }
}

/// Whether a range may reach into an area of ours. Only `false` says something.
pub(in crate::registry) fn may_overlap(start: u64, len: u64) -> bool {
    let Some(here) = HERE.get() else { return false };
    // A forked child has what its parent had, and that is not known here.
    !here.fork_detector.is_set()
        || len > 0 && ADDRESSES.reach_into(start, start.saturating_add(len)).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        for (id, descriptor, grows_only, page, first) in [
            (1, 0, false, 4096, 0),
            (i32::MAX, i32::MAX, true, 2 << 20, i64::MAX as u64 & !0xfff),
            (0x1234_5678, 77, true, 65_536, 4096),
        ] {
            let place = Place {
                id: AreaId::new(id).unwrap(),
                start: 0x7f00_0000_0000,
                end: 0x7f00_4000_0000,
                sure: 0x7f00_0020_0000,
                descriptor,
                object: Identity { device: u64::MAX, inode: 5 },
                page,
                grows_only,
                first,
            };
            assert_eq!(Place::read(&place.entry()), Some(place));
        }
    }
}
