//! What a guest needs, fetched once: QEMU, a kernel and a static busybox from Debian. The packages are unpacked into a
//! cache folder and never installed, so that no root is needed and the machine stays as it is.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::process;

/// Drivers that a test may ask for, and those that the guest's own ports need in kernels without them built in.
const MODULES: [&str; 8] =
    ["virtio_pci", "virtio_console", "virtio_blk", "zram", "brd", "loop", "device_dax", "kmem"];
const BUSYBOX: &str = "root/bin/busybox";
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
    /// The packages that would do, best first: releases after Debian 12 have 6.12 or newer under the plain name.
    fn packages(&self) -> Vec<&str> {
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
    /// QEMU, with the libraries and firmware it was unpacked with. It dies with this process, however that ends.
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
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        file.lock().with_context(|| format!("cannot take the record lock on {}", path.display()))?;
    }
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
        || folder.as_ref().is_some_and(|folder| !folder.join("complete").exists());
    if missing {
        let start = Instant::now();
        eprintln!("vm: fetching QEMU and a Linux kernel from Debian, once, into {} …", cache.display());
        File::create(cache.join("setup.log"))?;
        fetch.everything(&qemu, kernel, folder.as_deref()).or_else(|first| {
            // The machine's package lists are absent or too old: fetch own ones, which needs no root.
            fetch.note(&format!("with the machine's package lists: {first:#}"))?;
            let fetch = Fetch { cache, lists: Some(cache.join("apt-lists")) };
            fetch.update()?;
            fetch.everything(&qemu, kernel, folder.as_deref())
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

/// One attempt at fetching, with the machine's package lists or with our own.
#[derive(Debug)]
struct Fetch<'a> {
    cache: &'a Path,
    lists: Option<PathBuf>,
}

impl Fetch<'_> {
    fn everything(&self, qemu: &Path, kernel: &Kernel, folder: Option<&Path>) -> Result<()> {
        if !qemu.exists() {
            self.qemu()?;
        }
        if !self.cache.join(BUSYBOX).exists() {
            self.unpack_package("busybox-static", &self.cache.join("root"))?;
        }
        match folder {
            Some(folder) if !folder.join("complete").exists() => self.kernel(kernel, folder),
            _ => Ok(()),
        }
    }

    /// QEMU with the libraries that this machine does not have.
    fn qemu(&self) -> Result<()> {
        let debs = self.cache.join("debs");
        remove_folder(&debs)?;
        fs::create_dir_all(debs.join("partial"))?;
        let mut archives = OsString::from("Dir::Cache::archives=");
        archives.push(&debs);
        let mut apt = self.apt("apt-get");
        apt.args(["install", "--yes", "--no-install-recommends", "--download-only", "-o"]).arg(archives);
        self.run(apt.arg("qemu-system-x86"))?;
        self.unpack_all(&debs, &self.cache.join("root"))?;
        remove_folder(&debs)
    }

    fn kernel(&self, kernel: &Kernel, folder: &Path) -> Result<()> {
        // The second choice may be an older kernel: only once own lists say that there is no first.
        let mut candidates = kernel.packages();
        if self.lists.is_none() {
            candidates.truncate(1);
        }
        let package = candidates
            .iter()
            .find_map(|meta| {
                let listed = self.run(self.apt("apt-cache").args(["depends", meta])).ok()?;
                dependency(&listed).map(str::to_owned)
            })
            .with_context(|| format!("no package {} is known to apt", candidates.join(" or ")))?;
        remove_folder(folder)?;
        self.unpack_package(&package, folder)?;
        let boot = folder.join("boot");
        let image = fs::read_dir(&boot)
            .with_context(|| format!("{package} has no /boot"))?
            .filter_map(Result::ok)
            .find(|entry| entry.file_name().as_encoded_bytes().starts_with(b"vmlinuz-"))
            .with_context(|| format!("{package} has no /boot/vmlinuz-…"))?;
        fs::rename(image.path(), folder.join("vmlinuz"))?;
        self.modules(folder)?;
        for rest in ["boot", "lib", "usr"] {
            remove_folder(&folder.join(rest))?;
        }
        File::create(folder.join("complete"))?;
        Ok(())
    }

    /// Picks [`MODULES`] and what they depend on out of a kernel's tree; busybox's insmod wants them decompressed.
    fn modules(&self, folder: &Path) -> Result<()> {
        let modules = folder.join("modules");
        fs::create_dir_all(&modules)?;
        let mut tree = Vec::new();
        files_below(folder, &mut tree)?;
        let mut deps = File::create(modules.join("deps"))?;
        let mut wanted: Vec<String> = MODULES.iter().map(ToString::to_string).collect();
        while let Some(name) = wanted.pop() {
            let target = modules.join(format!("{name}.ko"));
            let Some(file) = tree.iter().find(|file| module_name(file).as_ref() == Some(&name)) else {
                continue;
            };
            if target.exists() {
                continue;
            }
            if file.extension().is_some_and(|extension| extension == "xz") {
                let busybox = Command::new(self.cache.join(BUSYBOX)).arg("xzcat").arg(file).output()?;
                ensure!(busybox.status.success(), "cannot decompress {}", file.display());
                fs::write(&target, busybox.stdout)?;
            } else {
                fs::copy(file, &target)?;
            }
            let needs = needed_modules(&fs::read(&target)?);
            if !needs.is_empty() {
                writeln!(deps, "{name}: {}", needs.join(" "))?;
            }
            wanted.extend(needs);
        }
        Ok(())
    }

    fn unpack_package(&self, package: &str, root: &Path) -> Result<()> {
        let debs = self.cache.join("debs");
        remove_folder(&debs)?;
        fs::create_dir_all(&debs)?;
        self.run(self.apt("apt-get").args(["download", package]).current_dir(&debs))?;
        self.unpack_all(&debs, root)?;
        remove_folder(&debs)
    }

    fn unpack_all(&self, debs: &Path, root: &Path) -> Result<()> {
        fs::create_dir_all(root)?;
        for deb in fs::read_dir(debs)? {
            let deb = deb?.path();
            if deb.extension().is_some_and(|extension| extension == "deb") {
                self.run(Command::new("dpkg").arg("-x").arg(deb).arg(root))?;
            }
        }
        Ok(())
    }

    fn update(&self) -> Result<()> {
        if let Some(lists) = &self.lists {
            fs::create_dir_all(lists.join("partial"))?;
        }
        self.run(self.apt("apt-get").arg("update"))?;
        Ok(())
    }

    /// apt, told to leave the machine's locks and caches alone: nothing is installed.
    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-q", "-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1"]);
        if let Some(lists) = &self.lists {
            let mut option = OsString::from("Dir::State::lists=");
            option.push(lists);
            command.arg("-o").arg(option);
            command.args(["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]);
        }
        command
    }

    /// Runs `command` with its output in the log as well as in the answer.
    fn run(&self, command: &mut Command) -> Result<String> {
        let program = command.get_program().to_owned();
        self.note(&format!("{command:?}"))?;
        let output = command.stdin(Stdio::null()).env("LC_ALL", "C").output().with_context(|| {
            format!(
                "cannot run {}: guests are made from Debian packages and need apt and dpkg (without them, put \
                 qemu-system-x86_64 into PATH and unpack busybox-static into {})",
                program.display(),
                self.cache.join("root").display()
            )
        })?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        self.note(&format!("{said}{complaint}"))?;
        if !output.status.success() {
            let last: Vec<&str> = complaint.lines().rev().take(3).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            bail!(
                "{command:?} failed ({}): {}\nEverything tried so far is in {}. Is the package mirror reachable?",
                output.status,
                last.join(" / "),
                self.cache.join("setup.log").display()
            );
        }
        Ok(said)
    }

    fn note(&self, text: &str) -> Result<()> {
        let mut log = File::options().append(true).create(true).open(self.cache.join("setup.log"))?;
        writeln!(log, "{text}")?;
        Ok(())
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files_below(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// `zram` of `…/zram.ko.xz`; file names may have '-' where the kernel has '_'.
fn module_name(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let name = name.strip_suffix(".ko.xz").or_else(|| name.strip_suffix(".ko"))?;
    Some(name.replace('-', "_"))
}

/// The first package that `apt-cache depends` names.
fn dependency(listed: &str) -> Option<&str> {
    listed
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| !name.starts_with('<'))
}

/// What the `depends=` string in a module's .modinfo section names.
fn needed_modules(module: &[u8]) -> Vec<String> {
    let strings = module.split(|&byte| byte == 0);
    let depends = strings.filter_map(|string| string.strip_prefix(b"depends=")).next().unwrap_or_default();
    let names = String::from_utf8_lossy(depends).replace('-', "_");
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_and_modinfo_are_read() {
        let listed = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-9-cloud-amd64\n  Recommends: x\n";
        assert_eq!(dependency(listed), Some("linux-image-6.1.0-9-cloud-amd64"));
        assert_eq!(dependency("x\n  Depends: <virtual>\n"), None);
        assert_eq!(dependency(""), None);
        assert_eq!(needed_modules(b"\x7fELF\0license=GPL\0depends=dax-bus,kmem\0x"), ["dax_bus", "kmem"]);
        assert_eq!(needed_modules(b"\0depends=\0"), [""; 0]);
        assert_eq!(needed_modules(b"no module"), [""; 0]);
        assert_eq!(module_name(Path::new("a/dax-bus.ko.xz")).as_deref(), Some("dax_bus"));
        assert_eq!(module_name(Path::new("a/zram.txt")), None);
    }

    #[test]
    fn kernels_are_named_three_ways() {
        assert_eq!("cloud".parse(), Ok(Kernel::Cloud));
        assert_eq!("linux-image-amd64".parse(), Ok(Kernel::Package("linux-image-amd64".into())));
        assert!("/no/such/kernel".parse::<Kernel>().unwrap_err().contains("kernel file"));
    }
}
