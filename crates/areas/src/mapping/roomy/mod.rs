//! Addresses with room behind them, for what grows where it is.
//!
//! Left to itself the kernel maps side by side, downwards, so that an area has its elder neighbour
//! behind it, and grows only as far as its reserve. It cannot be moved later. So what may grow gets
//! an address hint with much room behind it, in a part of the address space where the kernel maps
//! nothing by itself: the *arena*, inside the largest gap between the mappings that the process has
//! when it first needs one. Room costs nothing, as nothing is mapped there; what lies far from all
//! others takes one or two pages of page tables of its own, once it is touched.
//!
//! The arena has two parts, each divided into slots, of which the first free one is used. A *wide*
//! slot is twice as large as all memory of the machine: an area that has one grows until memory
//! ends. They are used one after the other, so that neighbours share page tables. There are 64 to
//! 4,096 of them. When all are in use, areas go into *dense* slots, which share what is left of the
//! arena: the more there are, the less room each has. These are used in the order in which a number
//! whose bits are reversed runs through a range (0, 1/2, 1/4, 3/4, 1/8, …): as far from each other
//! as can be. (So are wide ones where the arena is too small for 64 that are as large as they
//! should be.)
//!
//! Nothing depends on what is written here: the kernel maps at the wished addresses if nothing is
//! there, and refuses (`MAP_FIXED_NOREPLACE`) if something is. Then another slot is tried, and
//! after a few of them the kernel chooses. No thread waits for another one, and a forked child
//! inherits words that are right for it as they are. Why it is so, and what it costs:
//! docs/design/room-to-grow.md.

#![expect(unsafe_code, reason = "one pointer to what is never freed; the blocks have their proofs")]

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use super::{Mapping, Plan, reserved};
use crate::error::Result;
use crate::page::PageSize;
use crate::sys;
use crate::sys::limits::Limit;
use crate::sys::memory::At;

/// Wide slots at most.
const MAX_WIDE: usize = 1 << 12;
/// Wide slots at least, whatever memory the machine has.
const MIN_WIDE: usize = 1 << 6;
/// Dense slots at most: as many areas as a team can have.
const MAX_DENSE: usize = 1 << 16;
/// The least that a dense slot has: a modest reserve, and where in the slot it begins.
const MIN_UNIT: usize = 4 << 20;
/// An arena whose wide part is smaller than that is none.
const MIN_ARENA: usize = 4 << 30;
/// Below this the kernel maps nothing for ordinary users (`vm.mmap_min_addr` is not more than that
/// on any distribution).
const LOWEST: usize = 1 << 16;
/// A limit of locked memory that is not above this is no process's that locks all that it has.
const LOCKS_SOME: u64 = 64 << 20;
/// What is above is not for programs (or, with more bits, not for those that do not ask for it).
const HIGHEST: usize = 1 << 47;
/// Room below the stack into which it may grow.
const STACK_ROOM: usize = 1 << 30;
/// Slots that are tried before the kernel chooses.
const ATTEMPTS: usize = 8;
/// So many slots that something else has taken are passed over before they are looked at again.
const MAX_BLOCKED: usize = 64;

const WORDS: usize = (MAX_WIDE + MAX_DENSE) / 64;

/// The number of a slot: the wide ones first, from `MAX_WIDE` on the dense ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u32);

/// Equal slots, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    start: usize,
    /// Bytes of each, a power of two.
    unit: usize,
    /// How many, a power of two.
    slots: usize,
    /// Whether they are used as far from each other as can be.
    scattered: bool,
}

impl Part {
    /// Where the slot begins that is used as the `number`th.
    fn slot(&self, number: usize) -> usize {
        let place = match self.slots.trailing_zeros() {
            bits if bits > 0 && self.scattered => number.reverse_bits() >> (usize::BITS - bits),
            _ => number,
        };
        self.start + place * self.unit
    }
}

/// Where areas with room behind them are to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arena {
    wide: Part,
    dense: Part,
    /// Whether much of a slot may be mapped in advance. Not where addresses are limited
    /// (`RLIMIT_AS`); where a limit allows to lock so much that it may be meant for all that the
    /// process has (`mlockall` counts addresses); and under valgrind, which keeps a record of every
    /// page of them (50 ms for one large range).
    generous: bool,
}

