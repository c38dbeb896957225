//! Limits on memory: whatever brings pages in is refused where a group cannot hold them, no process
//! is killed or slowed down, and the line of the remedy works.

use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use areas::{Error, ErrorKind, Lock};

use super::MIB;
use super::group::{Group, enter};
use super::support::child::{Peer, Stage, hear, reply, test};
use super::support::skip;

/// A process of the test's own, in a group: `role` says what it does, and is followed by the
/// group's folder.
fn start(this: super::support::child::Test, group: &Group) -> Peer {
    let mut peer = this.spawn(&mut Stage::here(), "in a group");
    peer.send(&group.folder().display().to_string());
    peer
}

/// In that process: into the group.
fn go_in() {
    enter(hear());
}

#[track_caller]
fn facts(error: &Error) -> String {
    assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
    format!("{error:#}")
}

/// Everything that brings pages in, with 64 MiB. What it says of each.
fn everything() -> Vec<(&'static str, String)> {
    let size = 64 * MIB;
    let mut reported = Vec::new();
    let mut shared = areas::builder(size).shared().unwrap();
    reported.push(("shared", facts(&shared.populate().unwrap_err())));
    assert_eq!(shared.residency().unwrap().resident(), 0, "nothing was taken");
    let file = tempfile_of(size);
    reported.push(("fill", facts(&shared.fill_from(&file, &mut |_| {}).unwrap_err())));
    assert_eq!(shared.residency().unwrap().resident(), 0);
    let rejected = shared.freeze().unwrap_err();
    reported.push(("freeze", facts(&rejected.error)));
    rejected.value.store(0, 7_u8, Ordering::Relaxed).unwrap();
    drop(rejected);
    let mut private = areas::builder(size).private().unwrap();
    reported.push(("private", facts(&private.populate().unwrap_err())));
    drop(private);
    reported.push(("full lock", facts(&areas::builder(size).lock(Lock::Full).shared().unwrap_err())));
    reported
        .push(("full lock, private", facts(&areas::builder(size).lock(Lock::Full).private().unwrap_err())));
    reported
}

/// A sparse file of that size, on a file system of a disk, where there is no limit to it.
fn tempfile_of(size: usize) -> std::fs::File {
    let path = std::env::temp_dir().join(format!("areas-limits-{}", std::process::id()));
    let file = std::fs::File::options().create_new(true).read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.set_len(size as u64).unwrap();
    file
}

/// Types the line of a remedy, as root.
pub(super) fn obey(report: &str) {
    let line = report.split('`').nth(1).unwrap_or_else(|| panic!("no line in {report}"));
    let status = Command::new("sh").args(["-c", line]).status().unwrap();
    assert!(status.success(), "{line}");
}

#[test]
pub(crate) fn whatever_brings_pages_in_is_refused_with_numbers() {
    let this = test!("whatever_brings_pages_in_is_refused_with_numbers");
    if this.role().is_some() {
        go_in();
        let reported = everything();
        let mut text = String::new();
        for (what, report) in &reported {
            text.push_str(&format!("{what}: {report}\n"));
        }
        // What fits, fits.
        let mut small = areas::builder(8 * MIB).shared().unwrap();
        small.populate().unwrap();
        drop(small);
        obey(&reported[0].1);
        let mut shared = areas::builder(64 * MIB).shared().unwrap();
        shared.populate().unwrap();
        return reply(&text);
    }
    let Some(group) = Group::new("memory", this.name()) else { return };
    group.limit(32 * MIB);
    let mut peer = start(this, &group);
    let reported = peer.hear();
    assert!(peer.end().success());
    let whose = format!("it needs 66.5 MiB, control group {} ({} is 32.0 MiB, ", group.name(), group.max());
    for (what, report) in
        ["shared", "fill", "freeze", "private", "full lock", "full lock, private"].iter().map(|what| {
            let of = |line: &&str| line.starts_with(&format!("{what}: "));
            (what, reported.lines().find(of).unwrap_or_else(|| panic!("{what}: not in {reported}")))
        })
    {
        assert!(report.contains(&whose) && report.contains(" in use) can give "), "{what}: {report}");
    }
    assert_eq!(group.kills(), 0);
}

/// A limit further up counts as much, and is the one that is named.
#[test]
pub(crate) fn a_limit_further_up_counts() {
    let this = test!("a_limit_further_up_counts");
    if this.role().is_some() {
        go_in();
        let mut shared = areas::builder(64 * MIB).shared().unwrap();
        return reply(&facts(&shared.populate().unwrap_err()));
    }
    let Some(outer) = Group::new("memory", this.name()) else { return };
    let inner = outer.inner("memory");
    outer.limit(24 * MIB);
    inner.limit(400 * MIB);
    let mut peer = start(this, &inner);
    let reported = peer.hear();
    assert!(peer.end().success());
    drop(inner);
    assert!(
        reported.contains(&format!("control group {} ({} is 24.0 MiB, ", outer.name(), outer.max())),
        "{reported}"
    );
    assert!(reported.contains(&format!("{}/{}`", outer.folder().display(), outer.max())), "{reported}");
    assert_eq!(outer.kills(), 0);
}

