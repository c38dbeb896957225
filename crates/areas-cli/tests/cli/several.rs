//! Several files at once, and streams that grow.

use std::io::Write;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Holder, Ran, Registry, bytes_of, within};

#[test]
fn several_files_have_their_own_names() {
    let registry = Registry::new();
    let files: Vec<_> =
        [("a", 1), ("b", 5000), ("c", 0)].map(|(name, len)| registry.file_of(name, len)).into();
    let mut arguments = vec!["put"];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    let mut holder = registry.hold(&arguments);
    let lines = [holder.ready.clone(), holder.line(), holder.line()];
    for ((line, name), len) in lines.iter().zip(["a", "b", "c"]).zip([1, 5000, 0]) {
        assert!(line.contains(&format!(" {name:?}, ")), "{lines:?}");
        assert!(registry.run(["cat", name]).output == bytes_of(len));
    }
    holder.signal(Signal::TERM);
    assert_eq!((holder.wait(), holder.rest().as_str()), (143, ""));
    registry.assert_empty();

    arguments.extend([
        "--name",
        "models/{}",
        "--freeze",
        "--",
        "sh",
        "-c",
        "areas ls -q | wc -l; echo $AREA_NAME",
    ]);
    let ran = Ran::of(registry.areas(&arguments).env("PATH", crate::harness::path_with_areas()));
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(0), "3\nmodels/a\n"), "{ran:?}");
}

#[test]
fn all_of_them_or_none() {
    let registry = Registry::new();
    let (one, two) = (registry.file_of("one", 5000), registry.file_of("two", 5000));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let taken = registry.hold(["create", "--name", "two", "--size", "1M"]);
    let cases: [(&[&str], i32, &str); 4] = [
        (&["put", one, two, "--exclusive", "--", "true"], 1, "two"),
        (&["put", one, "/nowhere/at/all", "--", "true"], 1, "no such file or directory"),
        (&["put", one, two, "--name", "x", "--", "true"], 2, "both would have the name \"x\""),
        (&["put", one, "-", "--", "true"], 2, "it has no name"),
    ];
    for (arguments, code, message) in cases {
        let ran = registry.run(arguments);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(code), ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(message), "{ran:?}");
        assert_eq!(registry.list().len(), 1, "{arguments:?}");
    }
    drop(taken);
}

/// A reader has it mapped from the start, and sees what comes later.
#[test]
fn readers_see_a_stream_grow() {
    let registry = Registry::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut command = registry.areas(["put", "-", "--name", "log", "--follow", "--growable", "64M"]);
    command.stdin(reader);
    let _holder = Holder::start(&mut command);
    assert_eq!(registry.show("log")["note"], "bytes=0 ended=no");
    let _clone = registry.hold(["hold", "log"]);
    let bytes = bytes_of(3_000_000);
    let mut sent = 0;
    for end in [5, 4096, 100_000, 3_000_000] {
        writer.write_all(&bytes[sent..end]).unwrap();
        sent = end;
        let note = format!("bytes={end} ended=no");
        assert!(within(Duration::from_secs(20), || registry.show("log")["note"] == note.as_str()), "{note}");
        let ran = registry.run(["cat", "log", "--length", &end.to_string()]);
        assert!(ran.output == bytes[..end], "{end}");
        let page = rustix::param::page_size();
        assert_eq!(registry.show("log")["size"], end.next_multiple_of(page));
        // Each holder's area has grown.
        for area in registry.list() {
            assert_eq!(area["size"], end.next_multiple_of(page), "{area}");
        }
    }
    drop(writer);
    assert!(within(Duration::from_secs(20), || registry.show("log")["note"] == "bytes=3000000 ended=yes"));
}

#[test]
fn a_stream_is_frozen_at_its_end() {
    let registry = Registry::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut command = registry.areas(["put", "-", "--name", "log", "--follow", "--freeze"]);
    command.stdin(reader);
    let mut holder = Holder::start(&mut command);
    writer.write_all(b"a line\n").unwrap();
    drop(writer);
    assert!(within(Duration::from_secs(20), || registry.show("log")["frozen"] == true));
    assert_eq!(registry.show("log")["note"], "bytes=7 ended=yes");
    assert_eq!(registry.run(["cat", "log", "--length", "7"]).output, b"a line\n");
    holder.signal(Signal::TERM);
    assert_eq!(holder.wait(), 143);
}

/// More comes than there is room for: what came is kept, the writer is notified by its pipe, and
/// the note says it.
#[test]
fn a_stream_that_is_too_long_keeps_what_came() {
    let registry = Registry::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut command = registry.areas(["put", "-", "--name", "log", "--follow", "--growable", "1M"]);
    command.stdin(reader);
    let mut holder = Holder::start(&mut command);
    // It has the reading end, too.
    drop(command);
    let bytes = bytes_of(8 << 20);
    let feed = std::thread::spawn(move || writer.write_all(&bytes).unwrap_err().kind());
    assert_eq!(feed.join().unwrap(), std::io::ErrorKind::BrokenPipe);
    let note = || registry.show("log")["note"].as_str().unwrap().to_owned();
    assert!(within(Duration::from_secs(20), || note().ends_with("ended=error")), "{}", note());
    let kept: usize = note().strip_prefix("bytes=").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(kept > (512 << 10) && kept <= 1 << 20, "{kept}");
    assert!(registry.run(["cat", "log", "--length", &kept.to_string()]).output == bytes_of(8 << 20)[..kept]);
    assert!(holder.is_running());
    let ran = registry.run(["drop", "log"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn a_command_sees_the_stream_come() {
    let registry = Registry::new();
    let script =
        "until areas show log | grep -q 'bytes=6 ended=yes'; do sleep 0.05; done; areas cat log --length 6";
    let mut command = registry.areas(["put", "-", "--name", "log", "--follow", "--", "sh", "-c", script]);
    command.env("PATH", crate::harness::path_with_areas());
    let ran = Ran::fed(&mut command, b"stream");
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(0), "stream"), "{ran:?}");
}

#[test]
fn only_a_stream_grows() {
    let registry = Registry::new();
    let file = registry.file_of("file", 5000);
    let file = file.to_str().unwrap();
    let cases: [&[&str]; 4] = [
        &["put", file, "--follow"],
        &["put", file, "-", "--follow", "--name", "{}"],
        &["put", "-", "--name", "x", "--follow", "--note", "n"],
        &["put", "-", "--name", "x", "--growable", "1M"],
    ];
    for arguments in cases {
        let ran = registry.run(arguments);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(2), ""), "{arguments:?}: {ran:?}");
    }
    registry.assert_empty();
}
