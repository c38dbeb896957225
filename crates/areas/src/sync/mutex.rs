//! A mutex for processes, by a futex: its owner's death is detected, and reported to the next one.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::protocol::{self, INCONSISTENT, Outcome, Word};
use super::{check_memory, futex_failed, once_more};
use crate::area::{Area, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::owner::{self, Owner as Mark};
use crate::protection::Protection;
use crate::sys;

/// Looks before the kernel is asked for anything.
const SPINS: u32 = 100;
/// How long a waiter sleeps without looking whether the owner lives: at first, and at most.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(80);

/// A mutex in 8 bytes of a shared area, for the threads of all processes that have it.
///
/// Zeros are a mutex that is free: in a new area there is nothing to initialize. The value here
/// only says where it is, and is copied freely.
///
/// ```
/// use std::time::Duration;
/// use areas::sync::Mutex;
///
/// let area = areas::builder(4096).shared()?;
/// let mutex = Mutex::new(&area, 0)?;
///
/// let guard = mutex.lock(Duration::from_secs(1))?.or_repair(|_| area.store(64, 0_u64, std::sync::atomic::Ordering::Relaxed))?;
/// let count: u64 = area.load(64, std::sync::atomic::Ordering::Relaxed)?;
/// area.store(64, count + 1, std::sync::atomic::Ordering::Relaxed)?;
/// guard.unlock()?;
/// # Ok::<(), areas::Error>(())
/// ```
///
/// # What ends an owner
///
/// The owner is a thread. Its death is the end of the thread (returning, `pthread_exit`), or of its
/// process, by whatever way: `kill -9`, `exec`, a crash. The kernel says so, not a time-out: a
/// stopped owner is alive. The next to lock gets [`Locked::OwnerDied`], and so does each after
/// that, until one marks what the mutex guards as consistent again ([`Guard::mark_consistent`]). A
/// forked child does not own what its parent has locked.
///
/// (A thread that is ended by the system call `exit` alone, behind the C library's back, is taken
/// to be alive as long as its process is.)
///
/// # What others can do
///
/// A process that may write the area may write the word. No value of it makes a call wait beyond
/// its time-out, or more than one owner think that all is well for long: a word that is not a
/// mutex's is an error, and so is an unlock of what another process has taken away. A guard is as
/// good as the manners of those who may write the area. In C and Rust all data behind it are
/// reached by the area's own copies and words, which bear that.
#[derive(Clone, Copy)]
pub struct Mutex<'a> {
    area: &'a Area<Shared>,
    offset: usize,
}

impl<'a> Mutex<'a> {
    /// Bytes that it takes.
    pub const BYTES: usize = 8;

    /// The mutex at `offset`, a multiple of 8.
    ///
    /// # Errors
    /// - [`ErrorKind::OutOfRange`] beyond the size, [`ErrorKind::InvalidInput`] off the alignment;
    /// - [`ErrorKind::ReadOnly`] for a clone for reading only: who locks writes;
    /// - [`ErrorKind::Unsupported`] for hugetlb pages, which may be taken away under a word, and
    ///   for low areas.
    pub fn new(area: &'a Area<Shared>, offset: usize) -> Result<Self> {
        let what = || format!("use a mutex at {offset} of {area}");
        check_memory(area, what)?;
        if !area.protection().contains(Protection::READ_WRITE) {
            return Err(Error::new(ErrorKind::ReadOnly, what())
                .with_facts(format!(
                    "its protection is {}, and locking a mutex requires write access",
                    area.protection()
                ))
                .with_remedy("open the area for writing, too: `open` instead of `open_read_only`"));
        }
        area.load::<u64>(offset, Ordering::Relaxed)?;
        Ok(Mutex { area, offset })
    }

