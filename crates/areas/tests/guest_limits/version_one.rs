//! Control groups of version 1, on a kernel that still has them for memory: the tests of
//! `tests/limits` once more.

use std::fs;
use std::process::Command;

use super::support::child::test;
use super::{at_once, hugetlb, in_guest, memory};

/// A hierarchy of version 1 for a controller that version 2 does not use now.
fn mount(controller: &str) {
    let folder = format!("/run/cgroup-{controller}");
    fs::create_dir_all(&folder).unwrap();
    let mount = Command::new("mount").args(["-t", "cgroup", "-o", controller, "none", &folder]).status();
    assert!(mount.unwrap().success(), "{controller}");
}

#[test]
fn both_controllers() {
    let this = test!("both_controllers");
    if !in_guest(this) {
        return;
    }
    // What a process of a test's own is asked to do, it finds by its name in its own module.
    for controller in ["memory", "hugetlb"] {
        mount(controller);
    }
    memory::whatever_brings_pages_in_is_refused_with_numbers();
    memory::a_limit_further_up_counts();
    memory::a_limit_on_memory_and_swap_together();
    at_once::threads_of_one_process();
    at_once::several_processes();
    hugetlb::machine_a_limit_is_named_and_not_the_pool();
}
