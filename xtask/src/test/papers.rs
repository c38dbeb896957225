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

/// What ARCHITECTURE.md names, in its words and in its map, whose indented lines are below the last one that is not.
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
