//! The tables of allocators: one thread at a time has one, and a forked child finds every one of
//! them whole.
//!
//! Who forks takes all tables first: so in the child none is half changed, or held by a thread that
//! it does not have. An area's mmap is the program's own code, and may allocate from another
//! allocator, so that a thread may hold one table and wait for another one. So who forks holds no
//! table while it waits for one; and as long as it is about it, threads that hold none begin
//! nothing new.
//!
//! Handlers of the program's own (`pthread_atfork`) may allocate, on either side: the thread that
//! forks uses the tables that it has taken.
//!
//! Who forks in the middle of something with a table (in its area's mmap) takes none, as others may
//! be waiting for it; only the list of all. Its child can use what its thread was in the middle of,
//! and the tables that no other thread had. Handlers of such a fork must not allocate.

#![expect(unsafe_code, reason = "keeps a mutex together with what it is in; the block has its proof")]

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rustix::thread::futex;

use crate::forking::{self, Order, Part};
use crate::slot::Slot;

/// A table that one thread at a time has.
pub(super) struct Table<T: Send + 'static>(Arc<Shared<T>>);

struct Shared<T> {
    /// The thread that has it (see [`this_thread`]), or 0.
    user: AtomicUsize,
    table: Mutex<T>,
}

/// All tables, by their addresses.
static ALL: Mutex<BTreeMap<usize, Arc<dyn Takable>>> = Mutex::new(BTreeMap::new());

/// Closed while a thread is about to fork. One word, and no mutex: in a child that was forked by
/// another thread concurrently, it is opened again.
static TURNSTILE: AtomicU32 = AtomicU32::new(OPEN);
const OPEN: u32 = 0;
const CLOSED: u32 = 1;

/// This thread has closed the turnstile.
struct Turnstile;

impl Turnstile {
    /// Waits until no other thread is about to fork.
    fn close() -> Self {
        while TURNSTILE.compare_exchange(OPEN, CLOSED, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            Self::wait();
        }
        Turnstile
    }

    #[inline]
    fn is_closed() -> bool {
        TURNSTILE.load(Ordering::Acquire) == CLOSED
    }

    /// Waits until it is open, or may be.
    fn wait() {
        // Whatever ends the wait, the word is looked at again.
        let _ = futex::wait(&TURNSTILE, futex::Flags::PRIVATE, CLOSED, None);
    }
}

impl Drop for Turnstile {
    fn drop(&mut self) {
        TURNSTILE.store(OPEN, Ordering::Release);
        let _ = futex::wake(&TURNSTILE, futex::Flags::PRIVATE, u32::MAX >> 1);
    }
}

/// What this thread holds while it forks. They are released in this order.
struct Taken {
    tables: BTreeMap<usize, Box<dyn Any>>,
    all: MutexGuard<'static, BTreeMap<usize, Arc<dyn Takable>>>,
    /// None where the thread forks in the middle of something with a table: then it has no table
    /// either.
    turnstile: Option<Turnstile>,
}

thread_local! {
    static TAKEN: Slot<Taken> = const { Slot::new() };
    /// How many tables this thread is in the middle of something with.
    static USED: Cell<usize> = const { Cell::new(0) };
    static THREAD: u8 = const { 0 };
}

/// A number that no other thread has as long as this one lives, and that a forked child's thread
/// has in common with its parent's.
fn this_thread() -> usize {
    THREAD.with(|thread| std::ptr::from_ref(thread).addr())
}

/// A table of any kind, for who forks.
trait Takable: Send + Sync {
    /// Takes it, if no thread has it.
    fn take(self: Arc<Self>) -> Option<Box<dyn Any>>;
    /// Waits until no thread has it.
    fn wait(&self);
    fn user(&self) -> usize;
}

/// A table that who forks has taken. The mutex is in what is kept behind it, which goes last.
struct Kept<T: 'static> {
    table: MutexGuard<'static, T>,
    _shared: Arc<Shared<T>>,
}

impl<T: Send + 'static> Takable for Shared<T> {
    fn take(self: Arc<Self>) -> Option<Box<dyn Any>> {
        let table = match self.table.try_lock() {
            Ok(table) => table,
            Err(TryLockError::Poisoned(table)) => table.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        // SAFETY: the mutex stays where it is as long as `self`, which is kept beside the guard and
        // dropped after it (the order of the fields of `Kept`; it is never taken apart).
        let table = unsafe { std::mem::transmute::<MutexGuard<'_, T>, MutexGuard<'static, T>>(table) };
        Some(Box::new(Kept { table, _shared: self }))
    }

    fn wait(&self) {
        drop(plain(&self.table));
    }

    fn user(&self) -> usize {
        self.user.load(Ordering::Relaxed)
    }
}

/// A mutex, for this thread. A panic in one of a table's calls is a bug, which is reported; the
/// table is still the best that there is.
fn plain<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this thread holds because it forks, taken out for a moment.
fn taken() -> Option<Taken> {
    TAKEN.with(Slot::take)
}

fn put_back(all: Option<Taken>) {
    drop(TAKEN.with(|taken| taken.put(all)));
}

