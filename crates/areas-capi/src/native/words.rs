//! Numbers for words: kinds of areas, protections, locks, pages, forms of addresses.

#![expect(dead_code, reason = "some numbers are for C alone")]

use std::ffi::c_void;
use std::time::Duration;

use areas::closed::{ClosedExtent, ClosedLock};
use areas::{Address, Error, ErrorKind, Extent, Lock, PageSize, Pages, Protection, Result};

/// Others can clone it, and write it if they may.
pub const AREAS_SHARED: u32 = 0;
/// This process's alone: no name, no id; a forked child gets a copy.
pub const AREAS_PRIVATE: u32 = 1;
/// Shared, and may grow up to `max` bytes, for all holders at once.
pub const AREAS_GROWABLE: u32 = 2;
/// Shared, and may grow and shrink. Beyond `max` it grows where there is room behind it for all who
/// have it. What lies beyond its end faults.
pub const AREAS_RESIZABLE: u32 = 3;
/// No process can write it any more. Areas become so by areas_freeze.
pub const AREAS_FROZEN: u32 = 4;
/// A part of what its provider stores, a file or a memory device (areas_provider_file): it holds
/// what is stored there, and stays when the area goes. What lies beyond the end of a file that was
/// cut short faults; areas_read_at and areas_write_at say AREAS_ERROR_OUT_OF_RANGE instead.
pub const AREAS_STORED: u32 = 5;

/// Loads.
pub const AREAS_READ: u32 = 1;
/// Stores.
pub const AREAS_WRITE: u32 = 2;
/// Instruction fetches.
pub const AREAS_EXECUTE: u32 = 4;
/// The area is to be a stack: recorded and reported, without an effect. (BeOS's create_area guards
/// its lowest page.)
pub const AREAS_STACK: u32 = 8;
/// Others are meant to clone it: recorded and reported, without an effect.
pub const AREAS_CLONEABLE: u32 = 16;
/// Nothing may be done with its pages. (0 stands for the default: loads and stores, for a clone
/// what its source has.)
pub const AREAS_NOTHING: u32 = 0x8000_0000;

/// Pages come and go as the kernel sees fit.
pub const AREAS_LOCK_NONE: u32 = 0;
/// A page stays in RAM once it has come in.
pub const AREAS_LOCK_LAZY: u32 = 1;
/// All pages are in RAM from the start and stay.
pub const AREAS_LOCK_FULL: u32 = 2;
/// As full, and physically contiguous.
pub const AREAS_LOCK_CONTIGUOUS: u32 = 3;
/// As contiguous, below 16 MiB, in memory that was reserved when the machine booted.
pub const AREAS_LOCK_LOW: u32 = 4;
/// As full, at physical addresses below 4 GiB.
pub const AREAS_LOCK_FULL_32: u32 = 5;
/// As contiguous, at physical addresses below 4 GiB.
pub const AREAS_LOCK_CONTIGUOUS_32: u32 = 6;

/// Base pages.
pub const AREAS_PAGES_BASE: u32 = 0;
/// Pages of `page_size` bytes from the hugetlb pool: a promise or an error. A process that may
/// write a shared area can take pages of it away (fallocate, madvise); where the pool has no other
/// one, the next access through a pointer is a SIGBUS. areas_read_at and areas_write_at fail with
/// AREAS_ERROR_NO_MEMORY instead, and a frozen area keeps its pages.
pub const AREAS_PAGES_POOL: u32 = 1;
/// The same if the pool has them, else base pages; areas_granted says which.
pub const AREAS_PAGES_PREFER_POOL: u32 = 2;
/// The pool's 2 MiB pages if there are enough, else transparent huge pages, else base pages;
/// areas_granted says which.
pub const AREAS_PAGES_AUTO: u32 = 3;

/// Wherever the kernel likes.
pub const AREAS_ANYWHERE: u32 = 0;
/// At `address`, or an error: what is mapped there already is never touched.
pub const AREAS_EXACTLY: u32 = 1;
/// At the first free addresses at or above `address`; where there are none, anywhere.
pub const AREAS_AT_OR_ABOVE: u32 = 2;
/// At a random address.
pub const AREAS_RANDOM: u32 = 3;
/// At a random address at or above `address`.
pub const AREAS_RANDOM_AT_OR_ABOVE: u32 = 4;
/// For clones: at the very addresses that the source has in its holder, or an error.
pub const AREAS_AT_SOURCE: u32 = 5;

fn no_such(what: &'static str, number: u32) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("use {number} as {what}")).with_facts("it means nothing")
}

/// A protection; `None` for 0, which leaves it open.
pub(super) fn protection(number: u32) -> Result<Option<Protection>> {
    match number {
        0 => Ok(None),
        AREAS_NOTHING => Ok(Some(Protection::empty())),
        bits => {
            let known = u8::try_from(bits).ok().and_then(Protection::from_bits);
            known.map(Some).ok_or_else(|| no_such("a protection", bits))
        }
    }
}

