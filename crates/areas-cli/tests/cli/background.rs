//! Holders in the background.

use std::fs;
use std::time::Duration;

use areas_testing::{Process, stat};
use serde_json::Value;

use crate::harness::{Ran, Registry, bytes_of, path_with_areas, within};
use crate::holders::kill;

/// Ends holders in the background when a test ends, however it ends.
struct Background<'a>(&'a Registry);

impl Drop for Background<'_> {
    fn drop(&mut self) {
        let ran = self.0.run(["ls", "--json"]);
        let list: Value = serde_json::from_slice(&ran.output).unwrap_or_default();
        list["areas"].as_array().into_iter().flatten().for_each(|area| kill(&area["pid"]));
    }
}

#[test]
fn a_holder_in_the_background_has_no_parent_here() {
    let registry = Registry::new();
    let _background = Background(&registry);
    let file = registry.file_of("file", 300_000);
    let ran =
        Ran::of(&mut registry.areas(["put", file.to_str().unwrap(), "--name", "x", "--freeze", "--detach"]));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let area = registry.show("x");
    let (id, pid) = (area["id"].to_string(), area["pid"].to_string());
    assert_eq!(
        ran.stdout(),
        format!(
            "area {id} \"x\", 293 KiB, frozen: held by process {pid} in the background; `areas drop {id}` ends it\n"
        )
    );
    // It is in a session of its own, which it does not lead, with no terminal, and nothing of ours.
    let stat = stat::of(pid.parse::<u32>().unwrap()).unwrap();
    assert!(stat.session.to_string() != pid && stat.terminal == 0, "{stat:?}");
    assert_ne!(stat.parent, std::process::id());
    // Ours may be that of a process outside our pid namespace: 0.
    let ours = stat::of(Process::Own).unwrap();
    assert!(stat.session != ours.session && stat.session != 0, "{stat:?}");
    for number in 0..3 {
        let link = fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
        assert_eq!(link.to_str(), Some("/dev/null"), "{number}");
    }
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some("/"));
    assert!(registry.run(["cat", "x"]).output == bytes_of(300_000));
    assert_eq!(registry.list().len(), 1);
    let ran = registry.run(["drop", &id]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    registry.assert_empty();
}

#[test]
fn several_in_the_background() {
    let registry = Registry::new();
    let _background = Background(&registry);
    let files: Vec<_> = ["a", "b", "c"].iter().map(|name| registry.file_of(name, 5000)).collect();
    let mut arguments = vec!["put", "--name", "models/{}", "--detach", "--json"];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    let ran = registry.run(arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Vec<Value> = ran.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = report.iter().map(|area| area["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["models/a", "models/b", "models/c"]);
    assert!(report.iter().all(|area| area["pid"] == report[0]["pid"]));
    for area in &report {
        assert_eq!(registry.run(["drop", &area["id"].to_string()]).code, Some(0));
    }
    registry.assert_empty();
    // A create and a clone, too.
    assert_eq!(
        registry.run(["create", "--name", "x", "--size", "1M", "--growable", "8M", "--detach"]).code,
        Some(0)
    );
    let first = registry.show("x");
    assert_eq!((&first["reserve"], &first["growable"]), (&(8 << 20).into(), &true.into()));
    assert_eq!(registry.run(["hold", "x", "--detach"]).code, Some(0));
    assert_eq!(registry.list().len(), 2);
    assert_eq!(registry.run(["resize", "x", "2M"]).code, Some(0));
}

/// What cannot be published leaves no holder behind.
#[test]
fn what_fails_is_not_in_the_background() {
    let registry = Registry::new();
    let _background = Background(&registry);
    let file = registry.file_of("file", 5000);
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    for arguments in [
        ["put", file.to_str().unwrap(), "--name", "x", "--exclusive", "--detach"],
        ["put", "/nowhere/at/all", "--name", "y", "--freeze", "--detach"],
    ] {
        let ran = registry.run(arguments);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{ran:?}");
    }
    assert_eq!(registry.list().len(), 1);
    let ran = registry.run(["put", file.to_str().unwrap(), "--detach", "--", "true"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

/// No process would know of it: so it ends. What there was before stays.
#[test]
fn what_cannot_be_reported_is_not_held_in_the_background() {
    let registry = Registry::new();
    let _background = Background(&registry);
    let file = registry.file_of("file", 5000);
    let _holder = registry.hold(["create", "--name", "there", "--size", "64K"]);
    let socket = registry.file("socket");
    let _offer = registry.hold(["offer", "there", "--socket", socket.to_str().unwrap()]);
    let before = registry.list();
    for arguments in [
        format!("put {} --name x", file.display()),
        "create --name x --size 64K".to_owned(),
        "create --name x --size 64K --json".to_owned(),
        "-q create --name x --size 64K".to_owned(),
        "hold there".to_owned(),
        "publish there x".to_owned(),
        format!("take {} --name x", socket.display()),
    ] {
        for to in ["> /dev/full", ">&-"] {
            let ran = registry.shell(&format!("areas {arguments} --detach {to}"));
            assert_eq!(ran.code, Some(1), "{arguments} {to}: {ran:?}");
            let reported = ran.stderr.strip_prefix("areas: cannot write to the standard output: ");
            assert!(
                reported.is_some_and(|why| why.ends_with("(ENOSPC)\n") || why.ends_with("(EBADF)\n")),
                "{ran:?}"
            );
            let is_as_before = || registry.list().len() == before.len();
            assert!(within(Duration::from_secs(20), is_as_before), "{arguments} {to}: {:?}", registry.list());
        }
        // Who reads no more is not notified either.
        let ran = registry.shell(&format!("set -o pipefail; areas {arguments} --detach | true"));
        if ran.code != Some(0) {
            assert_eq!((ran.code, ran.stderr.as_str()), (Some(141), ""), "{arguments}: {ran:?}");
            assert!(within(Duration::from_secs(20), || registry.list().len() == before.len()));
        }
        for area in registry.list().iter().filter(|area| !before.iter().any(|old| old["id"] == area["id"])) {
            registry.run(["drop", &area["id"].to_string()]);
        }
    }
}

/// Killed before its user knows, one that has started it leaves none.
#[test]
fn one_whose_starter_is_killed_ends() {
    let registry = Registry::new();
    let _background = Background(&registry);
    // It cannot say it: no process reads, and the pipe is full.
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while std::io::Write::write(&mut writer, &[b' '; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    let mut command = registry.areas(["create", "--name", "x", "--size", "64K", "--detach"]);
    let mut starter = command.stdout(writer).spawn().unwrap();
    drop(command);
    // Both have it by then: the one that starts it, and the one in the background.
    assert!(within(Duration::from_secs(20), || registry.list().len() == 2));
    starter.kill().unwrap();
    starter.wait().unwrap();
    assert!(within(Duration::from_secs(20), || registry.list().is_empty()));
    drop(reader);
}

#[test]
fn scripts_need_no_more_than_that() {
    let registry = Registry::new();
    let _background = Background(&registry);
    registry.file_of("file", 5000);
    let script = format!(
        "id=$(areas -q put {} --detach) && areas cat $id | cmp - {0} && areas -q drop $id && ! areas show file 2>/dev/null",
        registry.file("file").display()
    );
    let ran = Ran::of(registry.program("bash").args(["-c", &script]).env("PATH", path_with_areas()));
    assert_eq!((ran.code, ran.stdout().as_str(), ran.stderr.as_str()), (Some(0), "", ""), "{ran:?}");
}