    /// Locks it, waiting for at most `timeout`.
    ///
    /// Signals do not end the wait, and their handlers run. Waiters get it in no particular order.
    ///
    /// # Errors
    /// - [`ErrorKind::TimedOut`]: its owner lives, and did not unlock it in time;
    /// - [`ErrorKind::Busy`]: this thread has it already, by whatever clone of the area, and would
    ///   wait for itself; or its marks are in another process's way;
    /// - [`ErrorKind::InvalidInput`]: the word there is not a mutex's;
    /// - [`ErrorKind::Limit`], [`ErrorKind::NotPermitted`], [`ErrorKind::System`]: at the first
    ///   lock of a thread in an area, for want of a descriptor for the length of the call, of a
    ///   mapping, of the right to open the memory for writing, of `/proc`.
    pub fn lock(&self, timeout: Duration) -> Result<Locked<'a>> {
        match self.attempt(Some(timeout))? {
            Ok(locked) => Ok(locked),
            Err(_) => Err(Error::new(ErrorKind::TimedOut, self.what("lock"))
                .with_facts(format!("its owner is alive, and did not unlock it within {timeout:?}"))
                .with_remedy(
                    "wait for longer; an owner may be stopped (SIGSTOP): `areas show` names the holders",
                )),
        }
    }

    /// Locks it if that takes no waiting; `None` if another living owner has it.
    ///
    /// # Errors
    /// As [`lock`](Mutex::lock), but for the time-out.
    pub fn try_lock(&self) -> Result<Option<Locked<'a>>> {
        Ok(self.attempt(None)?.ok())
    }

    /// Whose it is, at this moment.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the word there is not a mutex's; [`ErrorKind::System`] if the
    /// program has closed the area's descriptor.
    pub fn owner(&self) -> Result<Owner> {
        let word = self.area.load(self.offset, Ordering::Acquire)?;
        match protocol::owner(word) {
            None => Err(self.garbage("look at", word)),
            Some(0) => Ok(Owner::Unlocked),
            Some(number) if self.known().is_some_and(|mark| mark.number == number) => Ok(Owner::ThisThread),
            Some(number) if owner::is_alive(self.area.object(), number)? => Ok(Owner::Living),
            Some(_) => Ok(Owner::Dead),
        }
    }

    /// Unlocks what this thread has locked, without its guard: for interfaces in other languages,
    /// which have forgotten it.
    ///
    /// # Errors
    /// As [`Guard::unlock`].
    pub fn unlock_forgotten(&self) -> Result<()> {
        self.unlock_as(self.known())
    }

    /// As [`Guard::mark_consistent`], without the guard.
    ///
    /// # Errors
    /// As there.
    pub fn mark_consistent_forgotten(&self) -> Result<()> {
        self.mark_consistent_as(self.known())
    }

    fn known(&self) -> Option<Mark> {
        self.area.owners().this_thread_known(self.area.object())
    }

    /// The mutex; or the living owner that has it.
    fn attempt(&self, timeout: Option<Duration>) -> Result<Result<Locked<'a>, u64>> {
        let mark = self.area.owners().this_thread(self.area.object())?;
        match protocol::lock(&Attempt::new(*self, timeout), mark.number)? {
            Outcome::Locked { inconsistent } => {
                let guard = Guard { mutex: *self, mark, thread: PhantomData };
                Ok(Ok(if inconsistent { Locked::OwnerDied(guard) } else { Locked::Clean(guard) }))
            }
            Outcome::Held { owner } => Ok(Err(owner)),
            Outcome::Own => Err(Error::new(ErrorKind::Busy, self.what("lock"))
                .with_facts("this thread has locked it already, and would wait for itself")
                .with_remedy("unlock it first: a mutex is not recursive")),
            Outcome::Garbage(word) => Err(self.garbage("lock", word)),
        }
    }

    fn unlock_as(&self, mark: Option<Mark>) -> Result<()> {
        let owner = mark.filter(|mark| mark.is_own());
        if let Some(mark) = owner
            && protocol::unlock(&Attempt::new(*self, None), mark.number)?
        {
            return Ok(());
        }
        Err(self.not_ours("unlock"))
    }

    fn mark_consistent_as(&self, mark: Option<Mark>) -> Result<()> {
        let owner = mark.filter(|mark| mark.is_own());
        if let Some(mark) = owner
            && protocol::mark_consistent(&Attempt::new(*self, None), mark.number)?
        {
            return Ok(());
        }
        Err(self.not_ours("mark as consistent what is guarded by"))
    }

    fn what(&self, verb: &str) -> String {
        format!("{verb} the mutex at {} of {}", self.offset, self.area)
    }

    fn not_ours(&self, verb: &str) -> Error {
        Error::new(ErrorKind::NotPermitted, self.what(verb))
            .with_facts(
                "this thread does not own it: a forked child's parent may, or the word was overwritten",
            )
            .with_remedy("treat what it guards as inconsistent")
    }

    fn garbage(&self, verb: &str, word: u64) -> Error {
        Error::new(ErrorKind::InvalidInput, self.what(verb))
            .with_facts(format!(
                "the word there is {word:#x}, not a mutex's: a process may have overwritten it"
            ))
            .with_remedy("if no process uses it, store 0: that is an unlocked mutex")
    }
}

