//! Pages that name a test for each thing that they claim: `docs/kernel.md` for each behaviour of
//! the kernel that we rely on, `docs/beos.md` for each promise and call of BeOS's areas,
//! `docs/be-errors.md` and `docs/aml-errors.md` for each error of each call in C. Those tests are
//! there, and those of errors make the call and look for the error.

use std::fs;
use std::path::Path;

/// The names of all functions in the Rust files below a folder, of programs that must not compile,
/// and of the tests in C: functions of theirs, and what a table at the end of a program lists, `{
/// "name", function },`.
fn functions(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| {
                let line = line.trim_start();
                line.strip_prefix("pub(crate) ").unwrap_or(line).strip_prefix("fn ")?.split_once('(')
            });
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
            into.extend(c_functions(&text).into_iter().map(|(name, _)| name.to_owned()));
        }
    }
}

/// The functions of a C program and their bodies: each begins on a line of its own, and ends with a
/// brace there.
fn c_functions(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("\n{\n") {
        let head = rest[..at].lines().rev().find(|line| !line.starts_with(char::is_whitespace));
        let body = &rest[at + 3..];
        let end = body.find("\n}").unwrap_or(body.len());
        let name = head.and_then(|line| line.split_once('(')).map(|(before, _)| before);
        if let Some(name) = name.and_then(|before| before.rsplit([' ', '*']).next()) {
            found.push((name, &body[..end]));
        }
        rest = &body[end..];
    }
    found
}

/// Whether one of those that are known is meant: `module::name`, or `…end` of a name.
fn is_known(name: &str, known: &[String]) -> bool {
    let last = name.rsplit("::").next().unwrap();
    match last.strip_prefix('…') {
        Some(end) => known.iter().any(|function| function.ends_with(end)),
        None => known.iter().any(|function| function == last),
    }
}

/// Reads the tables whose last column is "proved by": each row names tests that are known, or says
/// one of `other`.
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
    check("beos.md", 80, &[]);
}

/// Whether a test makes a call and looks for that error: in one of the statements that follow, as
/// `aml_errno` is looked at apart. Helpers of the same program count as the call that they make.
fn provokes(program: &str, test: &str, call: &str, error: &str) -> bool {
    const AFTER: usize = 5;
    let functions = c_functions(program);
    let calls = |text: &str, name: &str| {
        text.match_indices(&format!("{name}(")).any(|(at, _)| {
            !text[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_')
        })
    };
    let helpers = functions.iter().filter(|(name, body)| *name != test && calls(body, call));
    let names: Vec<&str> = helpers.map(|&(name, _)| name).chain([call]).collect();
    let Some((_, body)) = functions.iter().find(|(name, _)| *name == test) else { return false };
    let statements: Vec<&str> = body.split(';').collect();
    statements.iter().enumerate().any(|(index, statement)| {
        let after = &statements[index..statements.len().min(index + AFTER)];
        names.iter().any(|name| calls(statement, name))
            && (error == "none" || after.iter().any(|statement| statement.contains(error)))
    })
}

/// Reads tables `call | error | when | proved by`: each test makes its call and looks for its
/// error, and no call of the interface is missing. `guest` begins the names of programs for guests.
fn check_errors(page: &str, parts: &[(&str, &str)], at_least: usize) {
    let library = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = fs::read_to_string(library.join("../../docs").join(page)) else { return };
    let c = library.join("../areas-capi");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches(['|', ' ']).split(" | ").collect())
        .collect();
    assert!(rows.len() > at_least, "the tables of {page} are not read: {} rows", rows.len());
    let read = |path: std::path::PathBuf| {
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    for (folder, prefix) in parts {
        for symbol in read(c.join(format!("abi/{folder}.symbols.txt"))).lines() {
            // Macros of the headers make the calls whose names begin so.
            let by_macro = symbol.strip_prefix("_get_").map(|end| format!("get_{end}"));
            let by_macro = by_macro.or_else(|| symbol.strip_prefix("areas_be_").map(str::to_owned));
            let call = by_macro.unwrap_or_else(|| symbol.to_owned());
            let is_data = ["_ops", "_default", "area_linux", "hwloc_interleave", "hwloc_firsttouch"]
                .iter()
                .any(|end| call.ends_with(end))
                || call.starts_with("aml_version_");
            let reported = rows.iter().any(|row| row[0] == format!("`{call}`"));
            assert!(is_data || reported, "{page} says nothing of {call}");
        }
        for row in rows.iter().filter(|row| row[0].trim_matches('`').starts_with(prefix)) {
            let [call, error, _, proofs] = row[..] else { panic!("{page}: {row:?}") };
            let call = match call.trim_matches('`') {
                // What the header has no name for is in the table of operations.
                "aml01_area_linux_mmap_mbind" => "aml_area_mmap".to_owned(),
                call => call.replace("aml01_", "aml_"),
            };
            let folder = if proofs.starts_with("**G**") { "guest" } else { folder };
            let tests: Vec<&str> = proofs.split('`').skip(1).step_by(2).collect();
            assert!(!tests.is_empty(), "{page}: no test is named: {row:?}");
            for test in tests {
                let (file, function) = test.split_once("::").unwrap_or_else(|| panic!("{page}: {test}"));
                let program = read(c.join(format!("tests/c/{folder}/{file}.c")));
                assert!(
                    provokes(&program, function, &call, error.trim_matches('`')),
                    "{page}: {test} does not make {call} fail with {error}"
                );
            }
        }
    }
}

#[test]
fn every_error_of_beos_calls_is_brought_about_by_a_test_in_c() {
    check("be-errors.md", 80, &[]);
    check_errors("be-errors.md", &[("be", "")], 60);
}

#[test]
fn every_error_of_amls_calls_is_brought_about_by_a_test_in_c() {
    check_errors("aml-errors.md", &[("aml", "aml_"), ("aml-0.1", "aml01_")], 80);
}

#[test]
fn a_test_that_does_not_look_for_the_error_is_none() {
    const PROGRAM: &str = "static int helps(int it)\n{\n\treturn call(it);\n}\n\n\
        static void one(void)\n{\n\tCHECK_EQ(call(1), BAD);\n}\n\n\
        static void two(void)\n{\n\tCHECK(helps(1) == NULL);\n\tCHECK_EQ(errno, BAD);\n\ta(); b(); c(); d(); e();\n\tOTHER;\n}\n\n\
        static void three(void)\n{\n\tCHECK_EQ(recall(1), BAD);\n}\n";
    let cases = [
        ("one", "call", "BAD", true),
        ("one", "call", "OTHER", false),
        ("one", "call", "none", true),
        ("two", "call", "BAD", true),
        ("two", "call", "OTHER", false),
        ("three", "call", "BAD", false),
        ("four", "call", "BAD", false),
    ];
    for (test, call, error, expected) in cases {
        assert_eq!(provokes(PROGRAM, test, call, error), expected, "{test} {call} {error}");
    }
}