impl Arena {
    /// From the mappings that the process has, and the bytes of RAM and swap.
    fn within(maps: &str, memory: u64) -> Option<Self> {
        let gap = largest_gap(maps)?;
        let huge = PageSize::HUGE_2M.bytes();
        // Below is what grows upwards (the heap), and what programs wish for by number; above, in
        // some layouts, what the kernel maps downwards.
        let low = (gap.start + gap.len() / 4).next_multiple_of(huge);
        let room = (gap.end - gap.len() / 16).checked_sub(low)?;
        let wide = floor_power_of_two(room / 3 * 2)?;
        if wide < MIN_ARENA {
            return None;
        }
        let memory = usize::try_from(memory).ok()?.max(1);
        let twice = memory.checked_next_power_of_two()?.checked_mul(2)?;
        let unit = twice.clamp(wide / MAX_WIDE, wide / MIN_WIDE);
        let dense_unit = (wide / 2 / MAX_DENSE).max(MIN_UNIT);
        // As unforeseeable as the kernel's own addresses, and as foreseeable where those are (under
        // a debugger).
        let positions = (room - wide / 2 * 3) / huge + 1;
        let start = low + mix(maps) % positions * huge;
        Some(Arena {
            wide: Part { start, unit, slots: wide / unit, scattered: unit < twice },
            dense: Part {
                start: start + wide,
                unit: dense_unit,
                slots: wide / 2 / dense_unit,
                scattered: true,
            },
            generous: true,
        })
    }

    fn part(&self, slot: Slot) -> (Part, usize) {
        match (slot.0 as usize).checked_sub(MAX_WIDE) {
            Some(number) => (self.dense, number),
            None => (self.wide, slot.0 as usize),
        }
    }

    /// Where in a slot `size` bytes, mapped with `span` bytes of addresses, begin. With a random
    /// number: at a random address.
    fn start(&self, slot: Slot, size: usize, span: usize, align: usize, random: Option<usize>) -> usize {
        let (part, number) = self.part(slot);
        let huge = PageSize::HUGE_2M.bytes();
        let align = if size >= huge { align.max(huge) } else { align };
        let start = part.slot(number);
        let offset = match random {
            // In the first half: then the other one is behind it.
            Some(random) => {
                let places = (part.unit / 2).min(part.unit.saturating_sub(span)) / align;
                random.checked_rem(places).unwrap_or(0) * align
            }
            // Areas that all began at the same place of their slots would be in one another's way
            // in the processor's caches of addresses.
            None if align <= PageSize::base().bytes() => {
                number.wrapping_mul(167) % 512 * PageSize::base().bytes()
            }
            None => 0,
        };
        (start + offset).next_multiple_of(align)
    }

    /// The bytes of addresses that may be mapped in advance, in a wide slot or in a dense one.
    fn room(&self, wide: bool) -> usize {
        let part = if wide { self.wide } else { self.dense };
        (part.unit / 2).saturating_sub(MIN_UNIT)
    }
}

fn floor_power_of_two(number: usize) -> Option<usize> {
    number.checked_ilog2().map(|log| 1 << log)
}

/// A number in which all of a text has a part.
fn mix(text: &str) -> usize {
    let mixed = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from((mixed ^ mixed >> 29) & u64::from(u32::MAX)).unwrap_or(0)
}

/// The largest range of addresses in which nothing is mapped, below something that is: what lies
/// above all of it may be no addresses.
fn largest_gap(maps: &str) -> Option<Range<usize>> {
    let mut largest: Option<Range<usize>> = None;
    let mut free = LOWEST;
    for line in maps.lines() {
        let Some((start, end)) = line.split_once(' ').and_then(|(range, _)| range.split_once('-')) else {
            continue;
        };
        let (Ok(start), Ok(end)) = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)) else {
            continue;
        };
        let room = if line.ends_with("[stack]") { STACK_ROOM } else { 0 };
        let gap = free..start.saturating_sub(room).min(HIGHEST);
        if gap.len() > largest.as_ref().map_or(0, ExactSizeIterator::len) {
            largest = Some(gap);
        }
        free = free.max(end);
    }
    largest
}

