//! The areas that C code holds. It knows them by id; here are the values that own them.
//!
//! They are kept by address, which a forked child has in common with its parent: ids are new there,
//! and the registry says which address an id belongs to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};

/// An area of any kind that has an id.
pub(crate) use areas::AnyArea as Held;
use areas::registry::{self, Source};
use areas::{Area, AreaId, Error, ErrorKind, Name, PageSize, Protection, Rejected, Resizable, Result};

use crate::forking;
use crate::slot::Slot;

/// A resizable area as BeOS's calls make it: as a stack (`B_STACK_AREA`) it ends in a fault, at its
/// lowest page, unless it has no other.
pub(crate) fn resizable(mut area: Area<Resizable>) -> Result<Held> {
    guard_stack(&mut area)?;
    Ok(Held::Resizable(area))
}

/// What came from another process, as BeOS's calls have it.
fn received(mut received: Held) -> Held {
    if let Held::Resizable(area) = &mut received {
        // Without the guard rather than not at all.
        let _ = guard_stack(area);
    }
    received
}

fn guard_stack(area: &mut Area<Resizable>) -> Result<()> {
    match area.protection().contains(Protection::STACK) && area.mapped() > PageSize::base().bytes() {
        true => area.guard_lowest_page(),
        false => Ok(()),
    }
}

/// One area and its mutex. It is empty once it was deleted.
pub(crate) type Place = Arc<Mutex<Option<Held>>>;

static AREAS: Mutex<Areas> = Mutex::new(Areas { places: BTreeMap::new(), spare: Vec::new() });

/// The places of all areas, by address.
struct Areas {
    places: BTreeMap<usize, Place>,
    /// Those of areas that are gone, to be used again: making an area and deleting it allocates no
    /// more than the library itself does.
    spare: Vec<Place>,
}

impl Areas {
    /// So many are kept.
    const SPARE: usize = 16;

    /// A place with nothing in it, which is not known yet.
    fn empty_place(&mut self) -> Place {
        let unused = |mut place: Place| Arc::get_mut(&mut place).is_some().then_some(place);
        // Who still looks at a former area finds its place empty, and nothing else in it.
        self.spare.pop().and_then(unused).unwrap_or_default()
    }

    /// The same of a place that is found elsewhere from now on.
    fn forget_key(&mut self, address: usize, place: &Place) {
        if self.places.get(&address).is_some_and(|found| Arc::ptr_eq(found, place)) {
            self.places.remove(&address);
        }
    }

    /// Releases an area's place, if it is still the one at that address.
    fn forget(&mut self, address: usize, place: &Place) {
        if let Entry::Occupied(entry) = self.places.entry(address)
            && Arc::ptr_eq(entry.get(), place)
        {
            let place = entry.remove();
            if self.spare.len() < Areas::SPARE {
                self.spare.push(place);
            }
        }
    }
}

/// What makes an area's addresses uncertain: [`MOVED`], and [`UNDER_WAY`] for each call of the
/// program that may be taking some away at this moment.
static UNSETTLED: AtomicUsize = AtomicUsize::new(0);
/// The program has taken addresses away from areas at a moment when that could not be looked at.
const MOVED: usize = 1;
const UNDER_WAY: usize = 2;

/// Has the next call look at what is left of all areas.
pub(crate) fn note_moved() {
    UNSETTLED.fetch_or(MOVED, Ordering::AcqRel);
}

/// Whether all areas have the addresses that are reported for them, as far as is known here.
#[inline]
pub(crate) fn is_settled() -> bool {
    UNSETTLED.load(Ordering::Acquire) == 0
}

/// Whether all areas are to be looked at now, by this thread; until [`end_taking`], others go on
/// looking themselves.
fn take_moved() -> bool {
    let under_way = |now: usize| (now & MOVED != 0).then(|| now - MOVED + UNDER_WAY);
    !is_settled() && UNSETTLED.fetch_update(Ordering::AcqRel, Ordering::Acquire, under_way).is_ok()
}

/// Says that the program is about to call something that may take addresses away from areas: a
/// caller that gets an address from now on looks at it.
pub(crate) fn begin_taking() {
    UNSETTLED.fetch_add(UNDER_WAY, Ordering::AcqRel);
}

