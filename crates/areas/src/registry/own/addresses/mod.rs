//! This process's own published areas in the order of their addresses: one writer at a time, and
//! any number of readers who neither wait nor write.
//!
//! It is a sorted array, cut into chunks so that an insertion moves few words: one level that says
//! where each chunk begins, and the chunks. All of it is atomic words whose memory is never freed
//! or used for something else, so that a reader who is overtaken by the writer reads nonsense and
//! no foreign memory; the count around each change (odd while it is under way) shows that, and the
//! reader looks again. One that has no luck for long gives up: then the answer is to be had under
//! the writer's mutex.
//!
//! A reader costs two binary searches, of which the second takes the same steps each time, and
//! writes nothing: readers do not slow each other down. `models/` tries this very file out in all
//! the orders that a machine may choose (`cfg(loom)`, which only it sets).

use std::ops::Deref;
use std::sync::OnceLock;

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The words of an entry: where it begins and ends, and what its owner wants to find.
pub(crate) const WORDS: usize = if cfg!(loom) { 3 } else { 7 };
pub(crate) type Entry = [u64; WORDS];
pub(crate) const START: usize = 0;
pub(crate) const END: usize = 1;
/// Up to here, it takes no more than the near words.
pub(crate) const SURE: usize = 2;
/// The words that answer mostly. The others lie apart from them, so that half as much memory is
/// looked at.
const NEAR: usize = if cfg!(loom) { 3 } else { 4 };

/// Entries of a chunk. Two neighbours are made one when that leaves a quarter of it free.
const CHUNK: usize = if cfg!(loom) { 2 } else { 128 };
const MERGED: usize = if cfg!(loom) { 1 } else { 96 };
/// Two neighbours have more than `MERGED` entries together: these are enough for the 65,536 areas
/// of a team.
const CHUNKS: usize = if cfg!(loom) { 4 } else { 2048 };
/// How often a reader looks again.
const ATTEMPTS: usize = if cfg!(loom) { 2 } else { 64 };

#[cfg(not(loom))]
const fn words<const N: usize>() -> [AtomicU64; N] {
    [const { AtomicU64::new(0) }; N]
}

#[cfg(loom)]
fn words<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

/// Where an entry would begin that is not there: behind all addresses.
const NOWHERE: u64 = u64::MAX;

/// # Invariant
/// Of one that is in use, the starts behind the first `len` are [`NOWHERE`]: who searches need not
/// know `len`, and takes the same steps each time, without a branch to be guessed.
#[derive(Debug)]
#[repr(C, align(64))]
struct Chunk {
    /// Side by side, as they are what is searched.
    starts: [AtomicU64; CHUNK],
    near: [[AtomicU64; NEAR - 1]; CHUNK],
    far: [[AtomicU64; WORDS - NEAR]; CHUNK],
    len: AtomicU64,
}

impl Chunk {
    /// Copied from constant memory: it is more than a small stack should bear.
    #[cfg(not(loom))]
    fn new() -> Box<Self> {
        Box::new(
            const {
                Chunk {
                    starts: words(),
                    near: [const { words() }; CHUNK],
                    far: [const { words() }; CHUNK],
                    len: AtomicU64::new(0),
                }
            },
        )
    }

    #[cfg(loom)]
    fn new() -> Box<Self> {
        let (near, far) = (std::array::from_fn(|_| words()), std::array::from_fn(|_| words()));
        Box::new(Chunk { starts: words(), near, far, len: AtomicU64::new(0) })
    }

    fn len(&self) -> usize {
        index(&self.len).min(CHUNK)
    }

    /// The near words of an entry, and 0 for the others.
    fn near(&self, at: usize) -> Entry {
        std::array::from_fn(|i| match i {
            START => self.starts[at].load(Ordering::Relaxed),
            1..NEAR => self.near[at][i - 1].load(Ordering::Relaxed),
            _ => 0,
        })
    }

    fn entry(&self, at: usize) -> Entry {
        let mut entry = self.near(at);
        for (value, word) in entry[NEAR..].iter_mut().zip(&self.far[at]) {
            *value = word.load(Ordering::Relaxed);
        }
        entry
    }

    fn put(&self, at: usize, entry: &Entry) {
        self.starts[at].store(entry[START], Ordering::Relaxed);
        for (word, value) in self.near[at].iter().chain(&self.far[at]).zip(&entry[1..]) {
            word.store(*value, Ordering::Relaxed);
        }
    }

    /// The entries from there on go.
    fn cut(&self, len: usize) {
        for start in &self.starts[len..self.len().max(len)] {
            start.store(NOWHERE, Ordering::Relaxed);
        }
        self.set_len(len);
    }

    /// Begins again, whatever it was before, with one entry.
    fn begin(&self, entry: &Entry) {
        self.put(0, entry);
        self.set_len(CHUNK);
        self.cut(1);
    }

    fn set_len(&self, len: usize) {
        self.len.store(len as u64, Ordering::Relaxed);
    }

