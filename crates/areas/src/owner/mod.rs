//! Whose a lock is: numbers that the kernel vouches for.
//!
//! An owner is a thread (of mutexes), or the writer of a sequence lock. It has a number, drawn at
//! random of 2^60 for each memory object, and marks the byte of that number, far behind the end of
//! the area's memory, by a record lock of an open file (OFD, fcntl(2)). A mapping of one page keeps
//! that file, without a descriptor, and is not inherited by forked children: so the kernel takes
//! the mark back when the process ends, is killed or calls exec, and this library does when the
//! thread ends or the area goes. Any process that has the area asks the kernel whether there is a
//! mark: no process number is involved, so that pid namespaces do not matter, nor numbers that are
//! used again.

pub(crate) mod number;

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::forking::{Held, Order, Part};
use crate::mapping::{ForkDetector, Mapping};
use crate::object::{self, Object};
use crate::presence;
use crate::sys;
use crate::sys::file::Identity;
use crate::sys::memory::Advice;
use crate::sys::range_lock;
use number::{OWNER_BITS, is_number};

/// Where the bytes are that are marked: behind those of `presence.rs`.
const FIRST: u64 = (1 << 62) + (1 << 61);
/// So many numbers are tried: more are not taken by chance.
const ATTEMPTS: u32 = 8;
const WHAT: &str = "mark an area's memory as that of a lock's owner";

/// Held while a mark has a descriptor, which a forked child would inherit.
static GATE: Mutex<()> = Mutex::new(());
/// All marks of this process. A thread that holds it waits for nothing else.
static BOOK: Mutex<Book> = Mutex::new(Book { memory: Vec::new(), marks: Vec::new() });
/// Not set in a forked child that has not noticed yet that it is one.
static FORK_DETECTOR: OnceLock<ForkDetector> = OnceLock::new();
/// Counts the forks that led to this process, as far as each child came here.
static LIFE: AtomicU64 = AtomicU64::new(1);
/// Numbers for areas and threads.
static NEXT: AtomicU64 = AtomicU64::new(1);

struct Book {
    memory: Vec<Memory>,
    marks: Vec<Mark>,
}

/// Memory in which this process has owners.
struct Memory {
    identity: Identity,
    id: u64,
    /// Areas over it, by which owners were asked for.
    areas: usize,
}

struct Mark {
    memory: u64,
    thread: u64,
    number: u64,
    mapping: Mapping,
}

/// A number that this process marks, in this life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) number: u64,
    life: u64,
}

impl Owner {
    /// Whether it is this process's: not its parent's, whose memory it has inherited.
    pub(crate) fn is_own(self) -> bool {
        life().is_ok_and(|life| life == self.life)
    }
}

thread_local! {
    static MINE: Mine = Mine { thread: next(), known: RefCell::default() };
}

/// The numbers that a thread has.
struct Mine {
    thread: u64,
    known: RefCell<Vec<(u64, Owner)>>,
}

impl Drop for Mine {
    /// What the thread has not unlocked, none will: the kernel says so from here on.
    fn drop(&mut self) {
        if !self.known.get_mut().is_empty() {
            take_back(|mark| mark.thread == self.thread);
        }
    }
}

/// In each area: by which the owners in its memory are known in this process, whatever area they
/// lock by. 0 as long as it has none.
#[derive(Debug, Default)]
pub(crate) struct Owners(AtomicU64);

impl Owners {
    /// This thread, as an owner of locks in this area.
    pub(crate) fn this_thread(&self, object: &Object) -> Result<Owner> {
        let (memory, life) = (self.memory(object), life()?);
        let ending = |_| {
            Error::new(ErrorKind::Unsupported, "own a lock in an area")
                .with_facts("the thread is about to end, and its locals are gone")
        };
        MINE.try_with(|mine| {
            let mut known = mine.known.borrow_mut();
            if let Some(&(_, owner)) = known.iter().find(|(of, owner)| *of == memory && owner.life == life) {
                return Ok(owner);
            }
            let owner = take(object, memory, mine.thread)?;
            let book = book();
            known.retain(|(_, owner)| book.marks.iter().any(|mark| mark.number == owner.number));
            known.push((memory, owner));
            Ok(owner)
        })
        .map_err(ending)?
    }

    /// The same, if it has been one already.
    pub(crate) fn this_thread_known(&self, object: &Object) -> Option<Owner> {
        let (memory, life) = (self.memory(object), life().ok()?);
        let find = |mine: &Mine| {
            let known = mine.known.borrow();
            known.iter().find(|(of, owner)| *of == memory && owner.life == life).map(|&(_, owner)| owner)
        };
        MINE.try_with(find).ok().flatten()
    }

    /// An owner that is not a thread. [`give_back`] ends it.
    pub(crate) fn another(&self, object: &Object) -> Result<Owner> {
        take(object, self.memory(object), next())
    }

    /// The area is about to go, or to be frozen. The owners in its memory go with the last one of
    /// this process.
    pub(crate) fn release(&mut self) {
        let id = std::mem::take(self.0.get_mut());
        if id == 0 {
            return;
        }
        let mut book = book();
        let Some(at) = book.memory.iter().position(|memory| memory.id == id) else { return };
        book.memory[at].areas -= 1;
        if book.memory[at].areas == 0 {
            book.memory.swap_remove(at);
            drop(book);
            take_back(|mark| mark.memory == id);
        }
    }

