//! What a forked child has to find whole: the mutexes that one thread may hold in the moment in
//! which another one forks.
//!
//! A child has the forking thread alone: a mutex that another thread holds is never released there.
//! So a thread that forks takes them all first, in one order, and releases them on both sides.
//!
//! Each module registers what it has as a [`Part`], before it takes such a mutex for the first
//! time. The places of all parts are static, and are locked while a thread forks, each just before
//! the mutexes of its part: a part that is not registered yet cannot be, nor take its mutexes,
//! until that thread has forked.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys;

/// Mutexes of one module that a forked child has to find free.
pub(crate) struct Part {
    order: Order,
    lock: fn(),
    unlock: fn(),
    registered: AtomicBool,
}

/// The order in which a thread that forks takes the mutexes of all parts: no thread that has the
/// second waits for the first.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Held while memory of an object is given up, or taken for one of its parts.
    Parts,
    /// Held while an owner's mark has a descriptor.
    OwnersGate,
    /// The registry's state, and whoever asks a peer.
    Registry,
    /// The parts of reservations.
    Reservations,
    /// What populates were promised.
    Promises,
    /// The marks of owners. Nothing else is waited for by who holds it.
    OwnersMarks,
}

const PARTS_COUNT: usize = Order::OwnersMarks as usize + 1;

type Place = Mutex<Option<&'static Part>>;
type Locked = MutexGuard<'static, Option<&'static Part>>;

/// The places of all parts, in their order.
static PARTS: [Place; PARTS_COUNT] = [const { Mutex::new(None) }; PARTS_COUNT];

/// What a thread that forks has locked.
struct Fork {
    places: [Locked; PARTS_COUNT],
    /// How many times it is about to fork: a handler of the program's own may fork as well.
    depth: u32,
}

thread_local! {
    static FORKING: Held<Fork> = const { Held::new() };
}

/// What a thread holds while it forks. It has no destructor, so that it is there for who forks in
/// one.
pub(crate) struct Held<G>(Cell<ManuallyDrop<Option<G>>>);

impl<G> Held<G> {
    pub(crate) const fn new() -> Self {
        Held(Cell::new(ManuallyDrop::new(None)))
    }

    /// Locks it, unless this thread has it: called twice, it must not wait for itself (`ready` says
    /// when that can be).
    pub(crate) fn lock(&self, lock: impl FnOnce() -> G) {
        self.put(self.out().unwrap_or_else(lock));
    }

    /// Releases it.
    pub(crate) fn unlock(&self) {
        drop(self.out());
    }

    /// What was there before is not dropped: it has to be taken out first.
    fn put(&self, held: G) {
        self.0.set(ManuallyDrop::new(Some(held)));
    }

    fn out(&self) -> Option<G> {
        ManuallyDrop::into_inner(self.0.take())
    }
}

impl Part {
    /// What is called by who forks: `lock` before, and `unlock` behind it, in the parent and in the
    /// child. Neither may allocate, nor wait for what its thread has.
    pub(crate) const fn new(order: Order, lock: fn(), unlock: fn()) -> Self {
        Part { order, lock, unlock, registered: AtomicBool::new(false) }
    }

    /// Ensures that forks are careful with this part: to be called before any of its mutexes is
    /// taken, by a thread that has mutexes of parts before it, or none.
    #[inline]
    pub(crate) fn ready(&'static self) -> sys::Result<()> {
        match self.registered.load(Ordering::Acquire) {
            true => Ok(()),
            false => self.register(),
        }
    }

    #[cold]
    fn register(&'static self) -> sys::Result<()> {
        ready()?;
        let at = self.order as usize;
        match FORKING.with(Held::out) {
            // A handler of the program's own, in the thread that forks. Others wait for it.
            Some(mut fork) => {
                *fork.places[at] = Some(self);
                FORKING.with(|held| held.put(fork));
            }
            // Who forks has not come to this place yet, or waits for nothing that this thread has.
            None => {
                *lock(&PARTS[at]) = Some(self);
                self.registered.store(true, Ordering::Release);
            }
        }
        Ok(())
    }
}

