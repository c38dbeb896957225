//! What may be done with the pages of a mapping, all of them alike.

#![expect(unsafe_code, reason = "changes rights to memory; each block has its proof")]

use std::ops::Range;

use super::Mapping;
use crate::error::{Error, ErrorKind, Result};
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;
use crate::sys::maps::Region;

impl Mapping {
    /// Changes what may be done with all its pages (but for a guard, which stays).
    ///
    /// # Errors
    /// [`ErrorKind::NotPermitted`] beyond what the file behind it allows; [`ErrorKind::System`]
    /// with what mprotect said.
    pub fn protect(&mut self, protection: Protection) -> Result<()> {
        let (base, span) = self.above_the_guard();
        // SAFETY: the range is ours (invariant), and `&mut self` says that no reference that we
        // lent is alive.
        let changed = unsafe { sys::memory::protect(base, span, protection.for_mprotect()) };
        let before = self.protection;
        changed.inspect_err(|_| self.restore_protection(protection)).map_err(|errno| {
            let kind = match errno {
                sys::Errno::ACCESS | sys::Errno::PERM => ErrorKind::NotPermitted,
                _ => ErrorKind::System,
            };
            Error::new(
                kind,
                format!(
                    "change the protection of {} from {} to {protection}",
                    Bytes::from(self.span),
                    before
                ),
            )
            .with_system_call(format!("mprotect({base:p}, {span}, {protection})"), errno)
        })?;
        self.note_protection(protection);
        Ok(())
    }

    /// After a change that failed. Where the kernel has the range in several parts (one for each
    /// block of stripes, say), it changes one after the other, and may have changed some. They get
    /// back what they had; where that is refused as well, and some have changed, the mapping is
    /// said to allow what all of them allow: what they have in common before and after.
    #[cold]
    fn restore_protection(&mut self, refused: Protection) {
        let (base, span) = self.above_the_guard();
        // SAFETY: the range is ours (invariant), and `&mut self` says that no reference that we
        // lent is alive.
        let restored = unsafe { sys::memory::protect(base, span, self.protection.for_mprotect()) };
        if restored.is_err() && !self.still_has(self.protection) {
            self.note_protection(self.protection.intersection(refused));
        }
    }

    /// Whether all of it has a protection, as far as the kernel shows.
    fn still_has(&self, protection: Protection) -> bool {
        let (base, span) = self.above_the_guard();
        let start = base.addr().get();
        let range = start..start.saturating_add(span);
        sys::maps::within(range.clone()).is_ok_and(|regions| covers(&regions, range, protection))
    }
}

/// Whether mappings cover a range, without a gap, with one protection.
fn covers(regions: &[Region], range: Range<usize>, protection: Protection) -> bool {
    let wanted =
        [Protection::READ, Protection::WRITE, Protection::EXECUTE].map(|right| protection.contains(right));
    let mut covered = range.start;
    for region in regions.iter().filter(|region| region.end > range.start && region.start < range.end) {
        if region.start > covered || [region.readable, region.writable, region.executable] != wanted {
            return false;
        }
        covered = region.end;
    }
    covered >= range.end
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use crate::object::{Extent, Object};
    use crate::page::PageSize;
    use crate::protection::Protection;
    use crate::provider::{Provider as _, Request, System};
    use crate::sys;

    /// The kernel changes part by part, and stops where it cannot go on: here at a page of an
    /// object that is open for reading only.
    #[test]
    fn a_change_of_protection_that_fails_half_way_is_taken_back() {
        let page = sys::page_size();
        let object = Object::create("half", page, Extent::Fixed, PageSize::base()).unwrap();
        let read_only = object.reopen_read_only().unwrap();
        let mut mapping = System::new().map(&Request::new(2 * page).protection(Protection::READ)).unwrap();
        // SAFETY: `page < 2 * page`, inside the mapping.
        let second = unsafe { mapping.base.add(page) };
        let file = Some((read_only.as_fd(), 0));
        // SAFETY: a page of our own that nothing uses.
        unsafe {
            sys::memory::map_over(
                second,
                page,
                Protection::READ.for_mmap(),
                sys::memory::MapFlags::SHARED,
                file,
            )
        }
        .unwrap();
        let error = mapping.protect(Protection::READ_WRITE).unwrap_err();
        assert!(error.to_string().contains("from r-- to rw-"), "{error}");
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let of_first = format!("{:x} r--p ", second.addr());
        assert!(
            maps.lines().any(|line| line.contains(&of_first)),
            "the first page is for reading again: {maps}"
        );
        assert_eq!(mapping.protection(), Protection::READ);
    }

    #[test]
    fn what_the_kernel_shows_of_a_range() {
        let maps = "1000-3000 rw-p 0 00:00 0\n3000-4000 r--p 0 00:00 0\nnoise\n4000-5000 rwxs 0 00:01 7 /memfd:area\n6000-7000 ---p 0 00:00 0\n";
        let regions: Vec<_> = sys::maps::listed(maps).collect();
        let covers = |range, protection| super::covers(&regions, range, protection);
        assert!(
            covers(0x1000..0x3000, Protection::READ_WRITE) && covers(0x2000..0x3000, Protection::READ_WRITE)
        );
        assert!(covers(0x6000..0x7000, Protection::empty()));
        assert!(covers(0x4000..0x5000, Protection::READ_WRITE | Protection::EXECUTE));
        for range in [0x1000..0x4000, 0x0..0x2000, 0x4000..0x6000, 0x5000..0x5001] {
            assert!(!covers(range.clone(), Protection::READ_WRITE), "{range:x?}");
        }
        assert!(!super::covers(&[], 0x1000..0x2000, Protection::READ));
    }
}
