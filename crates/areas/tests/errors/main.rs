//! The text of every documented failure, as people read it. What differs from run to run is
//! redacted; limits, users and sandboxes are real ones, in processes of their own.

#[expect(dead_code, reason = "the tests of areas and providers use the rest")]
#[path = "../area_support/mod.rs"]
mod support;

mod access;
mod containers;
mod deaths;
mod folder;
mod freezing;
mod kill_filters;
mod limits;
mod physical;
mod proc;
mod redact;
mod requests;
mod reservations;
mod sandbox;
mod seccomp;

use areas::Error;

/// The whole report, redacted, with its kind as the first word.
fn report(error: &Error) -> String {
    redact::redact(&format!("{:?}: {error:#}", error.kind()))
}

/// The report of what has to fail.
#[track_caller]
fn failure<T>(result: areas::Result<T>) -> String {
    match result {
        Ok(_) => panic!("it did not fail"),
        Err(error) => report(&error),
    }
}
