//! What the papers name is there: files in ARCHITECTURE.md, and where links in all of them lead.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::process;

/// Files and folders of the project, from its root; folders end with a slash.
fn all() -> BTreeSet<String> {
    let root = process::workspace();
    let (mut found, mut waiting) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap_or_default();
            let path = folder.join(&name);
            if !entry.file_type().unwrap().is_dir() {
                found.insert(path.display().to_string());
            } else if !["target", ".git", "node_modules", "__pycache__"].contains(&name.as_str()) {
                found.insert(format!("{}/", path.display()));
                waiting.push(path);
            }
        }
    }
    found
}

/// `a/{b,c}.rs` as the two that it means.
fn expanded(name: &str) -> Vec<String> {
    let parts = name.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        Some((before, (inner, after))) => {
            inner.split(',').flat_map(|each| expanded(&format!("{before}{each}{after}"))).collect()
        }
        None => vec![name.to_owned()],
    }
}

/// Whether a name is meant to be that of a file or folder.
fn is_path(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "_./{},-".contains(c);
    let ends = [".rs", ".md", ".toml", ".h", ".sh", "/"];
    !name.starts_with(['/', '.']) && name.chars().all(plain) && ends.iter().any(|end| name.ends_with(end))
}

/// What ARCHITECTURE.md names, in its words and in its map, whose indented lines are below the last
/// one that is not.
fn named(text: &str) -> Vec<String> {
    let mut parts = text.split("```");
    let before = parts.next().unwrap_or_default();
    let (map, after) = (parts.next().unwrap_or_default(), parts.collect::<Vec<_>>().join(" "));
    let words = format!("{before} {after}");
    let mut found: Vec<String> =
        words.split('`').skip(1).step_by(2).filter(|name| is_path(name)).map(str::to_owned).collect();
    let mut above = String::new();
    for line in map.lines() {
        let Some(name) = line.split_whitespace().next().filter(|name| is_path(name)) else { continue };
        if line.starts_with(' ') {
            found.push(format!("{above}{name}"));
        } else {
            above = name.to_owned();
            found.push(above.clone());
        }
    }
    found.iter().flat_map(|name| expanded(name)).collect()
}

/// Where the links of a text in Markdown lead, those to other places and within the text left out.
fn links(text: &str) -> Vec<&str> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let targets = ends.filter_map(|(target, _)| target.split('#').next());
    targets.filter(|target| !target.is_empty() && !target.contains([':', ' '])).collect()
}

/// The columns of a comment, from the margin on.
const COLUMNS: usize = 100;

/// Lines of comments that are wider, but for those that cannot be broken: tables, code, addresses,
/// and what guests' tests say of their machines.
fn wide_comments(source: &str) -> Vec<usize> {
    let (mut wide, mut is_code) = (Vec::new(), false);
    for (number, line) in source.lines().enumerate() {
        let Some(text) = line.trim_start().strip_prefix("//") else {
            is_code = false;
            continue;
        };
        let text = text.trim_start_matches(['/', '!']).trim_start();
        if text.starts_with("```") {
            is_code = !is_code;
        }
        let is_whole = is_code || text.starts_with(['|', '[', '<']) || text.starts_with("vm: ");
        if line.chars().count() > COLUMNS && !is_whole && !text.contains("://") {
            wide.push(number + 1);
        }
    }
    wide
}

/// Columns of a line, a tab being four.
fn columns(line: &str) -> usize {
    line.chars().map(|c| if c == '\t' { 4 } else { 1 }).sum()
}

/// Lines of C's comments that are wider, tables and addresses left out.
fn wide_c_comments(source: &str) -> Vec<usize> {
    let (mut wide, mut is_inside) = (Vec::new(), false);
    for (number, line) in source.lines().enumerate() {
        let text = line.trim_start();
        let is_comment = is_inside || text.starts_with("/*") || text.starts_with("//");
        if is_inside || text.starts_with("/*") {
            is_inside = !text.contains("*/");
        }
        let words = text.trim_start_matches(['/', '*', ' ']);
        let is_whole = words.starts_with('|') || words.starts_with("vm: ") || text.contains("://");
        // Code beside a comment is code.
        if is_comment
            && !is_whole
            && columns(line) > COLUMNS
            && (text.ends_with("*/") || !text.contains("*/"))
        {
            wide.push(number + 1);
        }
    }
    wide
}

