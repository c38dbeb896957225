//! Two pages name a test for each thing that they claim: `docs/kernel.md` for each behaviour of the kernel that we rely on,
//! `docs/beos.md` for each promise and call of BeOS's areas. Those tests are there.

use std::fs;
use std::path::Path;

/// The names of all functions in the Rust files below a folder, of programs that must not compile, and of the tests in C, which a
/// table at the end of each program lists: `{ "name", function },`.
fn functions(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names =
                text.lines().filter_map(|line| line.trim_start().strip_prefix("fn ")?.split_once('('));
            into.extend(names.map(|(name, _)| name.to_owned()));
            if folder.ends_with("compile_fail") {
                let name = path.file_stem().unwrap().to_string_lossy();
                into.push(format!("compile_fail/{name}"));
            }
        } else if path.extension().is_some_and(|extension| extension == "c") {
            let text = fs::read_to_string(&path).unwrap();
            let names =
                text.lines().filter_map(|line| line.trim_start().strip_prefix("{ \"")?.split_once("\", "));
            into.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

/// Whether one of those that are known is meant: `module::name`, or `…end` of a name.
fn is_known(name: &str, known: &[String]) -> bool {
    let last = name.rsplit("::").next().unwrap();
    match last.strip_prefix('…') {
        Some(end) => known.iter().any(|function| function.ends_with(end)),
        None => known.iter().any(|function| function == last),
    }
}

/// Reads the tables whose last column is "proved by": each row names tests that are known, or says one of `other`.
fn check(page: &str, at_least: usize, other: &[&str]) {
    let library = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The library can be built without the rest of the project around it.
    let Ok(text) = fs::read_to_string(library.join("../../docs").join(page)) else { return };
    let mut known = Vec::new();
    for folder in ["src", "tests", "../areas-cli/tests", "../areas-capi/tests/c"] {
        functions(&library.join(folder), &mut known);
    }
    let (mut rows, mut proving) = (0, false);
    for line in text.lines() {
        if !line.starts_with("| ") {
            // The line below the head begins with `|-`.
            proving &= line.starts_with("|-");
            continue;
        }
        if line.ends_with("| proved by |") {
            proving = true;
            continue;
        }
        if !proving {
            continue;
        }
        rows += 1;
        let proofs = line.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        if other.contains(&proofs) {
            continue;
        }
        let names: Vec<&str> = proofs.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test is named: {line}");
        for name in names {
            assert!(is_known(name, &known), "{name} is no test: {line}");
        }
    }
    assert!(rows > at_least, "the tables of {page} are not read: {rows} rows");
}

#[test]
fn every_fact_about_the_kernel_names_a_test_that_is_there() {
    check("kernel.md", 30, &[]);
}

#[test]
fn every_row_about_beos_names_a_test_that_is_there() {
    check("beos.md", 80, &["C interface"]);
}
