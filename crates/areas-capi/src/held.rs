//! The areas that C code holds. It knows them by id; here are the values that own them.
//!
//! They are kept by address, which a forked child has in common with its parent: ids are new there, and the registry tells
//! which address an id belongs to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use areas::registry::{self, Source};
use areas::{
    Area, AreaId, Error, Frozen, Kind, Name, PageSize, Protection, Received, Resizable, Result, Shared,
};

use crate::forking;
use crate::slot::Slot;

/// An area of any kind that has an id.
#[derive(Debug)]
pub(crate) enum Held {
    Resizable(Area<Resizable>),
    Shared(Area<Shared>),
    Frozen(Area<Frozen>),
}

/// Does the same with an area of whatever kind.
macro_rules! with {
    ($held:expr, $area:ident => $what:expr) => {
        match $held {
            Held::Resizable($area) => $what,
            Held::Shared($area) => $what,
            Held::Frozen($area) => $what,
        }
    };
}

impl Held {
    pub(crate) fn id(&self) -> Option<AreaId> {
        with!(self, area => area.id())
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        with!(self, area => area.as_ptr())
    }

    /// Bytes of addresses.
    pub(crate) fn span(&self) -> usize {
        with!(self, area => area.reserve())
    }

    pub(crate) fn protect(&mut self, protection: Protection) -> Result<()> {
        with!(self, area => area.protect(protection))
    }

    /// A resizable area as BeOS's calls make it: as a stack (`B_STACK_AREA`) it ends in a fault, at its lowest page, unless it has no other.
    pub(crate) fn resizable(mut area: Area<Resizable>) -> Result<Self> {
        guard_stack(&mut area)?;
        Ok(Held::Resizable(area))
    }

    /// What came from another process; nothing for a kind that did not exist when this was written.
    fn received(received: Received) -> Option<Self> {
        Some(match received {
            Received::Resizable(mut area) => {
                // Without the guard rather than not at all.
                let _ = guard_stack(&mut area);
                Held::Resizable(area)
            }
            Received::Frozen(area) => Held::Frozen(area),
            Received::Shared(area) => Held::Shared(area),
            _ => return None,
        })
    }
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
    /// Those of areas that are gone, to be used again: making an area and deleting it allocates no more than the library itself does.
    spare: Vec<Place>,
}

impl Areas {
    /// So many are kept.
    const SPARE: usize = 16;

    /// A place with nothing in it, which nobody knows.
    fn empty_place(&mut self) -> Place {
        let unused = |mut place: Place| Arc::get_mut(&mut place).is_some().then_some(place);
        // Who still looks at a former area finds its place empty, and nothing else in it.
        self.spare.pop().and_then(unused).unwrap_or_default()
    }

    /// Lets go of an area's place, if it is still the one at that address.
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

/// Whether the program has taken addresses away from areas at a moment when that could not be looked at.
static MOVED: AtomicBool = AtomicBool::new(false);

/// Has the next call look at what is left of all areas.
pub(crate) fn note_moved() {
    MOVED.store(true, Ordering::Release);
}

/// Cuts a range of addresses from the areas that lie there.
pub(crate) fn forget_range(range: Range<usize>) -> Result<()> {
    let _ = range;
    note_moved();
    Ok(())
}

/// Held for reading by whoever is in the middle of something with an area, for writing by who forks: so a child finds every
/// area whole, and no mutex that a thread holds which it does not have.
static GATE: RwLock<()> = RwLock::new(());

thread_local! {
    static FORKING: Slot<RwLockWriteGuard<'static, ()>> = const { Slot::new() };
}

/// Takes the gate, for a thread that is about to fork; [`let_go`] gives it back, in the parent and in the child.
pub(crate) fn take_gate() {
    FORKING.with(|held| {
        // Called twice, it must not wait for itself: `forking::ready` says when that can be.
        let gate = held.take().unwrap_or_else(|| GATE.write().unwrap_or_else(PoisonError::into_inner));
        held.put(Some(gate));
    });
}

/// Lets go of the gate.
pub(crate) fn let_go() {
    drop(FORKING.with(Slot::take));
}

/// The right to use areas, for the time of one call.
pub(crate) struct Entered(#[expect(dead_code, reason = "kept for its drop")] RwLockReadGuard<'static, ()>);

impl Entered {
    /// Begins a call that uses areas.
    pub(crate) fn new() -> Result<Self> {
        let status = forking::ready();
        if status != 0 {
            return Err(Error::new(Kind::System, "use areas").detail(format!("pthread_atfork gave {status}")));
        }
        Ok(Entered(GATE.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Takes an area in, and gives its id.
    #[expect(clippy::unused_self, reason = "it is the right to do so")]
    pub(crate) fn keep(&self, held: Held) -> Result<i32> {
        let gone = || Error::new(Kind::Registry, "keep an area").detail("it is not published");
        let id = held.id().ok_or_else(gone)?;
        let (address, place) = (held.as_ptr().addr(), all().empty_place());
        *open(&place) = Some(held);
        all().places.insert(address, place);
        Ok(id.get())
    }

    /// Takes an area in and publishes it: who finds it at once finds its place, and waits there until it is published. Its id.
    pub(crate) fn publish(&self, mut held: Held, name: Name) -> Result<i32> {
        let address = held.as_ptr().addr();
        let place = all().empty_place();
        let mut inside = open(&place);
        all().places.insert(address, place.clone());
        match with!(&mut held, area => area.publish_named(name)) {
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
        // Another thread may have deleted it in between.
        Err(registry::get(source.id()).err().unwrap_or_else(|| {
            Error::new(Kind::NotPermitted, format!("use area {} {:?}", source.id(), source.name()))
                .detail("another part of this program holds it")
        }))
    }

    /// Takes what other teams have transferred to this one.
    pub(crate) fn take_transferred(&self) {
        for transferred in registry::transferred().unwrap_or_default() {
            // Another thread may have been quicker.
            if let Ok(received) = transferred.take()
                && let Some(held) = Held::received(received)
            {
                let _ = self.keep(held);
            }
        }
    }

    /// Lets go of a place whose area is gone; what another thread has made at the same address by now stays.
    ///
    /// Only then: as long as the area has an id, its place is found, and says that it is being deleted.
    #[expect(clippy::unused_self, reason = "it is the right to do so")]
    pub(crate) fn forget(&self, address: usize, place: &Place) {
        all().forget(address, place);
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
