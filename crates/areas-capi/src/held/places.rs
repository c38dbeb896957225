//! The places of areas, by address.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// Those of areas that still have addresses which another one has by now.
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

    /// Takes a place in. One that was there is empty, as whoever takes one in has had it looked at
    /// before. If it is not, it is kept: its area would unmap what is another one's by now.
    pub(super) fn insert(&mut self, address: usize, place: Place) {
        let former = self.places.insert(address, place.clone());
        if let Some(former) = former.filter(|former| !Arc::ptr_eq(former, &place))
            && !former.try_lock().is_ok_and(|held| held.is_none())
        {
            self.displaced.push(former);
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

pub(super) fn all() -> MutexGuard<'static, Areas> {
    AREAS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens an area's mutex.
pub(crate) fn open(place: &Place) -> MutexGuard<'_, Option<Held>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
