//! `cargo xtask vm`: a machine with several NUMA nodes, on any machine. Memory policies, page
//! moves, huge page pools and memory attributes can only be tested where there is more than one
//! node, and most machines have one. So a Debian kernel boots under QEMU's emulation, with nodes,
//! distances and an HMAT as asked, and runs one program.
//!
//! | file | what |
//! |---|---|
//! | `layout.rs` | nodes, distances and attributes, from the command line to QEMU's arguments |
//! | `kernel.rs` | which kernel a guest boots |
//! | `setup.rs`, `fetch.rs` | QEMU, kernel and busybox, fetched once |
//! | `image.rs`, `cpio.rs` | the guest's file system |
//! | `guest.rs` | the guest's run |
//! | `init.sh` | the guest's first process |

mod cpio;
mod fetch;
mod guest;
mod image;
mod kernel;
mod layout;
mod setup;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::lock;
use kernel::Kernel;
use layout::{Layout, Matrix, Nodes};

/// The status for a time limit, as timeout(1) has it.
const TIME_LIMIT: u8 = 124;
/// The status for "there was no guest to run it in".
const NO_GUEST: u8 = 125;

/// Runs a program in a guest with several NUMA nodes, and ends with its status.
///
/// The guest is emulated (no KVM), so times mean nothing in there. The program is root on a 6.12
/// kernel; it has /proc, /sys, /dev, cgroup2 on /sys/fs/cgroup, hugetlbfs on /dev/hugepages, tmpfs
/// on /tmp and /dev/shm, busybox, and an ordinary user (`su -s /bin/sh nobody -c …`). AREAS_GUEST=1
/// is set. There is no network and no input. Dynamic programs travel with the libraries that ldd
/// names.
///
/// Without --nodes the guest has nodes 0 and 1 with CPUs, node 2 large and slow and node 3 small
/// and fast, both without CPUs, with distances and an HMAT that say so.
///
/// Status: the program's own (128+n if signal n ended it); 124 time limit; 125 no guest; 2 usage.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
QEMU, a kernel and busybox are fetched from Debian once (some 50 MB) and unpacked into target/numa-vm, or into the
folder that AREAS_VM_CACHE names; nothing is installed.

As a cargo runner, so that every test runs in a guest:
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER=\"cargo xtask vm --\" cargo test -p areas --test NAME
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER=\"$PWD/target/debug/xtask vm --\" cargo test …")]
pub(crate) struct Options {
    /// CPUs and MiB of each node, those with CPUs first, e.g. "2:512 1:512 0:256"
    #[arg(long, value_name = "CPUS:MIB …")]
    nodes: Option<Nodes>,
    /// Distances, a row for each node: "10,21;21,10"
    #[arg(long, value_name = "D,…;…")]
    dist: Option<Matrix>,
    /// Report latency and bandwidth, 10·distance ns and 200000/distance MB/s unless given
    #[arg(long)]
    hmat: bool,
    /// Latencies in ns, a row for each node with CPUs, a column for each node ('-' leaves one out);
    /// implies --hmat
    #[arg(long, value_name = "NS,…;…")]
    lat: Option<Matrix>,
    /// Bandwidths in MB/s, in the same shape; implies --hmat
    #[arg(long, value_name = "MBS,…;…")]
    bw: Option<Matrix>,
    /// More kernel parameters, e.g. 'memmap=4M$8M'; repeat
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    append: Vec<String>,
    /// Swap space on a disk of this many MiB
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    swap: Option<u32>,
    /// Modules to load, of zram brd loop virtio_blk device_dax kmem nd_e820 nd_pmem dax_pmem vivid:
    /// "zram brd:rd_size=65536,rd_nr=1"
    #[arg(long, value_name = "NAMES", default_value = "", hide_default_value = true)]
    modules: String,
    /// Set an environment variable for the program; repeat
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(OsString, OsString)>,
    /// Take a program of this machine along, by its name or path, in /usr/bin, with its libraries;
    /// repeat
    #[arg(long, value_name = "PROGRAM")]
    with: Vec<String>,
    /// Bring back into DIR what the program leaves in /out
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seconds that the program may take, after the boot
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// cloud (6.12), full (6.12 with all drivers), a Debian package such as
    /// linux-image-cloud-amd64, or a bzImage
    #[arg(long, value_name = "KERNEL", default_value = "cloud")]
    kernel: Kernel,
    /// One host thread for each of the guest's CPUs: real parallelism, but one guest in a hundred
    /// crashes (QEMU 7.2)
    #[arg(long)]
    multi: bool,
    /// One more argument for QEMU; repeat
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    qemu: Vec<OsString>,
    /// Keep the folder with the image and the logs, and say where it is
    #[arg(long)]
    keep: bool,
    /// Fetch what is missing and run nothing
    #[arg(long)]
    setup_only: bool,
    /// The program and its arguments; of a folder, its file `run`, else each of its programs in
    /// turn
    #[arg(value_name = "PROGRAM|DIR [ARG…]", trailing_var_arg = true)]
    #[arg(required_unless_present = "setup_only")]
    program: Vec<OsString>,
}

fn variable(text: &str) -> Result<(OsString, OsString), String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if name.is_empty() || !good || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("'{name}' is no name that a shell takes for a variable"));
    }
    Ok((name.into(), value.into()))
}

/// What a run came to: the status for our own end, and a message if it is not the program's.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: u8,
    pub(crate) message: Option<String>,
}

