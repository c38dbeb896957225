//! The C edge: three interfaces over one library.
//!
//! - [`be`]: BeOS's and Haiku's areas (`include/be/`);
//! - [`aml`]: AML's areas, the current interface and the older one (`include/aml/`,
//!   `include/aml-0.1/`);
//! - [`native`]: our own, for what neither has (`include/areas.h`).
//!
//! Each is thin: it translates words and errors, and adds no system call and no allocation of its
//! own (waits apart: [`waiting`]). Nothing but the three interfaces is exported. No panic crosses
//! the edge, and no thread is cancelled inside of a call ([`edge`]), but where it waits
//! ([`waiting`]). Areas that C holds by id are kept in [`held`], the words of the last error of
//! each thread in [`error`], in places that are there to the end of a thread ([`slot`]); what a
//! forked child has to find whole of all that, in [`forking`]. What the edge costs is tested in
//! `costs/`, for each function that is exported.

mod aml;
mod be;
#[cfg(test)]
mod costs;
mod edge;
mod error;
mod forking;
mod held;
mod interposer;
mod native;
mod slot;
mod waiting;
