//! `docs/kernel.md` names a test for each behaviour of the kernel that we rely on: those tests are there.

use std::fs;
use std::path::Path;

/// The names of all functions in the Rust files below a folder.
fn functions(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path).unwrap();
            let names =
                text.lines().filter_map(|line| line.trim_start().strip_prefix("fn ")?.split_once('('));
            into.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_fact_names_a_test_that_is_there() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR"));
    let facts = library.join("../../docs/kernel.md");
    // The library can be built without the rest of the project around it.
    let Ok(facts) = fs::read_to_string(facts) else { return };
    let mut known = Vec::new();
    functions(&library.join("src"), &mut known);
    functions(&library.join("tests"), &mut known);
    let mut rows = 0;
    for row in facts.lines().filter(|line| line.starts_with("| ") && !line.ends_with("proved by |")) {
        let proofs = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        let names: Vec<&str> = proofs.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test is named: {row}");
        for name in names {
            let last = name.rsplit("::").next().unwrap();
            let there = match last.strip_prefix('…') {
                Some(end) => known.iter().any(|function| function.ends_with(end)),
                None => known.iter().any(|function| function == last),
            };
            assert!(there, "{name} is no test: {row}");
        }
        rows += 1;
    }
    assert!(rows > 30, "the tables are not read: {rows} rows");
}
