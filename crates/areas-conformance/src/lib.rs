//! For authors of providers: what a [`Provider`](areas::Provider) must keep, as checks that can be
//! run.
//!
#![doc = include_str!("../README.md")]

mod checks;
mod maps;
mod notes;
mod report;
mod suite;
mod usage;

pub use report::{Finding, Outcome, Report};
pub use suite::{Suite, check, names};
