//! The story of a machine that a killed Python has filled: its script runs, and says what its page
//! says.

use std::path::{Path, PathBuf};

use crate::harness::{Ran, Registry, can_run, path_with_areas};

fn story(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/stories").join(name)
}

/// What differs from run to run and from machine to machine: names that Python chose, numbers of
/// processes, sums of all that there is, and what cannot be seen.
fn without_chance(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let (sums, unseen) = (
            [" memory, ", " memories, "],
            ["may not be looked into", "on their way", "io_uring", "are not seen"],
        );
        if let Some(sum) = sums.iter().find_map(|sum| line.find(sum)) {
            let leaked = line.find("leaked: ").map_or("", |at| &line[at..]);
            assert!(line[..sum].bytes().all(|byte| byte.is_ascii_digit()), "{line}");
            lines.push(leaked.split("; ").next().unwrap().to_owned());
        } else if !unseen.iter().any(|unseen| line.contains(unseen)) {
            let words = line.split_whitespace().map(|word| match word {
                _ if word.starts_with("-") && word[1..].parse::<u32>().is_ok() => "-GROUP".to_owned(),
                _ => match word.split_once("psm_") {
                    Some((before, name)) => {
                        let digits = name.bytes().take_while(u8::is_ascii_hexdigit).count();
                        assert_eq!(digits, 8, "{word}");
                        format!("{before}psm_NAME{}", &name[digits..])
                    }
                    None => word.to_owned(),
                },
            });
            lines.push(words.collect::<Vec<_>>().join(" "));
        }
    }
    lines.join("\n")
}

#[test]
fn machine_a_leaked_python_segment_is_found_and_freed() {
    let test = "story_leak::machine_a_leaked_python_segment_is_found_and_freed";
    if !can_run(test, &["python3", "-c", "from multiprocessing import shared_memory"])
        || !can_run(test, &["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/dev/shm"])
    {
        return;
    }
    let registry = Registry::new();
    let mut script = registry.program(story("leaked-python-segment.sh"));
    let ran = Ran::of(script.env("PATH", path_with_areas()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let page = std::fs::read_to_string(story("leaked-python-segment.md")).unwrap();
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("text\n"));
    let reported: String = blocks.collect();
    assert_eq!(without_chance(&ran.stdout()), without_chance(&reported), "{}", ran.stdout());
}
