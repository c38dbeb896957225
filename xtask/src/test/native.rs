//! The check that the library is Rust all the way down to the kernel: no dependency links a C
//! library or compiles C, so that the crate builds wherever Rust does.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Build dependencies that are there to compile or to find C code.
const BUILDERS: [&str; 6] = ["bindgen", "cc", "cmake", "pkg-config", "system-deps", "vcpkg"];

/// What `root` depends on, in `cargo metadata`'s answer, that has to do with C. Tests' own
/// dependencies do not count.
pub(crate) fn native_dependencies(metadata: &Value, root: &str) -> Result<Vec<String>> {
    let list = |value: &Value, what: &str| -> Result<Vec<Value>> {
        value.as_array().cloned().with_context(|| format!("cargo metadata has no {what}"))
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = list(&metadata["packages"], "packages")?;
    let by_id: BTreeMap<String, &Value> =
        packages.iter().map(|package| (text(&package["id"]), package)).collect();
    let mut edges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"], "resolve.nodes")? {
        let needed = list(&node["deps"], "deps")?.into_iter().filter(|dependency| {
            dependency["dep_kinds"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"] != "dev"))
        });
        edges.insert(text(&node["id"]), needed.map(|dependency| text(&dependency["pkg"])).collect());
    }

    let start = packages
        .iter()
        .find(|package| package["name"] == root)
        .with_context(|| format!("the workspace has no package {root}"))?;
    let (mut waiting, mut seen, mut found) = (vec![text(&start["id"])], BTreeSet::new(), Vec::new());
    while let Some(id) = waiting.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let package = by_id.get(&id).with_context(|| format!("cargo metadata does not describe {id}"))?;
        let name = text(&package["name"]);
        if let Some(library) = package["links"].as_str() {
            found.push(format!("{name} links {library}"));
        }
        if BUILDERS.contains(&name.as_str()) {
            found.push(format!("{name} builds or finds C code"));
        }
        waiting.extend(edges.get(&id).into_iter().flatten().cloned());
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn links_and_builders_are_found_but_not_in_tests() {
        let metadata = json!({
            "packages": [
                {"id": "a", "name": "areas", "links": null}, {"id": "b", "name": "pure", "links": null},
                {"id": "c", "name": "numa-sys", "links": "numa"}, {"id": "d", "name": "cc", "links": null},
                {"id": "e", "name": "z-sys", "links": "z"},
            ],
            "resolve": {"nodes": [
                {"id": "a", "deps": [{"pkg": "b", "dep_kinds": [{"kind": null}]}, {"pkg": "e", "dep_kinds": [{"kind": "dev"}]}]},
                {"id": "b", "deps": [{"pkg": "c", "dep_kinds": [{"kind": null}, {"kind": "dev"}]}]},
                {"id": "c", "deps": [{"pkg": "d", "dep_kinds": [{"kind": "build"}]}]},
                {"id": "d", "deps": []}, {"id": "e", "deps": []},
            ]},
        });
        let found = native_dependencies(&metadata, "areas").unwrap();
        assert_eq!(found, ["cc builds or finds C code", "numa-sys links numa"]);
        assert!(
            native_dependencies(&metadata, "nothing").unwrap_err().to_string().contains("no package nothing")
        );
        assert!(native_dependencies(&json!({}), "areas").is_err());
    }
}
