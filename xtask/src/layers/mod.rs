//! `cargo xtask layers`: which module may import from which. The order stands in `layers.toml`;
//! imports are read from the source, and followed through re-exports to the module that has what
//! they name.
//!
//! | file | what |
//! |---|---|
//! | `source.rs` | a crate's modules, and what they name of each other |
//! | `circles.rs` | modules of one folder that import each other in a circle |
//!
//! A folder's own file and the files in it may name each other, as a type and what is done with it;
//! what stands side by side may not do so in a circle.

mod circles;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde::Deserialize;

use crate::process;
use circles::{Edges, siblings};
use source::{Crate, Names};

/// Checks that no module imports from a higher layer, and that none import each other in a circle:
/// `layers.toml`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Show what imports what, instead: the modules side by side in this one
    /// (`crates/areas/src/lib.rs`, `…::registry`)
    #[arg(long, value_name = "CRATE[::MODULE]")]
    edges: Option<String>,
}

/// `layers.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// First files of the crates that are looked at.
    crates: Vec<String>,
    /// The crate that has layers.
    layered: String,
    /// From the lowest to the highest; those of one layer know nothing of each other.
    layers: Vec<Vec<String>>,
    #[serde(default)]
    upward: Vec<Upward>,
    #[serde(default)]
    circle: Vec<Circle>,
}

/// An import that goes up, and is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Upward {
    from: String,
    to: String,
    reason: String,
}

/// A circle that is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Circle {
    /// The first file of the crate.
    #[serde(rename = "crate")]
    root: String,
    /// The module that all of them are in; empty for the crate's root.
    folder: String,
    modules: BTreeSet<String>,
    reason: String,
}