impl fmt::Debug for Mutex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("area", self.area).field("offset", &self.offset).finish()
    }
}

/// Whose a mutex is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// No thread has it locked.
    Unlocked,
    /// The thread that asks.
    ThisThread,
    /// Another thread, here or in another process.
    Living,
    /// A thread that has ended: the next to lock gets [`Locked::OwnerDied`].
    Dead,
}

impl Owner {
    /// The older name of [`Owner::Unlocked`].
    #[deprecated(since = "0.2.0", note = "use `Unlocked`")]
    #[expect(non_upper_case_globals, reason = "it was a variant")]
    pub const Nobody: Owner = Owner::Unlocked;
}

/// A mutex that this thread has locked: what is to be known of it first.
#[derive(Debug)]
#[must_use = "it is unlocked as soon as this is dropped"]
pub enum Locked<'a> {
    /// All is well.
    Clean(Guard<'a>),
    /// An owner died while it had the mutex, and since then no process has marked what it guards as
    /// consistent: it may be half changed. The mutex is locked. Repair, and then
    /// [`mark_consistent`](Guard::mark_consistent).
    OwnerDied(Guard<'a>),
}

impl<'a> Locked<'a> {
    /// The guard; where an owner died, after `repair` has made consistent what it guards, and that
    /// was said.
    ///
    /// # Errors
    /// Those of `repair`: then the mutex is unlocked, and the next to lock it gets
    /// [`Locked::OwnerDied`] as well. Those of [`mark_consistent`](Guard::mark_consistent).
    pub fn or_repair<E: From<Error>>(
        self,
        repair: impl FnOnce(&Guard<'a>) -> Result<(), E>,
    ) -> Result<Guard<'a>, E> {
        match self {
            Locked::Clean(guard) => Ok(guard),
            Locked::OwnerDied(guard) => {
                repair(&guard)?;
                guard.mark_consistent()?;
                Ok(guard)
            }
        }
    }

    /// Whether an owner died.
    #[must_use]
    pub fn owner_died(&self) -> bool {
        matches!(self, Locked::OwnerDied(_))
    }

    /// The guard, whatever happened.
    pub fn into_guard(self) -> Guard<'a> {
        match self {
            Locked::Clean(guard) | Locked::OwnerDied(guard) => guard,
        }
    }
}

/// As long as it is there, this thread has the mutex. It stays in its thread:
///
/// ```compile_fail
/// fn goes_to_another_thread<T: Send>() {}
/// goes_to_another_thread::<areas::sync::Guard<'static>>();
/// ```
///
/// Dropping it unlocks, and says nothing if another process has taken the mutex away;
/// [`unlock`](Guard::unlock) does. In a forked child it is the parent's, and dropping it does
/// nothing.
#[must_use = "it is unlocked as soon as this is dropped"]
pub struct Guard<'a> {
    mutex: Mutex<'a>,
    mark: Mark,
    thread: PhantomData<*const ()>,
}

