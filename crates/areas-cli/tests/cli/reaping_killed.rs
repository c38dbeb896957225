//! `areas reap` killed at each of its system calls while it takes a file away: what it leaves is
//! found, reported as what it is, and freed.

#![expect(unsafe_code, reason = "a child that is to be traced; the block has its proof")]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::harness::{Registry, skipped};
use crate::scanning::{Posix, row, scan};

/// What became of a process whose system calls were counted from the first `renameat2` on, its
/// entry being 0.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Killed,
    /// It came to its end before it was to be killed.
    Itself,
}

/// Runs a command until it stands at this one of its stops, and kills it there: an entry of a
/// system call, and then its exit, are two. `None` where processes cannot be traced.
fn kill_at(mut command: Command, stop: usize) -> Option<Ended> {
    // SAFETY: between fork and exec one system call is made, and nothing else.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    // Stopped behind `exec`.
    assert!(matches!(waitpid(pid, None).unwrap(), WaitStatus::Stopped(..)));
    ptrace::setoptions(pid, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL).unwrap();
    let (mut at, mut signal) = (None, None::<Signal>);
    let ended = loop {
        ptrace::syscall(pid, signal.take()).unwrap();
        match waitpid(pid, None).unwrap() {
            WaitStatus::PtraceSyscall(_) => {
                let call = ptrace::syscall_info(pid).ok().and_then(|info| match info.op {
                    libc::PTRACE_SYSCALL_INFO_ENTRY => {
                        // SAFETY: the kernel says that it is at an entry, and so has filled in that
                        // part.
                        Some(unsafe { info.u.entry.nr })
                    }
                    _ => None,
                });
                at = match at {
                    None => (call == Some(libc::SYS_renameat2.cast_unsigned())).then_some(0),
                    Some(at) => Some(at + 1),
                };
                if at == Some(stop) {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    break Ended::Killed;
                }
            }
            WaitStatus::Stopped(_, other) => signal = Some(other),
            _ => break Ended::Itself,
        }
    };
    Some(ended)
}

/// Files with these contents that an interrupted reap of ours has left.
fn left(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let is_ours = |path: &PathBuf| {
        let text = path.file_name().unwrap().to_string_lossy().into_owned();
        text.starts_with(".areas-reap-") && text.ends_with(&format!(".{name}"))
    };
    entries.map(|entry| entry.path()).filter(is_ours).collect()
}

#[test]
fn machine_what_a_killed_reap_leaves_is_found_and_freed() {
    let test = "reaping_killed::machine_what_a_killed_reap_leaves_is_found_and_freed";
    let registry = Registry::new();
    let (mut taken_away, mut untouched) = (0, 0);
    for stop in 0.. {
        let memory = Posix::new("psm_t-reap-killed", 10_000);
        let name = memory.name().to_owned();
        let command = registry.areas(["reap", "python", &name, "--yes"]);
        let Some(ended) = kill_at(command, stop) else {
            return skipped(test, "no process can be traced here");
        };
        let left = left(&name);
        if ended == Ended::Itself {
            assert!(left.is_empty() && !memory.is_there(), "{stop}: {left:?}");
            break;
        }
        match (memory.is_there(), &*left) {
            // It had not begun, or was done.
            (true, []) => untouched += 1,
            (false, []) => {}
            (false, [path]) => {
                taken_away += 1;
                is_reported_and_freed(&registry, path, &name);
            }
            (there, left) => panic!("{stop}: {there} {left:?}"),
        }
    }
    // The entry of the call that renames, and each stop up to the one that removes: the exits of
    // both, what waits and looks in between.
    assert!(untouched >= 1 && taken_away >= 5, "{untouched} {taken_away}");
}

fn is_reported_and_freed(registry: &Registry, path: &Path, name: &str) {
    let called = path.file_name().unwrap().to_str().unwrap();
    assert_eq!(std::fs::metadata(path).unwrap().len(), 10_000);
    let scanned = scan(registry);
    let reported = row(&scanned, "python", called).unwrap_or_else(|| panic!("no {called}: {scanned:#}"));
    assert_eq!(
        (&reported["state"], &reported["was"], &reported["size"]),
        (&"leaked".into(), &name.into(), &10_000.into())
    );
    assert!(
        reported["why"].as_str().unwrap().ends_with(&format!("interrupted left it: it was called {name}")),
        "{reported}"
    );
    assert_eq!(reported["free_with"], format!("areas reap python {called} --yes"));
    let text = registry.run(["scan", "--leaked"]).stdout();
    let line = text.lines().find(|line| line.contains(called)).unwrap();
    assert!(line.contains("none, an interrupted reap left it: areas reap python "), "{line}");
    let ran = registry.shell(reported["free_with"].as_str().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str(), path.exists()), (Some(0), "", false), "{ran:?}");
    assert!(ran.stdout().starts_with("freed 12.0 KiB: "), "{ran:?}");
}

/// A process that has it open holds it, also under the name that it was left with.
#[test]
fn machine_what_was_left_and_is_held_is_refused() {
    let registry = Registry::new();
    let memory = Posix::new(".areas-reap-1-0.psm_t-reap-left", 4096);
    let name = memory.name().to_owned();
    let held = memory.open();
    let scanned = scan(&registry);
    let reported = row(&scanned, "python", &name).unwrap();
    assert_eq!(
        (&reported["state"], &reported["free_with"]),
        (&"held".into(), &serde_json::Value::Null),
        "{reported}"
    );
    let ran = registry.run(["reap", "python", &name, "--yes"]);
    assert_eq!((ran.code, memory.is_there()), (Some(1), true), "{ran:?}");
    drop(held);
    let ran = registry.run(["reap", "python", &name, "--yes"]);
    assert_eq!((ran.code, memory.is_there()), (Some(0), false), "{ran:?}");
}
