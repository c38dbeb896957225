//! `areas get` where a file system has no files without a name: as kernels and file systems say it
//! (EOPNOTSUPP, EISDIR, EINVAL), by a filter of system calls.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::doctor_sandboxed::{Refuse, refuse, under};
use crate::harness::{Holder, Ran, Registry, bytes_of, can_run, code_of, wait_for, within};

/// What such a file is asked for with.
const UNNAMED: i32 = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;

fn named(command: Command, errno: i32) -> Command {
    let rules: Vec<Refuse> = vec![refuse(libc::SYS_openat, errno).only(2, UNNAMED.cast_unsigned())];
    under(command, rules)
}

/// A registry with an area, and an empty folder.
fn held(bytes: usize) -> (Registry, Holder, PathBuf) {
    let registry = Registry::new();
    let file = registry.file_of("file", bytes);
    let holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let folder = registry.file("folder");
    fs::create_dir(&folder).unwrap();
    (registry, holder, folder)
}

fn names(folder: &PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn it_is_there_when_it_is_complete() {
    let (registry, _holder, folder) = held(3_000_000);
    for errno in [libc::EOPNOTSUPP, libc::EISDIR, libc::EINVAL] {
        let copy = folder.join("copy");
        let get = |more: &[&str]| {
            Ran::of(&mut named(
                registry.areas(["get", "x", copy.to_str().unwrap()].iter().chain(more)),
                errno,
            ))
        };
        let ran = get(&["--sync"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{errno}");
        assert!(fs::read(&copy).unwrap() == bytes_of(3_000_000));
        // What is there stays, unless it is to be replaced; then it keeps its mode, and a link
        // stays one.
        assert_eq!(get(&[]).code, Some(1));
        fs::write(&copy, "old").unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.join("link");
        symlink("copy", &link).unwrap();
        let mut through = registry.areas(["get", "x", link.to_str().unwrap(), "--force"]);
        through.stdout(Stdio::null());
        assert_eq!(Ran::of(&mut named(through, errno)).code, Some(0));
        assert!(fs::read(&copy).unwrap() == bytes_of(3_000_000));
        assert_eq!(copy.metadata().unwrap().mode() & 0o7777, 0o640);
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(names(&folder), ["copy", "link"]);
        fs::remove_file(copy).unwrap();
        fs::remove_file(link).unwrap();
    }
}

#[test]
fn a_full_disk_leaves_nothing() {
    const TEST: &str = "getting_named::a_full_disk_leaves_nothing";
    if !can_run(TEST, &["unshare", "--mount", "true"]) {
        return;
    }
    let (registry, _holder, folder) = held(8 << 20);
    let script = format!(
        "mount -t tmpfs -o size=2M none {0} && echo old > {0}/old && for path in new old; do \"$0\" get x {0}/$path --force; echo $?; done
         ls -A {0}; cat {0}/old",
        folder.display()
    );
    let mut command = registry.program("unshare");
    command.args(["--mount", "bash", "-c", &script, crate::harness::AREAS]);
    let ran = Ran::of(&mut named(command, libc::EOPNOTSUPP));
    assert_eq!(ran.stdout(), "1\n1\nold\nold\n", "{ran:?}");
    assert!(ran.stderr.contains("no space left on device"), "{ran:?}");
}

/// A signal that can be caught leaves nothing. SIGKILL leaves the part that was written under a
/// name of its own, as the help says, and never under the file's.
#[test]
fn a_signal_leaves_no_file_of_that_name() {
    let (registry, _holder, folder) = held(256 << 20);
    let copy = folder.join("copy");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let mut command = registry.program("env");
        command.args(["--default-signal", crate::harness::AREAS, "get", "x", copy.to_str().unwrap()]);
        let mut child = named(command, libc::EOPNOTSUPP).stdout(Stdio::null()).spawn().unwrap();
        let stand_in = format!(".copy.areas-{}", child.id());
        assert!(within(Duration::from_secs(20), || !names(&folder).is_empty()));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let code = code_of(wait_for(&mut child));
        match (code, signal) {
            // (It may have been faster.)
            (0, _) => assert_eq!(names(&folder), ["copy"]),
            (_, Signal::KILL) => assert_eq!(names(&folder), [stand_in]),
            _ => assert_eq!(names(&folder), Vec::<String>::new(), "{signal:?} {code}"),
        }
        names(&folder).iter().for_each(|name| fs::remove_file(folder.join(name)).unwrap());
    }
}
