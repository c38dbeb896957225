//! Where things are.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The folder of the workspace's Cargo.toml.
#[must_use]
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package)
}

/// Cargo's target folder.
#[must_use]
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    }
}

/// The folder of the C crate.
#[must_use]
pub fn capi() -> PathBuf {
    workspace().join("crates/areas-capi")
}

/// The files below `folder` whose names end so, sorted; none where there is no such folder.
///
/// # Errors
/// Where a folder cannot be read.
pub fn files_below(folder: PathBuf, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let (mut waiting, mut found) = (vec![folder], Vec::new());
    while let Some(folder) = waiting.pop() {
        if !folder.exists() {
            continue;
        }
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|is| extensions.iter().any(|&one| is == one)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
