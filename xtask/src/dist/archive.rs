//! The archive: a folder that may be put anywhere, as pkg-config and CMake find the rest from where
//! their files are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Tree, VERSION, copy, files, output};
use crate::{install, process};

/// Files of the project that belong to what it makes.
const PAPERS: [&str; 5] = ["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// Where pkg-config's files find the rest.
const FROM_HERE: &str = "${pcfiledir}/../..";

/// Writes `areas-VERSION-ARCH-linux.tar.gz`.
pub(super) fn make(tree: &Tree, out: &Path) -> Result<PathBuf> {
    let name = format!("areas-{VERSION}-{}-linux", std::env::consts::ARCH);
    let folder = tree.work.join(&name);
    let installed = tree.root.join("usr");
    for file in files(&installed)? {
        copy(&installed.join(&file), &folder.join(&file))?;
    }
    install::pkg_config(&folder, Path::new(FROM_HERE))?;
    for paper in PAPERS {
        copy(&process::workspace().join(paper), &folder.join(paper))?;
    }
    let notices = folder.join("THIRD-PARTY.txt");
    fs::write(&notices, &tree.notices).with_context(|| format!("cannot write {}", notices.display()))?;
    let file = out.join(format!("{name}.tar.gz"));
    let mut command = Command::new("tar");
    command.args(["--create", "--format=gnu", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    command.args(["--mode=u+rw,go+r-w,a+X", "--use-compress-program=gzip -9n"]);
    command.arg(format!("--mtime=@{}", tree.epoch)).arg("--file").arg(&file);
    output(command.arg("--directory").arg(&tree.work).arg(&name))?;
    Ok(file)
}
