//! The registry on a machine of which everything may be changed: its clock, how many files it has.
//! `cargo xtask test` boots it (`cargo xtask vm`); elsewhere each test says that it was skipped.
//!
//! The agents are those of `tests/registry`: processes that do what a test asks.
// vm: --nodes "2:512"

mod clock;
mod files;
#[path = "../registry/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "made for tests/registry, which uses all of it")]
mod support;

/// The first line of every test here: goes on in a guest, and says aloud elsewhere that it does
/// not.
macro_rules! guest {
    () => {
        if !$crate::in_guest($crate::support::test_name!()) {
            return;
        }
    };
}
use guest;

fn in_guest(test: &str) -> bool {
    let guest = std::env::var_os("AREAS_GUEST").is_some();
    if !guest {
        support::skip(test, "it wants a machine that is its own: `cargo xtask test` boots one");
    }
    guest
}

/// A measurement, for the log.
fn measured(what: &str) {
    use std::io::Write as _;
    std::io::stderr().write_all(format!("measured: {what}\n").as_bytes()).unwrap();
}
