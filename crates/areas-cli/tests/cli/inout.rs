//! Bytes between areas and files: get, cmp, fill.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Ran, Registry, bytes_of, can_run, code_of, is_root, skipped, wait_for, within};

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout()).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// The names in the folder of a registry's files.
fn names(registry: &Registry) -> Vec<String> {
    let folder = registry.file("x");
    let entries = fs::read_dir(folder.parent().unwrap()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_byte_comes_into_a_file() {
    let registry = Registry::new();
    for len in [0, 1, 4096, 5000, (40 << 20) + 123] {
        let file = registry.file_of("file", len);
        let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x", "--freeze"]);
        let copy = registry.file("copy");
        let ran = registry.run(["get", "x", copy.to_str().unwrap(), "--force", "--sync", "--exact"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
        assert!(ran.stdout().contains("exact, as it is frozen"), "{ran:?}");
        assert!(fs::read(&copy).unwrap() == bytes_of(len), "{len}");
    }
    assert_eq!(names(&registry), ["copy", "file"]);
}

/// A part of an area that takes no memory takes no room in the file, and reading it takes no memory
/// either.
#[test]
fn holes_stay_holes() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "64M"]);
    let part = registry.file_of("part", 1 << 20);
    let fill = ["fill", "x", "--from", part.to_str().unwrap(), "--offset", "20M"];
    assert_eq!(registry.run(fill).code, Some(0));
    let resident = registry.show("x")["resident"].as_u64().unwrap();
    assert!((1 << 20..3 << 20).contains(&resident), "{resident}");
    let copy = registry.file("copy");
    let ran = registry.run(["get", "x", copy.to_str().unwrap(), "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = json(&ran);
    assert_eq!((&report["size"], &report["frozen"]), (&(64 << 20).into(), &false.into()));
    assert_eq!(registry.show("x")["resident"], resident, "get has touched it");
    let bytes = fs::read(&copy).unwrap();
    let (before, rest) = bytes.split_at(20 << 20);
    let (middle, after) = rest.split_at(1 << 20);
    assert!(middle == bytes_of(1 << 20));
    assert!(before.iter().chain(after).all(|&byte| byte == 0));
    let metadata = copy.metadata().unwrap();
    if metadata.blocks() * 512 >= 64 << 20 {
        return skipped("inout::holes_stay_holes", "this file system has no holes");
    }
    assert!(metadata.blocks() * 512 <= resident + (1 << 20), "{}", metadata.blocks());
    // And they are compared without being read: no memory for them.
    assert_eq!(registry.run(["cmp", "x", copy.to_str().unwrap()]).code, Some(0));
    assert_eq!(registry.show("x")["resident"], resident, "cmp has touched it");
}

#[test]
fn what_is_there_stays_unless_it_is_to_be_replaced() {
    let registry = Registry::new();
    let file = registry.file_of("file", 10_000);
    let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let old = registry.file("old");
    fs::write(&old, "old").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
    let link = registry.file("link");
    symlink("old", &link).unwrap();
    for path in [&old, &link] {
        let ran = registry.run(["get", "x", path.to_str().unwrap()]);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.contains("it is there already\n  help: `--force` replaces it"), "{ran:?}");
        assert_eq!(fs::read(&old).unwrap(), b"old");
    }
    // A link stays one; the file keeps its mode.
    let ran = registry.run(["get", "x", link.to_str().unwrap(), "--force"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert!(fs::read(&old).unwrap() == bytes_of(10_000));
    assert_eq!(old.metadata().unwrap().mode() & 0o7777, 0o640);
    let folder = registry.file("x").parent().unwrap().to_owned();
    let nowhere = registry.file("nothing/below");
    for (path, message) in [
        (folder.as_path(), "it is a directory"),
        ("/dev/null".as_ref(), "it is not a regular file"),
        (nowhere.as_path(), "no such file or directory"),
    ] {
        let ran = registry.run(["get".as_ref(), "x".as_ref(), path.as_os_str(), "--force".as_ref()]);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.contains(message), "{ran:?}");
    }
    assert!(fs::metadata("/dev/null").unwrap().mode() & 0o170_000 == 0o020_000);
    assert_eq!(names(&registry), ["file", "link", "old"]);
}

#[test]
fn to_the_standard_output_it_is_cat() {
    let registry = Registry::new();
    let file = registry.file_of("file", 10_000);
    let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let ran = registry.run(["get", "x", "-", "--offset", "5", "--length", "7"]);
    assert!(ran.output == bytes_of(10_000)[5..12], "{ran:?}");
    let ran = registry.run(["get", "x", "-", "--sync"]);
    assert_eq!((ran.code, ran.output.len()), (Some(2), 0), "{ran:?}");
    let copy = registry.file("copy");
    let ran = registry.run(["get", "x", copy.to_str().unwrap(), "--offset", "5", "--length", "7"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(fs::read(&copy).unwrap() == bytes_of(10_000)[5..12]);
    let ran = registry.run(["get", "x", registry.file("no").to_str().unwrap(), "--exact"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("it is not frozen"), "{ran:?}");
    let ran = registry.run(["get", "nothing", registry.file("no").to_str().unwrap()]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(names(&registry), ["copy", "file"]);
}

/// A full disk leaves nothing, and an older file as it was.
#[test]
fn a_full_disk_leaves_nothing_half_made() {
    const TEST: &str = "inout::a_full_disk_leaves_nothing_half_made";
    if !can_run(TEST, &["unshare", "--mount", "true"]) {
        return;
    }
    let registry = Registry::new();
    let file = registry.file_of("file", 8 << 20);
    let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let small = registry.file("small");
    fs::create_dir(&small).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=2M none {0} && echo old > {0}/old && \
         unshare_areas() {{ \"$0\" \"$@\"; }}; \
         for path in new old; do unshare_areas get x {0}/$path --force; echo $?; done; ls -A {0}; cat {0}/old",
        small.display()
    );
    let mut command = registry.program("unshare");
    command.args(["--mount", "bash", "-c", &script, crate::harness::AREAS]);
    let ran = Ran::of(&mut command);
    assert_eq!(ran.stdout(), "1\n1\nold\nold\n", "{ran:?}");
    assert!(ran.stderr.contains("no space left on device"), "{ran:?}");
}

/// A signal that comes while the file is written leaves nothing of it.
#[test]
fn a_signal_leaves_nothing_half_made() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "2G"]);
    let copy = registry.file("copy");
    for signal in [Signal::INT, Signal::KILL] {
        let mut child =
            registry.areas(["get", "x", copy.to_str().unwrap()]).stdout(Stdio::null()).spawn().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let code = code_of(wait_for(&mut child));
        if code != 0 {
            // (It may have been faster.)
            assert_eq!(names(&registry), Vec::<String>::new(), "{signal:?} {code}");
        }
        let _ = fs::remove_file(&copy);
    }
}

#[test]
fn the_first_difference_is_found() {
    let registry = Registry::new();
    let len = (20 << 20) + 77;
    let file = registry.file_of("file", len);
    let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let ran = registry.run(["cmp", "x", file.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout().as_str(), ran.stderr.as_str()), (Some(0), "", ""));
    let other = registry.file("other");
    let mut bytes = bytes_of(len);
    // Of several, the first one.
    for at in [17 << 20, (9 << 20) + 5, len - 1] {
        bytes[at] ^= 1;
        fs::write(&other, &bytes).unwrap();
        let first = if at == len - 1 { (9 << 20) + 5 } else { at };
        let ran = registry.run(["cmp", "x", other.to_str().unwrap(), "--json"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let report = json(&ran);
        assert_eq!((&report["same"], &report["difference"]), (&false.into(), &first.into()));
        let ran = Ran::fed(&mut registry.areas(["cmp", "x", "-"]), &bytes);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.stdout().ends_with(&format!("and the standard input differ at byte {first}\n")),
            "{ran:?}"
        );
    }
    // The bytes before are the same.
    let ran = registry.run(["cmp", "x", other.to_str().unwrap(), "--length", "9M"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn what_ends_first_differs_there() {
    let registry = Registry::new();
    let file = registry.file_of("file", 5000);
    let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let bytes = bytes_of(6000);
    for (len, ends) in [(4000, "file"), (6000, "area"), (0, "file")] {
        let other = registry.file("other");
        fs::write(&other, &bytes[..len]).unwrap();
        let at = len.min(5000);
        for (path, input) in [(other.to_str().unwrap(), &[][..]), ("-", &bytes[..len])] {
            let mut command = registry.areas(["cmp", "x", path, "--json"]);
            let ran = Ran::fed(&mut command, input);
            assert_eq!(ran.code, Some(1), "{len} {path} {ran:?}");
            let report = json(&ran);
            assert_eq!((&report["difference"], &report["ends"]), (&at.into(), &ends.into()), "{len} {path}");
        }
        let ran = registry.run(["cmp", "x", other.to_str().unwrap(), "-q"]);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""));
    }
    // A part of the area, and the file from its beginning.
    let part = registry.file("part");
    fs::write(&part, &bytes[1000..2000]).unwrap();
    let part = part.to_str().unwrap();
    assert_eq!(registry.run(["cmp", "x", part, "--offset", "1000", "--length", "1000"]).code, Some(0));
    let ran = registry.run(["cmp", "x", part, "--offset", "1000"]);
    assert!(ran.stdout().ends_with("\" has byte 2000\n"), "{ran:?}");
    // Trouble is 2, whatever it is.
    for arguments in [["cmp", "nothing", part], ["cmp", "x", "/nowhere/at/all"], ["cmp", "7", part]] {
        let ran = registry.run(arguments);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.starts_with("areas: cannot "), "{ran:?}");
    }
    assert_eq!(registry.run(["cmp", "x", part, "--offset", "5001"]).code, Some(2));
}

#[test]
fn a_part_of_an_area_is_written() {
    let registry = Registry::new();
    for kind in [&[][..], &["--growable", "64M"], &["--resizable", "64M"]] {
        let create = [&["create", "--name", "x", "--size", "24M"][..], kind].concat();
        let _holder = registry.hold(create);
        let len = (10 << 20) + 5;
        let file = registry.file_of("file", len);
        let file = file.to_str().unwrap();
        let ran = registry.run(["fill", "x", "--from", file, "--offset", "4097"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{kind:?} {ran:?}");
        assert!(ran.stdout().ends_with(&format!("from byte 4097 on: 10.0 MiB of {file:?}\n")), "{ran:?}");
        let bytes = registry.run(["cat", "x"]).output;
        assert!(bytes[4097..4097 + len] == bytes_of(len), "{kind:?}");
        assert!(bytes[..4097].iter().chain(&bytes[4097 + len..]).all(|&byte| byte == 0), "{kind:?}");
        assert_eq!(registry.show("x")["size"], 24 << 20, "{kind:?}");

        let ran = registry.run(["fill", "x", "--from", file, "--length", "3", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!((&json(&ran)["offset"], &json(&ran)["written"]), (&0.into(), &3.into()));
        let ran = Ran::fed(&mut registry.areas(["fill", "x", "--from", "-", "--offset", "16M"]), b"a stream");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let ran = registry.run(["cat", "x", "--offset", "16M", "--length", "9"]);
        assert_eq!(ran.output, b"a stream\0");
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "64K"]);
    let file = registry.file_of("file", 60_000);
    let file = file.to_str().unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["--offset", "10000"], "there it has 55536 B"),
        (&["--offset", "65537"], "byte 65537 is beyond its end"),
        (&["--length", "60001"], "it has 60000 B"),
        (&["--offset", "1M"], "is beyond its end"),
    ];
    for (options, message) in cases {
        let ran = registry.run([&["fill", "x", "--from", file][..], options].concat());
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.contains(message), "{options:?} {ran:?}");
    }
    assert!(registry.run(["cat", "x"]).output.iter().all(|&byte| byte == 0));
    let mut command = registry.areas(["fill", "x", "--from", "-", "--length", "70000"]);
    let ran = Ran::fed(&mut command, &bytes_of(70_000));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(registry.run(["cat", "x"]).output.iter().all(|&byte| byte == 0));
    // A stream has a known size at its end: what came before is reported.
    let ran = Ran::fed(&mut registry.areas(["fill", "x", "--from", "-"]), &bytes_of(70_000));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("are written, and stay so") || ran.stderr.contains("there it has"),
        "{ran:?}"
    );
}

#[test]
fn what_may_not_be_written_is_not() {
    let registry = Registry::new();
    let file = registry.file_of("file", 5000);
    let file = file.to_str().unwrap();
    let _holder = registry.hold(["put", file, "--name", "x", "--freeze"]);
    let ran = registry.run(["fill", "x", "--from", file]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("it is frozen: no process can write it any more"), "{ran:?}");
}

/// An area that gets smaller under the copy: an error, and no file.
#[test]
fn an_area_that_shrinks_concurrently_leaves_no_file() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1G", "--resizable", "1G"]);
    let copy = registry.file("copy");
    // The reader of a pipe that is full is stopped in the middle of it.
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut child = registry
        .areas(["fill", "x", "--from", "-"])
        .stdin(reader)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    writer.write_all(&bytes_of(100_000)).unwrap();
    assert!(within(std::time::Duration::from_secs(20), || registry.show("x")["resident"].as_u64()
        >= Some(98_304)));
    assert_eq!(registry.run(["resize", "x", "64K"]).code, Some(0));
    // Who writes behind the end makes it no larger.
    // (It may end before it has read all.)
    let _ = writer.write_all(&bytes_of(100_000));
    drop(writer);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(code_of(wait_for(&mut child)), 1, "{said}");
    assert!(said.contains("are written, and stay so"), "{said}");
    assert_eq!(registry.show("x")["size"], 65_536);
    let ran = registry.run(["get", "x", copy.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(copy.metadata().unwrap().len(), 65_536);
}

/// Root keeps the owner of what it replaces.
#[test]
fn a_replaced_file_keeps_its_owner() {
    if !is_root() {
        return skipped("inout::a_replaced_file_keeps_its_owner", "only root may give files to others");
    }
    let registry = Registry::new();
    let file = registry.file_of("file", 5000);
    let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let old = registry.file("old");
    fs::write(&old, "old").unwrap();
    std::os::unix::fs::chown(&old, Some(65534), Some(65534)).unwrap();
    let ran = registry.run(["get", "x", old.to_str().unwrap(), "--force"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!((old.metadata().unwrap().uid(), old.metadata().unwrap().gid()), (65534, 65534));
}