    fn memory(&self, object: &Object) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => self.note(object.identity()),
            id => id,
        }
    }

    #[cold]
    fn note(&self, identity: Identity) -> u64 {
        // Where forks cannot be careful there will be no owner, which is reported then.
        let _ = BOOK_PART.ready();
        let mut book = book();
        let known = self.0.load(Ordering::Relaxed);
        if known != 0 {
            // Another thread was faster.
            return known;
        }
        let id = match book.memory.iter_mut().find(|memory| memory.identity == identity) {
            Some(memory) => {
                memory.areas += 1;
                memory.id
            }
            None => {
                let id = next();
                book.memory.push(Memory { identity, id, areas: 1 });
                id
            }
        };
        self.0.store(id, Ordering::Relaxed);
        id
    }
}

impl Drop for Owners {
    fn drop(&mut self) {
        self.release();
    }
}

/// Ends an owner.
pub(crate) fn give_back(owner: Owner) {
    if owner.is_own() {
        take_back(|mark| mark.number == owner.number);
    }
}

/// Whether an owner lives, in whatever process.
pub(crate) fn is_alive(object: &Object, number: u64) -> Result<bool> {
    const WHAT: &str = "check whether a lock's owner is alive";
    let file = object.own_fd().map_err(|_| object::closed(WHAT.to_owned()))?;
    range_lock::is_alone(file, &byte(number)).map_err(|errno| {
        Error::new(ErrorKind::System, WHAT).with_system_call("fcntl(F_OFD_GETLK, F_RDLCK)", errno)
    })
}

fn take(object: &Object, memory: u64, thread: u64) -> Result<Owner> {
    object.refuse_physical(|| WHAT.to_owned())?;
    let life = life()?;
    let _gate = gate();
    let file = object.reopen(sys::file::OFlags::RDWR, WHAT)?;
    let mut number = draw();
    let mut attempts = 1;
    while !is_number(number) || !presence::lock_byte(&file, &byte(number), WHAT)? {
        if attempts == ATTEMPTS {
            return Err(Error::new(ErrorKind::Busy, WHAT)
                .with_system_call("fcntl(F_OFD_SETLK, F_WRLCK)", sys::Errno::AGAIN)
                .with_facts("another process has record locks on the bytes behind the area's memory")
                .with_remedy(
                    "end it: `areas show` names the holders, and no program has a reason to do so",
                ));
        }
        (number, attempts) = (draw(), attempts + 1);
    }
    let mapping = presence::keep(&file, object.page_size())?;
    mapping.advise(Advice::DontFork).map_err(|errno| {
        Error::new(ErrorKind::System, WHAT).with_system_call("madvise(MADV_DONTFORK)", errno)
    })?;
    // Before anybody forks.
    drop(file);
    book().marks.push(Mark { memory, thread, number, mapping });
    Ok(Owner { number, life })
}

fn take_back(which: impl Fn(&Mark) -> bool) {
    notice_fork();
    // Unmapped when the mutex is free again.
    let gone: Vec<Mark> = {
        let mut book = book();
        let (gone, stay) = std::mem::take(&mut book.marks).into_iter().partition(which);
        book.marks = stay;
        gone
    };
    drop(gone);
}

/// Which life of the process it is: another one in each forked child.
fn life() -> Result<u64> {
    if FORK_DETECTOR.get().is_none() {
        GATE_PART
            .ready()
            .and_then(|()| BOOK_PART.ready())
            .map_err(|errno| Error::new(ErrorKind::System, WHAT).with_system_call("pthread_atfork", errno))?;
        let _gate = gate();
        if FORK_DETECTOR.get().is_none() {
            let detector = ForkDetector::new()
                .map_err(|error| Error::new(error.kind(), "use locks in areas").caused_by(error))?;
            let _ = FORK_DETECTOR.set(detector);
        }
    }
    notice_fork();
    Ok(LIFE.load(Ordering::Relaxed))
}

/// A forked child has none of the marks, nor the addresses at which they were mapped.
#[inline]
fn notice_fork() {
    if let Some(detector) = FORK_DETECTOR.get()
        && !detector.is_set()
    {
        let mut book = book();
        if !detector.is_set() {
            for mark in book.marks.drain(..) {
                let _not_ours = ManuallyDrop::new(mark.mapping);
            }
            LIFE.fetch_add(1, Ordering::Relaxed);
            detector.set();
        }
    }
}

fn byte(number: u64) -> Range<u64> {
    FIRST + number..FIRST + number + 1
}

fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Of the randomness that the standard library takes from the kernel; a forked child has the same,
/// and another number and time.
fn draw() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(sys::process::pid());
    hasher.write_u64(next());
    if let Ok(since) = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        hasher.write_u128(since.as_nanos());
    }
    hasher.finish() >> (u64::BITS - OWNER_BITS)
}

fn gate() -> MutexGuard<'static, ()> {
    GATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn book() -> MutexGuard<'static, Book> {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static FORKING_GATE: Held<MutexGuard<'static, ()>> = const { Held::new() };
    static FORKING_BOOK: Held<MutexGuard<'static, Book>> = const { Held::new() };
}

/// What a fork takes before the registry's: no mark has a descriptor.
static GATE_PART: Part = Part::new(
    Order::OwnersGate,
    || FORKING_GATE.with(|held| held.lock(gate)),
    || FORKING_GATE.with(Held::unlock),
);

/// What it takes after all else: no mark is half noted.
static BOOK_PART: Part = Part::new(
    Order::OwnersMarks,
    || FORKING_BOOK.with(|held| held.lock(book)),
    || FORKING_BOOK.with(Held::unlock),
);
