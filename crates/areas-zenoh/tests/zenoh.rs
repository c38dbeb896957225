//! Two processes, Zenoh between them: what is copied, and what stays when both are killed. What was
//! measured is printed as a table.
//!
//! `cargo xtask reach zenoh` runs these one at a time, and optimised.

mod support;

use std::fs;
use std::time::Duration;

use serde_json::Value;
use support::{Files, Host, Pair, Peer, Way, holders, report, resident, skipped};

const MIB: usize = 1 << 20;

/// The same memory: of the message's address, the subscriber's kernel names the area's inode, and
/// no private memory came for it.
#[test]
fn a_subscriber_of_the_same_host_gets_the_area_itself() {
    let _alone = support::alone();
    let host = Host::here("same");
    let size = 64 * MIB;
    let mut pair = Pair::start(&host, &host, Way::Areas, &["--count", "1"], size, 2 * size);
    let about = pair.publisher_about();
    let got = pair.received();
    assert_eq!((&got["received"], &got["in_shm"], &got["wrong"]), (&1.into(), &1.into(), &0.into()), "{got}");
    assert_eq!(got["lies_in"]["inode"], about["inode"], "{got} {about}");
    let name = got["lies_in"]["name"].as_str().unwrap();
    assert!(name.starts_with("/memfd:"), "{name}");
    let grown = got["anonymous_growth"].as_u64().unwrap();
    assert!(grown < 8 << 20, "{grown} bytes of private memory came with a message of {size}");
}

/// Zenoh finds out by itself that the registry is another one, and sends bytes.
#[test]
fn another_registry_gets_bytes_though_shared_memory_is_negotiated() {
    let _alone = support::alone();
    let (one, other) = (Host::here("one"), Host::here("other"));
    let mut pair = Pair::start(&one, &other, Way::Areas, &["--count", "3"], 4 * MIB, 16 * MIB);
    let got = pair.received();
    assert_eq!((&got["received"], &got["in_shm"], &got["wrong"]), (&3.into(), &0.into(), &0.into()), "{got}");
}

/// Another network, another `/dev/shm`, another registry.
#[test]
fn another_host_gets_bytes_by_zenohs_transport() {
    let _alone = support::alone();
    let there = match Host::apart("apart") {
        Ok(host) => host,
        Err(why) => return skipped("another_host_gets_bytes_by_zenohs_transport", &why),
    };
    let here = Host::here("here");
    let mut pair = Pair::start(&here, &there, Way::Areas, &["--count", "8"], 8 * MIB, 64 * MIB);
    let got = pair.received();
    assert_eq!((&got["received"], &got["in_shm"], &got["wrong"]), (&8.into(), &0.into(), &0.into()), "{got}");
    report(&format!(
        "| another host (a network namespace, veth), 8 messages of 8 MiB | {} | {} |",
        speed(&got),
        copied(&got)
    ));
}

/// The publisher's memory is used again once the subscriber has dropped a message: 40 messages in
/// room for 4.
#[test]
fn memory_goes_round() {
    let _alone = support::alone();
    let host = Host::here("round");
    let mut pair = Pair::start(&host, &host, Way::Areas, &["--count", "40"], 4 * MIB, 16 * MIB);
    let got = pair.received();
    assert_eq!((&got["wrong"], &got["received"]), (&0.into(), &40.into()), "{got}");
    assert_eq!(got["in_shm"], got["received"], "{got}");
}

