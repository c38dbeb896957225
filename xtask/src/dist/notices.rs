//! The licences of the crates that our programs are linked with: most ask that their text goes
//! along.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::metadata;

/// Our packages that are shipped as programs and libraries.
const SHIPPED: [&str; 4] = ["areas-cli", "areas-capi", "areas-cut", "areas-flight"];

/// How files with licences begin.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// All crates with their licences' texts, each text once.
pub(super) fn text() -> Result<String> {
    let metadata = metadata::of_workspace()?;
    let needed = metadata::needed(&metadata, &SHIPPED, &[])?;
    let mut list = String::new();
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().context("cargo metadata has no packages")? {
        let text = |field: &str| package[field].as_str().unwrap_or_default();
        if package["source"].is_null() || !needed.contains(text("id")) {
            continue;
        }
        let name = format!("{} {}", text("name"), text("version"));
        list += &format!("{name}: {}\n", text("license"));
        for text in licences(package)? {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    let mut all = format!("Areas is linked with these crates, under these licences:\n\n{list}");
    for (text, names) in texts {
        let names: Vec<_> = names.into_iter().collect();
        all += &format!("\n{}\n{}:\n\n{}\n", "-".repeat(78), names.join(", "), text.trim());
    }
    Ok(all)
}

/// The texts that a crate brings.
fn licences(package: &Value) -> Result<Vec<String>> {
    let manifest = package["manifest_path"].as_str().context("cargo metadata has no manifest_path")?;
    let folder = Path::new(manifest).parent().context("a manifest is in a folder")?;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if entry.file_type()?.is_file() && NAMES.iter().any(|known| name.starts_with(known)) {
            found.push(String::from_utf8_lossy(&fs::read(entry.path())?).into_owned());
        }
    }
    Ok(found)
}