impl Guard<'_> {
    /// Unlocks.
    ///
    /// # Errors
    /// [`ErrorKind::NotPermitted`] if it is not this thread's any more, as a process has written
    /// over the word: what it guards may be inconsistent. [`ErrorKind::ReadOnly`] where the area's
    /// protection was changed.
    pub fn unlock(self) -> Result<()> {
        let guard = std::mem::ManuallyDrop::new(self);
        guard.mutex.unlock_as(Some(guard.mark))
    }

    /// Marks what the mutex guards as consistent again after an owner's death: no later lock
    /// reports of that any more.
    ///
    /// # Errors
    /// As [`unlock`](Guard::unlock).
    pub fn mark_consistent(&self) -> Result<()> {
        self.mutex.mark_consistent_as(Some(self.mark))
    }

    /// Whether no owner died, or what the mutex guards was said to be consistent since.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`] where the area's protection was changed.
    pub fn is_consistent(&self) -> Result<bool> {
        Ok(self.mutex.area.load::<u64>(self.mutex.offset, Ordering::Relaxed)? & INCONSISTENT == 0)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // What is not ours any more cannot be unlocked, and there is no one to report it to.
        let _ = self.mutex.unlock_as(Some(self.mark));
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("mutex", &self.mutex).finish_non_exhaustive()
    }
}

/// One call that wants the mutex.
pub(super) struct Attempt<'a> {
    mutex: Mutex<'a>,
    begun: Instant,
    timeout: Option<Duration>,
    slice: Cell<Duration>,
}

impl<'a> Attempt<'a> {
    /// Without a time-out nothing is waited for.
    fn new(mutex: Mutex<'a>, timeout: Option<Duration>) -> Self {
        Attempt { mutex, begun: Instant::now(), timeout, slice: Cell::new(SHORTEST) }
    }

    /// A word of the same form, which no thread waits for.
    pub(super) fn at_once(area: &'a Area<Shared>, offset: usize) -> Self {
        Attempt::new(Mutex { area, offset }, None)
    }

    fn left(&self) -> Duration {
        self.timeout.unwrap_or_default().saturating_sub(self.begun.elapsed())
    }

    fn address(&self) -> Result<*mut u8> {
        self.mutex.area.futex_address(self.mutex.offset)
    }
}

impl Word for Attempt<'_> {
    type Error = Error;

    fn load(&self) -> Result<u64> {
        self.mutex.area.load(self.mutex.offset, Ordering::Relaxed)
    }

    fn compare_exchange(&self, current: u64, new: u64) -> Result<Result<u64, u64>> {
        self.mutex.area.compare_exchange(self.mutex.offset, current, new)
    }

    fn fetch_and(&self, mask: u64) -> Result<u64> {
        self.mutex.area.fetch_and(self.mutex.offset, mask)
    }

    fn is_alive(&self, owner: u64) -> Result<bool> {
        owner::is_alive(self.mutex.area.object(), owner)
    }

    fn sleep(&self, seen: u64) -> Result<()> {
        let slice = self.slice.get();
        self.slice.set((slice * 2).min(LONGEST));
        // The lower half comes first in memory.
        let lower = u32::try_from(seen & u64::from(u32::MAX)).unwrap_or(0);
        once_more(sys::futex::wait(self.address()?, lower, slice.min(self.left())))
            .map_err(|errno| futex_failed(self.mutex.what("wait for"), errno))
    }

    fn wake_one(&self) -> Result<()> {
        // It is unlocked all the same, and who sleeps looks again by himself.
        let _ = sys::futex::wake_one(self.address()?);
        Ok(())
    }

    fn goes_on(&self, _looks: u32) -> bool {
        self.timeout.is_some() && !self.left().is_zero()
    }

    fn spins(&self, looks: u32) -> bool {
        if looks <= SPINS {
            std::hint::spin_loop();
        }
        looks <= SPINS
    }
}