pub(super) fn protection_number(protection: Protection) -> u32 {
    if protection.is_empty() { AREAS_NOTHING } else { u32::from(protection.bits()) }
}

pub(super) fn lock(number: u32) -> Result<Lock> {
    Ok(match number {
        AREAS_LOCK_NONE => Lock::None,
        AREAS_LOCK_LAZY => Lock::Lazy,
        AREAS_LOCK_FULL => Lock::Full,
        AREAS_LOCK_CONTIGUOUS => Lock::Contiguous,
        AREAS_LOCK_LOW => Lock::Low,
        AREAS_LOCK_FULL_32 => Lock::Full32,
        AREAS_LOCK_CONTIGUOUS_32 => Lock::Contiguous32,
        other => return Err(no_such("a lock", other)),
    })
}

pub(super) fn lock_number(lock: Lock) -> u32 {
    match ClosedLock::from(lock) {
        ClosedLock::None => AREAS_LOCK_NONE,
        ClosedLock::Lazy => AREAS_LOCK_LAZY,
        ClosedLock::Full => AREAS_LOCK_FULL,
        ClosedLock::Contiguous => AREAS_LOCK_CONTIGUOUS,
        ClosedLock::Low => AREAS_LOCK_LOW,
        ClosedLock::Full32 => AREAS_LOCK_FULL_32,
        ClosedLock::Contiguous32 => AREAS_LOCK_CONTIGUOUS_32,
    }
}

/// Which pages; `size` is that of the pool's, 0 for 2 MiB.
pub(super) fn pages(number: u32, size: usize) -> Result<Pages> {
    let page = || match size {
        0 => Ok(PageSize::HUGE_2M),
        bytes => PageSize::of(bytes).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("use pages of {bytes} bytes"))
                .with_facts("no machine has them")
        }),
    };
    match number {
        AREAS_PAGES_POOL => Ok(Pages::Pool(page()?)),
        AREAS_PAGES_PREFER_POOL => Ok(Pages::PreferPool(page()?)),
        AREAS_PAGES_BASE | AREAS_PAGES_AUTO if size != 0 => {
            Err(Error::new(ErrorKind::InvalidInput, format!("use pages of {size} bytes"))
                .with_facts("only those of the pool have a size that is chosen"))
        }
        AREAS_PAGES_BASE => Ok(Pages::Base),
        AREAS_PAGES_AUTO => Ok(Pages::Auto),
        other => Err(no_such("a choice of pages", other)),
    }
}

/// A form of addresses. `None` is the source's own.
pub(super) fn address(form: u32, address: *mut c_void) -> Result<Option<Address>> {
    let at = address.addr();
    Ok(Some(match form {
        AREAS_ANYWHERE => Address::Any,
        AREAS_EXACTLY => Address::Exactly(at),
        AREAS_AT_OR_ABOVE => Address::AtOrAbove(at),
        AREAS_RANDOM => Address::Random,
        AREAS_RANDOM_AT_OR_ABOVE => Address::RandomAtOrAbove(at),
        AREAS_AT_SOURCE => return Ok(None),
        other => return Err(no_such("a form of addresses", other)),
    }))
}

/// The kind that an extent makes an area, and up to where it may grow (0: not at all).
pub(super) fn extent(extent: Extent) -> (u32, usize) {
    match ClosedExtent::from(extent) {
        ClosedExtent::Fixed => (AREAS_SHARED, 0),
        ClosedExtent::Growable { max } => (AREAS_GROWABLE, max),
        ClosedExtent::Resizable { max } => (AREAS_RESIZABLE, max),
    }
}

/// A time in milliseconds; `None`, no timeout, where it is negative.
pub(super) fn time(milliseconds: i64) -> Option<Duration> {
    u64::try_from(milliseconds).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        for bits in 1..32 {
            assert_eq!(protection_number(protection(bits).unwrap().unwrap()), bits);
        }
        assert_eq!(protection_number(protection(AREAS_NOTHING).unwrap().unwrap()), AREAS_NOTHING);
        assert_eq!(protection(0).unwrap(), None);
        for number in 0..7 {
            assert_eq!(lock_number(lock(number).unwrap()), number);
        }
        // For each that the library has, C gets something else.
        let numbers = Lock::NAMES.map(|name| lock_number(name.parse().unwrap()));
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
        for wrong in [32, 256, u32::MAX] {
            assert!(protection(wrong).is_err() && lock(wrong).is_err() && pages(wrong, 0).is_err());
            assert!(address(wrong, std::ptr::null_mut()).is_err());
        }
        assert_eq!((time(-1), time(1500)), (None, Some(Duration::from_millis(1500))));
    }
}
