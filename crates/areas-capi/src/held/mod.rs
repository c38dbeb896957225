//! The areas that C code holds. It knows them by id; here are the values that own them.
//!
//! They are kept by address, which a forked child has in common with its parent: ids are new there,
//! and the registry says which address an id belongs to.
//!
//! | file | what |
//! |---|---|
//! | `gate.rs` | the gate of all calls, at which who forks waits |
//! | `places.rs` | the areas, by address |
//! | `reconciling.rs`, `unreconciled.rs` | what the program has taken away from them itself |
//! | `interposed.rs` | the same, where the interposer says so |

mod gate;
mod interposed;
mod places;
mod reconciling;
mod unreconciled;

use std::sync::RwLockReadGuard;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// An area of any kind that has an id.
pub(crate) use areas::AnyArea as Held;
use areas::registry::{self, Source};
use areas::{Area, Error, ErrorKind, Name, PageSize, Protection, Resizable, Result};

use places::{Areas, all};
pub(crate) use places::{Place, open};
pub(crate) use reconciling::forget_range;
use unreconciled::{end_looking, take_moved};
pub(crate) use unreconciled::{is_moved, is_reconciled, note_moved};

use crate::forking::{self, Order, Part};
use crate::interposer;

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

/// The gate, for who forks. The interposer knows of us before there is an area.
static PART: Part = Part {
    order: Order::Areas,
    begin: || interposer::register(interposed::look),
    lock: gate::lock_for_fork,
    unlock: gate::unlock_after_fork,
    unlock_in_child: gate::unlock_after_fork_in_child,
    registered: AtomicBool::new(false),
};

/// The right to use areas, for the time of one call.
pub(crate) struct Entered(#[expect(dead_code, reason = "kept for its drop")] RwLockReadGuard<'static, ()>);

impl Entered {
    /// Begins a call that uses areas.
    pub(crate) fn new() -> Result<Self> {
        let status = forking::ready(&PART);
        if status != 0 {
            return Err(Error::new(ErrorKind::System, "use areas")
                .with_facts(format!("pthread_atfork returned {status}")));
        }
        let entered = Entered(gate::enter());
        if take_moved() {
            entered.look_at(&(0..usize::MAX));
            end_looking();
        }
        Ok(entered)
    }

    /// Takes an area in that was mapped just now, and gives its id. By a thread that is in the
    /// middle of nothing with any other one.
    pub(crate) fn keep(&self, held: Held) -> Result<i32> {
        self.notice(&held);
        self.keep_at(held, Areas::insert_new)
    }

    fn keep_at(&self, held: Held, insert: fn(&mut Areas, usize, Place)) -> Result<i32> {
        let gone = || Error::new(ErrorKind::Registry, "keep an area").with_facts("it is not published");
        let id = held.id().ok_or_else(gone)?;
        let (address, place) = (held.as_ptr().addr(), all().empty_place());
        *open(&place) = Some(held);
        insert(&mut all(), address, place);
        Ok(id.get())
    }

    /// Takes an area in and publishes it: who finds it at once finds its place, and waits there
    /// until it is published. Its id.
    pub(crate) fn publish(&self, mut held: Held, name: Name) -> Result<i32> {
        self.notice(&held);
        let address = held.as_ptr().addr();
        let place = all().empty_place();
        let mut inside = open(&place);
        all().insert_new(address, place.clone());
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

    /// Does something with an area of this process's own, once no other thread is in the middle of
    /// something with it.
    ///
    /// Where it begins is the registry's word of a moment: where the program has unmapped its head,
    /// it begins elsewhere by now, and another area may begin there.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchArea`] where it is gone; [`ErrorKind::NotPermitted`] where C does not
    /// hold it by its id.
    pub(crate) fn with<T>(
        &self,
        source: &Source,
        what: impl FnOnce(&Place, &mut Option<Held>) -> T,
    ) -> Result<T> {
        /// What was transferred is published a moment before it is kept here, and a head may be cut
        /// off again and again.
        const ATTEMPTS: usize = 64;
        let mut address = source.address();
        for attempt in 0..ATTEMPTS {
            let place = all().places.get(&address).cloned();
            if let Some(place) = &place {
                let mut held = open(place);
                if held.as_ref().and_then(Held::id) == Some(source.id()) {
                    return Ok(what(place, &mut held));
                }
            }
            match attempt {
                0 => self.take_transferred(),
                _ => Keeping::wait(),
            }
            // Another thread may have deleted it concurrently.
            address = registry::get(source.id())?.address();
        }
        Err(Error::new(ErrorKind::NotPermitted, format!("use area {} {:?}", source.id(), source.name()))
            .with_facts("another part of this program holds it"))
    }

    /// Takes what other teams have transferred to this one.
    ///
    /// It was mapped and published at some call before, so that the program may have unmapped it by
    /// now, and have another area there.
    pub(crate) fn take_transferred(&self) {
        for transferred in registry::transferred().unwrap_or_default() {
            let _keeping = Keeping::new();
            // Another thread may have been quicker.
            let Ok(area) = transferred.take() else { continue };
            let parts = match area.missing() {
                Ok(missing) if !missing.is_empty() => {
                    area.cut(&missing).unwrap_or_else(|rejected| vec![rejected.value])
                }
                _ => vec![area],
            };
            for part in parts {
                let _ = self.keep_at(received(part), Areas::insert);
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

    /// The areas that begin below an address, the nearest first.
    #[expect(clippy::unused_self, reason = "it is the right to do so")]
    pub(crate) fn below(&self, address: usize) -> Vec<Place> {
        all().places.range(..address).rev().map(|(_, place)| place.clone()).collect()
    }
}

/// As long as it lives, an area may be published that is not kept yet.
pub(crate) struct Keeping;

/// How many there are.
static KEEPING: AtomicUsize = AtomicUsize::new(0);

impl Keeping {
    pub(crate) fn new() -> Self {
        KEEPING.fetch_add(1, Ordering::AcqRel);
        Keeping
    }

    /// Waits a moment, and as long as there is one.
    fn wait() {
        std::thread::yield_now();
        while KEEPING.load(Ordering::Acquire) > 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        KEEPING.fetch_sub(1, Ordering::AcqRel);
    }
}
