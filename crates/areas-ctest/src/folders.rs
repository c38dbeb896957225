//! Where things are, and the cargo that builds them: for the tests in C, and for xtask.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The folder of the workspace's Cargo.toml. Known from the build, as a cargo runner is given
/// another package's.
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

/// The cargo that runs us, in the workspace's folder.
pub fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(workspace());
    without_our_package(&mut command);
    command
}

/// What cargo gave us about our package is not true of what `command` builds.
pub fn without_our_package(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if ours.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
            command.env_remove(name);
        }
    }
    command
}

/// A cargo that builds the whole workspace, unoptimised, with the features that its tests are built
/// with: examples, as tests, have development dependencies.
#[must_use]
pub fn build_all() -> Command {
    cargo(["build", "--workspace", "--lib", "--bins", "--examples", "--locked"])
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
