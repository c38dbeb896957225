//! Sets of nodes as C has them: `struct bitmask` of libnuma, and AML's bitmap; and which of them
//! were looked at when an area was made, so that mapping from it needs no question about allowed
//! nodes.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::collections::BTreeMap;
use std::ffi::c_ulong;
use std::sync::atomic::AtomicBool;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use areas::{Error, ErrorKind, NodeSet, Result};

use super::bitmap::Bitmap;
use crate::forking::{self, Order, Part};
use crate::slot::Slot;

/// Bits of a [`NodeSet`].
const NODES: usize = 1024;
pub(super) const WORDS: usize = NODES / WORD;
const WORD: usize = u64::BITS as usize;

/// `struct bitmask`, as libnuma has it: `size` bits, node *n* is bit *n* mod 64 of word *n* / 64.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Bitmask {
    size: c_ulong,
    words: *mut c_ulong,
}

/// A bitmask with its words behind it: what areas that we make have.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Owned {
    mask: Bitmask,
    words: [c_ulong; WORDS],
}

impl Owned {
    /// Fills in what lies at `at`.
    ///
    /// # Safety
    /// `at` may be written, and stays where it is as long as its mask is used.
    pub(super) unsafe fn write(at: *mut Owned, nodes: NodeSet) -> *mut Bitmask {
        // SAFETY: `at` is one whole value (the caller's promise), so that its fields have places.
        let words = unsafe { &raw mut (*at).words };
        let mask = Bitmask { size: NODES as c_ulong, words: words.cast() };
        // SAFETY: it may be written (the caller's promise).
        unsafe { at.write(Owned { mask, words: *nodes.words() }) };
        at.cast()
    }
}

impl Owned {
    /// One that lives until it is freed; `None` if malloc has no memory.
    pub(super) fn on_the_heap(nodes: NodeSet) -> Option<*mut Bitmask> {
        // SAFETY: asks for memory of that size; what is given is checked.
        let place = unsafe { libc::malloc(size_of::<Owned>()) }.cast::<Owned>();
        // SAFETY: not null, it may be written, and it stays where it is until it is freed.
        (!place.is_null()).then(|| unsafe { Owned::write(place, nodes) })
    }

    /// # Safety
    /// Made by [`Owned::on_the_heap`], and nothing uses it again.
    pub(super) unsafe fn free(mask: *mut Bitmask) {
        // SAFETY: memory of malloc (the caller's promise).
        unsafe { libc::free(mask.cast()) };
    }
}

impl Bitmask {
    /// Its nodes.
    ///
    /// # Errors
    /// [`ErrorKind::NodeNotAllowed`] for a node that no Linux has, [`ErrorKind::InvalidInput`] for
    /// one without words.
    ///
    /// # Safety
    /// `words` is NULL or has as many words as `size` bits take.
    pub(super) unsafe fn nodes(&self) -> Result<NodeSet> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if self.words.is_null() && size > 0 {
            return Err(Error::new(ErrorKind::InvalidInput, "read a struct bitmask")
                .with_facts("it has a size and no words: maskp is NULL"));
        }
        let word = |index: usize| {
            // SAFETY: `index` is below the number of words that `size` bits take (the caller's
            // promise).
            let place = unsafe { self.words.add(index) };
            // SAFETY: `place` is inside of that array of words, and any bits are a word.
            let word = unsafe { place.read() };
            let left = size - index * WORD;
            if left < WORD { word & ((1 << left) - 1) } else { word }
        };
        of_words((0..size.div_ceil(WORD)).map(word))
    }
}

/// The sets of areas that were made and not ended yet, by the address of their bitmask.
static KNOWN: RwLock<BTreeMap<usize, NodeSet>> = RwLock::new(BTreeMap::new());

/// Whether that bitmask is one of an area that was made with these very nodes, which were allowed
/// then.
pub(super) fn is_known(mask: *const Bitmask, nodes: NodeSet) -> bool {
    // Never waits: where a thread is making an area at this moment (or forks), the question is
    // asked.
    KNOWN.try_read().is_ok_and(|known| known.get(&mask.addr()) == Some(&nodes))
}

/// Remembers the set of a new area. Where that cannot be done, the kernel is asked each time.
pub(super) fn remember(mask: *const Bitmask, nodes: NodeSet) {
    // A child that could be forked in the meantime would never be able to write here.
    if forking::ready(&PART) == 0
        && let Some(mut known) = to_write()
    {
        known.insert(mask.addr(), nodes);
    }
}

