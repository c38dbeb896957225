//! What a guest needs, fetched once: QEMU, a kernel and a static busybox from Debian. The packages
//! are unpacked into a cache folder and never installed, so that no root is needed and the machine
//! stays as it is.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rustix::fs::FlockOperation;

use super::fetch::{Fetch, is_complete, remove_folder};
use crate::process;

pub(super) const BUSYBOX: &str = "root/bin/busybox";
const QEMU: &str = "root/usr/bin/qemu-system-x86_64";

/// Which kernel a guest boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Debian's 6.12 for clouds: small and quick to boot.
    Cloud,
    /// Debian's 6.12 with all drivers.
    Full,
    /// The kernel that a package such as `linux-image-cloud-amd64` (6.1 in Debian 12) depends on.
    Package(String),
    /// A bzImage of the user's own, with what it needs built in.
    File(PathBuf),
}

impl FromStr for Kernel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cloud" => Ok(Self::Cloud),
            "full" => Ok(Self::Full),
            _ if text.starts_with("linux-image-") && !text.contains('/') => Ok(Self::Package(text.into())),
            _ if Path::new(text).is_file() => Ok(Self::File(text.into())),
            _ => Err(format!("'{text}' is not 'cloud', 'full', a package linux-image-… or a kernel file")),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cloud => f.write_str("cloud"),
            Self::Full => f.write_str("full"),
            Self::Package(name) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Kernel {
    /// The packages that would do, best first: releases after Debian 12 have 6.12 or newer under
    /// the plain name.
    pub(super) fn packages(&self) -> Vec<&str> {
        match self {
            Self::Cloud => vec!["linux-image-6.12-cloud-amd64", "linux-image-cloud-amd64"],
            Self::Full => vec!["linux-image-6.12-amd64", "linux-image-amd64"],
            Self::Package(name) => vec![name],
            Self::File(_) => vec![],
        }
    }

    /// The kernel's folder in the cache; a file has none.
    fn folder(&self) -> Option<String> {
        match self {
            Self::Cloud => Some("kernel-cloud".into()),
            Self::Full => Some("kernel-full".into()),
            Self::Package(name) => Some(format!("kernel-{name}")),
            Self::File(_) => None,
        }
    }
}

/// Everything that a guest is made of, in place.
#[derive(Clone, Debug)]
pub(crate) struct Kit {
    pub(crate) kernel: PathBuf,
    /// Decompressed modules and `deps`, where the kernel came as a package.
    pub(crate) modules: Option<PathBuf>,
    pub(crate) busybox: PathBuf,
    qemu: PathBuf,
    /// The root that the packages were unpacked into, if QEMU is from there.
    unpacked: Option<PathBuf>,
}

impl Kit {
    /// QEMU, with the libraries and firmware it was unpacked with. It dies with this process,
    /// however that ends.
    pub(crate) fn qemu(&self) -> Command {
        let mut command = match process::which("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.arg("--pdeathsig=KILL").arg(&self.qemu);
                command
            }
            None => Command::new(&self.qemu),
        };
        if let Some(root) = &self.unpacked {
            let folders = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib"];
            let libraries: Vec<OsString> = folders.iter().map(|dir| root.join(dir).into()).collect();
            command.env("LD_LIBRARY_PATH", libraries.join(&OsString::from(":")));
            for firmware in ["usr/share/qemu", "usr/share/seabios"] {
                command.arg("-L").arg(root.join(firmware));
            }
        }
        command
    }
}

/// The cache folder: `AREAS_VM_CACHE`, else `numa-vm` in cargo's target folder.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let folder = match std::env::var_os("AREAS_VM_CACHE").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => process::target_folder().join("numa-vm"),
    };
    fs::create_dir_all(&folder).with_context(|| {
        format!("cannot create the cache folder {} (AREAS_VM_CACHE moves it)", folder.display())
    })?;
    Ok(fs::canonicalize(folder)?)
}

/// The cache's mutex: one process fetches, the others wait for it.
pub(crate) fn lock_cache(cache: &Path) -> Result<File> {
    let path = cache.join("mutex");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)
        .with_context(|| format!("cannot take the lock on {}", path.display()))?;
    Ok(file)
}

/// Makes sure that everything for `kernel` is in `cache`, which the caller holds the mutex of.
pub(crate) fn prepare(cache: &Path, kernel: &Kernel) -> Result<Kit> {
    let fetch = Fetch { cache, lists: None };
    let installed = process::which("qemu-system-x86_64");
    let (qemu, unpacked) = match installed {
        Some(qemu) => (qemu, None),
        None => (cache.join(QEMU), Some(cache.join("root"))),
    };
    let folder = kernel.folder().map(|name| cache.join(name));
    let missing = !qemu.exists()
        || !cache.join(BUSYBOX).exists()
        || folder.as_ref().is_some_and(|folder| !is_complete(folder));
    if missing {
        let start = Instant::now();
        eprintln!("vm: fetching QEMU and a Linux kernel from Debian, once, into {} …", cache.display());
        File::create(cache.join("setup.log"))?;
        fetch.everything(&qemu, kernel, folder.as_deref()).or_else(|first| {
            // The machine's package lists are absent or too old: fetch own ones, which needs no
            // root.
            fetch.note(&format!("with the machine's package lists: {first:#}"))?;
            let fetch = Fetch { cache, lists: Some(cache.join("apt-lists")) };
            // One broken source among good ones does no harm, so go on; but if this fails too it is
            // the likely reason.
            let updated = fetch.update();
            let fetched = fetch.everything(&qemu, kernel, folder.as_deref());
            match updated {
                Err(why) => fetched.with_context(|| format!("{why:#}")),
                Ok(()) => fetched,
            }
        })?;
        remove_folder(&cache.join("apt-lists"))?;
        eprintln!("vm: fetched in {:.0} s", start.elapsed().as_secs_f64());
    }
    let (kernel, modules) = match (kernel, folder) {
        (Kernel::File(file), _) => (file.clone(), None),
        (_, Some(folder)) => (folder.join("vmlinuz"), Some(folder.join("modules"))),
        (_, None) => bail!("a kernel that is no file has a folder"),
    };
    Ok(Kit { kernel, modules, busybox: cache.join(BUSYBOX), qemu, unpacked })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_named_three_ways() {
        assert_eq!("cloud".parse(), Ok(Kernel::Cloud));
        assert_eq!("linux-image-amd64".parse(), Ok(Kernel::Package("linux-image-amd64".into())));
        assert!("/no/such/kernel".parse::<Kernel>().unwrap_err().contains("kernel file"));
    }
}
