//! What cargo knows of a workspace: its packages, and who needs whom.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::process;

/// What cargo knows of ours, on this platform.
pub(crate) fn of_workspace() -> Result<Value> {
    of(&process::workspace().join("Cargo.toml"))
}

/// What cargo knows of the workspace with this manifest, on this platform.
pub(crate) fn of(manifest: &Path) -> Result<Value> {
    let host = host()?;
    let mut command =
        process::cargo(["metadata", "--format-version=1", "--locked", "--filter-platform", &host]);
    let output = command
        .arg("--manifest-path")
        .arg(manifest)
        .stderr(Stdio::inherit())
        .stdin(Stdio::null())
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed ({})", output.status);
    serde_json::from_slice(&output.stdout).context("cargo metadata's answer is not JSON")
}

/// What rustc builds for by itself.
fn host() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&rustc)
        .arg("-vV")
        .output()
        .with_context(|| format!("cannot run {}", rustc.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match said.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(host) => Ok(host.to_owned()),
        None => bail!("{} -vV names no host: {said}", rustc.display()),
    }
}

/// The ids of these members, and of all that they need to run; those of a `kinds` besides: `build`
/// for what they are built by. What only their tests need is not among it.
pub(crate) fn needed<'a>(metadata: &'a Value, members: &[&str], kinds: &[&str]) -> Result<BTreeSet<&'a str>> {
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    let nodes = metadata["resolve"]["nodes"].as_array().context("cargo metadata has no resolve.nodes")?;
    let nodes: BTreeMap<&str, &Value> = nodes.iter().map(|node| (text(&node["id"]), node)).collect();
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let ours = packages.iter().filter(|package| package["source"].is_null());
    let mut waiting: Vec<&str> = ours
        .filter(|package| members.contains(&text(&package["name"])))
        .map(|package| text(&package["id"]))
        .collect();
    ensure!(waiting.len() == members.len(), "not all of {members:?} are members of the workspace");
    let mut seen = BTreeSet::new();
    while let Some(next) = waiting.pop() {
        if !seen.insert(next) {
            continue;
        }
        let Some(node) = nodes.get(next) else { bail!("cargo metadata does not resolve {next}") };
        for dependency in node["deps"].as_array().into_iter().flatten() {
            let mut wanted = dependency["dep_kinds"].as_array().into_iter().flatten();
            if wanted.any(|kind| kind["kind"].as_str().is_none_or(|kind| kinds.contains(&kind))) {
                waiting.push(text(&dependency["pkg"]));
            }
        }
    }
    Ok(seen)
}

/// The names of a workspace's members.
pub(crate) fn members(metadata: &Value) -> Vec<&str> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let ours = packages.filter(|package| package["source"].is_null());
    ours.filter_map(|package| package["name"].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_tests_need_does_not_count() {
        let metadata = json!({
            "packages": [{"id": "us", "name": "ours", "source": null}, {"id": "both", "name": "both", "source": "x"}],
            "resolve": {"nodes": [
                {"id": "us", "deps": [
                    {"pkg": "both", "dep_kinds": [{"kind": null}, {"kind": "dev"}]},
                    {"pkg": "test", "dep_kinds": [{"kind": "dev"}]},
                ]},
                {"id": "both", "deps": [{"pkg": "build", "dep_kinds": [{"kind": "build"}]}]},
                {"id": "test", "deps": []}, {"id": "build", "deps": []},
            ]},
        });
        assert_eq!(members(&metadata), ["ours"]);
        assert_eq!(needed(&metadata, &["ours"], &[]).unwrap(), BTreeSet::from(["us", "both"]));
        let built = needed(&metadata, &["ours"], &["build"]).unwrap();
        assert_eq!(built, BTreeSet::from(["us", "both", "build"]));
        assert!(needed(&metadata, &["other"], &[]).is_err());
    }
}