/// Looks at all tables, or changes which there are. What it does must not look at tables itself.
fn with_all<R>(look: impl FnOnce(&mut BTreeMap<usize, Arc<dyn Takable>>) -> R) -> R {
    let mut taken = taken();
    let done = match &mut taken {
        Some(taken) => look(&mut taken.all),
        None => look(&mut plain(&ALL)),
    };
    put_back(taken);
    done
}

/// Whether this thread is about to fork, and has taken what it takes.
fn forks() -> bool {
    TAKEN.with(|taken| taken.look(|_| ()).is_some())
}

/// Whether this thread is in the middle of something with a table.
fn has_one() -> bool {
    USED.get() > 0
}

/// Releases a table's user, however the call ends.
struct Using<'a>(&'a AtomicUsize);

impl Drop for Using<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
        USED.set(USED.get() - 1);
    }
}

/// Has every table taken by who forks, from now on; to be called before a table is made. 0, or the
/// number of the error.
pub(super) fn ready() -> i32 {
    static PART: Part = Part {
        order: Order::Tables,
        begin: || {},
        lock: lock_for_fork,
        unlock: unlock_after_fork,
        unlock_in_child: unlock_after_fork_in_child,
        registered: AtomicBool::new(false),
    };
    forking::ready(&PART)
}

impl<T: Send + 'static> Table<T> {
    pub(super) fn new(table: T) -> Self {
        let shared = Arc::new(Shared { user: AtomicUsize::new(0), table: Mutex::new(table) });
        with_all(|all| all.insert(Arc::as_ptr(&shared).addr(), shared.clone()));
        Table(shared)
    }

    /// Does something with the table, which this thread alone has in the meantime.
    #[inline]
    pub(super) fn with<R>(&self, does: impl FnOnce(&mut T) -> R) -> R {
        if Turnstile::is_closed()
            && let Some(mut kept) = self.while_someone_forks()
        {
            let _using = self.using();
            let done = does(&mut kept.table);
            self.keep_again(kept);
            return done;
        }
        let mut table = plain(&self.0.table);
        let _using = self.using();
        does(&mut table)
    }

    /// The table, if it is this thread that forks and has taken it. A thread that has none waits
    /// until the other has forked.
    #[cold]
    fn while_someone_forks(&self) -> Option<Box<Kept<T>>> {
        let kept = self.taken_by_this_thread();
        // One that was made since is no other thread's.
        if kept.is_none() && !forks() && !has_one() {
            while Turnstile::is_closed() {
                Turnstile::wait();
            }
        }
        kept
    }

    fn using(&self) -> Using<'_> {
        self.0.user.store(this_thread(), Ordering::Relaxed);
        USED.set(USED.get() + 1);
        Using(&self.0.user)
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// The table, if this thread has taken it in order to fork.
    fn taken_by_this_thread(&self) -> Option<Box<Kept<T>>> {
        let mut taken = taken()?;
        let kept = taken.tables.remove(&self.address());
        put_back(Some(taken));
        kept?.downcast().ok()
    }

    fn keep_again(&self, kept: Box<Kept<T>>) {
        if let Some(mut taken) = taken() {
            taken.tables.insert(self.address(), kept);
            put_back(Some(taken));
        }
    }
}

impl<T: Send + 'static> Drop for Table<T> {
    fn drop(&mut self) {
        drop(self.taken_by_this_thread());
        with_all(|all| all.remove(&self.address()));
    }
}

impl<T: Send + 'static> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }
}

/// Takes all tables, for a thread that is about to fork; [`unlock_after_fork`] releases them, in
/// the parent and in the child.
///
/// A thread that forks in the middle of something with a table (in its area's mmap) takes the list
/// of all, and no table: others may be waiting for it.
fn lock_for_fork() {
    // Called twice, it must not wait for itself.
    if forks() {
        return;
    }
    if has_one() {
        put_back(Some(Taken { tables: BTreeMap::new(), all: plain(&ALL), turnstile: None }));
        return;
    }
    let turnstile = Turnstile::close();
    loop {
        let all = plain(&ALL);
        let mut tables = BTreeMap::new();
        let busy = all.iter().find_map(|(&address, table)| match table.clone().take() {
            Some(kept) => {
                tables.insert(address, kept);
                None
            }
            None => Some(table.clone()),
        });
        let Some(busy) = busy else {
            put_back(Some(Taken { tables, all, turnstile: Some(turnstile) }));
            return;
        };
        // A thread that has it may want one of the others.
        drop((tables, all));
        busy.wait();
    }
}

/// Releases what [`lock_for_fork`] took.
fn unlock_after_fork() {
    drop(taken());
}

/// The same in the child, which has no other thread: none is about to fork. Of a fork that took no
/// tables, those that other threads had are lost: no later fork may wait for them.
fn unlock_after_fork_in_child() {
    let Some(mut taken) = taken() else { return };
    if taken.turnstile.is_none() {
        let is_whole =
            |table: &Arc<dyn Takable>| table.user() == this_thread() || table.clone().take().is_some();
        taken.all.retain(|_, table| is_whole(table));
        // Whoever had closed it: it is opened as this goes.
        taken.turnstile = Some(Turnstile);
    }
    drop(taken);
}

#[cfg(test)]
mod tests;
