//! Where `/proc` is missing, or is that of another pid namespace, its numbers would mean another
//! process: the registry refuses, and what needs no registry works.

use std::os::unix::fs::DirBuilderExt;
use std::sync::atomic::Ordering;

use insta::assert_snapshot;

use super::failure;
use super::support::child::{Stage, Test, test};
use super::support::skip;

/// Runs in what `unshare` makes; `None`, said aloud, where it makes nothing.
fn unshared(test: Test, through: &[&'static str], body: impl FnOnce() -> String) -> Option<String> {
    if test.role().is_none() {
        let mut tried = std::process::Command::new(through[0]);
        tried.args(&through[1..]).arg("true").stdin(std::process::Stdio::null());
        if !tried.status().is_ok_and(|status| status.success()) {
            skip(test.0, "unshare(1) may not make namespaces here");
            return None;
        }
    }
    Some(test.alone(Stage::through(through), body))
}

fn refusals() -> String {
    let mut private = areas::builder(4096).private().unwrap();
    private.fill(1);
    let shared = areas::builder(4096).shared().unwrap();
    shared.store(0, 1_u8, Ordering::Relaxed).unwrap();
    // Another process, in a namespace that fits, has made it.
    let registry = std::env::var_os("AREAS_DIR").unwrap();
    std::fs::DirBuilder::new().mode(0o700).create(registry).unwrap();
    [
        failure(areas::builder(4096).name("ring").shared()),
        failure(areas::registry::list()),
        failure(areas::registry::find("ring")),
    ]
    .join("\n\n")
}

#[test]
fn another_pid_namespaces() {
    let through = ["unshare", "--pid", "--fork", "--kill-child"];
    let reported = unshared(test!("another_pid_namespaces"), &through, refusals);
    if let Some(reported) = reported {
        assert_snapshot!(reported, @r#"
        Registry: cannot use the registry: /proc is of another pid namespace: it shows us as process PID, and we are process PID
          help: mount our own pid namespace's: `mount -t proc proc /proc`, or `unshare --mount-proc`

        Registry: cannot use the registry: /proc is of another pid namespace: it shows us as process PID, and we are process PID
          help: mount our own pid namespace's: `mount -t proc proc /proc`, or `unshare --mount-proc`

        Registry: cannot use the registry: /proc is of another pid namespace: it shows us as process PID, and we are process PID
          help: mount our own pid namespace's: `mount -t proc proc /proc`, or `unshare --mount-proc`
        "#);
    }
}

/// Runs a program where there is no `/proc`: one may be mounted over another.
const WITHOUT_PROC: [&str; 5] = [
    "unshare",
    "--mount",
    "sh",
    "-c",
    "umount -l /proc && while umount -l /proc 2>/dev/null; do :; done; exec \"$0\" \"$@\"",
];

#[test]
fn missing() {
    let reported = unshared(test!("missing"), &WITHOUT_PROC, || {
        let freeze = areas::builder(4096).shared().unwrap().freeze().unwrap_err();
        freeze.value.store(0, 1_u8, Ordering::Relaxed).unwrap();
        [refusals(), super::report(&freeze.error)].join("\n\n")
    });
    if let Some(reported) = reported {
        assert_snapshot!(reported, @r#"
        Registry: cannot use the registry: readlink: ENOENT; there is no /proc/self
          help: mount our own pid namespace's: `mount -t proc proc /proc`, or `unshare --mount-proc`

        Registry: cannot use the registry: readlink: ENOENT; there is no /proc/self
          help: mount our own pid namespace's: `mount -t proc proc /proc`, or `unshare --mount-proc`

        Registry: cannot use the registry: readlink: ENOENT; there is no /proc/self
          help: mount our own pid namespace's: `mount -t proc proc /proc`, or `unshare --mount-proc`

        System: cannot open an object for reading only: open("/proc/thread-self/fd/N", O_RDONLY): ENOENT
          help: /proc must be mounted
        "#);
    }
}

/// To say that there are no areas, it would have to be known.
#[test]
fn a_listing_without_proc_is_an_error() {
    let reported = unshared(test!("a_listing_without_proc_is_an_error"), &WITHOUT_PROC, || {
        failure(areas::registry::list())
    });
    if let Some(reported) = reported {
        assert_snapshot!(reported, @r#"
        Registry: cannot use the registry: readlink: ENOENT; there is no /proc/self
          help: mount our own pid namespace's: `mount -t proc proc /proc`, or `unshare --mount-proc`
        "#);
    }
}

/// As after a `chroot` into a place without `/proc`: what was open stays usable, and what needs
/// `/proc` says so.
#[test]
fn gone_while_areas_are_held() {
    let through = ["unshare", "--mount"];
    let reported = unshared(test!("gone_while_areas_are_held"), &through, || {
        let area = areas::builder(4096).name("ring").shared().unwrap();
        area.store(0, 7_u8, Ordering::Relaxed).unwrap();
        let source = areas::registry::find("ring").unwrap();
        while std::process::Command::new("umount").args(["-lq", "/proc"]).status().unwrap().success() {}
        assert!(!std::path::Path::new("/proc/self").exists());
        assert_eq!(area.load::<u8>(0, Ordering::Relaxed).unwrap(), 7);
        assert_eq!(source.info().unwrap().size, 4096);
        failure(source.open_read_only())
    });
    if let Some(reported) = reported {
        assert_snapshot!(reported, @r#"
        System: cannot open area ID "ring": /proc does not show our descriptors: none is mounted, or another pid namespace's
          help: `mount -t proc proc /proc`, in a chroot as well; or open areas before
        "#);
    }
}
