//! The short form of the trials: some of the points of every operation, other ones each day. All of
//! them: `cargo xtask reliability`.

use std::process::Command;

/// Of all points to kill at, and of all faults, one in so many.
const KILLS: &str = "4";
const FAULTS: &str = "6";
/// Of all changes between calls.
const CHANGES: &str = "61";

#[track_caller]
fn run(trial: &str, operation: &str, every: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_areas-reliability"));
    let output = command.args([trial, "--operation", operation, "--every", every]).output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let skipped: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("SKIPPED: ")).map(|(_, why)| why).collect();
    for why in &skipped {
        areas_testing::skipped(&format!("{trial}::{operation}"), why);
    }
    // Of changes a part may have been left out, and the rest be wrong.
    if !skipped.is_empty() && output.status.success() {
        return;
    }
    let cannot = ["PTRACE_TRACEME: EPERM", "not known for this architecture", "registers are not known here"];
    if let Some(why) = cannot.into_iter().find(|&why| text.contains(why)) {
        return areas_testing::skipped(&format!("{trial}::{operation}"), why);
    }
    assert!(output.status.success(), "`areas-reliability {trial} --operation {operation}`:\n{text}");
}

/// A test for each operation and trial, so that they run side by side and are named when they fail.
/// What fills the pool of huge pages for its time is named `machine_…`, and has the machine to
/// itself.
macro_rules! operations {
    ($($test:ident: $name:literal;)*) => {
        mod kill {
            $(#[test] fn $test() { super::run("kill", $name, super::KILLS); })*
        }
        mod inject {
            $(#[test] fn $test() { super::run("inject", $name, super::FAULTS); })*
        }
        const HERE: &[&str] = &[$($name),*];
    };
}

/// The same for the operations that look.
macro_rules! looking {
    ($($test:ident: $name:literal;)*) => {
        mod between {
            $(#[test] fn $test() { super::run("between", $name, super::CHANGES); })*
        }
        const LOOKING: &[&str] = &[$($name),*];
    };
}

#[test]
fn every_operation_that_looks_is_here() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_areas-reliability")).arg("between-operations").output().unwrap();
    let names = String::from_utf8(output.stdout).unwrap();
    assert_eq!(names.lines().collect::<Vec<_>>(), LOOKING);
}

#[test]
fn every_operation_is_here() {
    let output = Command::new(env!("CARGO_BIN_EXE_areas-reliability")).arg("operations").output().unwrap();
    let names = String::from_utf8(output.stdout).unwrap();
    assert_eq!(names.lines().collect::<Vec<_>>(), HERE);
}

operations! {
    join_first: "join-first";
    join: "join";
    join_clearing: "join-clearing";
    join_without_area: "join-without-area";
    join_once: "join-once";
    publish_first: "publish-first";
    keep: "keep";
    reap: "reap";
    publish: "publish";
    publish_alone: "publish-alone";
    create_or_open: "create-or-open";
    unpublish: "unpublish";
    retire: "retire";
    fork: "fork";
    create_private: "create-private";
    create_shared: "create-shared";
    create_placed: "create-placed";
    create_growable: "create-growable";
    create_resizable: "create-resizable";
    create_locked: "create-locked";
    create_contiguous: "create-contiguous";
    create_huge: "create-huge";
    unmap: "unmap";
    find: "find";
    find_again: "find-again";
    list: "list";
    walk: "walk";
    wait: "wait";
    wait_in_vain: "wait-in-vain";
    clone: "clone";
    clone_read_only: "clone-read-only";
    close_to_others: "close-to-others";
    clone_published: "clone-published";
    clone_locked: "clone-locked";
    clone_frozen: "clone-frozen";
    clone_resizable: "clone-resizable";
    clone_any: "clone-any";
    of_descriptor: "of-descriptor";
    slab_make: "slab-make";
    slab_read: "slab-read";
    lock: "lock";
    lock_dead: "lock-dead";
    lock_in_vain: "lock-in-vain";
    event: "event";
    event_in_vain: "event-in-vain";
    sequence_lock: "sequence-lock";
    grow: "grow";
    machine_grow_pool: "grow-pool";
    resize: "resize";
    resize_beyond: "resize-beyond";
    resize_in_arena: "resize-in-arena";
    shrink: "shrink";
    cut: "cut";
    protect: "protect";
    freeze: "freeze";
    freeze_locked: "freeze-locked";
    populate: "populate";
    fill: "fill";
    send: "send";
    receive: "receive";
    moving: "move";
    moving_unprivileged: "move-unprivileged";
    offer: "offer";
    give: "give";
    take: "take";
    transfer_own: "transfer-own";
    transfer: "transfer";
    take_in: "take-in";
}

looking! {
    find: "find";
    find_again: "find-again";
    get: "get";
    list: "list";
    walk: "walk";
    wait: "wait";
    info: "info";
    info_resizable: "info-resizable";
    look: "look";
    measure: "measure";
    measure_resizable: "measure-resizable";
    residency: "residency";
    holders: "holders";
    open_new: "open-new";
    open_shadowed: "open-shadowed";
    open: "open";
    open_again: "open-again";
    open_read_only: "open-read-only";
    open_growable: "open-growable";
    open_resizable: "open-resizable";
    open_frozen: "open-frozen";
    open_locked: "open-locked";
    open_pool: "open-pool";
    receive: "receive";
    receive_growable: "receive-growable";
    receive_frozen: "receive-frozen";
    receive_pool: "receive-pool";
    take: "take";
    give: "give";
    grow: "grow";
    resize: "resize";
    read: "read";
    populate: "populate";
    publish_clone: "publish-clone";
    send: "send";
    freeze: "freeze";
}
