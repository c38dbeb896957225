//! The description of an area: one's own or another team's.

use std::time::{Duration, SystemTime};

use crate::error::Result;
use crate::lock::Lock;
use crate::nodes::Placement;
use crate::object::{Extent, is_retired};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::registry::process::command_of;
use crate::registry::table::{AreaId, Name, Note, Record};
use crate::residency::Residency;
use crate::sys;
use crate::sys::file::Stat;
use crate::verify::{self, Verification};

/// What is known of a published area, at the moment of asking.
///
/// What was fixed when it was published comes from its team's table; its size is what the kernel
/// said now. How much of it is in RAM, and where, is measured:
/// [`Source::residency`](crate::registry::Source::residency).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// Its id.
    pub id: AreaId,
    /// Its name.
    pub name: Name,
    /// The process that holds it.
    pub pid: u32,
    /// Bytes.
    pub size: usize,
    /// Bytes in whole pages that the holder has mapped: less than `size` where another process made
    /// the area larger than the holder's addresses.
    pub mapped: usize,
    /// Bytes of addresses that the holder has taken, for growth; not more than `mapped` where it
    /// cannot grow.
    pub reserve: usize,
    /// Whether, and how far, it may grow.
    pub extent: Extent,
    /// Where it is mapped in the holder: meaningful there only.
    pub address: usize,
    /// What the holder may do with it.
    pub protection: Protection,
    /// Whether it is to stay in RAM, as was asked. Whether it does is measured:
    /// [`locked`](Info::locked).
    pub lock: Lock,
    /// What was asked of its place.
    pub placement: Placement,
    /// The pages that it is made of (transparent huge pages are found by measuring).
    pub page_size: PageSize,
    /// Device and inode of its object, or device and physical address: areas over the same memory
    /// have the same.
    pub object: (u64, u64),
    /// Bytes of its object that lie before it: not 0 only of what is left where its holder has
    /// unmapped the beginning.
    pub offset: usize,
    /// The physical address at which it begins, if it is memory that was reserved when the machine
    /// booted.
    pub physical: Option<u64>,
    /// What its holder has noted beside it: its word, unchecked.
    pub note: Note,
    /// Whether its memory is [retired](crate::Area::retire): its holders keep it, and no other
    /// process gets it.
    pub retired: bool,
    /// Nanoseconds since boot at which it was published.
    pub created_since_boot: u64,
}

impl Info {
    pub(in crate::registry) fn new(record: &Record, pid: u32, stat: &Stat) -> Self {
        let retired = record.physical.is_none() && is_retired(stat);
        Info::of_part(record, pid, record.piece.of(stat.size), retired)
    }

    /// The same where it is known how much of its file it has.
    pub(in crate::registry) fn of_part(record: &Record, pid: u32, file_size: u64, retired: bool) -> Self {
        let file_size = record.physical.as_ref().map_or(file_size, |range| range.end - range.start);
        let file_size = usize::try_from(file_size).unwrap_or(usize::MAX);
        let span = usize::try_from(record.span).unwrap_or(usize::MAX);
        let exact = record.exact.and_then(|exact| usize::try_from(exact).ok());
        Info {
            id: record.id,
            name: record.name.clone(),
            pid,
            size: exact.filter(|&exact| exact <= file_size).unwrap_or(file_size),
            // Its holder does not map more, however large another made it.
            mapped: record.page.round_up(file_size.max(1)).map_or(span, |pages| pages.min(span)),
            reserve: span,
            extent: record.extent,
            address: usize::try_from(record.address).unwrap_or(usize::MAX),
            protection: record.protection,
            lock: record.lock,
            placement: record.placement.whole(),
            page_size: record.page,
            object: match &record.physical {
                None => (record.object.device, record.object.inode),
                Some(range) => (record.object.device, range.start),
            },
            offset: usize::try_from(record.piece.first).unwrap_or(usize::MAX),
            physical: record.physical.as_ref().map(|range| range.start),
            note: record.note.clone(),
            retired,
            created_since_boot: record.created,
        }
    }

    /// The command name of the process that holds it, where it can be read: read at this call.
    #[must_use]
    pub fn command(&self) -> Option<String> {
        command_of(self.pid)
    }

    /// Compares where its pages were measured to be with a placement: what was asked
    /// ([`placement`](Info::placement)), or what the kernel goes by now
    /// ([`Source::policies`](crate::registry::Source::policies)).
    ///
    /// # Errors
    /// [`ErrorKind::NotPermitted`](crate::ErrorKind::NotPermitted) where a sandbox hides which node
    /// single pages are on.
    pub fn verify(&self, residency: Residency, placement: impl Into<Placement>) -> Result<Verification> {
        let residency = residency.all_located()?;
        let huge = PageSize::transparent().bytes();
        // Huge pages lie at multiples of their size in the object.
        let first = (huge - self.offset % huge) % huge;
        Ok(verify::verify(&residency, first, [(0..usize::MAX, placement.into())].into_iter()))
    }

    /// When it was published, by the wall clock as it stands now.
    #[must_use]
    pub fn created(&self) -> SystemTime {
        let ago = sys::process::boot_time().saturating_sub(self.created_since_boot);
        SystemTime::now() - Duration::from_nanos(ago)
    }
}