/// Lines of Python's comments and docstrings that are wider, tables, code and addresses left out.
fn wide_python_comments(source: &str) -> Vec<usize> {
    let (mut wide, mut is_inside, mut may_begin) = (Vec::new(), false, true);
    for (number, line) in source.lines().enumerate() {
        let text = line.trim_start();
        // A docstring is what a file or a block begins with; other texts are code.
        let opens = text.starts_with("\"\"\"") || text.starts_with("r\"\"\"");
        let begins = !is_inside && may_begin && opens;
        may_begin = text.ends_with(':') || may_begin && (text.is_empty() || text.starts_with('#'));
        let is_comment = is_inside || begins || text.starts_with("# ");
        if is_inside || begins {
            is_inside = is_inside != (text.matches("\"\"\"").count() == 1);
        }
        let is_whole = text.starts_with(['|', '>', '.', '=']) || text.contains("://");
        if is_comment && !is_whole && columns(line) > COLUMNS {
            wide.push(number + 1);
        }
    }
    wide
}

#[test]
fn comments_are_not_wider_than_people_read() {
    let mut wide = Vec::new();
    for name in &all() {
        let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
        let lines = match extension {
            // What a compiler says of these has the numbers of their lines.
            Some("rs") if !name.contains("compile_fail/") => wide_comments,
            Some("c" | "h" | "cpp") => wide_c_comments,
            Some("py" | "pyi" | "sh") => wide_python_comments,
            _ => continue,
        };
        let source = fs::read_to_string(process::workspace().join(name)).unwrap();
        wide.extend(lines(&source).iter().map(|line| format!("{name}:{line}")));
    }
    assert!(
        wide.is_empty(),
        "comments of more than {COLUMNS} columns, at {} places:\n{}",
        wide.len(),
        wide.join("\n")
    );
}

#[test]
fn what_cannot_be_broken_may_be_wide() {
    let long = "word ".repeat(30);
    let source = format!(
        "//! {long}\n//! | {long}\n    // {long}\n/// ```\n/// {long}\n/// ```\n/// {long}\n// vm: {long}\n// https://example.org {long}\nlet x = 1; // {long}\n"
    );
    assert_eq!(wide_comments(&source), [1, 3, 7]);
    let source = format!(
        "/* {long} */\n/*\n * {long}\n * | {long}\n */\nint x; /* {long} */\n/* y */ int {long};\n// {long}\n\t\t// {}\n// vm: {long}\n",
        "x".repeat(92)
    );
    assert_eq!(wide_c_comments(&source), [1, 3, 8, 9]);
    let source = format!(
        "# {long}\n\"\"\"Short.\n\n{long}\n>>> {long}\n\"\"\"\n{long}\ndef f():\n    \"\"\"{long}\"\"\"\n\"\"\"{long}\"\"\"\n"
    );
    assert_eq!(wide_python_comments(&source), [1, 4, 9]);
}

#[test]
fn the_map_names_what_is_there() {
    let all = all();
    let text = fs::read_to_string(process::workspace().join("ARCHITECTURE.md")).unwrap();
    let named = named(&text);
    assert!(named.len() > 60, "ARCHITECTURE.md names {} files", named.len());
    // In its words a file is named from wherever the sentence is about.
    let is_there =
        |name: &String| all.contains(name) || all.iter().any(|path| path.ends_with(&format!("/{name}")));
    let missing: Vec<_> = named.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}

#[test]
fn each_crate_says_what_it_is() {
    let all = all();
    let crates: Vec<&str> =
        all.iter().filter_map(|path| path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")).collect();
    assert!(crates.len() > 10, "{crates:?}");
    let silent: Vec<_> =
        crates.iter().filter(|name| !all.contains(&format!("crates/{name}/README.md"))).collect();
    assert!(silent.is_empty(), "crates without a README.md: {silent:?}");
}

#[test]
fn links_lead_somewhere() {
    let all = all();
    let mut wrong = Vec::new();
    for paper in all.iter().filter(|path| path.ends_with(".md")) {
        let file = process::workspace().join(paper);
        let folder = file.parent().unwrap_or(Path::new("/"));
        let text = fs::read_to_string(&file).unwrap();
        let dead = links(&text).into_iter().filter(|target| !folder.join(target).exists());
        wrong.extend(dead.map(|target| format!("{paper}: {target}")));
    }
    assert!(wrong.is_empty(), "links to what is not there: {wrong:?}");
}

#[test]
fn names_are_found_in_words_and_in_the_map() {
    let text = "See `a/b.rs`, `--flag`, `f()`.\n```\ncrates/x/   the x\n  src/{one,two}.rs  both\n  src/y/  y\n```\nand `z.md`\n";
    let expected =
        ["a/b.rs", "z.md", "crates/x/", "crates/x/src/one.rs", "crates/x/src/two.rs", "crates/x/src/y/"];
    assert_eq!(named(text), expected);
    assert_eq!(links("[a](b.md#c) [d](https://e) [f](#g) `x[i](j k)`"), ["b.md"]);
}