/// The arena of this process, found out once, with one list of its mappings. `None` where there is
/// none.
fn arena() -> Option<&'static Arena> {
    /// What `ARENA` leads to where there is none.
    static NONE: Arena = {
        let none = Part { start: 0, unit: 0, slots: 0, scattered: false };
        Arena { wide: none, dense: none, generous: false }
    };
    static ARENA: AtomicPtr<Arena> = AtomicPtr::new(std::ptr::null_mut());
    let known = |pointer: *mut Arena| {
        // SAFETY: it is null, or leads to `NONE` or to a value that was stored there, and is never
        // freed or changed from then on (below); written before it was stored there.
        let arena: Option<&'static Arena> = unsafe { pointer.cast_const().as_ref() };
        arena
    };
    let found = known(ARENA.load(Ordering::Acquire)).or_else(|| {
        let none = (&raw const NONE).cast_mut();
        let made = match find_arena() {
            Ok(arena) => Box::into_raw(Box::new(arena)),
            Err(errno) if may_pass(errno) => return None,
            Err(_) => none,
        };
        match ARENA.compare_exchange(std::ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => known(made),
            // Another thread was quicker.
            Err(other) => {
                if made != none {
                    // SAFETY: it came out of a box above, and was stored nowhere: nothing else has
                    // it.
                    drop(unsafe { Box::from_raw(made) });
                }
                known(other)
            }
        }
    });
    found.filter(|arena| arena.wide.slots > 0)
}

/// Whether what keeps us from finding the arena may be over when the next area is made: descriptors
/// or memory that are missing.
fn may_pass(errno: sys::Errno) -> bool {
    matches!(errno, sys::Errno::MFILE | sys::Errno::NFILE | sys::Errno::NOMEM | sys::Errno::AGAIN)
}

#[cold]
fn find_arena() -> sys::Result<Arena> {
    let maps = sys::maps::read_own().map_err(sys::maps::errno_of)?;
    let (ram, swap) = sys::process::memory();
    let arena = Arena::within(&maps, ram.saturating_add(swap)).ok_or(sys::Errno::NOSPC)?;
    // Not every kernel gives what it shows as free: valgrind has addresses of its own.
    let page = PageSize::base().bytes();
    for part in [arena.wide, arena.dense] {
        let last = At::Exactly(part.start + part.unit * (part.slots - 1));
        drop(Mapping::at_exactly(&reserved(last, page))?);
    }
    let generous = !maps.contains("/vgpreload_")
        && sys::limits::limit(Limit::AddressSpace).is_none()
        && sys::limits::limit(Limit::LockedMemory).is_none_or(|limit| limit <= LOCKS_SOME);
    Ok(Arena { generous, ..arena })
}

/// Which slots are in use. Each word is a hint, right or wrong by itself, so that no order is
/// needed.
struct Slots {
    used: [AtomicU64; WORDS],
    /// Something that is none of ours was there.
    blocked: [AtomicU64; WORDS],
    /// The first word of each part that may have a free slot.
    first: [AtomicUsize; 2],
    blocked_slots: AtomicUsize,
    used_slots: AtomicUsize,
}

static SLOTS: Slots = Slots::new();

impl Slots {
    const fn new() -> Self {
        Slots {
            used: [const { AtomicU64::new(0) }; WORDS],
            blocked: [const { AtomicU64::new(0) }; WORDS],
            first: [AtomicUsize::new(0), AtomicUsize::new(MAX_WIDE / 64)],
            blocked_slots: AtomicUsize::new(0),
            used_slots: AtomicUsize::new(0),
        }
    }

    /// The slots of a word that are free, of those before `end`.
    fn free(&self, word: usize, end: usize) -> u64 {
        let taken = self.used[word].load(Ordering::Relaxed) | self.blocked[word].load(Ordering::Relaxed);
        let many = end.saturating_sub(word * 64);
        let beyond = if many >= 64 { 0 } else { u64::MAX << many };
        !(taken | beyond)
    }

    /// The first free slot of a part, which is the caller's from now on.
    fn take(&self, part: usize, slots: usize) -> Option<Slot> {
        let begin = part * MAX_WIDE;
        let end = begin + slots;
        let first = self.first[part].load(Ordering::Relaxed);
        for word in first..end.div_ceil(64) {
            loop {
                let free = self.free(word, end);
                if free == 0 {
                    break;
                }
                let slot = word * 64 + free.trailing_zeros() as usize;
                if let Some(slot) = self.take_this(slot) {
                    if word != first {
                        // Unless one before it was released since.
                        let (old, new) = (first, word);
                        let _ =
                            self.first[part].compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
                    }
                    return Some(slot);
                }
            }
        }
        None
    }

    /// This slot, if it is free.
    fn take_this(&self, slot: usize) -> Option<Slot> {
        let bit = 1 << (slot % 64);
        if self.blocked[slot / 64].load(Ordering::Relaxed) & bit != 0
            || self.used[slot / 64].fetch_or(bit, Ordering::Relaxed) & bit != 0
        {
            return None;
        }
        self.used_slots.fetch_add(1, Ordering::Relaxed);
        u32::try_from(slot).ok().map(Slot)
    }

