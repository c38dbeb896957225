//! The one state of this process, for one thread at a time, and whole in a forked child.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Key, State};
use crate::error::{Error, ErrorKind, Result};
use crate::forking::{Held, Order, Part};
use crate::registry::peer::asking;

static STATE: Mutex<Option<Box<State>>> = Mutex::new(None);

/// All mutexes of the registry that a thread may hold: first the state's.
struct Whole {
    _state: MutexGuard<'static, Option<Box<State>>>,
    _asking: MutexGuard<'static, ()>,
}

thread_local! {
    static FORKING: Held<Whole> = const { Held::new() };
}

/// No thread is in the middle of anything while one forks.
static PART: Part = Part::new(
    Order::Registry,
    || FORKING.with(|held| held.lock(|| Whole { _state: lock(), _asking: asking() })),
    || FORKING.with(Held::unlock),
);

fn lock() -> MutexGuard<'static, Option<Box<State>>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This process's state, to be used by one thread at a time.
pub(in crate::registry) struct Guard(MutexGuard<'static, Option<Box<State>>>);

impl Deref for Guard {
    type Target = State;

    fn deref(&self) -> &State {
        self.0.as_ref().unwrap_or_else(|| unreachable!("made by `state`"))
    }
}

impl DerefMut for Guard {
    fn deref_mut(&mut self) -> &mut State {
        self.0.as_mut().unwrap_or_else(|| unreachable!("made by `state`"))
    }
}

/// This process's state, in a forked child as far as it can be had without publishing anything.
fn state_as_it_is() -> Result<Guard> {
    PART.ready().map_err(|errno| {
        Error::new(ErrorKind::System, "use the registry").with_system_call("pthread_atfork", errno)
    })?;
    let mut guard = lock();
    if guard.is_none() {
        *guard = Some(Box::new(State::new()?));
    }
    Ok(Guard(guard))
}

/// This process's state. In a forked child, what it inherited is published first.
///
/// Where that cannot be done (a full file system), looking for others' areas works all the same; it
/// is tried again at each call, and publishing and keeping report the error.
pub(in crate::registry) fn state() -> Result<Guard> {
    let mut state = state_as_it_is()?;
    if state.is_inherited() {
        state.become_child();
    }
    if state.waiting {
        let _ = state.replace_closed_table().and_then(|()| state.publish_inherited());
    }
    Ok(state)
}

/// The same, with what other teams have transferred to us accepted: for calls that ask the kernel
/// anyway.
pub(in crate::registry) fn state_up_to_date() -> Result<Guard> {
    let mut state = state()?;
    // What cannot be accepted is reported to those who ask for it.
    let _ = state.look();
    Ok(state)
}

/// Takes an area back, in a forked child without publishing the others for it.
pub(in crate::registry) fn withdraw(key: Key) {
    if let Ok(mut state) = state_as_it_is() {
        if state.is_inherited() {
            let _ = state.forget(key);
        } else {
            state.withdraw(key);
        }
    }
}