/// The command: runs the guest on this process's own output.
pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options, &mut std::io::stdout(), &mut std::io::stderr()) {
        Ok(outcome) => {
            if let Some(message) = outcome.message {
                eprintln!("xtask vm: {message}");
            }
            ExitCode::from(outcome.code)
        }
        Err(error) => {
            eprintln!("xtask vm: {error:#}");
            ExitCode::from(NO_GUEST)
        }
    }
}

/// Runs the program in a guest and passes its output on to `stdout` and `stderr`.
pub(crate) fn run(options: &Options, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Result<Outcome> {
    let asked = options.clone();
    let layout = match Layout::new(asked.nodes, asked.dist, asked.hmat, asked.lat, asked.bw) {
        Ok(layout) => layout,
        Err(message) => return Ok(Outcome { code: 2, message: Some(message) }),
    };
    // Before anything is fetched for a program that is not there.
    let (program, args) = match options.program.split_first() {
        Some((program, args)) => (Path::new(program), args),
        None => (Path::new(""), &[][..]),
    };
    ensure!(options.setup_only || program.exists(), "there is no program {}", program.display());
    let cache = setup::cache_folder()?;
    let mutex = setup::lock_cache(&cache)?;
    let kit = setup::prepare(&cache, &options.kernel)?;
    if options.setup_only {
        return Ok(Outcome { code: 0, message: None });
    }
    let folder = RunFolder::create(&cache, options.keep)?;
    drop(mutex);

    let image = folder.path.join("initrd");
    write_image(&image, &kit, options, &layout, (program, args))?;
    let machine = guest::Machine {
        kit: &kit,
        layout: &layout,
        image: &image,
        folder: &folder.path,
        append: &options.append.join(" "),
        swap_mib: options.swap,
        extra: &options.qemu,
        multi: options.multi,
        limit: Duration::from_secs(options.timeout),
    };
    let ended = guest::run(&machine, stdout, stderr)?;
    if let Some(out) = &options.out {
        bring_back(&folder.path.join("tar"), out)?;
    }
    Ok(outcome(ended, options))
}

/// Packs the program with what it runs on, if the guest's memory can hold that.
fn write_image(
    image: &Path,
    kit: &setup::Kit,
    options: &Options,
    layout: &Layout,
    (program, args): (&Path, &[OsString]),
) -> Result<()> {
    let payload = image::Payload {
        program,
        args,
        env: &options.env,
        with: &options.with,
        modules: &options.modules,
        swap: options.swap.is_some(),
        out: options.out.is_some(),
    };
    let bytes = image::write(image, kit, &payload)?;
    // The image is in memory twice while the kernel unpacks it.
    ensure!(
        bytes >> 20 < layout.total_mib() / 3,
        "the image with the program has {} MiB, too much for a guest of {} MiB: give --nodes with more memory, or \
         strip the program",
        bytes >> 20,
        layout.total_mib()
    );
    Ok(())
}

/// What the guest's end says to whoever started it.
fn outcome(ended: guest::Ended, options: &Options) -> Outcome {
    match ended {
        guest::Ended::Status(code) => Outcome { code, message: None },
        guest::Ended::TimeLimit => Outcome {
            code: TIME_LIMIT,
            message: Some(format!(
                "the program was still running after {} s; --timeout S gives it more",
                options.timeout
            )),
        },
        guest::Ended::NoGuest(why) => Outcome {
            code: NO_GUEST,
            message: Some(format!(
                "{why}(kernel: {}; --keep keeps the image and the whole logs)",
                options.kernel
            )),
        },
    }
}

fn bring_back(tar: &Path, out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    if fs::metadata(tar).is_ok_and(|metadata| metadata.len() > 0) {
        let status =
            Command::new("tar").arg("-C").arg(out).arg("-xf").arg(tar).arg("--no-same-owner").status()?;
        ensure!(status.success(), "tar cannot unpack what the program left in /out into {}", out.display());
    }
    Ok(())
}

/// A folder for one run, gone with this value unless it is to be kept.
///
/// # Invariants
/// The record lock on its file `running` is held: a folder without one belongs to a process that
/// was killed.
#[derive(Debug)]
struct RunFolder {
    path: PathBuf,
    keep: bool,
    _running: File,
}

impl RunFolder {
    /// A new folder, after removing what killed processes left. The caller holds the cache's mutex.
    fn create(cache: &Path, keep: bool) -> Result<Self> {
        let runs = cache.join("runs");
        fs::create_dir_all(&runs)?;
        for old in fs::read_dir(&runs)? {
            let old = old?.path();
            let abandoned = match File::open(old.join("running")) {
                Ok(running) => lock::try_take(&running).is_ok(),
                Err(_) => !old.join("kept").exists(),
            };
            if abandoned {
                fs::remove_dir_all(&old).with_context(|| format!("cannot remove {}", old.display()))?;
            }
        }
        let mut number = 1;
        let path = loop {
            let path = runs.join(number.to_string());
            match fs::create_dir(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
            }
        };
        let running = File::create(path.join("running"))?;
        lock::try_take(&running)
            .with_context(|| format!("cannot take the record lock in {}", path.display()))?;
        Ok(Self { path, keep, _running: running })
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("vm: kept {}", self.path.display());
            let _ = fs::rename(self.path.join("running"), self.path.join("kept"));
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
