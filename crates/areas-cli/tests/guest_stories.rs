//! Stories that want a machine of their own, with several nodes and control groups of version 2:
//! `cargo xtask test` boots one (`cargo xtask vm`), in which the command is in the search path;
//! elsewhere each test says that it was skipped.
// vm: --timeout 400

#![expect(
    unsafe_code,
    reason = "moves another process's pages, as migratepages does; the block has its proof"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Whether this is the guest; if not, that is said aloud.
fn in_guest(test: &str) -> bool {
    if std::env::var_os("AREAS_GUEST").is_some() {
        return true;
    }
    areas_testing::skipped(
        &format!("guest_stories::{test}"),
        "it wants a machine that is its own: `cargo xtask test` boots one",
    );
    false
}

/// What a command prints, and its exit code.
fn ran(command: &mut Command) -> (String, Option<i32>) {
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let output = command.output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (text, output.status.code())
}

fn areas(arguments: &[&str]) -> (String, Option<i32>) {
    ran(Command::new("areas").args(arguments))
}

/// Plays a story: the script is run as it is.
fn reported(script: &str) -> String {
    let path = "/tmp/story.sh";
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    let (text, code) = ran(Command::new("sh").arg(path));
    assert_eq!(code, Some(0), "{text}");
    // For the log, and for the page.
    std::io::stderr().write_all(text.as_bytes()).unwrap();
    text
}

/// The lines that are marked as broken.
fn broken(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.trim_start().starts_with('✗')).collect()
}

/// A container at its `memory.high`: its area is slow.
#[test]
fn a_group_at_memory_high() {
    if !in_guest("a_group_at_memory_high") {
        return;
    }
    let text = reported(include_str!("../../../docs/stories/a-group-at-its-limit.sh"));
    let (before, after) = text.split_once("$ sh -c echo ").unwrap_or_else(|| panic!("{text}"));
    let [found] = broken(before)[..] else { panic!("{text}") };
    assert!(found.contains("memory.high is 128 MiB") && found.contains("makes this group wait"), "{found}");
    // The kernel has counted that it held the group back.
    assert!(found.contains("; met ") && !found.contains("never met"), "{found}");
    assert!(before.trim_end().ends_with("(exit status 1)"), "{before}");
    assert!(after.lines().next().unwrap().ends_with("/memory.high"), "{after}");
    assert!(broken(after).is_empty() && after.contains(" 0 broken"), "{after}");
}

/// An interleaved area all of which is on one node, as the pools of the others are empty.
#[test]
fn an_interleaved_area_on_one_node() {
    if !in_guest("an_interleaved_area_on_one_node") {
        return;
    }
    let text = reported(include_str!("../../../docs/stories/interleaved-on-one-node.sh"));
    let (before, after) = text.split_once("$ sh -c ").unwrap_or_else(|| panic!("{text}"));
    assert!(before.contains("misplaced"), "`areas show` finds it: {before}");
    let [found] = broken(before)[..] else { panic!("{text}") };
    assert!(found.contains("node 0 has all 16.0 MiB") && found.contains("25.0 % of 16.0 MiB"), "{found}");
    for node in 1..4 {
        assert!(found.contains(&format!("node {node}'s pool of 2 MiB pages has none free")), "{found}");
    }
    let (_, after) = after.split_once("$ areas doctor table").unwrap();
    assert!(broken(after).is_empty() && after.contains(" 0 broken"), "{after}");
}

/// A process that holds an area.
struct Holder(Child);

impl Holder {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new("areas");
        let mut child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(!ready.is_empty());
        Holder(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn check(reported: &Value, id: &str) -> Value {
    let mut found = reported["checks"].as_array().unwrap().iter().filter(|check| check["id"] == id);
    found.next().unwrap_or_else(|| panic!("{id}: {reported}")).clone()
}

fn examined(name: &str) -> (Value, Option<i32>) {
    let (text, code) = areas(&["doctor", name, "--json"]);
    (serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")), code)
}

/// Pages that a process moved behind its back (migratepages): `areas move` is the line, and it
/// mends.
#[test]
fn an_interleaved_area_that_was_moved_to_one_node() {
    if !in_guest("an_interleaved_area_that_was_moved_to_one_node") {
        return;
    }
    let holder =
        Holder::start(&["create", "--name", "dealt", "--size", "4M", "--populate", "--policy", "interleave"]);
    let (reported, code) = examined("dealt");
    assert_eq!(
        (check(&reported, "area.place")["state"].as_str().unwrap(), code),
        ("fine", Some(0)),
        "{reported}"
    );
    let (from, to) = ([0b1110_u64], [0b0001_u64]);
    // SAFETY: moves pages of another process, which changes no content; the masks are read, 64 bits
    // each.
    let status = unsafe {
        libc::syscall(libc::SYS_migrate_pages, holder.0.id(), 65_usize, from.as_ptr(), to.as_ptr())
    };
    assert!(status >= 0, "{}", std::io::Error::last_os_error());
    let (reported, code) = examined("dealt");
    let place = check(&reported, "area.place");
    assert_eq!((place["state"].as_str().unwrap(), code), ("broken", Some(1)), "{place}");
    assert!(place["finding"].as_str().unwrap().contains("or another process moved them"), "{place}");
    let line = place["remedies"][0]["text"].as_str().unwrap();
    assert!(line.starts_with("areas move dealt --policy interleave"), "{line}");
    let (text, code) = ran(Command::new("sh").args(["-c", line]));
    assert_eq!(code, Some(0), "{text}");
    let (reported, code) = examined("dealt");
    assert_eq!(
        (check(&reported, "area.place")["state"].as_str().unwrap(), code),
        ("fine", Some(0)),
        "{reported}"
    );
}

/// The machine itself: pools, tiers and firmware of several nodes.
#[test]
fn a_machine_with_several_nodes() {
    if !in_guest("a_machine_with_several_nodes") {
        return;
    }
    let (text, _) = areas(&["doctor", "--json"]);
    let reported: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    assert_eq!(check(&reported, "numa.nodes")["finding"], "nodes 0-3 have memory, 2-3 without CPUs");
    assert_eq!(check(&reported, "numa.hmat")["state"], "fine");
    let pool = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages";
    fs::write(pool, "2").unwrap();
    let (text, _) = areas(&["doctor", "--json"]);
    fs::write(pool, "0").unwrap();
    let reported: Value = serde_json::from_str(&text).unwrap();
    let finding = check(&reported, "huge.pool")["finding"].to_string();
    assert!(
        finding.contains("node 0: 2 of 2, node 1: 0 of 0") && finding.contains("node 1 has none"),
        "{finding}"
    );
}
