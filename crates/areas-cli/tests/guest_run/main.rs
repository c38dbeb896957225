//! `areas run` on a machine with several nodes: where a program's memory is that knows nothing of
//! nodes. `cargo xtask test` boots it (`cargo xtask vm`) and takes the command along; elsewhere
//! each test says that it was skipped.
//!
//! The guest's nodes: 0 (CPUs 0 and 1) and 1 (CPU 2) with CPUs, 2 large and slow, 3 small and fast,
//! both without.
// vm:

use std::fs;
use std::process::Command;

use serde_json::Value;

const MIB: u64 = 1 << 20;
/// What the program takes, and how it is reported.
const TAKES: u64 = 48 * MIB;
const CHILD: &str = "AREAS_TEST_TAKES_MEMORY";

fn in_guest(test: &str) -> bool {
    let guest = std::env::var_os("AREAS_GUEST").is_some();
    if !guest {
        areas_testing::skipped(
            &format!("guest_run::{test}"),
            "it wants several nodes: `cargo xtask test` boots them",
        );
    }
    guest
}

/// No test of its own: the program that the others run. It takes memory, touches it, and stays for
/// as long as it takes to be looked at.
#[test]
fn program_that_takes_memory() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    // Never freed: the last look may be made while the process is about to end.
    let bytes = vec![0_u8; usize::try_from(TAKES).unwrap()].leak();
    bytes.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert!(std::hint::black_box(&*bytes).contains(&1));
}

/// What `areas run` reports of that program.
fn reported(options: &[&str]) -> Value {
    let report = format!("/tmp/report-{}", options.join(""));
    let mut run = Command::new("areas");
    run.args(["-q", "run", "--json", "--output", &report]).args(options).arg("--");
    run.arg(std::env::current_exe().unwrap()).args(["program_that_takes_memory", "--exact"]);
    let output = run.env(CHILD, "yes").output().unwrap();
    assert!(output.status.success(), "{options:?}: {output:?}");
    serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap()
}

/// Anonymous memory on a node.
fn anonymous(reported: &Value, node: u32) -> u64 {
    let on = &reported["nodes"][node.to_string()];
    on["heap"].as_u64().unwrap_or(0) + on["other"].as_u64().unwrap_or(0)
}

#[test]
fn bound_to_a_node_it_takes_all_from_there() {
    if !in_guest("bound_to_a_node_it_takes_all_from_there") {
        return;
    }
    for node in [2, 1, 3] {
        let reported = reported(&["--nodes", &node.to_string()]);
        assert!(anonymous(&reported, node) >= TAKES, "{reported}");
        // All its memory, from its first page on.
        let elsewhere: u64 =
            (0..4).filter(|&other| other != node).map(|other| anonymous(&reported, other)).sum();
        assert_eq!(elsewhere, 0, "{reported}");
        assert!(reported["policies"][format!("bind:{node}")].as_u64().unwrap() >= TAKES, "{reported}");
    }
}

#[test]
fn interleaved_it_takes_the_same_from_each() {
    if !in_guest("interleaved_it_takes_the_same_from_each") {
        return;
    }
    let reported = reported(&["--policy", "interleave", "--nodes", "0,2", "--huge", "never"]);
    for node in [0, 2] {
        let share = anonymous(&reported, node);
        assert!((TAKES / 2 - MIB..TAKES / 2 + 4 * MIB).contains(&share), "node {node}: {reported}");
    }
    assert_eq!((anonymous(&reported, 1), anonymous(&reported, 3)), (0, 0), "{reported}");
    assert_eq!(reported["transparent_huge"], 0, "{reported}");
}

#[test]
fn without_a_policy_it_takes_from_where_it_runs() {
    if !in_guest("without_a_policy_it_takes_from_where_it_runs") {
        return;
    }
    let reported = reported(&["--cpunodebind", "1"]);
    assert_eq!((&reported["policy"], &reported["cpus"]), (&Value::Null, &"2".into()));
    assert!(anonymous(&reported, 1) >= TAKES, "{reported}");
    let output = Command::new("areas")
        .args(["-q", "run", "--cpunodebind", "1", "--", "grep", "Cpus_allowed_list", "/proc/self/status"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Cpus_allowed_list:\t2\n");
    let refused = Command::new("areas").args(["run", "--cpunodebind", "2", "--", "true"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("it has none"), "{refused:?}");
}

/// An area of a program that asks for no place is where the program's policy says.
#[test]
fn areas_without_a_policy_follow_it() {
    if !in_guest("areas_without_a_policy_follow_it") {
        return;
    }
    let output = Command::new("areas")
        .args([
            "-q",
            "run",
            "--nodes",
            "2",
            "--",
            "areas",
            "create",
            "--name",
            "x",
            "--size",
            "32M",
            "--populate",
        ])
        .args(["--", "areas", "show", "x", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["nodes"], serde_json::json!({ "2": 32 * MIB }), "{shown}");
}
