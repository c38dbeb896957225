//! One area of this process: where it is while long calls have it, and how many Python objects may
//! write it.
//!
//! # Invariants
//!
//! - The address and the mapped bytes never change while a [`Core`] lives: a growable area is
//!   mapped as far as it may grow, and freezing replaces the pages in place.
//! - `writers` counts the [`Memory`] objects that lend the pages for writing. It is 0 before pages
//!   become read-only, and none is made until that is over: so no living Python object finds its
//!   pages read-only under it.
//! - A long call takes the area out of its slot, and puts it back. The mutex of the slot is never
//!   held while the interpreter is released or Python code runs; so no thread holds it when another
//!   one forks.

pub(crate) mod known;

use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use areas::{Area, Error, ErrorKind, Frozen, Protection, Shared};
use pyo3::prelude::*;

use crate::errors::raised;

/// An area of either kind.
#[derive(Debug)]
pub(crate) enum Any {
    Shared(Area<Shared>),
    Frozen(Area<Frozen>),
}

/// Calls the same method of either kind.
macro_rules! of_any {
    ($any:expr, $area:ident => $call:expr) => {
        match $any {
            Any::Shared($area) => $call,
            Any::Frozen($area) => $call,
        }
    };
}
pub(crate) use of_any;

impl Any {
    pub(crate) fn is_frozen(&self) -> bool {
        matches!(self, Any::Frozen(_))
    }

    pub(crate) fn is_writable(&self) -> bool {
        match self {
            Any::Shared(area) => area.protection().contains(Protection::WRITE),
            Any::Frozen(_) => false,
        }
    }
}

/// The inode of its memory object.
pub(crate) fn inode_of(any: &Any) -> u64 {
    of_any!(any, area => area.object().file_id().1)
}

/// Where the area is.
#[derive(Debug)]
enum Slot {
    Here(Box<Any>),
    /// A long call of that process has it.
    Taken {
        what: &'static str,
        by: Caller,
    },
}

/// Who makes a call: a forked child finds calls of its parent's threads, which it does not have.
type Caller = (u32, ThreadId);

fn caller() -> Caller {
    (std::process::id(), std::thread::current().id())
}

/// One area of this process.
#[derive(Debug)]
pub(crate) struct Core {
    slot: Mutex<Slot>,
    writers: AtomicUsize,
    /// The calls that freeze it, by process and thread: as long as there is one, no other thread is
    /// lent the pages for writing.
    freezing: Mutex<Vec<Caller>>,
    address: usize,
    inode: u64,
}

/// How long is slept at a time, where one call waits for another one.
pub(crate) const SLICE: Duration = Duration::from_millis(2);

/// From this size on, unmapping takes long enough to release the interpreter for.
const LARGE: usize = 4 << 20;

impl Core {
    pub(crate) fn new(area: Any) -> Self {
        let address = of_any!(&area, area => area.as_ptr().expose_provenance());
        let inode = inode_of(&area);
        Core {
            slot: Mutex::new(Slot::Here(Box::new(area))),
            writers: AtomicUsize::new(0),
            freezing: Mutex::default(),
            address,
            inode,
        }
    }

    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    pub(crate) fn address(&self) -> usize {
        self.address
    }

    pub(crate) fn writers(&self) -> &AtomicUsize {
        &self.writers
    }

    fn freezing(&self) -> MutexGuard<'_, Vec<Caller>> {
        self.freezing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the area, shortly: nothing that blocks, no Python.
    pub(crate) fn look<R>(&self, py: Python<'_>, look: impl FnOnce(&Any) -> R) -> PyResult<R> {
        loop {
            if let Slot::Here(any) = &*self.slot() {
                return Ok(look(any));
            }
            self.wait(py)?;
        }
    }

    /// Makes a short call that changes the area, without the interpreter being released: nothing
    /// that blocks for long, no Python.
    pub(crate) fn change<R>(&self, py: Python<'_>, change: impl FnOnce(&mut Any) -> R) -> PyResult<R> {
        loop {
            if let Slot::Here(any) = &mut *self.slot() {
                return Ok(change(any));
            }
            self.wait(py)?;
        }
    }

