//! Who holds areas: hold, publish, rename, freeze, drop.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use areas_testing::stat;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{AREAS, Ran, Registry, bytes_of, code_of, wait_for, within};

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout()).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

pub(crate) fn kill(pid: &Value) {
    let pid = i32::try_from(pid.as_i64().unwrap()).unwrap();
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// The old server ends, the new one comes: the memory is there all the while.
#[test]
fn memory_outlives_the_server_that_made_it() {
    let registry = Registry::new();
    let file = registry.file_of("file", 300_000);
    let mut old = registry.hold(["put", file.to_str().unwrap(), "--name", "state", "--note", "v1"]);
    let other = registry.hold(["create", "--name", "cache", "--size", "1M"]);
    let object = registry.show("state")["object"].clone();
    let script = r#"echo "$AREA_NAME $AREA_IDS"; read line; "$0" cat state | sha256sum; exit 5"#;
    let mut child = registry
        .areas(["hold", "state", "cache", "--", "sh", "-c", script, AREAS])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(registry.list().len(), 4);
    old.signal(Signal::KILL);
    old.wait();
    drop(other);
    assert!(within(Duration::from_secs(10), || registry.list().len() == 2));
    let kept = registry.show("state");
    assert_eq!((&kept["object"], &kept["note"]), (&object, &"v1".into()));
    assert_eq!(line, format!("state {} {}\n", kept["id"], registry.show("cache")["id"]));
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"go on\n").unwrap();
    let mut sum = String::new();
    std::io::Read::read_to_string(&mut output, &mut sum).unwrap();
    let ran = registry.shell(&format!("sha256sum < {}", file.display()));
    assert_eq!(sum, ran.stdout());
    assert_eq!(code_of(wait_for(&mut child)), 5);
    registry.assert_empty();
}

/// `hold` is killed: the command goes on, and the memory goes with its last holder.
#[test]
fn a_killed_hold_leaves_the_command_and_no_memory() {
    let registry = Registry::new();
    let mut maker = registry.hold(["create", "--name", "x", "--size", "1M", "--populate"]);
    let done = registry.file("done");
    let script = "echo ready; while [ ! -e \"$0\" ]; do sleep 0.05; done; echo on > \"$0\".2";
    let mut holding = registry.program("env");
    holding.args(["--default-signal", AREAS, "hold", "x", "--", "sh", "-c", script, done.to_str().unwrap()]);
    let mut hold = crate::harness::Holder::start(&mut holding);
    maker.signal(Signal::KILL);
    maker.wait();
    assert!(within(Duration::from_secs(10), || registry.list().len() == 1));
    hold.signal(Signal::KILL);
    assert_eq!(hold.wait(), 1009);
    assert!(within(Duration::from_secs(10), || registry.list().is_empty()));
    assert_eq!(registry.run(["cat", "x"]).code, Some(3));
    fs::write(&done, "").unwrap();
    assert!(
        within(Duration::from_secs(10), || registry.file("done.2").exists()),
        "the command has ended, too"
    );
}

#[test]
fn what_is_not_there_is_not_held() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let ran = registry.run(["hold", "x", "nothing", "--", "touch", registry.file("ran").to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(3), ""), "{ran:?}");
    assert!(!registry.file("ran").exists());
    assert_eq!(registry.list().len(), 1);
}