    /// Where an address would be put behind those at or below it.
    fn behind(&self, address: u64) -> usize {
        const { assert!(CHUNK.is_power_of_two()) }
        let at_or_below = |at: usize| self.starts[at % CHUNK].load(Ordering::Relaxed) <= address;
        let (mut from, mut step) = (0, CHUNK / 2);
        while step > 0 {
            // Those before `from` are at or below it, and none from `from + 2 * step` on.
            from = if at_or_below(from + step - 1) { from + step } else { from };
            step /= 2;
        }
        from + usize::from(at_or_below(from))
    }
}

fn index(word: &AtomicU64) -> usize {
    usize::try_from(word.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
}

/// How many of some sorted words are at or below an address.
fn behind(words: &[AtomicU64], address: u64) -> usize {
    words.partition_point(|word| word.load(Ordering::Relaxed) <= address)
}

/// What readers see.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// Odd while the writer changes something.
    changes: AtomicU64,
    /// How many chunks are in use; where each begins; and which of the pool it is.
    used: AtomicU64,
    firsts: [AtomicU64; CHUNKS],
    which: [AtomicU64; CHUNKS],
    /// Made when it is needed first, and never freed.
    pool: [OnceLock<Box<Chunk>>; CHUNKS],
}

impl Addresses {
    /// For a `static`: these are 64 KiB, which a small stack does not bear.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Addresses {
            changes: AtomicU64::new(0),
            used: AtomicU64::new(0),
            firsts: words(),
            which: words(),
            pool: [const { OnceLock::new() }; CHUNKS],
        }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Addresses {
            changes: AtomicU64::new(0),
            used: AtomicU64::new(0),
            firsts: words(),
            which: words(),
            // loom does not know that who gets something out of a `OnceLock` sees how it was made:
            // there they are made before.
            pool: std::array::from_fn(|_| Chunk::new().into()),
        }
    }

    /// The entry that has an address; `None` also where that is not known. Of one that is [`SURE`]
    /// beyond the address, the far words are 0.
    #[inline]
    pub(crate) fn find(&self, address: u64) -> Option<Entry> {
        self.undisturbed(|| self.look(address))?
    }

    /// The same with all of its words.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn find_whole(&self, address: u64) -> Option<Entry> {
        let look = || {
            let (chunk, at) = self.place(address)?;
            let entry = chunk.entry(at);
            (address < entry[END]).then_some(entry)
        };
        self.undisturbed(look)?
    }

    /// Whether an entry has one of the addresses from `start` to `end`; `None` where that could not
    /// be known.
    pub(crate) fn reach_into(&self, start: u64, end: u64) -> Option<bool> {
        let last = end.checked_sub(1)?;
        // Entries do not overlap: the last one that begins below the end is the one that reaches
        // furthest.
        self.undisturbed(|| self.place(last).is_some_and(|(chunk, at)| start < chunk.near(at)[END]))
    }

    /// What a look finds during which the writer changed nothing; `None` where he changed something
    /// each time.
    #[inline]
    fn undisturbed<T>(&self, look: impl Fn() -> T) -> Option<T> {
        for _ in 0..ATTEMPTS {
            let before = self.changes.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let found = look();
                fence(Ordering::Acquire);
                if self.changes.load(Ordering::Relaxed) == before {
                    return Some(found);
                }
            }
            #[cfg(not(loom))]
            std::hint::spin_loop();
        }
        None
    }

    fn look(&self, address: u64) -> Option<Entry> {
        let (chunk, at) = self.place(address)?;
        let near = chunk.near(at);
        let entry = if address < near[SURE] { near } else { chunk.entry(at) };
        (address < entry[END]).then_some(entry)
    }

    /// The last entry at or below an address. While the writer writes, this may be anything; it is
    /// inside of the arrays all the same.
    fn place(&self, address: u64) -> Option<(&Chunk, usize)> {
        let chunk = self.chunk(behind(&self.firsts[..self.used()], address).checked_sub(1)?)?;
        let at = chunk.behind(address).checked_sub(1)?;
        Some((chunk, at))
    }

    fn used(&self) -> usize {
        index(&self.used).min(CHUNKS)
    }

    fn chunk(&self, at: usize) -> Option<&Chunk> {
        self.pool.get(index(self.which.get(at)?))?.get().map(Box::as_ref)
    }
}

/// The one writer.
#[derive(Debug)]
pub(crate) struct Keeper<S> {
    shared: S,
    /// Chunks that are in no use.
    free: Vec<usize>,
}

impl<S: Deref<Target = Addresses>> Keeper<S> {
    /// The only one over these addresses, which are empty.
    pub(crate) fn new(shared: S) -> Self {
        Keeper { shared, free: (0..CHUNKS).rev().collect() }
    }

    /// Takes an entry in, or changes the one that begins there. Whether there was room.
    pub(crate) fn put(&mut self, entry: &Entry) -> bool {
        self.change(|keeper| keeper.put_in(entry))
    }

    /// Takes the entry out that begins there.
    pub(crate) fn remove(&mut self, start: u64) {
        self.change(|keeper| keeper.take_out(start));
    }

