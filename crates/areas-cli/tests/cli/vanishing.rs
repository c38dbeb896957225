//! Holders that are killed, and registries whose folder is taken away.

use std::time::Duration;

use areas_testing::meminfo;
use rustix::process::Signal;

use crate::harness::{Registry, bytes_of, within};

const MIB: usize = 1 << 20;

/// No row, no error, and the name is free again.
fn assert_gone(registry: &Registry) {
    assert!(within(Duration::from_secs(5), || registry.list().is_empty()));
    for command in ["show", "cat"] {
        let ran = registry.run([command, "x"]);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(3), ""), "{ran:?}");
    }
    let file = registry.file_of("next", 5000);
    let _next = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    assert!(registry.run(["cat", "x"]).output == bytes_of(5000));
}

#[test]
fn a_killed_holder_leaves_no_row() {
    let registry = Registry::new();
    let file = registry.file_of("file", MIB);
    let mut holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let id = registry.list()[0]["id"].to_string();
    holder.signal(Signal::KILL);
    holder.wait();
    assert_eq!(registry.run(["show", &id]).code, Some(3));
    assert_gone(&registry);
}

#[test]
fn a_killed_process_group_leaves_no_row() {
    let registry = Registry::new();
    let file = registry.file_of("file", MIB);
    let arguments = ["put", file.to_str().unwrap(), "--name", "x", "--", "sh", "-c", "echo ready; sleep 100"];
    let mut holder = registry.hold(arguments);
    assert_eq!(registry.list().len(), 1);
    holder.signal_group(Signal::KILL);
    assert_eq!(holder.wait(), 1009);
    assert_gone(&registry);
}

/// Killed while it is filling: it was not published yet, and is not afterwards.
#[test]
fn killed_before_it_is_ready() {
    let registry = Registry::new();
    let file = registry.file_of("file", 64 * MIB);
    for after in [1, 5, 20, 40] {
        let mut child = registry
            .areas(["put", file.to_str().unwrap(), "--name", "x"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(after));
        child.kill().unwrap();
        child.wait().unwrap();
        registry.assert_empty();
    }
    assert_gone(&registry);
}

/// Shared memory in use on the whole machine, in bytes.
fn shared_memory() -> usize {
    usize::try_from(meminfo::bytes("Shmem")).unwrap()
}

#[test]
fn machine_memory_is_back_after_a_kill() {
    let registry = Registry::new();
    let file = registry.file_of("file", 96 * MIB);
    let slack = 16 * MIB;
    for group in [false, true] {
        let before = shared_memory();
        let holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
        assert!(shared_memory() >= before + 96 * MIB - slack);
        if group {
            holder.signal_group(Signal::KILL);
        } else {
            holder.signal(Signal::KILL);
        }
        assert!(
            within(Duration::from_secs(10), || shared_memory() <= before + slack),
            "{before} before, {} after",
            shared_memory()
        );
    }
    registry.assert_empty();
}

#[test]
fn a_removed_registry_comes_back() {
    let registry = Registry::new();
    let file = registry.file_of("file", MIB);
    let mut holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let id = registry.list()[0]["id"].clone();
    for whole in [false, true] {
        if whole {
            std::fs::remove_dir_all(registry.path()).unwrap();
        } else {
            for entry in std::fs::read_dir(registry.path()).unwrap() {
                std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
            }
        }
        assert!(
            within(Duration::from_secs(3), || registry.run(["ls", "-q"]).stdout().lines().count() == 1),
            "whole folder: {whole}"
        );
        assert_eq!(registry.list()[0]["id"], id);
        assert!(registry.run(["cat", "x"]).output == bytes_of(MIB));
    }
    holder.signal(Signal::TERM);
    assert_eq!(holder.wait(), 143);
    registry.assert_empty();
}