/// The command.
pub(crate) fn main(options: &Options) -> ExitCode {
    let done = match &options.edges {
        Some(of) => show(of),
        None => check().map(|checked| {
            println!("{checked} crates: every import goes down, and none in a circle that is not known")
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask layers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Holds all crates against `layers.toml`; gives how many there are.
pub(crate) fn check() -> Result<u64> {
    let file = process::workspace().join("layers.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let rules: Rules = toml::from_str(&text).with_context(|| format!("cannot parse {}", file.display()))?;
    let mut faults = Vec::new();
    for root in &rules.crates {
        let read = Crate::read(&process::workspace().join(root))?;
        if *root == rules.layered {
            faults.extend(upward(&rules, &siblings(&read, &[])));
        }
        faults.extend(in_circles(&rules, root, &read));
    }
    let unknown = rules.circle.iter().filter(|circle| !rules.crates.contains(&circle.root));
    faults.extend(
        unknown.map(|circle| format!("a circle is listed for {}, which is not looked at", circle.root)),
    );
    ensure!(faults.is_empty(), "layers.toml is not kept:\n  {}", faults.join("\n  "));
    Ok(rules.crates.len() as u64)
}

/// What goes up and may not, what is listed as going up and does not, and modules without a layer.
fn upward(rules: &Rules, edges: &Edges) -> Vec<String> {
    let mut layer = BTreeMap::new();
    for (height, names) in rules.layers.iter().enumerate() {
        layer.extend(names.iter().map(|name| (name.as_str(), height)));
    }
    let mut faults = Vec::new();
    let known: BTreeSet<&str> = edges.modules.iter().map(String::as_str).collect();
    let placed: BTreeSet<&str> = layer.keys().copied().collect();
    faults.extend(known.difference(&placed).map(|name| format!("{name} is in no layer")));
    faults.extend(placed.difference(&known).map(|name| format!("{name} has a layer, and is not a module")));
    let mut excused = BTreeSet::new();
    for ((from, to), where_) in &edges.imports {
        let (Some(lower), Some(higher)) = (layer.get(from.as_str()), layer.get(to.as_str())) else {
            continue;
        };
        if lower > higher {
            continue;
        }
        let excuse = rules.upward.iter().position(|upward| upward.from == *from && upward.to == *to);
        match excuse {
            Some(excuse) => {
                excused.insert(excuse);
            }
            None => {
                faults.push(format!("{from} imports from {to}, which is not below it: {}", where_.join(", ")))
            }
        }
    }
    for (at, upward) in rules.upward.iter().enumerate() {
        if upward.reason.is_empty() {
            faults.push(format!("{} to {} has no reason", upward.from, upward.to));
        }
        if !excused.contains(&at) {
            faults.push(format!(
                "{} no longer imports from {}: take it out of layers.toml",
                upward.from, upward.to
            ));
        }
    }
    faults
}

/// Circles that are not known, and known ones that are smaller by now.
fn in_circles(rules: &Rules, root: &str, read: &Crate) -> Vec<String> {
    let mut faults = Vec::new();
    let mut reported: Vec<&Circle> = rules.circle.iter().filter(|circle| circle.root == root).collect();
    // Side by side in the layered crate, layers say more.
    for folder in read.modules.keys().filter(|folder| root != rules.layered || !folder.is_empty()) {
        for found in circles::of(&siblings(read, folder)) {
            let folder = folder.join("::");
            let place = reported.iter().position(|circle| circle.folder == folder && circle.modules == found);
            match place {
                Some(place) => {
                    let known = reported.remove(place);
                    if known.reason.is_empty() {
                        faults.push(format!("{root}: the circle {:?} has no reason", known.modules));
                    }
                }
                None => faults.push(format!("{root}: in {folder:?} a circle: {}", list(&found))),
            }
        }
    }
    faults.extend(reported.iter().map(|circle| {
        format!("{root}: in {:?} this is not a circle (any more): {}", circle.folder, list(&circle.modules))
    }));
    faults
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Prints what imports what, side by side in one module.
fn show(of: &str) -> Result<()> {
    let (root, folder) = of.split_once("::").unwrap_or((of, ""));
    let folder: Names = folder.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let read = Crate::read(&process::workspace().join(root))?;
    ensure!(read.modules.contains_key(&folder), "{root} has no module {}", folder.join("::"));
    for ((from, to), places) in siblings(&read, &folder).imports {
        println!("{from} -> {to}  {}", places.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Rules for a crate of three modules, and the crate itself.
    fn faults(rules: &str, files: &[(&str, &str)]) -> Vec<String> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("areas-layers-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let read = Crate::read(&folder.join("lib.rs")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let rules: Rules = toml::from_str(rules).unwrap();
        let mut faults = upward(&rules, &siblings(&read, &[]));
        faults.extend(in_circles(&rules, "lib.rs", &read));
        faults
    }

    const ORDER: &str = "crates = ['lib.rs']\nlayered = 'lib.rs'\nlayers = [['low'], ['high']]\n";

    #[test]
    fn imports_go_down_however_they_are_written() {
        let lib = ("lib.rs", "mod low;\nmod high;\npub use high::Thing;\n");
        let high = ("high.rs", "use crate::low::f;\npub struct Thing;\nfn g() { f() }\n");
        assert_eq!(faults(ORDER, &[lib, high, ("low.rs", "pub fn f() {}\n")]), [""; 0]);
        for up in [
            "use crate::high::Thing;\n",
            "use crate::Thing;\n",
            "use super::Thing as Other;\n",
            "fn f() { let _ = crate::high::Thing; }\n",
            "fn f() { println!(\"{:?}\", crate::high::Thing); }\n",
            "fn f() { use super::high; high::g() }\n",
            "impl crate::high::Trait for u8 {}\n",
        ] {
            let high = ("high.rs", "pub struct Thing;\n");
            let found = faults(ORDER, &[lib, high, ("low.rs", up)]);
            assert_eq!(found.len(), 1, "{up}: {found:?}");
            assert!(found[0].starts_with("low imports from high, which is not below it: "), "{found:?}");
        }
    }

    #[test]
    fn tests_and_names_of_others_do_not_count() {
        let lib = ("lib.rs", "mod low;\nmod high;\n");
        let low = "use rustix::high::Thing;\n#[cfg(test)]\nmod tests { use crate::high::Thing; }\n\
                   #[cfg(all(test, loom))]\nuse crate::high::Thing as Other;\n";
        assert_eq!(faults(ORDER, &[lib, ("high.rs", ""), ("low.rs", low)]), [""; 0]);
    }

    #[test]
    fn what_is_known_is_excused_and_has_to_be_there() {
        let lib = ("lib.rs", "mod low;\nmod high;\n");
        let known = format!("{ORDER}[[upward]]\nfrom = 'low'\nto = 'high'\nreason = 'because'\n");
        let up = ("low.rs", "use crate::high::Thing;\n");
        assert_eq!(faults(&known, &[lib, ("high.rs", ""), up]), [""; 0]);
        let gone = faults(&known, &[lib, ("high.rs", ""), ("low.rs", "")]);
        assert_eq!(gone, ["low no longer imports from high: take it out of layers.toml"]);
        let silent = known.replace("because", "");
        assert_eq!(faults(&silent, &[lib, ("high.rs", ""), up]), ["low to high has no reason"]);
    }

    #[test]
    fn every_module_has_a_layer() {
        let lib = ("lib.rs", "mod low;\nmod more;\n");
        let found = faults(ORDER, &[lib, ("low.rs", ""), ("more/mod.rs", "")]);
        assert_eq!(found, ["more is in no layer", "high has a layer, and is not a module"]);
    }

    #[test]
    fn circles_in_a_folder_are_found_and_may_only_shrink() {
        let lib = ("lib.rs", "mod low;\nmod high;\n");
        let high = ("high/mod.rs", "mod a;\nmod b;\nmod c;\npub(crate) use a::A;\nstruct Own;\n");
        let a = ("high/a.rs", "pub(crate) struct A;\nfn f() { super::b::g() }\nuse super::Own;\n");
        // By way of what the folder passes on.
        let b = ("high/b.rs", "use super::A;\n");
        let c = ("high/c.rs", "use super::{a::A, b::g};\n");
        let files = [lib, ("low.rs", ""), high, a, b, c];
        assert_eq!(faults(ORDER, &files), ["lib.rs: in \"high\" a circle: a, b"]);
        let circle = |modules: &str| {
            format!(
                "{ORDER}[[circle]]\ncrate = 'lib.rs'\nfolder = 'high'\nmodules = {modules}\nreason = 'x'\n"
            )
        };
        assert_eq!(faults(&circle("['a', 'b']"), &files), [""; 0]);
        assert_eq!(faults(&circle("['a', 'b', 'c']"), &files).len(), 2);
    }
}