/// Over `memory.high` no process is killed, and everything stalls: it is a limit as well.
#[test]
fn what_would_stall_is_refused_at_once() {
    let this = test!("what_would_stall_is_refused_at_once");
    if this.role().is_some() {
        go_in();
        let before = Instant::now();
        let mut shared = areas::builder(96 * MIB).shared().unwrap();
        let report = facts(&shared.populate().unwrap_err());
        let took = before.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        obey(&report);
        shared.populate().unwrap();
        return reply(&report);
    }
    let Some(group) = Group::new("memory", this.name()) else { return };
    if group.version() == 1 {
        return skip(this.name(), "version 1 of control groups has no memory.high");
    }
    group.set("memory.high", &(32 * MIB).to_string());
    let _ = std::fs::write(group.folder().join("memory.swap.max"), "0");
    let mut peer = start(this, &group);
    let reported = peer.hear();
    assert!(peer.end().success());
    assert!(
        reported.contains(&format!("control group {} (memory.high is 32.0 MiB, ", group.name())),
        "{reported}"
    );
    assert!(reported.contains("memory.high`") && reported.contains("MemoryHigh="), "{reported}");
}

/// Version 1 limits memory and swap together as well.
#[test]
pub(crate) fn a_limit_on_memory_and_swap_together() {
    let this = test!("a_limit_on_memory_and_swap_together");
    if this.role().is_some() {
        go_in();
        let mut shared = areas::builder(64 * MIB).shared().unwrap();
        let report = facts(&shared.populate().unwrap_err());
        obey(&report);
        shared.populate().unwrap();
        return reply(&report);
    }
    let Some(group) = Group::new("memory", this.name()) else { return };
    if !group.folder().join("memory.memsw.limit_in_bytes").exists() {
        return skip(this.name(), "there is no memory.memsw.limit_in_bytes here");
    }
    group.limit(32 * MIB);
    group.set("memory.memsw.limit_in_bytes", &(32 * MIB).to_string());
    let mut peer = start(this, &group);
    let reported = peer.hear();
    assert!(peer.end().success());
    assert!(reported.contains("memory.memsw.limit_in_bytes && echo "), "{reported}");
    assert_eq!(group.kills(), 0);
}

/// As in a container: a cgroup namespace, and a mount of its own hierarchy, whose root is the
/// group.
#[test]
fn in_a_namespace_of_its_own() {
    let this = test!("in_a_namespace_of_its_own");
    if this.role().is_some() {
        let mut shared = areas::builder(64 * MIB).shared().unwrap();
        return reply(&facts(&shared.populate().unwrap_err()));
    }
    let unshared = Command::new("unshare").args(["--cgroup", "--mount", "true"]).status();
    if !unshared.is_ok_and(|status| status.success()) {
        return skip(this.name(), "`unshare --cgroup --mount` does not work here");
    }
    let Some(group) = Group::new("memory", this.name()) else { return };
    group.limit(32 * MIB);
    let (folder, top) = (group.folder().display(), group.folder().parent().unwrap().display());
    let mount = match group.version() {
        1 => format!("umount {top} && mount -t cgroup -o memory none {top}"),
        _ => format!("umount {top} && mount -t cgroup2 none {top}"),
    };
    let script = format!(
        r#"echo 0 > {folder}/cgroup.procs && exec unshare --cgroup --mount sh -c '{mount} && exec "$0" "$@"' "$0" "$@""#
    );
    // The stage takes what is there forever.
    let mut stage = Stage::through(&["sh", "-c", script.leak()]);
    let mut peer = this.spawn(&mut stage, "in a namespace");
    let reported = peer.hear();
    assert!(peer.end().success());
    assert!(reported.contains(&format!("control group / ({} is 32.0 MiB, ", group.max())), "{reported}");
    assert!(reported.contains(&format!("> {top}/{}`", group.max())), "{reported}");
    assert_eq!(group.kills(), 0);
}

/// The page cache of files is no use that stays: what the kernel reclaims is room.
#[test]
fn the_page_cache_is_room() {
    let this = test!("the_page_cache_is_room");
    if this.role().is_some() {
        go_in();
        // Written, so that it is this group's, and on disk, so that it can go.
        let mut file = tempfile_of(0);
        let piece = vec![1; MIB];
        for _ in 0..40 {
            file.write_all(&piece).unwrap();
        }
        file.sync_all().unwrap();
        let mut shared = areas::builder(36 * MIB).shared().unwrap();
        shared.populate().unwrap();
        return reply("populated");
    }
    if rustix::fs::statfs(std::env::temp_dir()).unwrap().f_type == 0x0102_1994 {
        return skip(this.name(), "the temporary folder is in memory");
    }
    let Some(group) = Group::new("memory", this.name()) else { return };
    group.limit(64 * MIB);
    let mut peer = start(this, &group);
    assert_eq!(peer.hear(), "populated");
    assert!(peer.end().success());
    assert_eq!(group.kills(), 0);
}
