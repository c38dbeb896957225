//! Helper processes with special properties, and what tests need to steer them.
//!
//! - [`Agent`] is the test's end: it starts one and asks it to do things.
//! - [`serve`] is the other end: the loop of the helper process.
//! - [`Folder`] is a registry's folder, looked at from outside.

mod agent;
mod area;
mod bystanders;
mod channel;
mod exclusive;
mod folder;
mod forge;
mod hand;
mod identity;
mod launch;
mod limits;
mod mute;
mod notes;
mod raw;
mod reply;
mod resizing;
pub(crate) mod serve;
mod skip;
mod walking;
mod workload;

pub(crate) use agent::Agent;
pub(crate) use exclusive::now;
pub(crate) use folder::{Folder, Link, start_time};
pub(crate) use launch::Launch;
pub(crate) use raw::{lock_bytes, locked_byte};
pub(crate) use reply::{Held, Seen, refused};
pub(crate) use skip::{can_run, is_root, skip};

use std::time::{Duration, Instant};

/// Waits for what must come true, and says what did not.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not come true in 30 s: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The test's name, for [`skip`].
macro_rules! test_name {
    () => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here);
        name.strip_suffix("::here").unwrap_or(name)
    }};
}
pub(crate) use test_name;
