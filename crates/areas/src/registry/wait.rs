//! Waiting for a name: a futex on two words of the control file.
//!
//! All processes of the user can write the file, so what it says is only a hint: a process that
//! waits looks again at least once a second. It is mapped for the futex calls alone, which give an
//! error where the file was cut short; its words are read and written by calls.
//!
//! A process that waits sets the flag, has the folder's time say that there is news, looks for the
//! name, and sleeps as long as the count is what it was. One that publishes makes the area visible,
//! looks at the folder, which it does anyway, and where its time is another one than when the flag
//! was last seen not to be set, looks at the flag (`state/news.rs`); only if it is set it changes
//! the count and wakes. A publication that no process waits for costs nothing for it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use super::name::Name;
use super::source::Source;
use super::state;
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{Mapping, Plan, Sharing};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::sys;
use crate::sys::guarded::Guarded;
use crate::sys::memory::{At, MapFlags};

/// Where in the control file the count of publications that were waited for is.
const COUNT: u64 = 8;
/// Where the flag is that a process waits.
const WAITERS: u64 = 12;
/// How long to sleep without looking.
const SLICE: Duration = Duration::from_secs(1);
/// The same where there is nothing to sleep on: no registry yet.
const SHORT_SLICE: Duration = Duration::from_millis(20);

pub(super) fn wait(name: &Name, timeout: Option<Duration>) -> Result<Source> {
    wait_until(timeout, || state::state()?.find(name.as_bytes()))?.ok_or_else(|| {
        let within = timeout.unwrap_or_default();
        let hidden = state::state().ok().and_then(|state| state.hidden(name));
        Error::new(ErrorKind::TimedOut, format!("wait for area {name:?}")).with_facts(match hidden {
            None => format!("no process published it within {within:?}"),
            Some(hidden) => {
                format!("no process that can be read published it within {within:?}; {}", hidden.text)
            }
        })
    })
}

/// Looks until there is something, at every publication and every transfer; `None` after the
/// time-out.
pub(super) fn wait_until<T>(
    timeout: Option<Duration>,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let begun = Instant::now();
    let mut publications = Publications::default();
    loop {
        publications.expect()?;
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
        if left == Some(Duration::ZERO) {
            return Ok(None);
        }
        publications.sleep(left.map_or(SLICE, |left| left.min(SLICE)));
    }
}

/// Publications and transfers of others: first [expected](Publications::expect), then one looks,
/// then one [sleeps](Publications::sleep) until there was one since. For code that waits for
/// something that is not notified, and looks now and then all the same.
#[derive(Debug, Default)]
pub struct Publications {
    word: Option<Word>,
    count: Option<u32>,
}

impl Publications {
    /// From now on a publication ends the next sleep.
    ///
    /// # Errors
    /// As [`list`](super::list).
    pub fn expect(&mut self) -> Result<()> {
        if self.word.is_none() {
            self.word = Word::open()?;
        }
        self.count = self.word.as_ref().and_then(|word| word.expect().ok());
        if self.count.is_some() {
            // Behind the flag: who sees this looks at that.
            state::state()?.notify();
        }
        fence(Ordering::SeqCst);
        Ok(())
    }

    /// Sleeps until there was a publication, for so long at most.
    pub fn sleep(&mut self, longest: Duration) {
        match (&self.word, self.count) {
            (Some(sleeper), Some(count)) => {
                if sleeper.sleep(count, longest).is_err() {
                    // Cut short, or gone: a new one may be there.
                    self.word = None;
                    std::thread::sleep(longest.min(SHORT_SLICE));
                }
            }
            _ => {
                self.word = None;
                std::thread::sleep(longest.min(SHORT_SLICE));
            }
        }
    }
}

/// The control file, mapped to sleep on.
#[derive(Debug)]
struct Word {
    control: Guarded,
    mapping: Mapping,
}

impl Word {
    /// `None` where there is no registry yet, or nothing in it to sleep on.
    fn open() -> Result<Option<Self>> {
        let Some(control) = state::state()?.control()? else { return Ok(None) };
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
        let control = Guarded::new(control).map_err(|errno| {
            Error::new(ErrorKind::Registry, "wait for a name").with_system_call("fstat", errno)
        })?;
        Ok(Some(Word { control, mapping }))
    }

    /// Says that a process waits; the count to sleep on.
    fn expect(&self) -> sys::Result<u32> {
        // A long wait: it may have been closed, and another file be there.
        let control = self.control.checked()?;
        let count = word_at(control, COUNT)?;
        sys::file::write_at(control, &1_u32.to_le_bytes(), WAITERS)?;
        Ok(count)
    }

    fn sleep(&self, count: u32, longest: Duration) -> sys::Result<()> {
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