/// Forgets the set of an area that ends. Whether it was known.
pub(super) fn forget(mask: *const Bitmask) -> bool {
    to_write().is_some_and(|mut known| known.remove(&mask.addr()).is_some())
}

/// The table, unless a thread has it for longer than a change takes: a thread that forks, this one
/// not excepted.
fn to_write() -> Option<RwLockWriteGuard<'static, BTreeMap<usize, NodeSet>>> {
    const TRIES: usize = 10_000;
    (0..TRIES).find_map(|_| {
        KNOWN.try_write().ok().or_else(|| {
            std::thread::yield_now();
            None
        })
    })
}

/// The table, for who forks.
static PART: Part = Part {
    order: Order::Nodes,
    begin: || {},
    lock: lock_for_fork,
    unlock: unlock_after_fork,
    unlock_in_child: unlock_after_fork,
    registered: AtomicBool::new(false),
};

thread_local! {
    static TAKEN: Slot<RwLockWriteGuard<'static, BTreeMap<usize, NodeSet>>> = const { Slot::new() };
}

/// Takes the table, for a thread that is about to fork; [`unlock_after_fork`] releases it, in the
/// parent and in the child.
fn lock_for_fork() {
    TAKEN.with(|taken| {
        // Called twice, it must not wait for itself.
        let known = taken.take().unwrap_or_else(|| KNOWN.write().unwrap_or_else(PoisonError::into_inner));
        taken.put(Some(known));
    });
}

/// Releases the table.
fn unlock_after_fork() {
    drop(TAKEN.with(Slot::take));
}

/// The nodes of AML's bitmap.
///
/// # Errors
/// [`ErrorKind::NodeNotAllowed`] for a node that no Linux has.
pub(super) fn of_bitmap(bitmap: &Bitmap) -> Result<NodeSet> {
    of_words(bitmap.words().iter().copied())
}

fn of_words(words: impl Iterator<Item = u64>) -> Result<NodeSet> {
    let mut set = [0; WORDS];
    for (index, word) in words.enumerate() {
        match set.get_mut(index) {
            Some(place) => *place = word,
            None if word == 0 => {}
            None => {
                let node = index * WORD + word.trailing_zeros() as usize;
                return Err(Error::new(ErrorKind::NodeNotAllowed, format!("use node {node}"))
                    .with_facts(format!("Linux has at most {NODES} nodes, 0 to {}", NODES - 1)));
            }
        }
    }
    Ok(NodeSet::from_words(set))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes_of(words: &mut [u64], size: u64) -> Result<NodeSet> {
        let mask = Bitmask { size, words: words.as_mut_ptr() };
        // SAFETY: each test gives enough words.
        unsafe { mask.nodes() }
    }

    #[test]
    fn as_many_bits_as_it_says() {
        let cases: [(&mut [u64], u64, &str); 6] = [
            (&mut [0b1010], 64, "1,3"),
            (&mut [0b1010], 3, "1"),
            (&mut [u64::MAX, 1], 65, "0-64"),
            (&mut [0, 1 << 63], 128, "127"),
            (&mut [7], 0, "none"),
            (&mut [0; 64], 4096, "none"),
        ];
        for (words, size, expected) in cases {
            assert_eq!(nodes_of(words, size).unwrap().to_string(), expected, "{size} bits");
        }
        let mut far = [0; 32];
        far[16] = 4;
        assert_eq!(nodes_of(&mut far, 2048).unwrap_err().kind(), ErrorKind::NodeNotAllowed);
        let empty = Bitmask { size: 5, words: std::ptr::null_mut() };
        // SAFETY: without words nothing is read.
        assert_eq!(unsafe { empty.nodes() }.unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn what_was_looked_at_is_known_until_it_goes_or_changes() {
        let nodes: NodeSet = "0,70,1023".parse().unwrap();
        let mut place = std::mem::MaybeUninit::uninit();
        // SAFETY: it may be written, and stays here until the end of the test.
        let mask = unsafe { Owned::write(place.as_mut_ptr(), nodes) };
        assert!(!is_known(mask, nodes));
        remember(mask, nodes);
        // SAFETY: just written, with its words behind it.
        let read = unsafe { &*mask };
        // SAFETY: `Owned::write` has put as many words behind it as its size says.
        assert_eq!(unsafe { read.nodes() }.unwrap(), nodes);
        assert!(is_known(mask, nodes));
        assert!(!is_known(mask, "0".parse().unwrap()) && !is_known(std::ptr::null(), nodes));
        assert!(forget(mask) && !forget(mask));
        assert!(!is_known(mask, nodes));
    }
}
