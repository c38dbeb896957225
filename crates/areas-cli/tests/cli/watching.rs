//! `areas watch` and `areas wait --gone`, `--frozen`: what happens to areas is reported, at once
//! where the kernel reports of it.

use std::io::{BufRead, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{AREAS, Holder, Ran, Registry, code_of, wait_for};

/// Set in a process of this very program that holds an area, and does with it what it is asked: see
/// [`commander`].
const CHILD: &str = "AREAS_TEST_WATCHING_HOLDER";

/// Not a test of anything: a process that others start, which makes an area `x` and freezes it,
/// drops it or ends as it reads on its input.
#[test]
fn commander() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut area = Some(areas::builder(1 << 20).name("x").shared().unwrap());
    let mut frozen = None;
    println!("\nheld");
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "freeze" => {
                frozen = Some(area.take().unwrap().freeze().map_err(|rejected| rejected.error).unwrap())
            }
            "drop" => drop((area.take(), frozen.take())),
            other => panic!("{other}"),
        }
    }
}

struct Commanded {
    child: std::process::Child,
}

impl Commanded {
    fn new(registry: &Registry) -> Self {
        let mut command: Command = registry.program(std::env::current_exe().unwrap());
        command.args(["--exact", "watching::commander", "--nocapture"]).env(CHILD, "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = std::io::BufReader::new(child.stdout.take().unwrap());
        assert!(output.lines().map_while(Result::ok).any(|line| line == "held"));
        Commanded { child }
    }

    fn send(&mut self, what: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(format!("{what}\n").as_bytes()).unwrap();
        input.flush().unwrap();
    }
}

impl Drop for Commanded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next event: which, of which area.
fn next(watch: &mut Holder) -> Value {
    let line = watch.line();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[test]
fn what_happens_is_reported() {
    let registry = Registry::new();
    let file = registry.file_of("file", 1 << 20);
    let file = file.to_str().unwrap();
    let first = registry.hold(["create", "--name", "first", "--size", "1M", "--growable", "4M"]);
    let mut watch = Holder::start(registry.program(AREAS).args(["watch", "--json", "--interval", "0.05"]));
    let there: Value = serde_json::from_str(&watch.ready).unwrap();
    assert_eq!(
        (&there["event"], &there["name"], &there["pid"]),
        (&"there".into(), &"first".into(), &first.pid().into())
    );

    let mut second = registry.hold(["put", file, "--name", "second"]);
    let event = next(&mut watch);
    assert_eq!(
        (&event["event"], &event["name"], &event["size"]),
        (&"published".into(), &"second".into(), &(1 << 20).into())
    );
    assert_eq!((&event["frozen"], &event["command"]), (&false.into(), &"areas".into()));
    // A clone of it, which its process publishes.
    let mut command = registry.areas(["tour-worker", "--name", "second", "--file", file]);
    let mut clone = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    clone.stdin.as_mut().unwrap().write_all(b"\"Compare\"\n").unwrap();
    let cloned = next(&mut watch);
    assert_eq!((&cloned["event"], &cloned["pid"]), (&"cloned".into(), &clone.id().into()));
    assert_eq!(cloned["object"], event["object"]);
    assert_eq!(registry.run(["resize", "first", "2M"]).code, Some(0));
    let resized = next(&mut watch);
    assert_eq!(
        (&resized["event"], &resized["size_before"], &resized["size"]),
        (&"resized".into(), &(1 << 20).into(), &(2 << 20).into())
    );
    assert_eq!(registry.run(["move", "first", "--nodes", "0"]).code, Some(0));
    let moved = next(&mut watch);
    assert_eq!(
        (&moved["event"], &moved["policy_before"], &moved["policy"]),
        (&"moved".into(), &"default".into(), &"bind:0".into())
    );
    // A holder that is killed.
    second.signal(Signal::KILL);
    second.wait();
    let gone = next(&mut watch);
    assert_eq!((&gone["event"], &gone["id"]), (&"gone".into(), &event["id"]));
    clone.kill().unwrap();
    clone.wait().unwrap();
    assert_eq!((&next(&mut watch)["event"], watch.is_running()), (&"gone".into(), true));
    // A signal ends it, as it ends any program.
    watch.signal(Signal::TERM);
    assert_eq!(watch.wait(), 1015);
}

/// Between two looks that are an hour apart, what the kernel reports of is printed all the same.
#[test]
fn publications_and_deaths_are_reported_at_once() {
    let registry = Registry::new();
    let _first = registry.hold(["create", "--name", "first", "--size", "1M"]);
    let mut watch =
        Holder::start(registry.program(AREAS).args(["watch", "--json", "--interval", "3600", "first", "x*"]));
    let begun = Instant::now();
    let _other = registry.hold(["create", "--name", "other", "--size", "1M"]);
    let mut second = registry.hold(["create", "--name", "x1", "--size", "1M"]);
    let event = next(&mut watch);
    assert_eq!((&event["event"], &event["name"]), (&"published".into(), &"x1".into()));
    second.signal(Signal::KILL);
    second.wait();
    assert_eq!(next(&mut watch)["event"], "gone");
    let third = registry.hold(["create", "--name", "x3", "--size", "1M"]);
    assert_eq!(next(&mut watch)["event"], "published");
    drop(third);
    assert_eq!(next(&mut watch)["event"], "gone");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn an_end_can_be_reported() {
    let registry = Registry::new();
    let ran = registry.run(["watch", "--timeout", "0.2"]);
    assert_eq!((ran.code, ran.stdout().as_str(), ran.stderr.as_str()), (Some(0), "", ""));
    let ran = registry.run(["watch", "--timeout", "0.2", "--count", "1"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let _x = registry.hold(["create", "--name", "x\u{202e}", "--size", "1M"]);
    let ran = registry.run(["watch", "--timeout", "0.1"]);
    let line = ran.stdout();
    assert!(
        line.contains("Z  there      area ") && line.contains("\"x\\u{202e}\", 1.00 MiB, process "),
        "{line}"
    );
    assert_eq!(registry.run(["watch", "--timeout", "0.1", "-q"]).stdout(), "");
    let mut watch = registry.areas(["watch", "--count", "1", "-q", "--timeout", "60"]);
    let watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let _y = registry.hold(["create", "--name", "y", "--size", "1M"]);
    let ran = Ran::from(watch.wait_with_output().unwrap());
    assert!(ran.code == Some(0) && ran.stdout().contains("  published  area "), "{ran:?}");
    // Whoever read it has gone.
    let ran = registry.shell("areas watch | true; echo ${PIPESTATUS[0]}");
    assert_eq!(ran.stdout(), "141\n", "{ran:?}");
    for wrong in [&["watch", "--interval", "0"][..], &["watch", "--timeout", "x"], &["watch", "[a"]] {
        assert_eq!(registry.run(wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn waits_until_it_is_frozen_or_gone() {
    let registry = Registry::new();
    assert_eq!(registry.run(["wait", "x", "--gone"]).stdout(), "area \"x\" is gone\n");
    let mut frozen = registry.areas(["wait", "x", "--frozen", "--timeout", "60"]);
    let frozen = frozen.stdout(Stdio::piped()).spawn().unwrap();
    let mut holder = Commanded::new(&registry);
    for what in ["frozen", "gone"] {
        let ran = registry.run(["wait", "x", &format!("--{what}"), "--timeout", "0.3"]);
        assert_eq!((ran.code, ran.output.len()), (Some(4), 0), "{ran:?}");
        let why = format!(
            "cannot wait until area \"x\" is {what}: not within 300ms: process {}",
            holder.child.id()
        );
        assert!(ran.stderr.contains(&why), "{ran:?}");
    }
    let mut watch =
        Holder::start(registry.program(AREAS).args(["watch", "x", "--json", "--interval", "0.05"]));
    let mut gone = registry.areas(["wait", "x", "--gone", "--timeout", "60"]);
    let mut gone = gone.stdout(Stdio::piped()).spawn().unwrap();
    holder.send("freeze");
    let ran = Ran::from(frozen.wait_with_output().unwrap());
    assert!(ran.code == Some(0) && ran.stdout().contains(" \"x\" in process "), "{ran:?}");
    assert_eq!(next(&mut watch)["event"], "frozen");
    assert!(gone.try_wait().unwrap().is_none());
    // Its holder lives on, and takes it back.
    holder.send("drop");
    assert!(wait_for(&mut gone).success());
    assert_eq!(next(&mut watch)["event"], "gone");
    assert!(holder.child.try_wait().unwrap().is_none());
    // A signal ends who waits.
    let mut forever = registry.areas(["wait", "x", "--frozen"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    rustix::process::kill_process(rustix::process::Pid::from_child(&forever), Signal::INT).unwrap();
    assert_eq!(code_of(wait_for(&mut forever)), 1002);
}

/// Starts a command that prints a line and then waits, reads that line, and goes.
fn whose_reader_goes(command: &mut Command) -> i32 {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(!line.is_empty());
    assert!(child.try_wait().unwrap().is_none());
    drop(output);
    code_of(wait_for(&mut child))
}

/// As `areas watch | head -1`: nothing happens any more, and it ends all the same.
#[test]
fn a_reader_that_goes_ends_it_at_once() {
    let registry = Registry::new();
    let _held = registry.hold(["create", "--name", "x", "--size", "1M"]);
    for arguments in [&["watch"][..], &["watch", "--json", "--interval", "3600"]] {
        assert_eq!(whose_reader_goes(&mut registry.areas(arguments)), 141, "{arguments:?}");
    }
    let mut offer = registry.areas(["offer", "x", "--json", "--socket"]);
    let socket = registry.file("socket");
    assert_eq!(whose_reader_goes(offer.arg(&socket)), 141);
    assert!(!socket.exists());
    // These say nothing before their end.
    for arguments in [
        &["wait", "no-such"][..],
        &["wait", "x", "--gone"],
        &["wait", "x", "--frozen"],
        &["top", "--once", "--json", "--interval", "3600"],
    ] {
        let mut child = registry.areas(arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(code_of(wait_for(&mut child)), 141, "{arguments:?}");
    }
}

/// Where the first line is all that is printed, its reader may go.
#[test]
fn a_reader_of_the_ready_line_may_go() {
    let registry = Registry::new();
    let mut held = registry.areas(["create", "--name", "x", "--size", "1M"]);
    let socket = registry.file("socket");
    let mut holder = held.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    std::io::BufReader::new(holder.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let mut offer = registry
        .areas(["offer", "x", "--socket"])
        .arg(&socket)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::BufReader::new(offer.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let ran = Ran::of(registry.areas(["take"]).arg(&socket).args(["--name", "y", "--", "true"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for child in [&mut holder, &mut offer] {
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
