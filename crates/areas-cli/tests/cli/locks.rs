//! What is locked: what the holders' mappings say, and not what was asked for.

#![expect(unsafe_code, reason = "unlocks a part of an area; the block has its proof")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::Ordering;

use areas::Lock;
use areas_testing::status;
use serde_json::Value;

use crate::harness::{Registry, can_run, total_of, wait_for};

const SIZE: usize = 64 << 10;
const PART: usize = 16 << 10;

/// Set where this program is to hold areas.
const ROLE: &str = "AREAS_TEST_UNLOCKS";

/// A program that undoes its areas' locks by itself, a step for each line that it reads.
fn unlock_by_and_by() {
    let make = |name: &str, lock| areas::builder(SIZE).lock(lock).name(name).shared().unwrap();
    let reported = |what: &str| {
        std::io::stdout().write_all(format!("{what}\n").as_bytes()).unwrap();
        std::io::stdin().read_line(&mut String::new()).unwrap();
    };
    let _whole = make("whole", Lock::Full);
    let part = make("part", Lock::Full);
    let lazy = make("lazy", Lock::Lazy);
    lazy.store(5000, 1_u8, Ordering::Relaxed).unwrap();
    reported("\nlocked");
    // SAFETY: the area's own mapping; its pages may be swapped out from now on, which changes no
    // byte.
    unsafe { rustix::mm::munlock(part.as_ptr().cast(), PART) }.unwrap();
    reported("in part");
    rustix::mm::munlockall().unwrap();
    reported("unlocked");
}

/// It, as another process.
pub(crate) struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    pub(crate) fn start(registry: &Registry) -> Self {
        let mut command = registry.program(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "locks::what_a_program_unlocks_is_not_reported_as_locked"]);
        command.env(ROLE, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Program { child, output }
    }

    /// Waits until it says that.
    pub(crate) fn hear(&mut self, what: &str) {
        let mut line = String::new();
        while line.trim_end() != what {
            line.clear();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended before {what:?}");
        }
    }

    pub(crate) fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Bytes that the kernel counts as locked, whether or not they are in RAM.
    fn counted(&self) -> u64 {
        status::of(self.child.id()).unwrap().bytes("VmLck").unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn last_line(registry: &Registry) -> String {
    total_of(&registry.run(["ls"]).stdout()).to_owned()
}

#[test]
fn locked_bytes_are_added_up() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M", "--lock", "full"]);
    let text = registry.run(["ls"]).stdout();
    assert_eq!(total_of(&text), "1 area, 1.00 MiB in RAM, 1.00 MiB locked");
}

#[test]
fn what_a_program_unlocks_is_not_reported_as_locked() {
    if std::env::var_os(ROLE).is_some() {
        return unlock_by_and_by();
    }
    let registry = Registry::new();
    let mut program = Program::start(&registry);
    let page = 4096;
    // What is reported of each: its lock, bytes that are locked, bytes that are not any more.
    let reported = |name: &str| {
        let list = registry.list();
        let area = list.iter().find(|area| area["name"] == name).unwrap();
        let shown = registry.show(name);
        for field in ["lock", "locked", "unlocked"] {
            assert_eq!(shown[field], area[field], "{name}");
        }
        (area["lock"].clone(), area["locked"].as_u64().unwrap(), area["unlocked"].as_u64().unwrap())
    };
    let word = |name: &str| {
        let text = registry.run(["ls"]).stdout();
        let row = text.lines().find(|line| line.contains(&format!(" {name} "))).unwrap().to_owned();
        let row = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>();
        row[row.iter().position(|cell| cell.starts_with("rw-")).unwrap() - 1].to_owned()
    };
    let size = SIZE as u64;
    let (full, lazy): (Value, Value) = ("full".into(), "lazy".into());

    program.hear("locked");
    assert_eq!(program.counted(), 3 * size);
    assert_eq!(reported("whole"), (full.clone(), size, 0));
    assert_eq!(reported("lazy"), (lazy.clone(), page, 0));
    assert_eq!(last_line(&registry), "3 areas, 132 KiB in RAM, 132 KiB locked");

    program.go_on();
    program.hear("in part");
    let part = PART as u64;
    assert_eq!(program.counted(), 3 * size - part);
    assert_eq!(reported("part"), (full.clone(), size - part, part));
    assert_eq!((word("whole"), word("part")), ("full".to_owned(), "full (in part)".to_owned()));
    assert_eq!(last_line(&registry), "3 areas, 132 KiB in RAM, 116 KiB locked");

    program.go_on();
    program.hear("unlocked");
    assert_eq!(program.counted(), 0);
    for (name, lock) in [("whole", &full), ("part", &full), ("lazy", &lazy)] {
        assert_eq!(reported(name), (lock.clone(), 0, size));
    }
    assert_eq!((word("whole"), word("lazy")), ("full (unlocked)".to_owned(), "lazy (unlocked)".to_owned()));
    assert_eq!(last_line(&registry), "3 areas, 132 KiB in RAM");
    let text = registry.run(["show", "whole", "--map"]).stdout();
    assert!(text.contains("lock        full (unlocked)\n  locked      0 B\n"), "{text}");
    assert!(!text.contains("! locked"), "{text}");
    program.go_on();
    assert!(wait_for(&mut program.child).success());
}

