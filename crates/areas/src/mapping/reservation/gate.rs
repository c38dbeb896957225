//! Parts of reservations, and of whatever is divided so, for one thread at a time: a forked child
//! finds all of them whole.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::error::{Error, ErrorKind, Result};
use crate::forking::{self, Order, Part};
use crate::size::Bytes;

/// Held for reading by threads that have the parts of a reservation, for writing by one that forks:
/// so a child finds all of them whole, and no mutex that a thread holds which it does not have.
static GATE: RwLock<()> = RwLock::new(());

thread_local! {
    static FORKING: forking::Held<RwLockWriteGuard<'static, ()>> = const { forking::Held::new() };
}

/// No thread has parts of any reservation while one forks.
static PART: Part = Part::new(
    Order::Reservations,
    || FORKING.with(|held| held.lock(|| GATE.write().unwrap_or_else(PoisonError::into_inner))),
    || FORKING.with(forking::Held::unlock),
);

/// The parts of a reservation, for one thread at a time.
pub(crate) struct Held<'a, T> {
    // Released first.
    parts: MutexGuard<'a, T>,
    _gate: RwLockReadGuard<'static, ()>,
}

/// The same of whatever is divided so: a forked child finds it whole.
pub(crate) fn hold<T>(parts: &Mutex<T>) -> Held<'_, T> {
    let gate = GATE.read().unwrap_or_else(PoisonError::into_inner);
    Held { parts: parts.lock().unwrap_or_else(PoisonError::into_inner), _gate: gate }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &Self::Target {
        &self.parts
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.parts
    }
}

/// Before there is any reservation.
pub(crate) fn prepare(size: usize) -> Result<()> {
    PART.ready().map_err(|errno| {
        Error::new(ErrorKind::System, format!("reserve {} of addresses", Bytes::from(size)))
            .with_system_call("pthread_atfork", errno)
    })
}