/// Says that it has been done, and looked at. (A child that was forked between the two has [begun
/// again](unlock_after_fork_in_child).)
pub(crate) fn end_taking() {
    let _ = UNSETTLED.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |now| now.checked_sub(UNDER_WAY));
}

/// Cuts a range of addresses from the areas that lie there, whatever is mapped there.
pub(crate) fn forget_range(range: Range<usize>) -> Result<()> {
    let entered = Entered::new()?;
    // No call of this thread's is under way, so that it holds no mutex that others may wait for.
    entered.each_in(&range, true, |place, held| {
        let Some(area) = &*held else { return Ok(()) };
        let (start, end) = (area.as_ptr().addr(), area.as_ptr().addr() + area.reserve());
        let lost = range.start.max(start)..range.end.min(end);
        if lost.is_empty() {
            return Ok(());
        }
        let lost = lost.start - start..lost.end - start;
        entered.cut(place, held, std::slice::from_ref(&lost))
    })
}

/// Held for reading by threads in the middle of something with an area, for writing by who forks:
/// so a child finds every area whole, and no mutex that a thread holds which it does not have.
static GATE: RwLock<()> = RwLock::new(());

thread_local! {
    static FORKING: Slot<RwLockWriteGuard<'static, ()>> = const { Slot::new() };
}

/// Takes the gate, for a thread that is about to fork; [`unlock_after_fork`] releases it, in the
/// parent and in the child.
pub(crate) fn lock_for_fork() {
    FORKING.with(|held| {
        // Called twice, it must not wait for itself: `forking::ready` says when that can be.
        let gate = held.take().unwrap_or_else(|| GATE.write().unwrap_or_else(PoisonError::into_inner));
        held.put(Some(gate));
    });
}

/// Releases the gate.
pub(crate) fn unlock_after_fork() {
    drop(FORKING.with(Slot::take));
}

/// The same in a child, which has none of the threads that were about to take addresses away: what
/// they have come to is looked at by the next call.
pub(crate) fn unlock_after_fork_in_child() {
    if !is_settled() {
        UNSETTLED.store(MOVED, Ordering::Release);
    }
    unlock_after_fork();
}

/// Whether this thread is about to fork, or has just done so, and has the gate: it must not wait
/// for it.
pub(crate) fn is_forking() -> bool {
    FORKING.with(|held| held.look(|_| ()).is_some())
}