    /// Waits while another thread freezes it: who takes an array again and again would keep it from
    /// that forever.
    pub(crate) fn wait_for_freezing(&self, py: Python<'_>) -> PyResult<()> {
        // (Mostly nothing freezes it, and the kernel is not asked who this is.)
        if self.freezing().is_empty() {
            return Ok(());
        }
        let (pid, thread) = caller();
        let waits = || self.freezing().iter().any(|&(process, other)| process == pid && other != thread);
        while waits() {
            py.detach(|| std::thread::sleep(SLICE));
            py.check_signals()?;
        }
        Ok(())
    }

    /// Waits a moment for the call that has the area.
    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        let (what, own) = match &*self.slot() {
            Slot::Here(_) => return Ok(()),
            Slot::Taken { what, by } => {
                let (pid, thread) = caller();
                (*what, by.0 == pid && by.1 != thread)
            }
        };
        if !own {
            return Err(raised(
                py,
                &Error::new(ErrorKind::Busy, "use an area")
                    .with_facts(format!(
                        "it is in the middle of `{what}`: this is its progress function, or a child forked during it"
                    ))
                    .with_remedy("use it when that call has returned; in a child, find the area again"),
            ));
        }
        py.detach(|| std::thread::sleep(SLICE));
        py.check_signals()
    }

    /// Makes a long call with the interpreter released. The area is put back whatever comes of it.
    pub(crate) fn run<R: Send>(
        &self,
        py: Python<'_>,
        what: &'static str,
        call: impl FnOnce(&mut Any) -> R + Send,
    ) -> PyResult<R> {
        let mut any = self.take(py, what)?;
        let result = py.detach(|| call(&mut any));
        *self.slot() = Slot::Here(any);
        Ok(result)
    }

    /// The same for a call that makes another area of it.
    pub(crate) fn turn<R: Send>(
        &self,
        py: Python<'_>,
        what: &'static str,
        call: impl FnOnce(Any) -> (Any, R) + Send,
    ) -> PyResult<R> {
        let any = self.take(py, what)?;
        let (any, result) = py.detach(|| call(*any));
        *self.slot() = Slot::Here(Box::new(any));
        Ok(result)
    }

    fn take(&self, py: Python<'_>, what: &'static str) -> PyResult<Box<Any>> {
        let by = caller();
        loop {
            {
                let mut slot = self.slot();
                if matches!(&*slot, Slot::Here(_))
                    && let Slot::Here(any) = std::mem::replace(&mut *slot, Slot::Taken { what, by })
                {
                    return Ok(any);
                }
            }
            self.wait(py)?;
        }
    }
}

/// A call that freezes.
pub(crate) struct Freezing<'a>(&'a Core);

impl<'a> Freezing<'a> {
    pub(crate) fn begin(core: &'a Core) -> Self {
        core.freezing().push(caller());
        Freezing(core)
    }
}

impl Drop for Freezing<'_> {
    fn drop(&mut self) {
        let own = caller();
        let mut all = self.0.freezing();
        if let Some(at) = all.iter().rposition(|&other| other == own) {
            all.swap_remove(at);
        }
    }
}

impl Drop for Core {
    /// Unmapping much memory takes a while: others may run in that time.
    fn drop(&mut self) {
        known::forget(self.inode);
        let slot = self.slot.get_mut().unwrap_or_else(PoisonError::into_inner);
        // No process reads it: so the kernel is not asked who this is.
        let taken = Slot::Taken { what: "drop", by: (0, std::thread::current().id()) };
        let Slot::Here(any) = std::mem::replace(slot, taken) else { return };
        let mapped = of_any!(&*any, area => area.mapped());
        let mut any = Some(any);
        if mapped >= LARGE {
            // Where the interpreter ends there is none to release.
            let _ = Python::try_attach(|py| {
                let any = any.take();
                py.detach(|| drop(any));
            });
        }
        drop(any);
    }
}
