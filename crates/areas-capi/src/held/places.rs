//! The places of areas, by address.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::Held;

/// One area and its mutex. It is empty once it was deleted.
pub(crate) type Place = Arc<Mutex<Option<Held>>>;

static AREAS: Mutex<Areas> =
    Mutex::new(Areas { places: BTreeMap::new(), spare: Vec::new(), displaced: Vec::new() });

/// The places of all areas, by address.
pub(super) struct Areas {
    pub(super) places: BTreeMap<usize, Place>,
    /// Those of areas that are gone, to be used again: making an area and deleting it allocates no
    /// more than the library itself does.
    spare: Vec<Place>,
    /// Those of areas that are said to have an address which another one has. They are not found.
    displaced: Vec<Place>,
}

impl Areas {
    /// So many are kept.
    const SPARE: usize = 16;

    /// A place with nothing in it, which is not known yet.
    pub(super) fn empty_place(&mut self) -> Place {
        let unused = |mut place: Place| Arc::get_mut(&mut place).is_some().then_some(place);
        // Who still looks at a former area finds its place empty, and nothing else in it.
        self.spare.pop().and_then(unused).unwrap_or_default()
    }

    /// Notes the place of an area that was mapped there just now. One that was there is empty,
    /// as its area was cut; if it is not, it is kept, as its area would unmap what is the new
    /// one's.
    pub(super) fn insert_new(&mut self, address: usize, place: Place) {
        if let Some(former) = self.places.insert(address, place)
            && !is_empty(&former)
        {
            self.displaced.push(former);
        }
    }

    /// The same of one that was there before, by the record: a part of a former area, or what was
    /// transferred. Where another one has the address by now, that one stays.
    pub(super) fn insert(&mut self, address: usize, place: Place) {
        let other = self.places.get(&address).filter(|other| !Arc::ptr_eq(other, &place));
        match other.is_some_and(|other| !is_empty(other)) {
            true => self.displaced.push(place),
            false => drop(self.places.insert(address, place)),
        }
    }

    /// Forgets a place at an address, if it is still the one there: it is found elsewhere.
    pub(super) fn forget_key(&mut self, address: usize, place: &Place) {
        if self.places.get(&address).is_some_and(|found| Arc::ptr_eq(found, place)) {
            self.places.remove(&address);
        }
    }

    /// Releases an area's place, if it is still the one at that address.
    pub(super) fn forget(&mut self, address: usize, place: &Place) {
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

/// One that a thread has open is not.
fn is_empty(place: &Place) -> bool {
    try_open(place).is_some_and(|held| held.is_none())
}

pub(super) fn all() -> MutexGuard<'static, Areas> {
    AREAS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens an area's mutex.
pub(crate) fn open(place: &Place) -> MutexGuard<'_, Option<Held>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same, if no thread has it open.
pub(super) fn try_open(place: &Place) -> Option<MutexGuard<'_, Option<Held>>> {
    match place.try_lock() {
        Ok(held) => Some(held),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