    /// Forgets all, in whatever state it was.
    pub(crate) fn clear(&mut self) {
        self.change(|keeper| keeper.shared.used.store(0, Ordering::Relaxed));
        self.free = (0..CHUNKS).rev().collect();
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Self) -> T) -> T {
        let odd = self.shared.changes.load(Ordering::Relaxed) | 1;
        self.shared.changes.store(odd, Ordering::Relaxed);
        fence(Ordering::Release);
        let done = change(self);
        self.shared.changes.store(odd.wrapping_add(1), Ordering::Release);
        done
    }

    fn put_in(&mut self, entry: &Entry) -> bool {
        let shared = &*self.shared;
        let start = entry[START];
        if shared.used() == 0 && !self.open(0, entry) {
            return false;
        }
        let shared = &*self.shared;
        let last = shared.used() - 1;
        let number = behind(&shared.firsts[..=last], start).saturating_sub(1);
        let Some(chunk) = shared.chunk(number) else { return false };
        let (len, at) = (chunk.len(), chunk.behind(start));
        if at > 0 && chunk.entry(at - 1)[START] == start {
            chunk.put(at - 1, entry);
            return true;
        }
        if len < CHUNK {
            for i in (at..len).rev() {
                chunk.put(i + 1, &chunk.entry(i));
            }
            chunk.put(at, entry);
            chunk.set_len(len + 1);
            shared.firsts[number].store(chunk.entry(0)[START], Ordering::Relaxed);
            return true;
        }
        // At either end, where new addresses mostly are, full chunks stay full.
        if number == 0 && at == 0 {
            return self.open(0, entry);
        }
        if number == last && at == len {
            return self.open(last + 1, entry);
        }
        let half = CHUNK / 2;
        let upper: Vec<Entry> = (half..len).map(|i| chunk.entry(i)).collect();
        if !self.open(number + 1, &upper[0]) {
            return false;
        }
        if let (Some(lower), Some(new)) = (self.shared.chunk(number), self.shared.chunk(number + 1)) {
            upper.iter().enumerate().for_each(|(i, entry)| new.put(i, entry));
            new.set_len(upper.len());
            lower.cut(half);
        }
        // Two halves are too many for one; but either may be few enough for its other neighbour.
        self.join(number + 1);
        self.join(number);
        self.put_in(entry)
    }

    /// Begins a chunk with an entry, as the one of that number. Whether there was one.
    fn open(&mut self, number: usize, entry: &Entry) -> bool {
        let Some(free) = self.free.pop() else { return false };
        let shared = &*self.shared;
        let chunk = shared.pool[free].get_or_init(Chunk::new);
        chunk.begin(entry);
        let used = shared.used();
        for i in (number..used).rev() {
            copy(&shared.firsts, i, i + 1);
            copy(&shared.which, i, i + 1);
        }
        shared.firsts[number].store(entry[START], Ordering::Relaxed);
        shared.which[number].store(free as u64, Ordering::Relaxed);
        shared.used.store(used as u64 + 1, Ordering::Relaxed);
        true
    }

    /// Gives the chunk of that number up.
    fn close(&mut self, number: usize) {
        let shared = &*self.shared;
        self.free.push(index(&shared.which[number]));
        let used = shared.used();
        for i in number + 1..used {
            copy(&shared.firsts, i, i - 1);
            copy(&shared.which, i, i - 1);
        }
        shared.used.store(used as u64 - 1, Ordering::Relaxed);
    }

    fn take_out(&mut self, start: u64) {
        let shared = &*self.shared;
        let used = shared.used();
        let Some(number) = behind(&shared.firsts[..used], start).checked_sub(1) else { return };
        let Some(chunk) = shared.chunk(number) else { return };
        let len = chunk.len();
        let Some(at) = chunk.behind(start).checked_sub(1) else { return };
        if chunk.entry(at)[START] != start {
            return;
        }
        for i in at + 1..len {
            chunk.put(i - 1, &chunk.entry(i));
        }
        chunk.cut(len - 1);
        if len == 1 {
            return self.close(number);
        }
        shared.firsts[number].store(chunk.entry(0)[START], Ordering::Relaxed);
        self.join(number);
    }

    /// Makes one of a chunk and a neighbour of it, if they are few together.
    fn join(&mut self, number: usize) {
        let shared = &*self.shared;
        for lower in [number.checked_sub(1), Some(number)].into_iter().flatten() {
            let (Some(below), Some(above)) = (shared.chunk(lower), shared.chunk(lower + 1)) else { continue };
            if lower + 1 < shared.used() && below.len() + above.len() <= MERGED {
                let from = below.len();
                (0..above.len()).for_each(|i| below.put(from + i, &above.entry(i)));
                below.set_len(from + above.len());
                return self.close(lower + 1);
            }
        }
    }
}

fn copy(words: &[AtomicU64], from: usize, to: usize) {
    words[to].store(words[from].load(Ordering::Relaxed), Ordering::Relaxed);
}

#[cfg(all(test, not(loom)))]
mod tests;
