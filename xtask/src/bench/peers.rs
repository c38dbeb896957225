//! The peers in C and C++: each file of `bench/peers/` becomes a library that the benchmark loads. What one needs and is not
//! there is installed; where that cannot be, the library is not there, and a file beside it says why.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::process;

struct Peer {
    name: &'static str,
    source: &'static str,
    links: &'static [&'static str],
    /// Debian's package with what it needs; the floor needs nothing.
    package: Option<&'static str>,
}

const PEERS: [Peer; 8] = [
    Peer { name: "raw", source: "raw.c", links: &[], package: None },
    Peer { name: "floor", source: "floor.c", links: &[], package: None },
    Peer { name: "buddy", source: "buddy.c", links: &["-lpthread"], package: None },
    Peer { name: "posix", source: "posix.c", links: &[], package: None },
    Peer { name: "numa", source: "numa.c", links: &["-lnuma"], package: Some("libnuma-dev") },
    Peer { name: "hwloc", source: "hwloc.c", links: &["-lhwloc"], package: Some("libhwloc-dev") },
    Peer { name: "memkind", source: "memkind.c", links: &["-lmemkind"], package: Some("libmemkind-dev") },
    Peer { name: "boost", source: "boost.cpp", links: &[], package: Some("libboost-dev") },
];

/// Compiles all into `folder`. What is missing is installed first, if `install` says so.
pub(super) fn compile(folder: &Path, install: bool) -> Result<()> {
    let mut missing: Vec<&Peer> = Vec::new();
    for peer in &PEERS {
        if let Err(why) = one(peer, folder) {
            ensure!(peer.package.is_some(), "{} does not compile: {why}", peer.source);
            missing.push(peer);
        }
    }
    let packages: Vec<&str> = missing.iter().filter_map(|peer| peer.package).collect();
    let refused = if packages.is_empty() || !install { None } else { apt(&packages).err() };
    for peer in missing {
        let package = peer.package.unwrap_or_default();
        let Err(why) = one(peer, folder) else { continue };
        let why = match &refused {
            Some(error) => format!("{package} is missing, and cannot be installed: {error:#}"),
            None if !install => format!("{package} is missing (a full run installs it)"),
            None => format!("it does not compile with {package}: {why}"),
        };
        fs::write(folder.join(peer.name).with_extension("missing"), why)?;
    }
    Ok(())
}

/// Compiles one; what the compiler said if it does not. One that is newer than its source stays.
fn one(peer: &Peer, folder: &Path) -> Result<(), String> {
    let sources = process::workspace().join("bench/peers");
    let source = sources.join(peer.source);
    let library = folder.join(peer.name).with_extension("so");
    let _ = fs::remove_file(folder.join(peer.name).with_extension("missing"));
    if is_newer(&library, &[source.clone(), sources.join("peer.h")]) {
        return Ok(());
    }
    let cpp = source.extension() == Some(OsStr::new("cpp"));
    let mut command = Command::new(if cpp { "c++" } else { "cc" });
    command
        .arg(if cpp { "-std=c++17" } else { "-std=c11" })
        .args(["-O2", "-Wall", "-Wextra", "-fPIC", "-shared"])
        .arg(&source)
        .arg("-o")
        .arg(&library)
        .args(peer.links)
        .stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("{}: {error}", process::shown(&command)))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned())
}

fn is_newer(file: &Path, sources: &[PathBuf]) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let Some(made) = time(file) else { return false };
    sources.iter().all(|source| time(source).is_some_and(|changed| changed < made))
}

/// Debian's way to install.
fn apt(packages: &[&str]) -> Result<()> {
    let run = |args: &[&str]| -> Result<()> {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        eprintln!("$ {}", process::shown(&command));
        let output = command.output().context("cannot run apt-get")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}", said.lines().last().unwrap_or("apt-get failed"));
        Ok(())
    };
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(packages);
    // The lists may be old, or not there yet.
    run(&install).or_else(|_| run(&["update"]).and_then(|()| run(&install)))
}
