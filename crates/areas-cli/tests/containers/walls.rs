//! What a container lacks: memory, system calls, room in `/dev/shm`.

use std::fs;

use serde_json::Value;

use crate::podman::Podman;

const MIB: u64 = 1 << 20;

#[test]
fn more_than_the_memory_limit_is_an_error_and_no_kill() {
    let Some(podman) = Podman::new("more_than_the_memory_limit_is_an_error_and_no_kill") else { return };
    // Version 1, or version 2; the kernel counts whom it kills in both.
    const KILLS: &str = "cat /sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events 2>/dev/null | grep 'oom_kill '";
    for maker in ["areas create --size 256M --populate", "areas put /model.bin"] {
        let script = format!("{maker} --name x; echo ended with $?; {KILLS}");
        let ran = podman.shell(&["--memory", "64m"], &script);
        assert_eq!(ran.stdout(), "ended with 1\noom_kill 0\n", "{ran:?}");
        for said in ["control group", "is 64.0 MiB", "help: ask for less, raise the limit", "--memory "] {
            assert!(ran.stderr.contains(said), "{said}: {ran:?}");
        }
    }
    // What fits is given.
    let script = "areas create --name x --size 32M --populate -- areas show x --json";
    let ran = podman.shell(&["--memory", "64m"], script);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout().contains(&format!("\"resident\": {}", 32 * MIB)), "{ran:?}");
}

#[test]
fn the_profile_leaves_what_areas_need() {
    let Some(podman) = Podman::new("the_profile_leaves_what_areas_need") else { return };
    let one_node =
        fs::read_to_string("/sys/devices/system/node/has_memory").is_ok_and(|nodes| nodes.trim() == "0");
    let ran = podman.shell(&[], "grep Seccomp: /proc/self/status");
    assert_eq!(ran.stdout(), "Seccomp:\t2\n", "{ran:?}");
    let inside = |options: &[&str], what: &str| -> Value {
        let script = format!("areas --quiet create --name x --size 1M --populate -- {what}");
        let ran = podman.shell(options, &script);
        assert!(ran.stderr.is_empty(), "{ran:?}");
        serde_json::from_str(&ran.stdout()).unwrap_or_else(|_| panic!("{ran:?}"))
    };
    let list = inside(&[], "areas ls --json");
    for area in [&inside(&[], "areas show x --json"), &list["areas"][0]] {
        assert_eq!((&area["name"], &area["resident"]), (&"x".into(), &MIB.into()), "{area}");
        // Where move_pages is forbidden, totals are reported: all of it, on nodes that are known or
        // not.
        let nodes = area["nodes"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
        assert_eq!(nodes + area["node_unknown"].as_u64().unwrap(), MIB, "{area}");
        if one_node {
            assert_eq!(
                (&area["nodes"]["0"], &area["page_nodes_known"]),
                (&MIB.into(), &true.into()),
                "{area}"
            );
        }
    }
    // The command that examines it says which call is refused, and says so only where it is.
    let nodes = |options: &[&str]| -> (String, String) {
        let reported = inside(options, "sh -c 'areas doctor --json || true'");
        let checks = reported["checks"].as_array().unwrap();
        let check = checks
            .iter()
            .find(|check| check["id"] == "sandbox.nodes")
            .unwrap_or_else(|| panic!("{reported}"));
        (check["state"].as_str().unwrap().into(), check["finding"].as_str().unwrap().into())
    };
    let (state, finding) = nodes(&[]);
    assert!(state != "fine" && finding.contains("move_pages (EPERM)"), "{state}: {finding}");
    let (state, finding) = nodes(&["--security-opt", "seccomp=unconfined"]);
    assert_eq!(state, "fine", "{finding}");
}

#[test]
fn areas_take_no_room_of_dev_shm() {
    let Some(podman) = Podman::new("areas_take_no_room_of_dev_shm") else { return };
    let script = "areas --quiet put /model.bin --name x -- areas ls --json";
    let listed = |options: &[&str]| -> Value {
        let ran = podman.shell(options, script);
        assert_eq!(ran.code, Some(0), "{options:?}: {ran:?}");
        serde_json::from_str(&ran.stdout()).unwrap()
    };
    // One page of it is enough for the registry, whose areas are elsewhere.
    let list = listed(&["--shm-size", "4k"]);
    assert_eq!(list["areas"][0]["resident"], 64 * MIB, "{list}");
    assert!(list["registry"].as_str().unwrap().starts_with("/dev/shm/areas-0/"), "{list}");
    // Without one the registry is elsewhere.
    let list = listed(&["--ipc", "none"]);
    assert_eq!(list["areas"][0]["resident"], 64 * MIB, "{list}");
    assert!(list["registry"].as_str().unwrap().starts_with("/tmp/areas-0/"), "{list}");
    // A full one is an error that says what to do.
    let full = format!("cat /model.bin >/dev/shm/full 2>/dev/null; {script}");
    let ran = podman.shell(&["--shm-size", "4k"], &full);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("ENOSPC") && ran.stderr.contains("the file system is full"), "{ran:?}");
    let full = format!("AREAS_DIR=/tmp/registry; export AREAS_DIR; {full}");
    assert_eq!(podman.shell(&["--shm-size", "4k"], &full).code, Some(0), "as its remedy says");
}
