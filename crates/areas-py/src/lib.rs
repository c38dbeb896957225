//! The extension module `areas._areas`: what the Python package is made of that has to be in Rust.
//!
//! It exports two classes and a few functions, all of them thin over the library. What a person sees (`areas.Area`, arrays,
//! handles, errors) is Python, in `python/areas/`.
//!
//! # Invariants
//!
//! - A mapping is freed by its last *reference*, never when a count of exports falls to 0: NumPy releases its export as soon as it
//!   has the address, and keeps a reference to the exporter.
//! - No Rust reference is made to memory that another process, or Python, may write.
//! - No pages that Python may write through a living object ever become read-only: see `holding.rs`.
//! - What may block does so with the interpreter released, and looks for signals.

mod calls;
mod errors;
mod holding;
mod measured;
mod memory;
mod names;
mod passing;
mod progress;

use pyo3::prelude::*;

/// The extension module; `import areas` is what people want.
#[pymodule(name = "_areas", gil_used = true)]
mod module {
    #[pymodule_export]
    use super::calls::{allowed_nodes, create, find, list, nodes, wait};
    #[pymodule_export]
    use super::holding::Holding;
    #[pymodule_export]
    use super::memory::Memory;
    #[pymodule_export]
    use super::passing::{open_located, receive};
}