#[test]
fn one_more_name_for_the_same_memory() {
    let registry = Registry::new();
    let mut first = registry.hold(["create", "--name", "x", "--size", "1M", "--note", "a note"]);
    let _second = registry.hold(["publish", "x", "y"]);
    let (x, y) = (registry.show("x"), registry.show("y"));
    assert_eq!((&x["object"], &y["note"]), (&y["object"], &"a note".into()));
    let input = registry.file_of("file", 5000);
    assert_eq!(registry.run(["fill", "x", "--from", input.to_str().unwrap()]).code, Some(0));
    assert!(registry.run(["cat", "y", "--length", "5000"]).output == bytes_of(5000));
    first.signal(Signal::KILL);
    first.wait();
    assert!(registry.run(["cat", "y", "--length", "5000"]).output == bytes_of(5000));
    let ran = registry.run(["publish", "y", "y", "--exclusive"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

#[test]
fn a_holder_renames_its_area() {
    let registry = Registry::new();
    let holder = registry.hold(["create", "--name", "x", "--size", "1M", "--note", "stays"]);
    let _taken = registry.hold(["create", "--name", "taken", "--size", "1M"]);
    let before = registry.show("x");
    let ran = registry.run(["rename", "x", "größe", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = json(&ran);
    assert_eq!((&report["was"], &report["pid"]), (&before["id"], &holder.pid().into()));
    let after = registry.show("größe");
    assert_eq!(
        (&after["id"], &after["object"], &after["note"]),
        (&report["id"], &before["object"], &"stays".into())
    );
    assert_eq!(registry.run(["show", "x"]).code, Some(3));

    // A name that another area has: as it was.
    let ran = registry.run(["rename", "größe", "taken", "--exclusive"]);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{ran:?}");
    let kept = registry.show("größe");
    assert_eq!((&kept["object"], &kept["id"]), (&before["object"], &after["id"]));
    assert_eq!(registry.list().len(), 2);
    let ran = registry.run(["rename", "größe", ""]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

/// It is said at once, and not after the time that a holder may take to answer.
#[test]
fn a_stopped_holder_is_reported_as_such() {
    let registry = Registry::new();
    let holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    holder.signal(Signal::STOP);
    let line = format!("kill -CONT {}", holder.pid());
    while !stat::of(holder.pid()).unwrap().is_stopped() {
        std::thread::yield_now();
    }
    for asked in [&["drop", "x"][..], &["rename", "x", "y"]] {
        let ran = registry.run(asked);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(ran.stderr.contains("is stopped") && ran.stderr.contains(&line), "{ran:?}");
    }
    holder.signal(Signal::CONT);
    assert_eq!(registry.run(["drop", "x"]).code, Some(0));
}

/// A holder that is no `areas` command that holds areas (it is the tour's worker, which answers no
/// process).
#[test]
fn who_does_not_answer_is_neither_renamed_nor_dropped() {
    let registry = Registry::new();
    let file = registry.file_of("file", 5000);
    let mut holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let mut worker = registry
        .areas(["tour-worker", "--name", "x", "--file", file.to_str().unwrap()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(within(Duration::from_secs(10), || registry.list().len() == 2));
    holder.signal(Signal::KILL);
    holder.wait();
    assert!(within(Duration::from_secs(10), || registry.list().len() == 1));
    for (arguments, what) in [(&["rename", "x", "y"][..], "rename"), (&["drop", "x"], "drop")] {
        let ran = registry.run(arguments);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("areas: cannot {what} area ")), "{ran:?}");
        assert!(ran.stderr.contains("is not an `areas` command that answers here"), "{ran:?}");
    }
    assert_eq!(registry.list()[0]["pid"], worker.id());
    // It has it for reading only: freezing takes a right to write.
    let ran = registry.run(["freeze", "x"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("its protection is r--"), "{ran:?}");
    drop(worker.stdin.take());
    wait_for(&mut worker);
}

#[test]
fn holders_let_it_be_frozen() {
    let registry = Registry::new();
    let file = registry.file_of("file", 300_000);
    // Each of them has it mapped for writing, and waits for the others.
    let holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let _other = registry.hold(["hold", "x"]);
    let _third = registry.hold(["publish", "x", "y"]);
    let id = registry.show("x")["id"].clone();
    let ran = registry.run(["freeze", "x", "--timeout", "20"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(ran.stdout(), format!("area {id} \"x\": frozen\n"));
    for area in ["x", "y"] {
        assert_eq!(registry.show(area)["frozen"], true);
        assert!(registry.run(["cat", area]).output == bytes_of(300_000));
    }
    assert_eq!((&registry.show("x")["id"], &registry.show("x")["pid"]), (&id, &holder.pid().into()));
    let ran = registry.run(["freeze", "x"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout().ends_with("it was frozen already\n"), "{ran:?}");
    let ran = registry.run(["get", "x", registry.file("copy").to_str().unwrap(), "--exact"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// Python maps it for writing: nothing changes, and it is named.
#[test]
fn who_can_still_write_is_named() {
    let registry = Registry::new();
    let holder = registry.hold(["create", "--name", "x", "--size", "64K"]);
    let script = "import mmap, os, sys\n\
         pid = sys.argv[1]\n\
         path = next(p for n in os.listdir(f'/proc/{pid}/fd') if os.readlink(p := f'/proc/{pid}/fd/{n}').startswith('/memfd:area'))\n\
         fd = os.open(path, os.O_RDWR)\n\
         m = mmap.mmap(fd, 65536)\n\
         print('mapped', flush=True)\n\
         sys.stdin.readline()\n\
         m[0] = 7\n\
         m.close()\n\
         print('closed', flush=True)\n\
         sys.stdin.readline()\n";
    let mut python = registry
        .program("python3")
        .args(["-c", script, &holder.pid().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(python.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "mapped\n");
    let ran = registry.run(["freeze", "x", "--timeout", "0.3"]);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(4), ""), "{ran:?}");
    assert!(ran.stderr.contains(&format!("{} (python3", python.id())), "{ran:?}");
    assert_eq!(registry.show("x")["frozen"], false);
    // It is as it was: it can be written, and frozen later.
    let input = registry.file_of("input", 5000);
    assert_eq!(registry.run(["fill", "x", "--from", input.to_str().unwrap()]).code, Some(0));
    let stdin = python.stdin.as_mut().unwrap();
    std::io::Write::write_all(stdin, b"\n").unwrap();
    line.clear();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "closed\n");
    let ran = registry.run(["freeze", "x", "--timeout", "20", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!((&json(&ran)["frozen"], &json(&ran)["was_frozen"]), (&true.into(), &false.into()));
    assert_eq!(registry.run(["cat", "x", "--length", "1"]).output, [7]);
    drop(python.stdin.take());
    python.wait().unwrap();
}

#[test]
fn no_new_writers() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "64K"]);
    let ran = registry.run(["freeze", "x", "--no-new-writers", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!((&json(&ran)["frozen"], &json(&ran)["new_writers"]), (&false.into(), &false.into()));
    let input = registry.file_of("input", 5000);
    let ran = registry.run(["fill", "x", "--from", input.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(registry.run(["cat", "x"]).output.len(), 65536);
}

#[test]
fn a_holder_is_asked_to_end() {
    let registry = Registry::new();
    let mut holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let ran = registry.run(["drop", "x"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(
        ran.stdout()
            .ends_with(&format!("process {}, which held it, has ended; its memory is gone\n", holder.pid()))
    );
    assert_eq!(holder.wait(), 143);
    registry.assert_empty();

    // Others keep it, and are named.
    let mut holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let other = registry.hold(["hold", "x"]);
    let ran = registry.run(["drop", &registry.show("x")["id"].to_string(), "--json"]);
    assert_eq!(ran.code, Some(0), "what was asked is done: {ran:?}");
    let report = json(&ran);
    assert_eq!(
        (&report["gone"], &report["ended"], &report["pid"]),
        (&false.into(), &true.into(), &holder.pid().into())
    );
    assert_eq!(report["kept_by"], serde_json::json!([{ "pid": other.pid(), "command": "areas" }]));
    assert_eq!(holder.wait(), 143);
    assert_eq!(registry.list().len(), 1);
    let mut third = registry.hold(["publish", "x", "y"]);
    let ran = registry.run(["drop", "y"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout().contains(&format!("its memory stays: process {} (areas) has it", other.pid())),
        "{ran:?}"
    );
    assert_eq!(third.wait(), 143);
}

/// One that is named twice, or by its name and its id, is held once.
#[test]
fn an_area_is_held_once_however_often_it_is_named() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let _other = registry.hold(["create", "--name", "y", "--size", "1M"]);
    let id = registry.show("x")["id"].to_string();
    let mut hold = registry.hold(["hold", "x", &id, "y", "name:x", "x"]);
    assert!(hold.line().contains("\"y\""));
    assert_eq!(registry.list().len(), 4);
    hold.signal(Signal::TERM);
    assert_eq!(hold.rest(), "");
    assert_eq!(hold.wait(), 143);
    // Two areas over one memory are two.
    let _third = registry.hold(["hold", "x"]);
    let ids: Vec<String> = registry
        .list()
        .iter()
        .filter(|area| area["name"] == "x")
        .map(|area| area["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 2);
    let mut hold = registry.hold(["hold", &ids[0], &ids[1]]);
    assert!(hold.line().contains("\"x\""));
}

#[test]
fn a_holder_that_does_not_end_is_reported() {
    let registry = Registry::new();
    let mut command = registry.program("bash");
    command.args(["-c", "trap '' TERM; exec \"$0\" create --name x --size 1M", AREAS]);
    let mut holder = crate::harness::Holder::start(&mut command);
    let ran = registry.run(["drop", "x", "--timeout", "0.2"]);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(4), ""), "{ran:?}");
    assert!(ran.stderr.contains("has not ended within 200ms"), "{ran:?}");
    assert!(holder.is_running());
    assert_eq!(registry.list().len(), 1);
}

#[test]
fn what_is_held_for_a_command_is_dropped_only_with_it() {
    let registry = Registry::new();
    let mut command = registry.program("env");
    command.args(["--default-signal", AREAS, "create", "--name", "x", "--size", "1M", "--", "sh", "-c"]);
    command.arg("echo ready; exec sleep 1000");
    let mut holder = crate::harness::Holder::start(&mut command);
    let ran = registry.run(["drop", "x"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("holds it for \"sh\", which runs and would get the signal"), "{ran:?}");
    assert!(holder.is_running());
    let ran = registry.run(["drop", "x", "--with-command"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(holder.wait(), 143);
}

#[test]
fn of_several_areas_one_is_dropped() {
    let registry = Registry::new();
    let (one, two) = (registry.file_of("one", 5000), registry.file_of("two", 6000));
    let mut holder = registry.hold(["put", one.to_str().unwrap(), two.to_str().unwrap()]);
    let ran = registry.run(["drop", "one"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout().contains("which holds others, does not hold it any more; its memory is gone"),
        "{ran:?}"
    );
    assert!(holder.is_running());
    assert_eq!(registry.list().len(), 1);
    assert!(registry.run(["cat", "two"]).output == bytes_of(6000));
    assert_eq!(registry.run(["drop", "two"]).code, Some(0));
    assert_eq!(holder.wait(), 143);
}

/// A process of this user that has taken a holder's address does not answer for it: the kernel says
/// who listens.
#[test]
fn no_process_answers_for_another() {
    let registry = Registry::new();
    let script = "import os, socket, sys\n\
         ours, theirs = os.pipe()\n\
         child = os.fork()\n\
         if child == 0:\n\
         \x20   os.read(ours, 1)\n\
         \x20   os.execv(sys.argv[1], ['areas', 'create', '--name', 'x', '--size', '1M'])\n\
         ns = os.stat('/proc/self/ns/pid').st_ino\n\
         s = socket.socket(socket.AF_UNIX)\n\
         s.bind(f'\\0areas-holder-{ns}-{child}')\n\
         s.listen()\n\
         os.write(theirs, b'x')\n\
         while True:\n\
         \x20   c, _ = s.accept()\n\
         \x20   c.sendall(b'{\"Holds\":{\"ids\":[1],\"command\":null}}\\n')\n\
         \x20   c.close()\n";
    let mut squatter = registry
        .program("python3")
        .args(["-c", script, AREAS])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(squatter.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    // It has no address to listen at, and holds all the same.
    let area = registry.show("x");
    assert!(line.contains("held by process"), "{line}");
    for arguments in [&["drop", "x"][..], &["rename", "x", "y"]] {
        let ran = registry.run(arguments);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("is not an `areas` command that answers here"), "{ran:?}");
    }
    assert_eq!(registry.list().len(), 1);
    squatter.kill().unwrap();
    squatter.wait().unwrap();
    kill(&area["pid"]);
}
