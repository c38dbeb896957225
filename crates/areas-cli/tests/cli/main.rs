//! The command as its users see it: real processes, each test with a registry of its own, so that
//! they run side by side.
//!
//! Tests whose names begin with `machine_` look at numbers of the whole machine and run one at a
//! time.

mod answers;
mod background;
mod changing;
mod command;
mod doctor;
mod doctor_sandboxed;
mod gate;
mod getting_named;
mod harness;
mod help;
mod holders;
mod inout;
mod listing;
mod locks;
mod looking;
mod machines;
mod names;
mod places;
mod pty;
mod putting;
mod reaping;
mod reaping_killed;
mod registryless;
mod running;
mod scanning;
mod schema;
mod several;
mod stories;
mod story_leak;
mod streams;
mod terminal;
mod top;
mod tour;
mod usage;
mod users;
mod vanishing;
mod watching;
