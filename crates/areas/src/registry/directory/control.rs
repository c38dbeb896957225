//! The control file: a futex on two of its words, by which those who wait for a name are woken.
//!
//! All processes of the user can write the file, so what it says is only a hint: a process that
//! waits looks again at least once a second. It is mapped for the futex calls alone, which give an
//! error where the file was cut short; its words are read and written by calls.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{Mapping, Plan, Sharing};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::sys;
use crate::sys::checked_fd::CheckedFd;
use crate::sys::memory::{At, MapFlags};

/// Where in the control file the count of publications that were waited for is.
const COUNT: u64 = 8;
/// Where the flag is that a process waits.
const WAITERS: u64 = 12;

/// The control file, mapped to sleep on.
#[derive(Debug)]
pub(in crate::registry) struct Control {
    control: CheckedFd,
    mapping: Mapping,
}

impl Control {
    /// `None` where there is nothing in it to sleep on.
    pub(in crate::registry) fn open(control: OwnedFd) -> Result<Option<Self>> {
        let mapping = match map(control.as_fd()) {
            Ok(mapping) => mapping,
            // Another process has put what is not a file in its place: there is nothing to sleep
            // on, and what is looked for is found without.
            Err(error)
                if error.errno().map(|errno| errno.raw()) == Some(sys::Errno::NODEV.raw_os_error()) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let control = CheckedFd::new(control).map_err(|errno| {
            Error::new(ErrorKind::Registry, "wait for a name").with_system_call("fstat", errno)
        })?;
        Ok(Some(Control { control, mapping }))
    }

    /// Says that a process waits; the count to sleep on.
    pub(in crate::registry) fn expect(&self) -> sys::Result<u32> {
        // A long wait: it may have been closed, and another file be there.
        let control = self.control.checked()?;
        let count = word_at(control, COUNT)?;
        sys::file::write_at(control, &1_u32.to_le_bytes(), WAITERS)?;
        Ok(count)
    }

    pub(in crate::registry) fn sleep(&self, count: u32, longest: Duration) -> sys::Result<()> {
        match sys::futex::wait(address(&self.mapping), count, longest) {
            // It changed before we slept, we slept long enough, or a signal came: look again.
            Err(sys::Errno::AGAIN | sys::Errno::TIMEDOUT | sys::Errno::INTR) => Ok(()),
            other => other,
        }
    }
}

fn address(mapping: &Mapping) -> *mut u8 {
    mapping.as_ptr().wrapping_add(usize::try_from(COUNT).unwrap_or(0))
}

fn map(control: BorrowedFd<'_>) -> Result<Mapping> {
    let page = PageSize::base();
    Mapping::new(&Plan {
        at: At::Anywhere,
        size: page.bytes(),
        span: page.bytes(),
        page,
        protection: Protection::READ_WRITE,
        sharing: Sharing::Shared,
        flags: MapFlags::SHARED,
        file: Some((control, 0)),
        placement: None,
    })
}

fn word_at(control: BorrowedFd<'_>, offset: u64) -> sys::Result<u32> {
    let mut bytes = [0; 4];
    // The end of the file reads as zeros.
    sys::file::read_at(control, &mut bytes, offset)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Wakes all who wait, if anybody does, and if `is_ours` says that the descriptor still is the
/// control file's.
pub(super) fn wake(control: BorrowedFd<'_>, is_ours: impl Fn() -> bool) -> Result<()> {
    fence(Ordering::SeqCst);
    let failed = |errno| {
        Error::new(ErrorKind::Registry, "wake the processes that wait for a name")
            .with_system_call("pread, pwrite, futex", errno)
    };
    if word_at(control, WAITERS).map_err(failed)? == 0 || !is_ours() {
        return Ok(());
    }
    sys::file::write_at(control, &0_u32.to_le_bytes(), WAITERS).map_err(failed)?;
    let count = word_at(control, COUNT).map_err(failed)?.wrapping_add(1);
    sys::file::write_at(control, &count.to_le_bytes(), COUNT).map_err(failed)?;
    sys::futex::wake_all(address(&map(control)?)).map_err(failed)
}
