//! The Debian root: made by debootstrap once and kept, copied for each run, given this machine's
//! settings.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use super::machine::{self, Apt};
use rustix::fs::{FlockOperation, flock};

use crate::process;

/// What the root has besides Debian's smallest: what a linker is made of, and the certificates that
/// cargo's downloads need.
const PACKAGES: &str = "ca-certificates,gcc,libc6-dev";
/// Where the toolchain is, in the root.
pub(super) const TOOLCHAIN: &str = "opt/rust";

/// A root for one run, removed at its end unless it is to be kept.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    keep: bool,
    /// Its record lock says that the root is in use.
    _mutex: File,
}

impl Root {
    /// A new root; with `resume` the one that was kept.
    pub(super) fn prepare(suite: &str, renew: bool, resume: bool, keep: bool) -> Result<Self> {
        let cache = process::target_folder().join("fresh");
        fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
        let cache = fs::canonicalize(cache)?;
        let mutex = File::create(cache.join("mutex"))?;
        if flock(&mutex, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another `cargo xtask fresh` runs, in {}", cache.display());
        }
        let path = cache.join("root");
        if resume {
            ensure!(path.join("kept").exists(), "there is no root to resume in: --keep leaves one");
        } else {
            remove(&path)?;
            let apt = machine::apt(suite);
            let base = base(&cache, suite, &apt, renew)?;
            run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&base).arg(&path))?;
        }
        let root = Self { path, keep, _mutex: mutex };
        root.configure(suite)?;
        Ok(root)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it this machine's ways to the package registries, and nothing else of it.
    fn configure(&self, suite: &str) -> Result<()> {
        let write = |name: &str, text: &[u8]| -> Result<()> {
            let file = self.path.join(name);
            fs::create_dir_all(file.parent().unwrap_or(&file))?;
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        fs::create_dir_all(self.path.join(TOOLCHAIN))?;
        for file in ["etc/resolv.conf", "etc/hosts"] {
            if let Ok(text) = fs::read(Path::new("/").join(file)) {
                write(file, &text)?;
            }
        }
        let apt = machine::apt(suite);
        if !apt.sources.is_empty() {
            write("etc/apt/sources.list", apt.sources.as_bytes())?;
        }
        write("etc/apt/apt.conf.d/90machine", apt.acquire.as_bytes())?;
        if let Some(config) = machine::cargo_config()? {
            write("root/.cargo/config.toml", config.as_bytes())?;
        }
        let certificates = machine::certificates();
        for (name, text) in &certificates {
            write(&format!("usr/local/share/ca-certificates/{name}"), text)?;
        }
        if !certificates.is_empty() {
            run(Command::new("chroot").arg(&self.path).arg("update-ca-certificates"))?;
        }
        Ok(())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if self.keep && File::create(self.path.join("kept")).is_ok() {
            eprintln!("fresh: kept {} (cargo xtask fresh --resume)", self.path.display());
        } else if let Err(error) = remove(&self.path) {
            eprintln!("fresh: {error:#}");
        }
    }
}

/// The root that is copied: made if it is not there, or is to be made again.
fn base(cache: &Path, suite: &str, apt: &Apt, renew: bool) -> Result<PathBuf> {
    let base = cache.join(format!("base-{suite}"));
    if base.exists() && !renew {
        return Ok(base);
    }
    if process::which("debootstrap").is_none() {
        let install =
            ["install", "--yes", "--no-install-recommends", "debootstrap", "debian-archive-keyring"];
        let apt_get =
            |args: &[&str]| run(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"));
        apt_get(&install).or_else(|_| apt_get(&["update"]).and_then(|()| apt_get(&install)))?;
    }
    eprintln!("fresh: making a Debian root ({suite}) with debootstrap, once …");
    let start = Instant::now();
    // Complete under its name, or not there.
    let new = cache.join("base-new");
    remove(&new)?;
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", &format!("--include={PACKAGES}"), suite]).arg(&new);
    command.args(&apt.mirror);
    if let Some(proxy) = &apt.proxy {
        command.env("http_proxy", proxy);
    }
    run(&mut command)?;
    remove(&base)?;
    fs::rename(&new, &base)?;
    eprintln!("fresh: made in {:.0} s", start.elapsed().as_secs_f64());
    Ok(base)
}

/// Runs something whose output matters only where it fails.
fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", process::shown(command));
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", process::shown(command)))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let last: Vec<&str> = said.lines().rev().take(10).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("{} failed ({}):\n{}", process::shown(command), output.status, last.join("\n"));
    }
    Ok(())
}

/// Removes a root. Should something be mounted in it against all expectation, that is not removed.
fn remove(root: &Path) -> Result<()> {
    let status = Command::new("rm").args(["-rf", "--one-file-system"]).arg(root).status()?;
    ensure!(status.success(), "cannot remove {}", root.display());
    Ok(())
}
