//! What we depend on is what `deny.toml` allows: licences, one version of each crate, crates.io and
//! nothing else. The file is cargo-deny's; of it, what needs no network is checked here, in all
//! four workspaces.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

use super::counts::Counts;
use super::{Done, Run};
use crate::{metadata, process};

/// The only place that crates come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Where each workspace is; of the first, two versions of a crate are a fault.
const WORKSPACES: [&str; 5] = [".", "bench", "crates/areas-zenoh", "fuzz", "models"];

/// The part of `deny.toml` that is checked here.
#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    spec: String,
}

/// The step: one check a workspace.
pub(super) fn run(_: &Run) -> Result<Done> {
    let file = process::workspace().join("deny.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let deny: Deny = toml::from_str(&text).with_context(|| format!("cannot parse {}", file.display()))?;
    let mut faults = Vec::new();
    for folder in WORKSPACES {
        let metadata = metadata::of(&process::workspace().join(folder).join("Cargo.toml"))?;
        let packages = foreign(&metadata)?;
        eprintln!("dependencies: {} in {folder}", packages.len());
        faults.extend(origins(&packages));
        faults.extend(licences(&deny.licenses, &packages)?);
        if folder == "." {
            let linked = metadata::needed(&metadata, &metadata::members(&metadata), &["build"])?;
            faults.extend(versions(
                &deny.bans.skip,
                packages.iter().filter(|package| linked.contains(id(package))),
            ));
        }
    }
    faults.sort_unstable();
    faults.dedup();
    ensure!(faults.is_empty(), "deny.toml does not allow this: {}", faults.join("; "));
    Ok(Done::counted(Counts { passed: WORKSPACES.len() as u64, ..Counts::default() }))
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

fn id(package: &Value) -> &str {
    text(package, "id")
}

fn named(package: &Value) -> String {
    format!("{} {}", text(package, "name"), text(package, "version"))
}

/// The packages that are none of ours: those from this folder have no source.
fn foreign(metadata: &Value) -> Result<Vec<&Value>> {
    let resolved = metadata["resolve"]["nodes"].as_array().context("cargo metadata has no resolve.nodes")?;
    let resolved: BTreeSet<&str> = resolved.iter().map(id).collect();
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    // Of one platform: others' packages are listed, and not resolved.
    let needed = packages.iter().filter(|package| resolved.contains(id(package)));
    Ok(needed.filter(|package| !package["source"].is_null()).collect())
}

fn origins(packages: &[&Value]) -> Vec<String> {
    let elsewhere = packages.iter().filter(|package| text(package, "source") != REGISTRY);
    elsewhere.map(|package| format!("{} comes from {}", named(package), text(package, "source"))).collect()
}

fn licences(licenses: &Licenses, packages: &[&Value]) -> Result<Vec<String>> {
    let parse = |names: &[String]| -> Result<Vec<Licensee>> {
        let one = |name: &String| Licensee::parse(name).with_context(|| format!("deny.toml: licence {name}"));
        names.iter().map(one).collect()
    };
    let allowed = parse(&licenses.allow)?;
    let mut faults = Vec::new();
    for package in packages {
        let Some(stated) = package["license"].as_str() else {
            faults.push(format!("{} states no licence", named(package)));
            continue;
        };
        // Older crates have a slash for OR.
        let expression = Expression::parse_mode(stated, ParseMode::LAX)
            .with_context(|| format!("{} has licence {stated:?}", named(package)))?;
        let own = licenses.exceptions.iter().find(|exception| exception.name == text(package, "name"));
        let own = own.map_or(Ok(Vec::new()), |exception| parse(&exception.allow))?;
        if !expression
            .evaluate(|wanted| allowed.iter().chain(&own).any(|licensee| licensee.satisfies(wanted)))
        {
            faults.push(format!("{} has licence {stated}", named(package)));
        }
    }
    Ok(faults)
}

/// Crates of which there is more than one version, but for those that are to be skipped.
fn versions<'a>(skip: &[Skip], packages: impl Iterator<Item = &'a &'a Value>) -> Vec<String> {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        let (name, version) = (text(package, "name"), text(package, "version"));
        let skipped = skip.iter().any(|skip| match skip.spec.split_once('@') {
            Some((crate_name, wanted)) => {
                crate_name == name && (version == wanted || version.starts_with(&format!("{wanted}.")))
            }
            None => skip.spec == name,
        });
        if !skipped {
            found.entry(name).or_default().insert(version);
        }
    }
    let several = found.into_iter().filter(|(_, versions)| versions.len() > 1);
    several
        .map(|(name, versions)| {
            format!("{name} is here as {}", versions.into_iter().collect::<Vec<_>>().join(" and "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, version: &str, license: &str) -> Value {
        json!({"id": format!("{name}@{version}"), "name": name, "version": version, "license": license, "source": REGISTRY})
    }

    #[test]
    fn licences_are_read_as_the_expressions_that_they_are() {
        let exception = Exception { name: "tool".into(), allow: vec!["MPL-2.0".into()] };
        let licenses = Licenses { allow: vec!["MIT".into(), "Zlib".into()], exceptions: vec![exception] };
        let faults = |name: &str, license: &str| {
            licences(&licenses, &[&package(name, "1.0.0", license)]).unwrap().join("; ")
        };
        for good in ["MIT", "MIT OR GPL-3.0-only", "GPL-3.0-only/MIT", "MIT AND Zlib"] {
            assert_eq!(faults("a", good), "", "{good}");
        }
        assert_eq!(faults("a", "MIT AND GPL-3.0-only"), "a 1.0.0 has licence MIT AND GPL-3.0-only");
        assert_eq!(faults("tool", "MPL-2.0"), "");
        assert_eq!(faults("other", "MPL-2.0"), "other 1.0.0 has licence MPL-2.0");
        let mut none = package("b", "2.0.0", "");
        none["license"] = Value::Null;
        assert_eq!(licences(&licenses, &[&none]).unwrap(), ["b 2.0.0 states no licence"]);
    }

    #[test]
    fn versions_are_counted_but_for_what_is_skipped() {
        let packages = [package("a", "1.0.0", ""), package("a", "2.1.0", ""), package("b", "1.0.0", "")];
        let packages: Vec<&Value> = packages.iter().collect();
        let skip = |spec: &str| [Skip { spec: spec.into() }];
        assert_eq!(versions(&[], packages.iter()), ["a is here as 1.0.0 and 2.1.0"]);
        for spec in ["a", "a@2", "a@2.1.0"] {
            assert!(versions(&skip(spec), packages.iter()).is_empty(), "{spec}");
        }
        for spec in ["b", "a@3", "a@2.1.0.0"] {
            assert_eq!(versions(&skip(spec), packages.iter()).len(), 1, "{spec}");
        }
    }

    #[test]
    fn crates_of_other_places_are_named() {
        let mut package = package("a", "1.0.0", "MIT");
        assert!(origins(&[&package]).is_empty());
        package["source"] = "git+https://example.org/a".into();
        assert_eq!(origins(&[&package]), ["a 1.0.0 comes from git+https://example.org/a"]);
    }
}
