//! Two machines that have a network of their own each, and a cable between them (as root; elsewhere
//! each test says that it was skipped).

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Held, Machine, SOON, assert_freed, bytes_of, objects_of, skipped, within};

/// Two network namespaces and a pair of virtual devices. They go with this.
struct Cable {
    names: [String; 2],
}

/// Each with its address.
const ADDRESSES: [&str; 2] = ["10.91.7.1", "10.91.7.2"];

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("`ip {arguments}`: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

impl Cable {
    /// `None`, and that is said, where there can be none.
    fn new(test: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("areas-{}-{number}{end}", std::process::id());
        let cable = Cable { names: [name("a"), name("b")] };
        match cable.lay() {
            Ok(()) => Some(cable),
            Err(why) => {
                skipped(&format!("networks::{test}"), &why);
                None
            }
        }
    }

    fn lay(&self) -> Result<(), String> {
        let [a, b] = &self.names;
        ip(&format!("netns add {a}"))?;
        ip(&format!("netns add {b}"))?;
        ip(&format!("-n {a} link add wire type veth peer name wire netns {b}"))?;
        for (name, address) in self.names.iter().zip(ADDRESSES) {
            ip(&format!("-n {name} addr add {address}/24 dev wire"))?;
            ip(&format!("-n {name} link set wire up"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        Ok(())
    }

    fn machines(&self) -> (Machine, Machine) {
        (Machine::in_network(&self.names[0]), Machine::in_network(&self.names[1]))
    }

    fn set(&self, state: &str) {
        ip(&format!("-n {} link set wire {state}", self.names[0])).unwrap();
    }

    /// Bytes that have come to the second machine.
    fn came(&self) -> u64 {
        let path = "/sys/class/net/wire/statistics/rx_bytes";
        let output =
            Command::new("ip").args(["netns", "exec", &self.names[1], "cat", path]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

const LISTEN: [&str; 3] = ["a", "--listen", "10.91.7.1:0"];

fn fetch(there: &Machine, port: u16, more: &[&str]) -> Vec<String> {
    let (location, token) = (format!("{}:{port}/a", ADDRESSES[0]), there.token());
    [&["fetch", &location, "--token-file", token.to_str().unwrap()], more]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[test]
fn from_one_network_to_the_other() {
    let Some(cable) = Cable::new("from_one_network_to_the_other") else { return };
    let (there, here) = cable.machines();
    let bytes = bytes_of((64 << 20) + 4321);
    let _held = there.put("a", &bytes);
    let (_server, port) = there.serve(&LISTEN);
    let _fetched = here.hold(fetch(&there, port, &[]));
    assert!(here.bytes("a") == bytes);
    assert_eq!(here.show("a")["frozen"], true);
    // It came over the wire.
    assert!(cable.came() > 64 << 20, "{}", cable.came());
}

/// README's two commands. With `AREAS_FLIGHT_SIZE`, in bytes, of more than 256 MiB: of 1 GiB, say.
#[test]
fn two_commands_from_machine_to_machine_and_kills_at_any_moment() {
    let test = "two_commands_from_machine_to_machine_and_kills_at_any_moment";
    let Some(cable) = Cable::new(test) else { return };
    let (there, here) = cable.machines();
    let size = std::env::var("AREAS_FLIGHT_SIZE").map_or(256 << 20, |size| size.parse().unwrap());
    eprintln!("{test}: an area of {size} bytes");
    let bytes = bytes_of(size);
    let _held = there.put("a", &bytes);
    let (_server, port) = there.serve(&LISTEN);
    let start = Instant::now();
    let fetched = here.hold(fetch(&there, port, &["--policy", "interleave"]));
    let took = start.elapsed();
    assert!(here.bytes("a") == bytes, "other bytes came");
    let shown = here.show("a");
    assert_eq!((&shown["frozen"], &shown["size"]), (&serde_json::json!(true), &serde_json::json!(size)));
    // Where its pages are was asked of the kernel; and all of them are somewhere.
    let nodes = shown["nodes"].as_object().unwrap();
    let placed: u64 = nodes.values().map(|bytes| bytes.as_u64().unwrap()).sum();
    assert_eq!(placed, size.next_multiple_of(4096) as u64, "{shown}");
    assert!(shown["policy"].as_str().unwrap().starts_with("interleave"), "{shown}");
    drop(fetched);
    here.assert_empty();
    let published = (0..12)
        .map(|round| killed_after(&there, &here, round, took.mul_f64(f64::from(round) / 10.0)))
        .collect::<Vec<bool>>();
    let nothing = published.iter().filter(|published| !**published).count();
    let published = published.len() - nothing;
    eprintln!("{test}: killed before it was published {nothing} times, after {published} times");
    assert!(nothing > 0);
}

/// Whichever of the processes is killed, whenever: from before the first byte to after the last.
/// Whether it was published by then.
fn killed_after(there: &Machine, here: &Machine, round: u32, time: Duration) -> bool {
    let (_server, port) = there.serve(&LISTEN);
    let mut fetching = Held::started(&mut here.areas(fetch(there, port, &["--timeout", "1"])));
    std::thread::sleep(time);
    // `ip netns exec` becomes the command, which has the worker for a child.
    let worker = fetching.all_children();
    let all = [vec![fetching.child.id()], worker.clone()].concat();
    let objects: Vec<u64> = all.iter().flat_map(|&pid| objects_of(pid)).collect();
    let was_published = here.run(["show", "a"]).code == Some(0);
    match (round % 2, worker.first()) {
        (0, Some(&worker)) => {
            let pid = rustix::process::Pid::from_raw(i32::try_from(worker).unwrap()).unwrap();
            // It may have ended.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            if !was_published && !within(Duration::from_secs(5), || here.run(["show", "a"]).code == Some(0)) {
                let ran = fetching.ended();
                assert!(ran.code != Some(0) && ran.stderr.contains("areas: cannot"), "{ran:?}");
            }
            let _ = fetching.child.kill();
        }
        _ => fetching.kill(),
    }
    let _ = fetching.child.wait();
    here.assert_empty();
    if !objects.is_empty() {
        assert_freed(&objects);
    }
    let left = || all.iter().any(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok());
    assert!(within(SOON, || !left()), "a process of {all:?} goes on");
    was_published
}

/// Begins to fetch, and cuts the cable in the middle.
fn cut_in_the_middle(cable: &Cable, there: &Machine, here: &Machine, port: u16, more: &[&str]) -> Held {
    let before = cable.came();
    let fetching = Held::started(&mut here.areas(fetch(there, port, more)));
    assert!(within(SOON, || cable.came() > before + (8 << 20)), "nothing comes");
    cable.set("down");
    fetching
}

/// Slow enough that a test can cut it in the middle.
fn is_slowed_down(cable: &Cable, test: &str) -> bool {
    let limit = [
        "netns",
        "exec",
        &cable.names[0],
        "tc",
        "qdisc",
        "add",
        "dev",
        "wire",
        "root",
        "tbf",
        "rate",
        "400mbit",
        "burst",
        "1mbit",
        "latency",
        "50ms",
    ];
    let why = match Command::new("ip").args(limit).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    skipped(&format!("networks::{test}"), &format!("a cable cannot be made slow (tc, sch_tbf): {why}"));
    false
}

#[test]
fn a_cut_cable_that_is_mended() {
    let Some(cable) = Cable::new("a_cut_cable_that_is_mended") else { return };
    let (there, here) = cable.machines();
    if !is_slowed_down(&cable, "a_cut_cable_that_is_mended") {
        return;
    }
    let bytes = bytes_of(64 << 20);
    let _held = there.put("a", &bytes);
    let (_server, port) = there.serve(&LISTEN);
    let mut fetching = cut_in_the_middle(&cable, &there, &here, port, &["--timeout", "60"]);
    here.assert_empty();
    // Long enough that the silence is noticed.
    std::thread::sleep(Duration::from_secs(12));
    cable.set("up");
    assert!(within(SOON, || here.run(["show", "a"]).code == Some(0)), "{}", fetching.errors());
    assert!(here.bytes("a") == bytes);
}

#[test]
fn a_cable_that_stays_cut() {
    let Some(cable) = Cable::new("a_cable_that_stays_cut") else { return };
    let (there, here) = cable.machines();
    if !is_slowed_down(&cable, "a_cable_that_stays_cut") {
        return;
    }
    let _held = there.put("a", &bytes_of(64 << 20));
    let (_server, port) = there.serve(&LISTEN);
    let ran = cut_in_the_middle(&cable, &there, &here, port, &["--timeout", "3"]).ended();
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(
        ran.stderr.contains("nothing came for 3 s") && ran.stderr.contains("nothing was published"),
        "{ran:?}"
    );
    here.assert_empty();
}
