//! The crates that are published can be: what crates.io asks of them is there, and each builds from
//! its package alone.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::counts::Counts;
use super::{Done, Run};
use crate::{metadata, process};

/// In the order in which they are published.
pub(crate) const PUBLISHED: [&str; 4] = ["areas", "areas-slab", "areas-conformance", "areas-cli"];

/// The texts that both licences ask to be passed on.
const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// More of them crates.io refuses.
const MAX_KEYWORDS: usize = 5;

/// The step.
pub(super) fn run(run: &Run) -> Result<Done> {
    let known = metadata::of_workspace()?;
    let mut faults = faults(&known)?;
    faults.extend(PUBLISHED.iter().flat_map(|name| LICENCES.map(|file| (name, file))).filter_map(
        |(name, file)| {
            // Links, which cargo follows: a package has nothing of what is above its own folder.
            let there = process::workspace().join("crates").join(name).join(file).exists();
            (!there).then(|| format!("{name} has no {file} to go along"))
        },
    ));
    ensure!(faults.is_empty(), "crates cannot be published: {}", faults.join("; "));
    // Those that need another of them are built with its package. What is not committed is packed
    // as well. They are only to build.
    let quick = ["--config", "profile.dev.debug=false"];
    let mut command = process::cargo(["package", "--locked", "--allow-dirty"]);
    command.args(quick);
    PUBLISHED.iter().for_each(|name| {
        command.args(["--package", name]);
    });
    run.command(&mut command)?;
    Ok(Done::counted(Counts { passed: PUBLISHED.len() as u64, ..Counts::default() }))
}

/// What the members' manifests lack.
fn faults(metadata: &Value) -> Result<Vec<String>> {
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let mut faults = Vec::new();
    for package in packages.iter().filter(|package| package["source"].is_null()) {
        let name = package["name"].as_str().unwrap_or_default();
        let private = package["publish"].as_array().is_some_and(Vec::is_empty);
        if private == PUBLISHED.contains(&name) {
            let is = if private { "says" } else { "does not say" };
            faults.push(format!("{name} {is} `publish = false`"));
        }
        if private {
            continue;
        }
        for field in ["description", "license", "readme", "rust_version"] {
            if package[field].as_str().is_none_or(str::is_empty) {
                faults.push(format!("{name} has no {field}"));
            }
        }
        for field in ["keywords", "categories"] {
            let count = package[field].as_array().map_or(0, Vec::len);
            if count == 0 || count > MAX_KEYWORDS {
                faults.push(format!("{name} has {count} {field}, and crates.io takes 1 to {MAX_KEYWORDS}"));
            }
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let good = json!({"name": "areas", "source": null, "publish": null, "description": "d", "license": "MIT",
            "readme": "README.md", "rust_version": "1.95", "keywords": ["k"], "categories": ["c"]});
        let of = |package: &Value| faults(&json!({"packages": [package]})).unwrap();
        assert!(of(&good).is_empty());
        for field in ["description", "license", "readme", "rust_version"] {
            let mut package = good.clone();
            package[field] = Value::Null;
            assert_eq!(of(&package), [format!("areas has no {field}")]);
        }
        let mut package = good.clone();
        package["keywords"] = json!([1, 2, 3, 4, 5, 6]);
        assert_eq!(of(&package), ["areas has 6 keywords, and crates.io takes 1 to 5"]);
        package = good.clone();
        package["publish"] = json!([]);
        assert_eq!(of(&package), ["areas says `publish = false`"]);
        assert_eq!(of(&json!({"name": "xtask", "source": null, "publish": []})), [""; 0]);
    }
}
