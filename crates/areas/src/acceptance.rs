//! What this process takes on from another one: how much memory, how many addresses, which lock,
//! which pages.
//!
//! An area that another process made is as large as that process likes, and says of itself what it
//! likes. For an ordinary user the kernel has limits; for root it has hardly any: a lock may be on
//! all RAM, a reserve on all addresses, and missing hugetlb pages are taken by the process that
//! touches them. So what is received or transferred is held against bounds of ours, before it is
//! mapped.

use crate::error::{Error, ErrorKind, Result};
use crate::lock::Lock;
use crate::object::Object;
use crate::page::PageSize;
use crate::size::Bytes;
use crate::sys;
use crate::sys::limits::{Limit, limit};

/// The bounds. `None` is the default of each, which [`Acceptance::check`] finds out where it
/// matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acceptance {
    pub(crate) max_bytes: Option<u64>,
    pub(crate) max_addresses: Option<u64>,
    pub(crate) max_locked: Option<u64>,
    pub(crate) max_pool: Option<u64>,
    /// A stronger lock is not believed: this one is applied instead.
    pub(crate) lock: Option<Lock>,
    /// The sizes of the pages that are accepted, each of which is a bit; 0 is all.
    pub(crate) pages: u64,
}

impl Acceptance {
    /// What the defaults of each bound come to.
    pub(crate) const DEFAULT: Acceptance = Acceptance {
        max_bytes: None,
        max_addresses: None,
        max_locked: None,
        max_pool: None,
        lock: None,
        pages: 0,
    };

    /// Refuses an object that is beyond a bound, with the lock that is claimed for it; and the lock
    /// that is to be applied.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] with the bound.
    pub(crate) fn check(&self, object: &Object, claimed: Lock, what: &str) -> Result<Lock> {
        let refuse = |detail: String, help: &'static str| {
            Err(Error::new(ErrorKind::Limit, what.to_owned()).with_facts(detail).with_remedy(help))
        };
        let page = object.page_size();
        if self.pages != 0 && self.pages & page.bytes() as u64 == 0 {
            let detail = format!("it is made of pages of {page}, which are not accepted here");
            return refuse(detail, "accept such pages: `ReceiveOptions::pages`");
        }
        let size = object.file_size() as u64;
        let (ram, swap) = sys::process::memory();
        let machine = ram.saturating_add(swap);
        let most = self.max_bytes.unwrap_or(machine);
        if size > most {
            let detail = format!("it has {}, and at most {} are accepted", Bytes(size), Bytes(most));
            return refuse(detail, "accept more: `ReceiveOptions::max_bytes`");
        }
        let span = object.span() as u64;
        let most = self.max_addresses.unwrap_or(machine.saturating_mul(RESERVE).max(RESERVED));
        if span > most.max(page.bytes() as u64) {
            let detail =
                format!("it takes {} of addresses, and at most {} are accepted", Bytes(span), Bytes(most));
            return refuse(detail, "accept more: `ReceiveOptions::max_addresses`");
        }
        let missing = if page == PageSize::base() { 0 } else { object.missing() };
        if missing > 0 {
            let most = self.max_pool.unwrap_or_else(|| pool(page) / 2);
            if missing > most {
                let detail = format!(
                    "{} of its pages are missing and would come from the pool; at most {} are accepted",
                    Bytes(missing),
                    Bytes(most)
                );
                return refuse(detail, "accept more: `ReceiveOptions::max_pool_bytes`");
            }
        }
        let lock = match self.lock {
            Some(most) if claimed.is_stronger_than(most) => most,
            _ => claimed,
        };
        if lock == Lock::None {
            return Ok(lock);
        }
        let most = self.max_locked.unwrap_or_else(|| match limit(Limit::LockedMemory) {
            Some(limit) => limit.min(ram / LOCKED),
            None => ram / LOCKED,
        });
        if size > most {
            let detail = format!(
                "it is said to be locked ({lock}) with {}, and at most {} are locked at a sender's request",
                Bytes(size),
                Bytes(most)
            );
            return refuse(
                detail,
                "`ReceiveOptions::max_locked` accepts more; `ReceiveOptions::lock_at_most` takes it unlocked",
            );
        }
        Ok(lock)
    }
}

/// Of RAM and swap, so many times is what a reserve may have, unless the receiver says otherwise.
const RESERVE: u64 = 16;

/// Bytes of addresses that are nothing to any machine: of 128 TiB, one part in 64.
const RESERVED: u64 = 2 << 40;

/// Of RAM, one part in so many is what may be locked for one area, unless the receiver says
/// otherwise.
const LOCKED: u64 = 8;

/// The bytes in all pages of a pool, used ones included.
fn pool(page: PageSize) -> u64 {
    let path = format!("/sys/kernel/mm/hugepages/hugepages-{}kB", page.bytes() / 1024);
    let number = |name| {
        let text = sys::text::read_to_string(format!("{path}/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let most = number("nr_hugepages").max(number("nr_overcommit_hugepages")).unwrap_or(0);
    most.saturating_mul(page.bytes() as u64)
}
