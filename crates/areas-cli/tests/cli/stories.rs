//! The stories of `docs/stories`, played by their scripts: what their pages show comes of them.

use std::path::{Path, PathBuf};

use crate::harness::{Ran, Registry, is_root, path_with_areas, skipped};

/// A file of the stories.
fn story(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/stories").join(name)
}

/// Where the memory controller of one version or the other takes groups.
fn takes_groups() -> bool {
    let (two, one) =
        (Path::new("/sys/fs/cgroup/cgroup.controllers"), Path::new("/sys/fs/cgroup/memory/cgroup.procs"));
    match std::fs::read_to_string(two) {
        Ok(controllers) => controllers.split_whitespace().any(|name| name == "memory"),
        Err(_) => one.exists(),
    }
}

/// A container at its limit: in version 2 (a guest has that, `tests/guest_stories.rs`) it is
/// `memory.high`.
#[test]
fn a_group_at_its_limit() {
    let test = "stories::a_group_at_its_limit";
    if !is_root() || !takes_groups() {
        return skipped(test, "it takes root and a memory controller, to make a control group");
    }
    let registry = Registry::new();
    let mut command = registry.program(story("a-group-at-its-limit.sh"));
    let ran = Ran::of(command.env("PATH", path_with_areas()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let reported = ran.stdout();
    // Found in the area, and with the line that mends it, which is then typed.
    let (before, after) = reported.split_once("$ sh -c echo ").unwrap_or_else(|| panic!("{ran:?}"));
    let found =
        before.lines().find(|line| line.trim_start().starts_with('✗')).unwrap_or_else(|| panic!("{ran:?}"));
    assert!(found.contains("group /areas-story-") && found.contains("128 MiB"), "{found}");
    assert!(before.ends_with("(exit status 1)\n"), "{before}");
    assert!(!after.contains('✗') && after.contains(" 0 broken"), "{after}");
    registry.assert_empty();
}

/// Each page shows its script, and what it prints.
#[test]
fn each_story_has_a_page_that_names_its_script() {
    for name in ["a-group-at-its-limit", "interleaved-on-one-node"] {
        let page = std::fs::read_to_string(story(&format!("{name}.md"))).unwrap();
        assert!(page.contains(&format!("({name}.sh)")), "{name}");
        assert!(page.contains("$ areas doctor ") && page.contains("✗"), "{name}");
        assert!(story(&format!("{name}.sh")).exists(), "{name}");
    }
}
