//! Names that are hard to show: no UTF-8, or as long as a name can be. Each command shows them in
//! the same way.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Holder, Registry, can_run, path_with_areas, within};
use crate::scanning::{Posix, ours, scan, unique};

fn hold(registry: &Registry, name: &[u8]) -> Holder {
    let mut argument = OsString::from("--name=");
    argument.push(OsStr::from_bytes(name));
    registry.hold(["create".as_ref(), argument.as_os_str(), "--size=1M".as_ref()])
}

#[test]
fn machine_what_is_no_text_looks_the_same_everywhere() {
    let registry = Registry::new();
    let name = b"t\xff\xe2\x80\xae\xfe\n";
    let (shown, bytes) = (r"t\xff\u{202e}\xfe\n", "hex:74ffe280aefe0a");
    let holder = hold(&registry, name);
    let file = [b"t-names\xff".as_slice(), unique("").as_bytes()].concat();
    let memory = Posix { path: std::path::Path::new("/dev/shm").join(OsStr::from_bytes(&file)) };
    std::fs::write(&memory.path, "x").unwrap();
    for arguments in [&["ls"][..], &["scan"], &["top", "--once"], &["ls", "--columns", "name"]] {
        let text = registry.run(arguments).stdout();
        assert!(text.contains(shown), "{arguments:?}: {text}");
        assert!(!text.contains(['\u{fffd}', '\u{202e}']), "{arguments:?}: {text}");
    }
    let text = registry.run(["scan"]).stdout();
    assert!(text.contains(&format!(r"t-names\xff-{}", std::process::id())), "{text}");
    for arguments in [&["show", bytes][..], &["watch", "--timeout", "0.1"]] {
        let text = registry.run(arguments).stdout();
        assert!(text.contains(shown), "{arguments:?}: {text}");
    }
    let mut wait = registry.areas(["wait", "--timeout", "20"]);
    let waited = crate::harness::Ran::of(wait.arg(OsStr::from_bytes(name)));
    assert!(waited.stdout().contains(shown), "{waited:?}");
    let scanned = scan(&registry);
    let all = scanned["memories"].as_array().unwrap();
    let area =
        all.iter().find(|row| row["kind"] == "area" && row["holders"][0]["pid"] == holder.pid()).unwrap();
    assert_eq!(
        (&area["name_bytes"], &area["areas"][0]["name_bytes"]),
        (&bytes.into(), &bytes.into()),
        "{area}"
    );
    // Names alone are what `areas reap` takes.
    let quiet = registry.run(["scan", "--quiet", "--kind", "shm"]).stdout();
    let line = quiet.lines().find(|line| line.starts_with("shm hex:742d6e616d6573ff")).unwrap();
    let ran = registry.shell(&format!("areas reap {line} --yes"));
    assert_eq!((ran.code, memory.is_there()), (Some(0), false), "{ran:?}");
    assert!(ran.stdout().contains(r#"shm "t-names\xff-"#), "{ran:?}");
}

/// Memory that no process publishes has the name that it was made under, any bytes.
#[test]
fn a_label_that_is_no_text() {
    let registry = Registry::new();
    let label = [b"area:t\xff".as_slice(), unique("").as_bytes()].concat();
    let label = CString::new(label).unwrap();
    let memory = rustix::fs::memfd_create(label.as_c_str(), rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&memory, 4096).unwrap();
    let text = registry.run(["ls", "--all"]).stdout();
    assert!(text.contains(&format!(r"t\xff-{}", std::process::id())), "{text}");
    let report: Value = serde_json::from_str(&registry.run(["ls", "--all", "--json"]).stdout()).unwrap();
    let is_ours =
        |row: &&Value| row["label_bytes"].as_str().is_some_and(|bytes| bytes.starts_with("hex:74ff2d"));
    let row = report["unpublished"].as_array().unwrap().iter().find(is_ours).unwrap();
    assert!(ours(row).is_some(), "{row}");
}

/// One name of 255 bytes widens no other row.
#[test]
fn a_name_of_255_bytes_in_a_pipe() {
    let registry = Registry::new();
    let long = "n".repeat(255);
    let _holders = ["short", &long].map(|name| hold(&registry, name.as_bytes()));
    let plain = |arguments: &[&str]| {
        let text = registry.run(arguments).stdout();
        text.replace(&long, "[255 n]")
    };
    let listed = plain(&["ls", "--columns", "name,size,ram,prot,command", "--sort", "name", "--no-headings"]);
    insta::assert_snapshot!(listed, @r"
    [255 n]  1.00 MiB  0 B  rw-  areas
    short     1.00 MiB  0 B  rw-  areas
    ");
    let top = plain(&["top", "--once", "--sort", "name"]);
    assert_eq!(top.lines().next().unwrap().trim_start(), "ID  NAME          SIZE  IN RAM  NODES     HELD BY");
    for arguments in [&["ls"][..], &["scan", "--kind", "area"], &["top", "--once"]] {
        let text = plain(arguments);
        let line = text.lines().find(|line| line.contains(" short ")).unwrap();
        assert!(line.len() < 110 && text.contains("[255 n]  "), "{text}");
    }
}

/// At a terminal of 80 columns the command that frees a memory is whole, on a line of its own.
#[test]
fn machine_commands_are_whole_at_a_terminal() {
    let test = "names::machine_commands_are_whole_at_a_terminal";
    if !can_run(test, &["script", "--version"]) {
        return;
    }
    let registry = Registry::new();
    let memory = Posix::new(&format!("t-names-{}", "n".repeat(100)), 4096);
    assert!(within(Duration::from_secs(10), || registry.run(["scan", "--leaked"]).code == Some(0)));
    for columns in [40, 80, 200] {
        let mut command = registry.program("script");
        let line = format!("stty cols {columns}; areas scan --leaked");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command.env("PATH", path_with_areas()).env("TERM", "dumb").env_remove("COLUMNS");
        let text = crate::harness::Ran::of(&mut command).stdout().replace('\r', "");
        let whole = format!("\n  areas reap shm {} --yes\n", memory.name());
        assert!(text.contains("\nTo free what is leaked:\n") && text.contains(&whole), "{columns}: {text}");
        // The sum has its own lines where it is too long for one.
        assert!(
            columns < 80
                || text.lines().filter(|line| line.contains("leaked: ")).all(|line| line.len() <= columns),
            "{text}"
        );
    }
}
