//! Debian packages, fetched with apt and unpacked with dpkg into the cache folder: how `setup.rs`
//! gets what is missing.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::kernel::Kernel;
use crate::programs;

/// A static busybox, in the cache folder.
pub(super) const BUSYBOX: &str = "root/bin/busybox";

/// Drivers that a test may ask for, and those that the guest's own ports need in kernels without
/// them built in.
const MODULES: [&str; 13] = [
    "virtio_pci",
    "virtio_console",
    "virtio_blk",
    "nvme",
    "zram",
    "brd",
    "loop",
    "device_dax",
    "kmem",
    "nd_e820",
    "nd_pmem",
    "dax_pmem",
    "vivid",
];

/// Whether a kernel's folder is whole, with all modules that are picked today.
pub(super) fn is_complete(folder: &Path) -> bool {
    fs::read_to_string(folder.join("complete")).is_ok_and(|modules| modules == MODULES.join(" "))
}

/// One attempt at fetching, with the machine's package lists or with our own.
#[derive(Debug)]
pub(super) struct Fetch<'a> {
    pub(super) cache: &'a Path,
    pub(super) lists: Option<PathBuf>,
}

impl Fetch<'_> {
    pub(super) fn everything(&self, qemu: &Path, kernel: &Kernel, folder: Option<&Path>) -> Result<()> {
        if !qemu.exists() {
            self.qemu()?;
        }
        if !self.cache.join(BUSYBOX).exists() {
            self.unpack_package("busybox-static", &self.cache.join("root"))?;
        }
        match folder {
            Some(folder) if !is_complete(folder) => self.kernel(kernel, folder),
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
        fs::write(folder.join("complete"), MODULES.join(" "))?;
        Ok(())
    }

    /// Picks [`MODULES`] and what they depend on out of a kernel's tree; busybox's insmod wants
    /// them decompressed.
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

    pub(super) fn update(&self) -> Result<()> {
        if let Some(lists) = &self.lists {
            fs::create_dir_all(lists.join("partial"))?;
        }
        self.run(self.apt("apt-get").args(["update", "-o", "APT::Update::Error-Mode=any"]))?;
        Ok(())
    }

    /// apt, asked to leave the machine's locks and caches alone: nothing is installed.
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
        self.note(&format!("$ {}", programs::shown(command)))?;
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
            let end = complaint.lines().count().saturating_sub(3);
            let last: Vec<&str> = complaint.lines().skip(end).collect();
            bail!(
                "{} failed ({}): {}\n(all that was tried is in {}; is the package mirror reachable?)",
                programs::shown(command),
                output.status,
                last.join(" / "),
                self.cache.join("setup.log").display()
            );
        }
        Ok(said)
    }

    pub(super) fn note(&self, text: &str) -> Result<()> {
        let mut log = File::options().append(true).create(true).open(self.cache.join("setup.log"))?;
        writeln!(log, "{text}")?;
        Ok(())
    }
}

pub(super) fn remove_folder(folder: &Path) -> Result<()> {
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
}