    /// Whether a wide slot is free.
    fn has_wide(&self, arena: &Arena) -> bool {
        let first = self.first[0].load(Ordering::Relaxed);
        (first..arena.wide.slots.div_ceil(64)).any(|word| self.free(word, arena.wide.slots) != 0)
    }

    fn choose(&self, arena: &Arena, random: Option<usize>) -> Option<Slot> {
        let by_chance = random.and_then(|random| {
            (0..ATTEMPTS).find_map(|next| self.take_this(random.wrapping_add(next) % arena.wide.slots))
        });
        by_chance.or_else(|| self.take(0, arena.wide.slots)).or_else(|| self.take(1, arena.dense.slots))
    }

    /// A slot is free again.
    fn give_back(&self, slot: Slot) {
        let slot = slot.0 as usize;
        let word = slot / 64;
        self.used[word].fetch_and(!(1 << (slot % 64)), Ordering::Relaxed);
        self.used_slots.fetch_sub(1, Ordering::Relaxed);
        self.first[usize::from(slot >= MAX_WIDE)].fetch_min(word, Ordering::Relaxed);
    }

    /// Something else is in a slot. It is passed over for a while.
    fn block(&self, slot: Slot) {
        let number = slot.0 as usize;
        self.blocked[number / 64].fetch_or(1 << (number % 64), Ordering::Relaxed);
        self.give_back(slot);
        let blocked = self.blocked_slots.fetch_add(1, Ordering::Relaxed) + 1;
        if blocked > MAX_BLOCKED && blocked > self.used_slots.load(Ordering::Relaxed) {
            // It may be gone: an area that has grown over the slot, for instance.
            self.blocked_slots.store(0, Ordering::Relaxed);
            for word in &self.blocked {
                word.store(0, Ordering::Relaxed);
            }
            self.first[0].store(0, Ordering::Relaxed);
            self.first[1].store(MAX_WIDE / 64, Ordering::Relaxed);
        }
    }
}

impl Mapping {
    /// As [`Mapping::new`], where there is room behind it; with a random number, at a random
    /// address. `None` where no such place was found: the kernel may have another one, or says what
    /// is wrong.
    #[inline]
    pub(crate) fn roomy(plan: &Plan<'_>, align: usize, random: Option<usize>) -> Option<Result<Self>> {
        let arena = arena()?;
        for _ in 0..ATTEMPTS {
            let slot = SLOTS.choose(arena, random)?;
            let start = arena.start(slot, plan.size, plan.span, align, random);
            match Mapping::at_exactly(&Plan { at: At::Exactly(start), ..*plan }) {
                Ok(mapped) => {
                    return Some(mapped.map(|mut mapping| {
                        mapping.slot = Some(slot);
                        mapping
                    }));
                }
                Err(sys::Errno::EXIST) => SLOTS.block(slot),
                Err(_) => {
                    SLOTS.give_back(slot);
                    return None;
                }
            }
        }
        None
    }

    /// Takes note that the addresses are unmapped.
    pub(super) fn left_slot(&self) {
        if let Some(slot) = self.slot {
            SLOTS.give_back(slot);
        }
    }
}

/// How many bytes of addresses a resizable area of `size` bytes may have that is made now, at any
/// address: a maximum for a program that does not know how far it will grow, and wants its clones
/// to follow as far.
///
/// Mostly it is as much as the machine has memory; once many areas have that (64 to 4,096, by the
/// machine's memory), it is less. They lie where nothing else is mapped, and take no memory. They
/// do count as virtual memory (`VSZ`, `RLIMIT_AS`, `mlockall`), so there is no such number where a
/// limit was set on that, or one of more than 64 MiB on what may be locked, when the process made
/// its first resizable area; nor for a size of more than half of it.
#[must_use]
pub fn roomy_maximum(size: usize) -> Option<usize> {
    let arena = arena().filter(|arena| arena.generous)?;
    let room = arena.room(SLOTS.has_wide(arena));
    (size <= room / 2).then_some(room)
}

/// Whatever the list of mappings says, an arena lies where it shows nothing.
#[cfg(fuzzing)]
pub(crate) fn fuzz(maps: &str) {
    for memory in [0, 1 << 34, u64::MAX] {
        let Some(arena) = Arena::within(maps, memory) else { continue };
        let gap = largest_gap(maps).unwrap_or(0..0);
        let end = arena.dense.start + arena.dense.unit * arena.dense.slots;
        assert!(gap.start < arena.wide.start && end < gap.end && gap.end <= HIGHEST);
    }
}