/// A child does not inherit its parent's locks, but its areas.
#[test]
fn a_forked_child_has_locked_nothing() {
    const FORKS: &str = "AREAS_TEST_FORKS";
    if std::env::var_os(FORKS).is_some() {
        let _area = areas::builder(SIZE).lock(Lock::Full).name("ring").shared().unwrap();
        // SAFETY: the child makes calls of this library alone, which are whole after a fork, and
        // ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            areas::registry::ensure_published().unwrap();
            let listing = areas::registry::list().unwrap();
            let lost = |area: &areas::registry::Source| area.info().unwrap().locked().unwrap().lost;
            let own = listing.areas.iter().find(|area| area.is_own()).map(lost);
            let parents = listing.areas.iter().find(|area| !area.is_own()).map(lost);
            let right = (own, parents) == (Some(SIZE as u64), Some(0));
            // SAFETY: ends the child without the parent's handlers.
            unsafe { libc::_exit(i32::from(!right)) };
        }
        let mut status = 0;
        // SAFETY: our own child, and room for its status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        return;
    }
    let registry = Registry::new();
    let mut command = registry.program(std::env::current_exe().unwrap());
    command.args(["--exact", "locks::a_forked_child_has_locked_nothing"]).env(FORKS, "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_cannot_be_measured_is_reported_as_asked() {
    if !can_run("locks::what_cannot_be_measured_is_reported_as_asked", &["unshare", "--mount", "true"]) {
        return;
    }
    let registry = Registry::new();
    let holder = registry.hold(["create", "--name", "x", "--size", "1M", "--lock", "full"]);
    let hidden = |command: &str| {
        let hide = format!("mount --bind /dev/null /proc/{}/smaps", holder.pid());
        registry.shell(&format!("unshare --mount sh -c '{hide} && {command}'"))
    };
    let ran = hidden("areas ls");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = ran.stdout();
    assert_eq!(total_of(&text), "1 area, 1.00 MiB in RAM, 1.00 MiB locked as asked");
    assert!(text.contains("full (asked)"), "{text}");
    let list: Value = serde_json::from_str(&hidden("areas ls --json").stdout()).unwrap();
    assert_eq!(list["total"]["locked"], Value::Null);
    let area = &list["areas"][0];
    assert_eq!((&area["lock"], &area["locked"]), (&"full".into(), &Value::Null));
    let text = hidden("areas show x").stdout();
    assert!(text.contains("lock        full (asked)\n  locked      unknown\n"), "{text}");
}

/// A holder without a lock is not asked: whatever else it has locked is not the areas'.
#[test]
fn no_smaps_are_read_where_nothing_is_locked() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let Ok(trace) = Command::new("strace").arg("-V").output().map(|_| registry.file("trace")) else {
        return crate::harness::skipped(
            "locks::no_smaps_are_read_where_nothing_is_locked",
            "there is no strace",
        );
    };
    let script = format!("strace -f -o {} -e trace=openat areas ls", trace.display());
    let ran = registry.shell(&script);
    if ran.code != Some(0) {
        return crate::harness::skipped("locks::no_smaps_are_read_where_nothing_is_locked", &ran.stderr);
    }
    let trace = std::fs::read_to_string(trace).unwrap();
    assert!(trace.contains("/fd/") && !trace.contains("smaps"), "{trace}");
}
