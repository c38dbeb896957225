//! Containers: podman and runc with a root folder of our own, in which there is the command, and
//! what its tests call.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use areas_testing::{descriptors, processes, status};
use tempfile::TempDir;

use crate::harness::{AREAS, Holder, Ran, bytes_of, is_root};

/// What is in a container beside `areas`.
const PROGRAMS: [&str; 7] = ["dash", "cat", "cmp", "grep", "install", "readlink", "sleep"];
/// Debian has it in one of these, and not in every user's search path.
const RUNTIMES: [&str; 2] = ["/usr/sbin/runc", "/usr/bin/runc"];
/// How large the file `/model.bin` of each container is.
pub(crate) const MODEL: usize = 64 << 20;

/// A storage and a root folder that nothing else uses. What runs in it ends with it.
pub(crate) struct Podman {
    folder: TempDir,
    runtime: &'static str,
    /// A first container ran.
    works: bool,
    /// What shared memory the machine has is measured: `cargo test` runs tests side by side.
    #[expect(dead_code, reason = "kept for its drop")]
    alone: MutexGuard<'static, ()>,
}

impl Podman {
    /// `None`, said aloud, where there can be no containers.
    pub(crate) fn new(test: &str) -> Option<Self> {
        match Self::tried() {
            Ok(podman) => Some(podman),
            Err(why) => {
                areas_testing::skipped(&format!("containers::{test}"), &why);
                None
            }
        }
    }

    fn tried() -> Result<Self, String> {
        if !is_root() {
            return Err("only root starts containers here".into());
        }
        if !may_mount() {
            // Podman would go on in a user namespace, and leave a process behind that keeps it.
            return Err("root has not CAP_SYS_ADMIN here".into());
        }
        let runtime = RUNTIMES.into_iter().find(|path| Path::new(path).exists()).ok_or("runc is not here")?;
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let mut podman = Podman { folder: tempfile::tempdir().unwrap(), runtime, works: false, alone };
        // Users of containers come through it.
        fs::set_permissions(podman.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = podman.root();
        for folder in ["bin", "tmp", "proc", "sys", "dev", "etc", "run"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        copy_with_libraries(Path::new(AREAS), &root)?;
        for program in PROGRAMS {
            let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
            let found = found.iter().find(|path| path.exists()).ok_or(format!("{program} is not here"))?;
            copy_with_libraries(found, &root)?;
        }
        std::os::unix::fs::symlink("dash", root.join("bin/sh")).unwrap();
        fs::write(root.join("model.bin"), bytes_of(MODEL)).unwrap();
        // Whatever is forbidden here (mounts, control groups, namespaces) shows in the first one.
        let mut first = podman.run(&[], &["sh", "-c", ":"]);
        let output = first.output().map_err(|error| format!("podman cannot be run: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("podman starts no container here: {}", said.trim().replace('\n', "; ")));
        }
        podman.works = true;
        Ok(podman)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Its group of control groups.
    fn group(&self) -> String {
        format!("areas-test-{}", std::process::id())
    }

    /// `podman …`
    fn podman(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command.args(["--runtime", self.runtime, "--cgroup-manager", "cgroupfs", "--storage-driver", "vfs"]);
        command.args(["--events-backend", "none"]);
        command.arg("--root").arg(self.folder.path().join("storage"));
        command.arg("--runroot").arg(self.folder.path().join("run"));
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// `podman run OPTIONS … PROGRAM`, in a new container that is removed when it ends, with the
    /// engine's own filter of system calls.
    pub(crate) fn run(&self, options: &[&str], program: &[&str]) -> Command {
        let mut command = self.podman(&["run", "--rm", "--network", "none"]);
        // Its defaults may be more than this machine gives.
        command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
        command.arg(format!("--cgroup-parent=/{}", self.group()));
        command.args(options).arg("--rootfs").arg(self.root()).args(program);
        command
    }

    /// Runs a script in a new container, to its end.
    pub(crate) fn shell(&self, options: &[&str], script: &str) -> Ran {
        Ran::of(&mut self.run(options, &["sh", "-c", script]))
    }

    /// Starts a script in a new container of that name, and waits for its first line.
    pub(crate) fn start(&self, name: &str, options: &[&str], script: &str) -> Holder {
        let options = [&["--name", name], options].concat();
        Holder::start(&mut self.run(&options, &["sh", "-c", script]))
    }

    /// Runs a script in a container that is there.
    pub(crate) fn exec(&self, container: &str, script: &str) -> Ran {
        Ran::of(&mut self.podman(&["exec", container, "sh", "-c", script]))
    }

    /// Kills all processes of a container at once, whose `podman run` this is, and waits until it
    /// is gone.
    pub(crate) fn kill(&self, container: &str, running: &mut Holder) {
        let ran = Ran::of(&mut self.podman(&["kill", "--signal", "KILL", container]));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(running.wait(), 137);
        // Its monitor removes it a little later; the name is wanted now.
        let ran = Ran::of(&mut self.podman(&["rm", "--force", "--ignore", container]));
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }

    /// The areas' memory that processes of a container have open, as the kernel reports it: device,
    /// inode, bytes allocated.
    pub(crate) fn memories(&self, container: &str) -> BTreeSet<(u64, u64, u64)> {
        let ran = Ran::of(&mut self.podman(&["inspect", "--format", "{{.State.Pid}}", container]));
        let first = ran.stdout().trim().to_owned();
        let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let inside = processes()
            .into_iter()
            .filter(|pid| space(&pid.to_string()).is_some_and(|of| Some(of) == space(&first)));
        let open = inside.flat_map(|pid| descriptors::of(pid).unwrap_or_default());
        let ours = open.filter(|one| one.target.starts_with("/memfd:area:")).map(|one| one.path);
        let memory =
            |path: PathBuf| fs::metadata(path).map(|file| (file.dev(), file.ino(), file.blocks() * 512));
        ours.filter_map(|path| memory(path).ok()).collect()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let removed = self.podman(&["rm", "--all", "--force", "--time", "0"]).output();
        let left = self.works && !removed.is_ok_and(|output| output.status.success());
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let hierarchies = hierarchies.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
        for group in hierarchies.map(|hierarchy| hierarchy.join(self.group())) {
            // Podman's own monitors are in one below; in most hierarchies there is none.
            let _ = fs::remove_dir(group.join("conmon"));
            let _ = fs::remove_dir(&group);
        }
        assert!(!left || std::thread::panicking(), "containers in {} are left", self.folder.path().display());
    }
}

/// Whether this process has CAP_SYS_ADMIN, bit 21.
fn may_mount() -> bool {
    let bits = status::own().field("CapEff").and_then(|bits| u64::from_str_radix(bits, 16).ok());
    bits.is_some_and(|bits| bits >> 21 & 1 == 1)
}

/// Copies a program to `bin`, and the shared libraries that it is linked with to where it looks for
/// them.
fn copy_with_libraries(program: &Path, root: &Path) -> Result<(), String> {
    let copy = |from: &Path, to: PathBuf| {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, &to).map_err(|error| format!("cannot copy {}: {error}", from.display()))
    };
    copy(program, root.join("bin").join(program.file_name().unwrap()))?;
    let output =
        Command::new("ldd").arg(program).output().map_err(|error| format!("cannot run ldd: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for library in said.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':')) {
        copy(Path::new(library), root.join(&library[1..]))?;
    }
    Ok(())
}
