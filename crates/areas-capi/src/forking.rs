//! What a forked child has to find whole of the C edge: the areas that C holds by id, the tables of
//! its allocators, the nodesets that are known.
//!
//! A child has the forking thread alone: a mutex that another thread holds stays held there
//! forever. So who forks takes them all first, in one order, and releases them on both sides. What
//! the library holds itself, its own handlers take.
//!
//! Each module with such mutexes registers itself as a [`Part`], before it takes one for the first
//! time. The places of all parts are static, and all are locked while a thread forks: a part whose
//! place is empty cannot register, nor take its mutexes, until that has forked. They are locked
//! last, after the mutexes: a thread that is waited for may fork itself (in an area's mmap), and
//! must not have to wait for a place in turn. (Before glibc 2.36 it waits in the C library: a fork
//! there waits for the handlers of another one. Such a program hangs.)

#![expect(unsafe_code, reason = "has functions called around fork; the block has its proof")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use areas::registry;

use crate::slot::Slot;

/// A module with mutexes that a forked child has to find free.
///
/// None of these functions may wait for what its thread has already. The mutexes may be taken and
/// released several times before one fork. A fork within a handler of another one calls none.
pub(crate) struct Part {
    pub(crate) order: Order,
    /// Called once, when the part is registered.
    pub(crate) begin: fn(),
    /// Takes the mutexes, for a thread that is about to fork.
    pub(crate) lock: fn(),
    /// Releases them, in the parent.
    pub(crate) unlock: fn(),
    /// The same in the child.
    pub(crate) unlock_in_child: fn(),
    /// At first `false`.
    pub(crate) registered: AtomicBool,
}

/// The order in which the mutexes are taken, which is that in which a thread comes to hold them: an
/// allocator's area is the program's own code, which may make areas.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Allocators' tables.
    Tables,
    /// Areas that C holds by id.
    Areas,
    /// Nodesets that are known.
    Nodes,
}

/// Where a part registers itself; locked while a thread forks.
type Place = Mutex<Option<&'static Part>>;
type Locked = MutexGuard<'static, Option<&'static Part>>;

const COUNT: usize = 3;

/// The places of all parts, in their order.
static PARTS: [Place; COUNT] = [const { Mutex::new(None) }; COUNT];

/// What a thread that forks has locked.
struct Fork {
    places: [Locked; COUNT],
    /// How many times it is about to fork: a handler of the program's own may fork as well.
    depth: u32,
    /// Whether this process is the child of such a handler.
    in_child: bool,
}

thread_local! {
    static FORKING: Slot<Fork> = const { Slot::new() };
}

fn lock(place: &'static Place) -> Locked {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn before() {
    FORKING.with(|held| {
        // Called twice, it must not wait for itself: in a handler that forks, and where `begin`
        // says.
        let fork = match held.take() {
            Some(fork) => Fork { depth: fork.depth + 1, ..fork },
            None => Fork { places: lock_all(), depth: 1, in_child: false },
        };
        held.put(Some(fork));
    });
}

/// Takes the mutexes of all parts, and then locks their places. Starts over where a part registered
/// concurrently, whose mutexes another thread may have: so at most once a part.
fn lock_all() -> [Locked; COUNT] {
    loop {
        let known = PARTS.each_ref().map(|place| *lock(place));
        for part in known.into_iter().flatten() {
            (part.lock)();
        }
        let places = PARTS.each_ref().map(lock);
        if places.iter().zip(&known).all(|(place, known)| place.is_some() == known.is_some()) {
            return places;
        }
        drop(places);
        for part in known.into_iter().flatten().rev() {
            (part.unlock)();
        }
    }
}

extern "C" fn after() {
    end(false);
}

extern "C" fn after_in_child() {
    end(true);
}

/// Releases the last part first, once the outermost fork is over.
fn end(in_child: bool) {
    let Some(mut fork) = FORKING.with(Slot::take) else { return };
    fork.depth -= 1;
    fork.in_child |= in_child;
    if fork.depth > 0 {
        FORKING.with(|held| held.put(Some(fork)));
        return;
    }
    for part in fork.places.into_iter().rev() {
        match *part {
            Some(part) if fork.in_child => (part.unlock_in_child)(),
            Some(part) => (part.unlock)(),
            None => {}
        }
    }
}

/// `DONE`, 0, or the process that is about it.
static BEGUN: AtomicU64 = AtomicU64::new(0);
const DONE: u64 = u64::MAX;

/// Registers a part, before the first of its mutexes is taken for the first time; 0, or the number
/// of the error. A thread may have mutexes of parts that come before it in their order, and no
/// others.
#[inline]
pub(crate) fn ready(part: &'static Part) -> i32 {
    match part.registered.load(Ordering::Acquire) {
        true => 0,
        false => register(part),
    }
}