/// Both are killed with a message on each side's hands. What is left in `/dev/shm`, and who still
/// holds the area?
#[test]
fn what_a_kill_of_both_leaves_behind() {
    let _alone = support::alone();
    let size = 128 * MIB;
    report(
        "\n| both killed with SIGKILL, one message of 128 MiB on its way | files left in `/dev/shm` | their bytes in memory |\n|---|---|---|",
    );
    for (way, flags, name) in [
        (Way::Posix, &[][..], "Zenoh's POSIX provider"),
        (Way::Areas, &[], "areas as the provider"),
        (Way::Areas, &["--keep-nothing"], "areas as the provider, and for Zenoh's own segments"),
    ] {
        let host = Host::here("killed");
        let before = Files::of_zenoh();
        let mut flags = flags.to_vec();
        flags.extend(["--count", "1"]);
        let mut pair = Pair::start(&host, &host, way, &flags, size, size + MIB);
        let got = pair.received();
        assert_eq!((&got["in_shm"], &got["wrong"]), (&1.into(), &0.into()), "{got}");
        let held = resident(pair.subscriber.pid(), &got["lies_in"]["inode"]);
        assert!(
            held >= size,
            "{name}: the subscriber has {held} bytes of a segment in which a message of {size} is"
        );
        if way == Way::Areas {
            let held = holders(&got["lies_in"]["inode"]);
            let both = [pair.publisher.pid(), pair.subscriber.pid()];
            assert!(both.iter().all(|pid| held.contains(pid)), "{name}: {held:?} hold it, and not {both:?}");
        }
        pair.kill();
        let left = Files::of_zenoh().beyond(&before);
        match (way, flags.contains(&"--keep-nothing")) {
            // The data, and Zenoh's tables of both processes.
            (Way::Posix, _) => assert!(left.bytes >= size as u64, "{left:?}"),
            // The tables only: they are Zenoh's.
            (_, false) => assert!(!left.names.is_empty() && left.bytes < 8 << 20, "{left:?}"),
            (_, true) => assert!(left.names.is_empty(), "{left:?}"),
        }
        report(&format!("| {name} | {} | {:.1} MiB |", left.names.len(), left.bytes as f64 / MIB as f64));
        left.remove();
        if way == Way::Areas {
            // Without a name, and held by no process: the kernel has freed it.
            let holders = holders(&got["lies_in"]["inode"]);
            assert!(holders.is_empty(), "{name}: the area is still held by {holders:?}");
        }
    }
}

/// Only one of them is killed: the other goes on.
#[test]
fn a_subscriber_outlives_its_publisher_and_keeps_its_message() {
    let _alone = support::alone();
    let host = Host::here("outlives");
    let mut pair =
        Pair::start(&host, &host, Way::Areas, &["--keep-nothing", "--count", "1"], 8 * MIB, 16 * MIB);
    let got = pair.received();
    assert_eq!(got["in_shm"], 1, "{got}");
    pair.publisher.kill();
    std::thread::sleep(Duration::from_millis(500));
    assert!(pair.subscriber.is_alive());
    let pid = pair.subscriber.pid();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    assert!(
        maps.contains(&format!(" {} ", got["lies_in"]["inode"])),
        "its mapping of the area is gone\n{maps}"
    );
}

/// How fast, side by side, with a plain copy on one processor as the ceiling of what is copied at
/// all.
#[test]
fn side_by_side() {
    let _alone = support::alone();
    let (size, count) = (16 * MIB, "24");
    report(
        "\n| 24 messages of 16 MiB, each written and read whole | from the first to the last, GB/s | private memory of the subscriber beyond the session's |\n|---|---|---|",
    );
    for (way, flags, name) in [
        (Way::Areas, &[][..], "same host: areas"),
        (Way::Posix, &[], "same host: Zenoh's POSIX provider"),
        (Way::Areas, &["--no-shm"], "same host: bytes over TCP"),
    ] {
        let mut speeds = Vec::new();
        let mut last = Value::Null;
        for _ in 0..3 {
            let host = Host::here("speed");
            let mut flags = flags.to_vec();
            flags.extend(["--count", count]);
            let mut pair = Pair::start(&host, &host, way, &flags, size, 8 * size);
            last = pair.received();
            assert_eq!(last["wrong"], 0, "{last}");
            speeds.push(speed(&last));
        }
        report(&format!("| {name} | {} | {} |", speeds.join(", "), copied(&last)));
    }
    let ceiling: Vec<String> = (0..3).map(|_| support::copy_speed(size)).collect();
    report(&format!("| ceiling: `memcpy` of the same, one processor | {} | |", ceiling.join(", ")));
}

fn speed(got: &Value) -> String {
    // The first message came before the clock was started.
    let of = |key: &str| got[key].as_f64().unwrap_or(f64::NAN);
    let later = of("bytes") * (of("received") - 1.0) / of("received");
    format!("{:.2}", later / of("seconds") / 1e9)
}

fn copied(got: &Value) -> String {
    format!("{:.1} MiB", got["anonymous_growth"].as_f64().unwrap_or(f64::NAN) / MIB as f64)
}

#[test]
fn a_peer_that_cannot_start_says_why() {
    let host = Host::here("wrong");
    let mut peer = Peer::start(&host, &["--endpoint", "nonsense", "subscribe"]);
    let why = peer.ended();
    assert!(why.contains("nonsense"), "{why}");
}
