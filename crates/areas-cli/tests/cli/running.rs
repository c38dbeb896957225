//! `areas run`: programs under a memory policy, and what is reported of them.

use std::fs;
use std::process::Stdio;

use areas_testing::status;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{AREAS, Ran, Registry, code_of, skipped, wait_for, within};

/// Python takes 64 MiB, touches them, and stays until it is asked to end.
const TOUCHES: &str = "import sys, time\nb = bytearray(64 << 20)\nprint('touched', flush=True)\ntime.sleep(float(sys.argv[1]))\n";

fn has_numa_maps(test: &str) -> bool {
    let has = fs::metadata("/proc/self/numa_maps").is_ok();
    if !has {
        skipped(test, "this kernel has no /proc/PID/numa_maps (CONFIG_NUMA)");
    }
    has
}

#[test]
fn what_it_took_is_reported_by_node() {
    if !has_numa_maps("running::what_it_took_is_reported_by_node") {
        return;
    }
    let registry = Registry::new();
    let report = registry.file("report");
    let report_name = report.to_str().unwrap();
    let run =
        ["run", "--nodes", "0", "--json", "--output", report_name, "--", "python3", "-c", TOUCHES, "2.5"];
    let ran = registry.run(run);
    // The output is the program's alone.
    assert_eq!((ran.code, ran.stdout().as_str(), ran.stderr.as_str()), (Some(0), "touched\n", ""), "{ran:?}");
    let reported: Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    assert_eq!(
        (&reported["policy"], &reported["status"], &reported["processes"]),
        (&"bind:0".into(), &0.into(), &1.into())
    );
    let on_node = &reported["nodes"]["0"];
    let anonymous = on_node["heap"].as_u64().unwrap() + on_node["other"].as_u64().unwrap();
    assert!(anonymous >= 64 << 20, "{reported}");
    // The kernel says under which policy: it has inherited it.
    assert!(reported["policies"]["bind:0"].as_u64().unwrap() >= 64 << 20, "{reported}");
    assert!(reported["most"].as_u64().unwrap() >= on_node["total"].as_u64().unwrap());
    assert!(
        reported["looks"].as_u64().unwrap() >= 2 && reported["before_end"].as_f64().unwrap() < 2.5,
        "{reported}"
    );
    assert!(reported["seconds"].as_f64().unwrap() >= 2.5);

    let ran = registry.run(["run", "--policy", "local", "--", "python3", "-c", TOUCHES, "0.5"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.starts_with("areas: \"python3\" ran for "), "{ran:?}");
    assert!(
        ran.stderr.contains(", status 0, policy local\nNODE  ")
            && ran.stderr.contains("under policy local\n"),
        "{ran:?}"
    );
    let ran = registry.run(["-q", "run", "--nodes", "0", "--", "true"]);
    assert_eq!((ran.code, ran.stdout().as_str(), ran.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn its_status_is_ours() {
    let registry = Registry::new();
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("exit 0", 0)] {
        let ran = registry.run(["run", "--nodes", "0", "--", "sh", "-c", script]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(&format!(", status {code}, policy bind:0\n")), "{ran:?}");
    }
    let ran = registry.run(["run", "--nodes", "0", "--", "/nowhere/at/all"]);
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(127), 1), "{ran:?}");
    // A signal is for the program.
    let mut child = registry
        .program("env")
        .args(["--default-signal", AREAS, "run", "--nodes", "0", "--"])
        .args(["sh", "-c", "trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::USR1).unwrap();
    assert_eq!(code_of(wait_for(&mut child)), 5);
}

#[test]
fn nothing_is_started_that_cannot_be_had() {
    let registry = Registry::new();
    let ran_file = registry.file("ran");
    let touch = ["--", "touch", ran_file.to_str().unwrap()];
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--nodes", "1023"], 1, "node 1023 does not exist or may not be used"),
        (&["--cpus", "1023"], 1, "does not exist or may not be used"),
        (&["--cpus", "3-1"], 2, "it is not a list of numbers and ranges"),
        (&["--cpunodebind", "900"], 1, "there is no node 900"),
        (&["--policy", "bind"], 2, "it needs nodes, and none are given"),
        (&["--cpus", "0", "--cpunodebind", "0"], 2, "cannot be used with"),
        (&["--output", "/nowhere/at/all"], 1, "cannot write \"/nowhere/at/all\""),
        (&["--balanced", "--policy", "interleave"], 2, "does not support balancing"),
    ];
    for (options, code, message) in cases {
        let ran = registry.run([&["run"][..], options, &touch].concat());
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(code), ""), "{options:?} {ran:?}");
        assert!(ran.stderr.contains(message), "{options:?} {ran:?}");
    }
    assert!(!ran_file.exists());
}

/// Policy, CPUs and huge pages, as the kernel reports the program itself.
#[test]
fn a_program_starts_with_what_was_asked() {
    let registry = Registry::new();
    let status = status::own();
    let allowed = status.field("Cpus_allowed_list").unwrap();
    let first = allowed.split([',', '-']).next().unwrap();
    let script = "grep -E 'Cpus_allowed_list|THP_enabled' /proc/self/status; echo tunables=$GLIBC_TUNABLES";
    let run = |options: &[&str]| {
        let ran = registry.run([&["-q", "run"][..], options, &["--", "sh", "-c", script]].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{options:?} {ran:?}");
        ran.stdout()
    };
    assert!(run(&["--cpus", first]).contains(&format!("Cpus_allowed_list:\t{first}\n")));
    let before = run(&["--cpunodebind", "all"]);
    assert!(before.contains("tunables=\n"), "{before}");
    if fs::metadata("/sys/kernel/mm/transparent_hugepage").is_ok() {
        assert!(run(&["--huge", "never"]).contains("THP_enabled:\t0\n"));
        let reported = run(&["--huge", "malloc"]);
        assert!(reported.contains("tunables=glibc.malloc.hugetlb=1\n"), "{reported}");
    } else {
        skipped("running::a_program_starts_with_what_was_asked", "this kernel has no transparent huge pages");
    }
}

/// What it starts is looked at, too; and who is killed leaves the program alone.
#[test]
fn all_that_it_starts_is_looked_at() {
    if !has_numa_maps("running::all_that_it_starts_is_looked_at") {
        return;
    }
    let registry = Registry::new();
    let script = "python3 -c \"$0\" 2 & python3 -c \"$0\" 2 & wait";
    let report = registry.file("report");
    let run = ["run", "--json", "--output", report.to_str().unwrap(), "--", "sh", "-c", script, TOUCHES];
    let ran = registry.run(run);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let reported: Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    // Both were seen at once: at the last look one of them may have ended.
    assert!(reported["most"].as_u64().unwrap() >= 128 << 20, "{reported}");

    let done = registry.file("done");
    let mut child = registry
        .areas([
            "run",
            "--nodes",
            "0",
            "--",
            "sh",
            "-c",
            "echo $$; sleep 0.3; echo on > \"$0\"",
            done.to_str().unwrap(),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(within(std::time::Duration::from_secs(20), || done.exists()));
}

#[test]
fn what_is_over_at_once_is_reported_as_that() {
    let registry = Registry::new();
    let ran = Ran::of(&mut registry.areas(["run", "--json", "--output", "/dev/stdout", "--", "true"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!(&report["policy"], &Value::Null);
    if report["looks"] == 0 {
        assert_eq!((&report["nodes"], &report["most"]), (&Value::Null, &Value::Null));
    }
}
