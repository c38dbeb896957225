//! The guided tour.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{Ran, Registry, within};

#[test]
fn machine_the_tour_holds_what_it_says() {
    let registry = Registry::new();
    let file = registry.file_of("file", (24 << 20) + 77);
    let ran = registry.run(["tour", file.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let text = ran.stdout();
    assert!(!text.contains('✗') && text.matches('✓').count() >= 20, "{text}");
    for step in 1..=6 {
        assert!(text.contains(&format!("\n{step}. ")), "{text}");
    }
    assert!(text.contains("pwrite, through a descriptor that was opened for writing: EPERM"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with(&format!("All {} claims hold. (", text.matches('✓').count())), "{last}");
    registry.assert_empty();
}

#[test]
fn machine_the_tour_in_plain_characters() {
    let registry = Registry::new();
    let file = registry.file_of("file", 5000);
    let ran = Ran::of(registry.areas(["tour", file.to_str().unwrap()]).env("LC_ALL", "C"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout().is_ascii(), "{ran:?}");
    assert!(ran.stdout().matches("   ok ").count() >= 20, "{ran:?}");
}

#[test]
fn a_tour_needs_a_file() {
    let registry = Registry::new();
    let empty = registry.file_of("empty", 0);
    for (file, message) in
        [("/", "it is a directory"), ("/nowhere", "no such file"), (empty.to_str().unwrap(), "it is empty")]
    {
        let ran = registry.run(["tour", file]);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.contains(message), "{ran:?}");
    }
}

/// The comparison can fail: a worker that is given another file says where they differ.
#[test]
fn a_worker_sees_a_difference() {
    let registry = Registry::new();
    let file = registry.file_of("file", 1 << 20);
    let other = registry.file("other");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[700_000] ^= 1;
    std::fs::write(&other, &bytes).unwrap();
    let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x", "--freeze"]);
    let mut child = registry
        .areas(["tour-worker", "--name", "x", "--file", other.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut questions = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    for question in ["Compare", "CompareLent"] {
        writeln!(questions, "\"{question}\"").unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        // The last piece that is the same ends before the byte that is not.
        assert_eq!(answer["same"], 700_000 / (256 << 10) * (256 << 10), "{question}");
    }
    drop(questions);
    assert!(child.wait().unwrap().success());
}

/// A tour that is killed takes its workers, and all memory, with it.
#[test]
fn a_killed_tour_leaves_nothing() {
    let registry = Registry::new();
    let file = registry.file_of("file", 64 << 20);
    let mut tour = registry.areas(["tour", file.to_str().unwrap()]).stdout(Stdio::null()).spawn().unwrap();
    let three = within(std::time::Duration::from_secs(20), || registry.list().len() == 3);
    tour.kill().unwrap();
    tour.wait().unwrap();
    assert!(three);
    assert!(within(std::time::Duration::from_secs(10), || registry.list().is_empty()));
}

/// What holds is not printed where quiet is asked for, but that all of it does.
#[test]
fn machine_a_quiet_tour_is_one_line() {
    let registry = Registry::new();
    let file = registry.file_of("file", 4 << 20);
    let ran = registry.run(["--quiet", "tour", file.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let text = ran.stdout();
    assert!(
        text.lines().count() == 1 && text.starts_with("All ") && text.contains(" claims hold."),
        "{text}"
    );
    registry.assert_empty();
}
