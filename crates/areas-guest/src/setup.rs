//! What a guest needs, fetched once: QEMU, a kernel and a static busybox from Debian. The packages
//! are unpacked into a cache folder and never installed, so that no root is needed and the machine
//! stays as it is.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::fetch::{BUSYBOX, Fetch, is_complete, remove_folder};
use crate::kernel::Kernel;
use crate::programs;

const QEMU: &str = "root/usr/bin/qemu-system-x86_64";

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
        let mut command = match programs::which("setpriv") {
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

/// The cache folder: `AREAS_VM_CACHE`, else this one.
pub(crate) fn cache_folder(otherwise: &Path) -> Result<PathBuf> {
    let folder = match std::env::var_os("AREAS_VM_CACHE").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => otherwise.to_owned(),
    };
    fs::create_dir_all(&folder).with_context(|| {
        format!("cannot create the cache folder {} (AREAS_VM_CACHE moves it)", folder.display())
    })?;
    Ok(fs::canonicalize(folder)?)
}

/// Makes sure that everything for `kernel` is in `cache`, which the caller holds the mutex of.
pub(crate) fn prepare(cache: &Path, kernel: &Kernel) -> Result<Kit> {
    let fetch = Fetch { cache, lists: None };
    let installed = programs::which("qemu-system-x86_64");
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
        (_, None) => bail!("a kernel that is not a file has a folder"),
    };
    Ok(Kit { kernel, modules, busybox: cache.join(BUSYBOX), qemu, unpacked })
}
