//! The peers in C and C++: each file of `bench/peers/` becomes a library that the benchmark loads.
//! What one needs and is not there is installed; where that cannot be, the library is not there,
//! and a file beside it says why.

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
    /// The wheel of PyPI that has its library and headers, if Debian has none.
    wheel: Option<&'static str>,
}

impl Peer {
    const fn new(name: &'static str, source: &'static str, links: &'static [&'static str]) -> Self {
        Peer { name, source, links, package: None, wheel: None }
    }

    const fn of_package(self, package: &'static str) -> Self {
        Peer { package: Some(package), ..self }
    }

    const fn of_wheel(self, wheel: &'static str) -> Self {
        Peer { wheel: Some(wheel), ..self }
    }

    /// What may be missing here.
    fn needs(&self) -> Option<&'static str> {
        self.package.or(self.wheel)
    }
}

const PEERS: [Peer; 10] = [
    Peer::new("raw", "raw.c", &[]),
    Peer::new("floor", "floor.c", &[]),
    Peer::new("buddy", "buddy.c", &["-lpthread"]),
    Peer::new("posix", "posix.c", &[]),
    Peer::new("areas", "areas.c", &["-ldl"]),
    Peer::new("numa", "numa.c", &["-lnuma"]).of_package("libnuma-dev"),
    Peer::new("hwloc", "hwloc.c", &["-lhwloc"]).of_package("libhwloc-dev"),
    Peer::new("memkind", "memkind.c", &["-lmemkind"]).of_package("libmemkind-dev"),
    Peer::new("boost", "boost.cpp", &[]).of_package("libboost-dev"),
    Peer::new("umf", "umf.c", &["-lumf"]).of_wheel("umf"),
];

/// Compiles all into `folder`. What is missing is installed first, if `install` says so.
pub(super) fn compile(folder: &Path, install: bool) -> Result<()> {
    let mut missing: Vec<&Peer> = Vec::new();
    for peer in &PEERS {
        if let Err(why) = one(peer, folder) {
            ensure!(peer.needs().is_some(), "{} does not compile: {why}", peer.source);
            missing.push(peer);
        }
    }
    let packages: Vec<&str> = missing.iter().filter_map(|peer| peer.package).collect();
    let refused = if packages.is_empty() || !install { None } else { apt(&packages).err() };
    for peer in missing {
        let package = peer.needs().unwrap_or_default();
        let fetched = peer.wheel.filter(|_| install).and_then(|wheel| fetch(wheel, folder).err());
        let Err(why) = one(peer, folder) else { continue };
        let why = match fetched.as_ref().or(refused.as_ref().filter(|_| peer.package.is_some())) {
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
        // Our own header, for our own interface in C.
        .arg("-I")
        .arg(process::workspace().join("crates/areas-capi/include"));
    if let Some(wheel) = peer.wheel {
        let Some(prefix) = prefix(wheel, folder) else { return Err(format!("{wheel} is not there")) };
        let libraries = prefix.join("lib");
        command.arg("-I").arg(prefix.join("include")).arg("-L").arg(&libraries);
        command.arg(format!("-Wl,-rpath,{}", libraries.display()));
    }
    command.args(peer.links).stdin(Stdio::null());
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

/// Where what is in a wheel lies, once it was fetched: `include` and `lib` are in there.
fn prefix(wheel: &str, folder: &Path) -> Option<PathBuf> {
    let unpacked = fs::read_dir(folder.join(format!("wheel-{wheel}"))).ok()?;
    let data = unpacked.filter_map(Result::ok).map(|entry| entry.path());
    data.filter(|path| path.extension() == Some(OsStr::new("data")))
        .map(|path| path.join("data"))
        .find(|path| path.join("include").exists() && path.join("lib").exists())
}

/// Fetches a wheel by pip, and unpacks it beside the libraries: nothing is installed.
fn fetch(wheel: &str, folder: &Path) -> Result<()> {
    let into = folder.join(format!("wheel-{wheel}"));
    let run = |command: &mut Command| -> Result<()> {
        eprintln!("$ {}", process::shown(command));
        let output = command.stdin(Stdio::null()).output().context("cannot run python3")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}", said.lines().last().unwrap_or("python3 failed"));
        Ok(())
    };
    let mut download = Command::new("python3");
    download
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"])
        .arg(&into);
    run(download.arg(wheel))?;
    let fetched = fs::read_dir(&into)?.filter_map(Result::ok).map(|entry| entry.path());
    let fetched = fetched.into_iter().find(|path| path.extension() == Some(OsStr::new("whl")));
    let file = fetched.with_context(|| format!("pip fetched no wheel {wheel}"))?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(file).arg(&into))
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
