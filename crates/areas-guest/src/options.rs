//! What may be asked of a guest: the options of `cargo xtask vm`, which stand in the `// vm:` lines
//! of tests as well.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::kernel::Kernel;
use crate::layout::{Matrix, Nodes};

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
pub struct Options {
    /// CPUs and MiB of each node, those with CPUs first, e.g. "2:512 1:512 0:256"
    #[arg(long, value_name = "CPUS:MIB …")]
    pub(crate) nodes: Option<Nodes>,
    /// Distances, a row for each node: "10,21;21,10"
    #[arg(long, value_name = "D,…;…")]
    pub(crate) dist: Option<Matrix>,
    /// Report latency and bandwidth, 10·distance ns and 200000/distance MB/s unless given
    #[arg(long)]
    pub(crate) hmat: bool,
    /// Latencies in ns, a row for each node with CPUs, a column for each node ('-' leaves one out);
    /// implies --hmat
    #[arg(long, value_name = "NS,…;…")]
    pub(crate) lat: Option<Matrix>,
    /// Bandwidths in MB/s, in the same shape; implies --hmat
    #[arg(long, value_name = "MBS,…;…")]
    pub(crate) bw: Option<Matrix>,
    /// More kernel parameters, e.g. 'memmap=4M$8M'; repeat
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub(crate) append: Vec<String>,
    /// Swap space on a disk of this many MiB
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) swap: Option<u32>,
    /// Modules to load, of zram brd loop virtio_blk device_dax kmem nd_e820 nd_pmem dax_pmem vivid:
    /// "zram brd:rd_size=65536,rd_nr=1"
    #[arg(long, value_name = "NAMES", default_value = "", hide_default_value = true)]
    pub(crate) modules: String,
    /// Set an environment variable for the program; repeat
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(OsString, OsString)>,
    /// Take a program of this machine along, by its name or path, in /usr/bin, with its libraries;
    /// repeat
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) with: Vec<String>,
    /// Bring back into DIR what the program leaves in /out
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seconds that the program may take, after the boot
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
    /// cloud (6.12), full (6.12 with all drivers), a Debian package such as
    /// linux-image-cloud-amd64, or a bzImage
    #[arg(long, value_name = "KERNEL", default_value = "cloud")]
    pub(crate) kernel: Kernel,
    /// One host thread for each of the guest's CPUs: real parallelism, but one guest in a hundred
    /// crashes (QEMU 7.2)
    #[arg(long)]
    pub(crate) multi: bool,
    /// One more argument for QEMU; repeat
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) qemu: Vec<OsString>,
    /// Keep the folder with the image and the logs, and say where it is
    #[arg(long)]
    pub(crate) keep: bool,
    /// Fetch what is missing and run nothing
    #[arg(long)]
    pub(crate) setup_only: bool,
    /// The program and its arguments; of a folder, its file `run`, else each of its programs in
    /// turn
    #[arg(value_name = "PROGRAM|DIR [ARG…]", trailing_var_arg = true)]
    #[arg(required_unless_present = "setup_only")]
    pub(crate) program: Vec<OsString>,
}

fn variable(text: &str) -> Result<(OsString, OsString), String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if name.is_empty() || !good || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("'{name}' is not a name of a shell's variable"));
    }
    Ok((name.into(), value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_names_that_a_shell_takes() {
        assert_eq!(variable("A_1=x=y"), Ok(("A_1".into(), "x=y".into())));
        for bad in ["A", "=x", "1A=x", "A-B=x"] {
            assert!(variable(bad).is_err(), "{bad}");
        }
    }
}
