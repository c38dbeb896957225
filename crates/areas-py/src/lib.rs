//! The extension module `areas._areas`: what the Python package is made of that has to be in Rust.
//!
//! It exports some classes and functions, all of them thin over the library. What a person sees
//! (`areas.Area`, arrays, handles, errors) is Python, in `python/areas/`.
//!
//! # Invariants
//!
//! - A mapping is freed by its last *reference*, never when a count of exports falls to 0: NumPy
//!   releases its export as soon as it has the address, and keeps a reference to the exporter.
//! - No Rust reference is made to memory that another process, or Python, may write.
//! - No pages that Python may write through a living object ever become read-only: see `core/`.
//! - What may block does so with the interpreter released, and looks for signals.

mod area;
mod calls;
mod core;
mod descriptor;
mod errors;
mod gate;
mod handle;
mod holding;
mod measured;
mod memory;
mod names;
mod opening;
mod passing;
mod placing;
mod progress;
mod slab;
mod sync;

use std::sync::atomic::{AtomicI64, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The interpreter that has the module; -1 before there is one.
static INTERPRETER: AtomicI64 = AtomicI64::new(-1);

/// An error in an interpreter that is not the first to import this.
#[expect(unsafe_code, reason = "asks which interpreter this is, which PyO3 has no safe call for")]
fn refuse_subinterpreters() -> PyResult<()> {
    // SAFETY: this thread is attached to an interpreter, which is what the call asks for.
    let state = unsafe { pyo3::ffi::PyInterpreterState_Get() };
    // SAFETY: that is the state of the current interpreter, which lives as long as this thread is
    // attached to it.
    let number = unsafe { pyo3::ffi::PyInterpreterState_GetID(state) };
    match INTERPRETER.compare_exchange(-1, number, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(()),
        Err(first) if first == number => Ok(()),
        Err(_) => Err(PyImportError::new_err(
            "cannot import areas: subinterpreters are not supported: use processes (multiprocessing)",
        )),
    }
}

/// The extension module; `import areas` is what people want.
#[pymodule(name = "_areas", gil_used = true)]
mod module {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::area::{Base, look_up, make};
    #[pymodule_export]
    use super::calls::{allowed_nodes, create, find, list, nodes, registry_path, wait};
    #[pymodule_export]
    use super::gate::{Offer, offer, take};
    #[pymodule_export]
    use super::handle::{handle, open_handle};
    #[pymodule_export]
    use super::holding::{Holding, held};
    #[pymodule_export]
    use super::memory::{Memory, address_of};
    #[pymodule_export]
    use super::passing::{forget_dead, open_located, receive};
    #[pymodule_export]
    use super::slab::{
        Blocks, after_fork_in_child, after_fork_in_parent, before_fork, detach_dead, open_block,
    };
    #[pymodule_export]
    use super::sync::{Words, Writing};

    /// Refuses subinterpreters: classes and what is held belong to the interpreter that imported
    /// this first.
    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::refuse_subinterpreters()
    }
}
