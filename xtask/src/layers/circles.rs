//! Modules of one folder that import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Crate, Names};

/// The modules of a folder, and what they import of each other, with all that is in them.
#[derive(Debug, Default)]
pub(super) struct Edges {
    pub(super) modules: BTreeSet<String>,
    /// From, to: the files where it is written.
    pub(super) imports: BTreeMap<(String, String), Vec<String>>,
}

/// What stands side by side in `folder`.
pub(super) fn siblings(read: &Crate, folder: &[String]) -> Edges {
    let below = |names: &Names| names.strip_prefix(folder).and_then(|rest| rest.first()).cloned();
    let mut edges = Edges { modules: read.modules.keys().filter_map(below).collect(), ..Edges::default() };
    for (from, to) in read.edges() {
        let (Some(ours), Some(theirs)) = (below(from), below(to)) else { continue };
        if ours != theirs {
            let file = &read.modules[from].file;
            let file = file.strip_prefix(crate::process::workspace()).unwrap_or(file).display().to_string();
            let files = edges.imports.entry((ours, theirs)).or_default();
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    edges
}

/// Each set of modules every one of which leads to every other.
pub(super) fn of(edges: &Edges) -> Vec<BTreeSet<String>> {
    let leads: BTreeMap<&str, BTreeSet<&str>> =
        edges.modules.iter().map(|module| (module.as_str(), reached(edges, module))).collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for (module, to) in &leads {
        let known = circles.iter().any(|circle| circle.contains(*module));
        if to.contains(module) && !known {
            let both = to.iter().filter(|other| leads[**other].contains(module));
            circles.push(both.map(|name| (*name).to_owned()).collect());
        }
    }
    circles
}

/// All that a module leads to.
fn reached<'a>(edges: &'a Edges, from: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(next) = waiting.pop() {
        for (_, to) in edges.imports.keys().filter(|(from, _)| from == next) {
            if seen.insert(to.as_str()) {
                waiting.push(to);
            }
        }
    }
    seen
}
