//! A counter of events, with those who wait for the next one.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{futex_failed, once_more};
use crate::area::{Area, Resizable, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::object::Object;
use crate::page::PageSize;
use crate::protection::Protection;
use crate::sys;

/// How long to sleep without a look: no process dies between the count and the wake, so that it is
/// for peers with other manners, and for areas that are frozen.
const SLICE: Duration = Duration::from_secs(1);
/// Loads of a word that the kernel copies, until one was whole.
const LOADS: u32 = 100;

/// An area with an event in it: one that others write.
#[derive(Clone, Copy)]
pub struct Place<'a>(Of<'a>);

#[derive(Clone, Copy)]
enum Of<'a> {
    Shared(&'a Area<Shared>),
    Resizable(&'a Area<Resizable>),
}

impl<'a> From<&'a Area<Shared>> for Place<'a> {
    fn from(area: &'a Area<Shared>) -> Self {
        Place(Of::Shared(area))
    }
}

impl<'a> From<&'a Area<Resizable>> for Place<'a> {
    fn from(area: &'a Area<Resizable>) -> Self {
        Place(Of::Resizable(area))
    }
}

/// A counter of events in 4 bytes of an area: a signal adds 1 and wakes all that wait.
///
/// Zeros are a counter that begins at 0. It wraps around. The value here only says where it is, and
/// is copied freely.
///
/// A waiter says which count it has seen, so that no event is missed between the look and the
/// sleep:
///
/// ```
/// use std::time::Duration;
/// use areas::sync::Event;
///
/// let area = areas::builder(4096).shared()?;
/// let event = Event::new(&area, 0)?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| event.signal().unwrap()); // in any process that may write the area
///     let seen = event.wait(0, Duration::from_secs(10)).unwrap(); // in any that may read it
///     assert_eq!(seen, 1);
/// });
/// # Ok::<(), areas::Error>(())
/// ```
///
/// What was written before a signal is seen by those that have waited for it. Counting and waking
/// are one system call, which is done or not: a kill leaves no waiters asleep. It works for reading
/// only, in hugetlb pages, and in areas that may shrink: the kernel accesses the word.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    place: Place<'a>,
    offset: usize,
}

impl<'a> Event<'a> {
    /// Bytes that it takes.
    pub const BYTES: usize = 4;

    /// The event counter at `offset`, a multiple of 4.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond the size, [`ErrorKind::InvalidInput`] off the alignment.
    pub fn new(area: impl Into<Place<'a>>, offset: usize) -> Result<Self> {
        let event = Event { place: area.into(), offset };
        event.address()?;
        Ok(event)
    }

    /// The count of signals so far.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] where the area has become too small; [`ErrorKind::ReadOnly`] where
    /// it may not be read; [`ErrorKind::NoMemory`] where a hugetlb page was taken away;
    /// [`ErrorKind::Busy`] where the word in such a page changes all the time.
    pub fn load(&self) -> Result<u32> {
        if let Of::Shared(area) = self.place.0
            && self.object().page_size() == PageSize::base()
        {
            return area.load(self.offset, Ordering::Acquire);
        }
        // The kernel copies, perhaps byte by byte, and then says whether the word is that.
        for _ in 0..LOADS {
            let mut bytes = [0; 4];
            match self.place.0 {
                Of::Shared(area) => area.read_at(self.offset, &mut bytes)?,
                Of::Resizable(area) => area.read_at(self.offset, &mut bytes)?,
            }
            let count = u32::from_le_bytes(bytes);
            match sys::futex::wait(self.address()?, count, Duration::ZERO) {
                Err(sys::Errno::AGAIN | sys::Errno::INTR) => {}
                Ok(()) | Err(sys::Errno::TIMEDOUT) => return Ok(count),
                Err(errno) => return Err(self.failed("load", errno)),
            }
        }
        Err(Error::new(ErrorKind::Busy, self.what("load"))
            .with_facts(format!("it changed at each of {LOADS} looks"))
            .with_remedy("try again"))
    }

    /// Waits until the count is another one than `seen`, for at most `timeout`: the count then.
    ///
    /// Signals (those of processes) do not end the wait, and their handlers run.
    ///
    /// ```
    /// use std::time::Duration;
    /// use areas::sync::Event;
    ///
    /// let area = areas::builder(4096).shared()?;
    /// let event = Event::new(&area, 0)?;
    /// let seen = event.load()?;
    /// event.signal()?; // by another thread or process, mostly
    /// assert_ne!(event.wait(seen, Duration::from_secs(1))?, seen);
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`]; [`ErrorKind::Frozen`] if the area was frozen, so that no process
    /// can ever signal; as [`load`](Event::load).
    pub fn wait(&self, seen: u32, timeout: Duration) -> Result<u32> {
        let begun = Instant::now();
        loop {
            let count = self.load()?;
            if count != seen {
                return Ok(count);
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(Error::new(ErrorKind::TimedOut, self.what("wait for")).with_facts(format!(
                    "it was not signalled within {timeout:?}: its count is still {count}"
                )));
            }
            if self.object().is_frozen()? {
                return Err(Error::new(ErrorKind::Frozen, self.what("wait for"))
                    .with_facts(format!("the area was frozen at count {count}: it cannot be signalled")));
            }
            once_more(sys::futex::wait(self.address()?, seen, left.min(SLICE)))
                .map_err(|errno| self.failed("wait for", errno))?;
        }
    }

    /// Adds 1, and wakes all who wait, in all processes.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`] where the area may not be written; [`ErrorKind::OutOfRange`] where
    /// it has become too small, [`ErrorKind::NoMemory`] where a hugetlb page was taken away.
    pub fn signal(&self) -> Result<()> {
        let protection = match self.place.0 {
            Of::Shared(area) => area.protection(),
            Of::Resizable(area) => area.protection(),
        };
        if !protection.contains(Protection::WRITE) {
            return Err(Error::new(ErrorKind::ReadOnly, self.what("signal"))
                .with_facts(format!("its protection is {protection}, and signalling requires write access"))
                .with_remedy("open the area for writing, too: `open` instead of `open_read_only`"));
        }
        sys::futex::add_one_and_wake_all(self.address()?).map_err(|errno| self.failed("signal", errno))
    }

    fn object(&self) -> &'a Object {
        match self.place.0 {
            Of::Shared(area) => area.object(),
            Of::Resizable(area) => area.object(),
        }
    }

    fn address(&self) -> Result<*mut u8> {
        match self.place.0 {
            Of::Shared(area) => area.futex_address(self.offset),
            Of::Resizable(area) => area.futex_address(self.offset),
        }
    }

    fn failed(&self, verb: &str, errno: sys::Errno) -> Error {
        // The look at the size: the page may be gone by now.
        match self.address() {
            Err(error) if errno == sys::Errno::FAULT => error,
            _ => futex_failed(self.what(verb), errno),
        }
    }

    fn what(&self, verb: &str) -> String {
        format!("{verb} the event at {} of {}", self.offset, self.place)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Of::Shared(area) => fmt::Display::fmt(area, f),
            Of::Resizable(area) => fmt::Display::fmt(area, f),
        }
    }
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("area", &self.place).field("offset", &self.offset).finish()
    }
}