#[cold]
fn register(part: &'static Part) -> i32 {
    let status = begin();
    if status != 0 {
        return status;
    }
    let at = part.order as usize;
    let forks = FORKING.with(Slot::take);
    if let Some(mut fork) = forks {
        // A handler of the program's own, of the thread that forks. Other threads still wait.
        enter(&mut fork.places[at], part);
        FORKING.with(|held| held.put(Some(fork)));
    } else {
        // Who forks locks the places last: it waits for nothing that this thread has.
        enter(&mut lock(&PARTS[at]), part);
        part.registered.store(true, Ordering::Release);
    }
    0
}

fn enter(place: &mut Option<&'static Part>, part: &'static Part) {
    if place.is_none() {
        *place = Some(part);
        (part.begin)();
    }
}

/// Has the two functions called around each fork, from the first call on; 0, or the number of the
/// error.
///
/// Nothing of it can be inherited in the middle: a child whose parent had just begun finds its
/// parent's number, and starts over. At worst the functions are called twice around its own forks.
fn begin() -> i32 {
    loop {
        let begun = BEGUN.load(Ordering::Acquire);
        if begun == DONE {
            return 0;
        }
        let own = u64::from(std::process::id());
        if begun == own {
            // Another thread is about it.
            std::thread::yield_now();
        } else if BEGUN.compare_exchange(begun, own, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            // The registry's handlers come first, so that ours, run in the opposite order, take
            // what is ours before its mutex is taken.
            let _ = registry::at(0);
            // SAFETY: the functions are part of this library, which stays as long as its handlers
            // (glibc takes them off when the library is unloaded), and may be called in any thread
            // that forks.
            let status = unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after_in_child)) };
            BEGUN.store(if status == 0 { DONE } else { 0 }, Ordering::Release);
            return status;
        }
    }
}

/// What a thread locks that forks is one for the process: one test of it at a time.
#[cfg(test)]
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;
    use crate::held::Entered;

    #[test]
    fn it_is_done_once() {
        let _alone = alone();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(begin(), 0));
            }
        });
        assert_eq!(BEGUN.load(Ordering::Relaxed), DONE);
    }

    #[test]
    fn who_forks_takes_all_once_and_no_thread_gets_in() {
        let _alone = alone();
        drop(Entered::new().unwrap());
        before();
        before();
        thread::scope(|scope| {
            let (asked, asks) = channel();
            let (sender, receiver) = channel();
            scope.spawn(move || {
                asked.send(()).unwrap();
                drop(Entered::new().unwrap());
                sender.send(()).unwrap();
            });
            asks.recv().unwrap();
            // A handler's own fork is over, and the one around it is not.
            after();
            thread::sleep(std::time::Duration::from_millis(50));
            assert!(receiver.try_recv().is_err(), "another thread got in");
            after();
            receiver.recv().unwrap();
        });
        drop(Entered::new().unwrap());
    }

    #[test]
    fn no_part_registers_while_a_thread_forks() {
        let _alone = alone();
        assert_eq!(begin(), 0);
        before();
        thread::scope(|scope| {
            let locked = || PARTS.iter().all(|place| place.try_lock().is_err());
            assert!(scope.spawn(locked).join().unwrap());
        });
        after();
    }

    /// How often the mutexes of the part below are taken.
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    static LATE: Part = Part {
        order: Order::Nodes,
        begin: || {},
        lock: || {
            TAKEN.fetch_add(1, Ordering::Relaxed);
        },
        unlock: || {
            TAKEN.fetch_sub(1, Ordering::Relaxed);
        },
        unlock_in_child: || {},
        registered: AtomicBool::new(false),
    };

    #[test]
    fn a_part_that_registers_while_a_thread_waits_to_fork_is_taken_as_well() {
        let _alone = alone();
        assert_eq!(begin(), 0);
        if lock(&PARTS[Order::Nodes as usize]).is_some() {
            return areas_testing::skipped(
                "forking::a_part_that_registers",
                "its place is taken by another test",
            );
        }
        thread::scope(|scope| {
            let (inside, waits) = channel();
            scope.spawn(move || {
                // Who forks waits for this.
                let entered = Entered::new().unwrap();
                inside.send(()).unwrap();
                thread::sleep(std::time::Duration::from_millis(50));
                assert_eq!(ready(&LATE), 0);
                drop(entered);
            });
            waits.recv().unwrap();
            before();
            assert_eq!(TAKEN.load(Ordering::Relaxed), 1);
            after();
        });
        // For the part that belongs there.
        *lock(&PARTS[Order::Nodes as usize]) = None;
        assert_eq!(TAKEN.load(Ordering::Relaxed), 0);
    }
}