fn lock(place: &'static Place) -> Locked {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often this process and those before it have forked, as far as the handlers were called.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// A number that is another one behind each fork, in the parent and in the child.
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

extern "C" fn before() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    let fork = match FORKING.with(Held::out) {
        Some(fork) => Fork { depth: fork.depth + 1, ..fork },
        None => Fork { places: lock_all(), depth: 1 },
    };
    FORKING.with(|held| held.put(fork));
}

fn lock_all() -> [Locked; PARTS_COUNT] {
    PARTS.each_ref().map(|place| {
        let part = lock(place);
        if let Some(part) = *part {
            (part.lock)();
        }
        part
    })
}

/// Releases all, once the outermost fork is over.
extern "C" fn after() {
    let Some(mut fork) = FORKING.with(Held::out) else { return };
    fork.depth -= 1;
    if fork.depth > 0 {
        FORKING.with(|held| held.put(fork));
        return;
    }
    for part in fork.places {
        if let Some(part) = *part {
            (part.unlock)();
        }
    }
}

/// `DONE`, 0, or the process that is about it.
static BEGUN: AtomicU64 = AtomicU64::new(0);
const DONE: u64 = u64::MAX;

/// Ensures that forks are counted, and careful with all parts that register.
///
/// Nothing here can be inherited in the middle: a child whose parent had just begun finds its
/// parent's number, and begins again. At worst the functions are called twice around its own forks.
/// (While one thread forks, the C library lets no other register.)
pub(crate) fn ready() -> sys::Result<()> {
    loop {
        let begun = BEGUN.load(Ordering::Acquire);
        if begun == DONE {
            return Ok(());
        }
        let own = u64::from(sys::process::pid());
        if begun == own {
            // Another thread is about it.
            std::thread::yield_now();
        } else if BEGUN.compare_exchange(begun, own, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            let done = sys::process::at_fork(before, after);
            BEGUN.store(if done.is_ok() { DONE } else { 0 }, Ordering::Release);
            return done;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: std::time::Duration = std::time::Duration::from_secs(1);

    fn is_locked() -> bool {
        let all = || PARTS.iter().all(|place| place.try_lock().is_err());
        std::thread::scope(|scope| scope.spawn(all).join().unwrap())
    }

    #[test]
    fn who_forks_takes_them_once() {
        before();
        before();
        assert!(is_locked());
        // A handler's own fork is over, and the one around it is not.
        after();
        assert!(is_locked());
        after();
        // Else this would wait forever.
        PARTS.iter().for_each(|place| drop(lock(place)));
    }

    #[test]
    fn each_part_is_registered_once_it_is_used() {
        // So much that it is asked whether there is room.
        let mut area = crate::builder(4 << 20).shared().unwrap();
        area.populate().unwrap();
        area.publish("forks").unwrap();
        drop(crate::sync::Mutex::new(&area, 0).unwrap().lock(TIME).unwrap());
        drop(crate::Reservation::new(4096, 1).unwrap());
        let page = crate::PageSize::base().bytes();
        let cut = crate::builder(4 * page).name("forks: cut").resizable(4 * page).unwrap();
        assert_eq!(cut.cut(std::slice::from_ref(&(page..2 * page))).unwrap().len(), 2);
        for (place, order) in PARTS.iter().zip(0..) {
            assert!(lock(place).is_some_and(|part| part.order as usize == order), "{order}");
        }
        // No thread can take any of their mutexes between this and that.
        before();
        assert!(is_locked());
        after();
        drop(crate::sync::Mutex::new(&area, 0).unwrap().lock(TIME).unwrap());
    }

    #[test]
    fn it_is_done_once() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| ready().unwrap());
            }
        });
        assert_eq!(BEGUN.load(Ordering::Relaxed), DONE);
    }
}