/// The right to use areas, for the time of one call.
pub(crate) struct Entered(#[expect(dead_code, reason = "kept for its drop")] RwLockReadGuard<'static, ()>);

impl Entered {
    /// Begins a call that uses areas.
    pub(crate) fn new() -> Result<Self> {
        let status = forking::ready();
        if status != 0 {
            return Err(Error::new(ErrorKind::System, "use areas")
                .detail(format!("pthread_atfork returned {status}")));
        }
        let entered = Entered(GATE.read().unwrap_or_else(PoisonError::into_inner));
        if take_moved() {
            entered.look_at(&(0..usize::MAX));
            end_taking();
        }
        Ok(entered)
    }

    /// Looks at what the kernel has of an area, and releases what is no longer its own: it may be
    /// smaller then, begin elsewhere, or be gone. Other parts of it are areas of their own. Nothing
    /// that is there now is touched.
    ///
    /// Where the kernel cannot be asked (no `/proc`) it is taken to be what it was.
    ///
    /// # Errors
    /// Where there is no descriptor for another part: then nothing has changed.
    pub(crate) fn settle(&self, place: &Place, held: &mut Option<Held>) -> Result<()> {
        match held.as_ref().map(Held::missing) {
            Some(Ok(missing)) if !missing.is_empty() => self.cut(place, held, &missing),
            _ => Ok(()),
        }
    }

    /// Looks at all areas that have addresses in a range: another one came to lie there, so that
    /// something has moved.
    ///
    /// One that another thread, or this very call, is in the middle of something with is looked at
    /// by the next call.
    pub(crate) fn look_at(&self, range: &Range<usize>) {
        // What cannot be settled now stays as it is, and a caller that asks for it gets an error.
        let _ = self.each_in(range, false, |place, held| self.settle(place, held));
    }

    /// The id of this process's area that has an address, once it was looked at.
    pub(crate) fn look_for(&self, address: usize) -> Result<AreaId> {
        self.look_at(&(address..address.saturating_add(1)));
        let mut id = registry::id_at(address)?;
        loop {
            match registry::get(id) {
                Ok(source) if source.is_mapped() => {}
                // Another thread was in the middle of something with it.
                Ok(source) => self.settle_own(&source)?,
                Err(_) => {}
            }
            // What was looked at may have been a part already, of which another one has the
            // address.
            let now = registry::id_at(address)?;
            if now == id {
                return Ok(id);
            }
            id = now;
        }
    }

    /// Has an area of this process's own looked at, once no other thread is in the middle of
    /// something with it. It may be gone.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub(crate) fn settle_own(&self, source: &Source) -> Result<()> {
        let place = match self.own(source) {
            Ok(place) => place,
            Err(error) if error.kind() == ErrorKind::NoSuchArea => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut held = open(&place);
        let address = held.as_ref().map(|area| area.as_ptr().addr());
        self.settle(&place, &mut held)?;
        if let (None, Some(address)) = (&*held, address) {
            self.forget(address, &place);
        }
        Ok(())
    }

    /// Notes of all areas that have addresses in a range that the program is about to have their
    /// memory elsewhere, too: it stays when it is cut off them.
    pub(crate) fn note_copies(&self, range: &Range<usize>) {
        let mut end = range.end;
        while let Some((key, place)) = self.next_below(end) {
            end = key;
            let held = open(&place);
            let Some(area) = &*held else { continue };
            if area.as_ptr().addr() + area.reserve() <= range.start {
                break;
            }
            area.note_holder();
        }
    }

    /// Does something with all areas that have addresses in a range: also with those that another
    /// thread is in the middle of something with, if it `waits`.
    fn each_in(
        &self,
        range: &Range<usize>,
        waits: bool,
        what: impl FnMut(&Place, &mut Option<Held>) -> Result<()>,
    ) -> Result<()> {
        self.each_from(0, range, waits, what)
    }

    /// The same with those that begin at `lowest` or above.
    fn each_from(
        &self,
        lowest: usize,
        range: &Range<usize>,
        waits: bool,
        mut what: impl FnMut(&Place, &mut Option<Held>) -> Result<()>,
    ) -> Result<()> {
        let mut end = range.end;
        // One at a time: mostly there is one, of thousands.
        while let Some((key, place)) = self.next_below(end).filter(|(key, _)| *key >= lowest) {
            end = key;
            let mut held = match place.try_lock() {
                Ok(held) => held,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if waits => open(&place),
                Err(TryLockError::WouldBlock) => {
                    note_moved();
                    continue;
                }
            };
            let Some(area) = &*held else { continue };
            let address = area.as_ptr().addr();
            if address + area.reserve() <= range.start {
                // Areas do not overlap, and the others lie below.
                break;
            }
            what(&place, &mut held)?;
            if held.is_none() {
                self.forget(address, &place);
            }
        }
        Ok(())
    }

    /// Releases some of an area's addresses, in bytes from its beginning.
    fn cut(&self, place: &Place, held: &mut Option<Held>, lost: &[Range<usize>]) -> Result<()> {
        let Some(area) = held.take() else { return Ok(()) };
        let (start, span) = (area.as_ptr().addr(), area.reserve());
        // A thread that finds a part by its id finds its place, too, and waits there until it is
        // known what is left. The first part keeps the area's own.
        let mut behind: Vec<usize> = lost.iter().map(|range| range.end).filter(|&end| end < span).collect();
        let head = lost.first().filter(|range| range.start == 0).map(|range| range.end);
        behind.retain(|&end| Some(end) != head);
        if let Some(head) = head.filter(|&head| head < span) {
            all().places.insert(start + head, place.clone());
        }
        let empty: Vec<(usize, Place)> =
            behind.iter().map(|end| (start + end, all().empty_place())).collect();
        let mut open_places: Vec<_> = empty.iter().map(|(_, place)| open(place)).collect();
        for (address, place) in &empty {
            all().places.insert(*address, place.clone());
        }
        let (mut parts, error) = match area.cut(lost) {
            Ok(parts) => (parts, None),
            Err(Rejected { error, value }) => (vec![value], Some(error)),
        };
        for part in parts.drain(1.min(parts.len())..) {
            let address = part.as_ptr().addr();
            if let Some(at) = empty.iter().position(|(at, _)| *at == address) {
                *open_places[at] = Some(part);
            }
        }
        *held = parts.pop();
        let now = held.as_ref().map(|first| first.as_ptr().addr());
        for address in [Some(start), head.map(|head| start + head)].into_iter().flatten() {
            if Some(address) != now {
                all().forget_key(address, place);
            }
        }
        for ((address, place), inside) in empty.iter().zip(&open_places) {
            if inside.is_none() {
                all().forget_key(*address, place);
            }
        }
        error.map_or(Ok(()), Err)
    }

    /// Takes an area in, and gives its id.
    pub(crate) fn keep(&self, held: Held) -> Result<i32> {
        let gone = || Error::new(ErrorKind::Registry, "keep an area").detail("it is not published");
        let id = held.id().ok_or_else(gone)?;
        self.notice(&held);
        let (address, place) = (held.as_ptr().addr(), all().empty_place());
        *open(&place) = Some(held);
        all().places.insert(address, place);
        Ok(id.get())
    }

    /// Takes an area in and publishes it: who finds it at once finds its place, and waits there
    /// until it is published. Its id.
    pub(crate) fn publish(&self, mut held: Held, name: Name) -> Result<i32> {
        self.notice(&held);
        let address = held.as_ptr().addr();
        let place = all().empty_place();
        let mut inside = open(&place);
        all().places.insert(address, place.clone());
        match held.publish_named(name) {
            Ok(id) => {
                *inside = Some(held);
                Ok(id.get())
            }
            Err(error) => {
                drop(held);
                self.forget(address, &place);
                Err(error)
            }
        }
    }

    /// An area that comes to lie where another one was says that the program has unmapped that.
    fn notice(&self, held: &Held) {
        let address = held.as_ptr().addr();
        // Once it is published, it is one of those that are there.
        if registry::may_overlap(address, held.reserve()) {
            self.look_at(&(address..address + held.reserve()));
        }
    }

    /// The same of one that is about to grow over some addresses: it can only where those that
    /// began there are gone.
    pub(crate) fn notice_growth(&self, range: &Range<usize>) {
        if self.next_below(range.end).is_some_and(|(key, _)| key >= range.start) {
            let _ = self.each_from(range.start, range, false, |place, held| self.settle(place, held));
        }
    }

    /// An area of this process's own, by the look at the registry that found it.
    pub(crate) fn own(&self, source: &Source) -> Result<Place> {
        let here = || all().places.get(&source.address()).cloned();
        if let Some(place) = here() {
            return Ok(place);
        }
        self.take_transferred();
        if let Some(place) = here() {
            return Ok(place);
        }
        // Another thread may have deleted it concurrently.
        Err(registry::get(source.id()).err().unwrap_or_else(|| {
            Error::new(ErrorKind::NotPermitted, format!("use area {} {:?}", source.id(), source.name()))
                .detail("another part of this program holds it")
        }))
    }

    /// Takes what other teams have transferred to this one.
    pub(crate) fn take_transferred(&self) {
        for transferred in registry::transferred().unwrap_or_default() {
            // Another thread may have been quicker.
            if let Ok(area) = transferred.take() {
                let _ = self.keep(received(area));
            }
        }
    }

    /// Releases a place whose area is gone; what another thread has made at the same address by now
    /// stays.
    ///
    /// Only then: as long as the area has an id, its place is found, and says that it is being
    /// deleted.
    #[expect(clippy::unused_self, reason = "it is the right to do so")]
    pub(crate) fn forget(&self, address: usize, place: &Place) {
        all().forget(address, place);
    }

    /// The area that begins below an address, nearest to it, and where it is found.
    #[expect(clippy::unused_self, reason = "it is the right to do so")]
    fn next_below(&self, address: usize) -> Option<(usize, Place)> {
        all().places.range(..address).next_back().map(|(&key, place)| (key, place.clone()))
    }

    /// The areas that begin below an address, the nearest first.
    #[expect(clippy::unused_self, reason = "it is the right to do so")]
    pub(crate) fn below(&self, address: usize) -> Vec<Place> {
        all().places.range(..address).rev().map(|(_, place)| place.clone()).collect()
    }
}

fn all() -> MutexGuard<'static, Areas> {
    AREAS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens an area's mutex.
pub(crate) fn open(place: &Place) -> MutexGuard<'_, Option<Held>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
