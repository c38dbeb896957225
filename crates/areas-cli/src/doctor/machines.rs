//! Machines that are not this one: small trees of `/proc` and `/sys`, healthy ones and one illness
//! at a time.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::check::{Check, Counts, Remedy, State};
use super::facts::Facts;
use super::machine;

/// A machine in a folder.
struct Machine(TempDir);

const MEMINFO: &str = "MemTotal:  16000000 kB\nMemAvailable: 12000000 kB\nShmem: 1000 kB\nSwapTotal: 2000000 kB\n\
    SwapFree: 1900000 kB\nCommitLimit: 9000000 kB\nCommitted_AS: 3000000 kB\nHugepagesize: 2048 kB\n";

const STATUS: &str = "Name:\tareas\nPid:\t77\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nNSpid:\t77\n\
    VmSize:\t  9000 kB\nVmLck:\t     0 kB\nTHP_enabled:\t1\nCapEff:\t0000000000000000\nSeccomp:\t0\nMems_allowed_list:\t0-1\n";

/// A line of `/proc/PID/limits`.
fn limits(memlock: &str, files: &str, addresses: &str, size: &str) -> String {
    format!(
        "Limit                     Soft Limit           Hard Limit           Units\n\
         Max file size             {size}            unlimited            bytes\n\
         Max processes             5000                 unlimited            processes\n\
         Max open files            {files}              1048576              files\n\
         Max locked memory         {memlock}            unlimited            bytes\n\
         Max address space         {addresses}          unlimited            bytes\n"
    )
}

const MOUNTS: &str = "22 1 0:21 / /proc rw,nosuid - proc proc rw\n25 1 0:23 / /dev/shm rw,nosuid - tmpfs tmpfs rw,size=8g\n\
    26 1 0:24 / /cg rw - cgroup2 none rw\n";

const HUGE: &str = "sys/kernel/mm/hugepages/hugepages-2048kB";

impl Machine {
    fn healthy() -> Self {
        let machine = Machine(tempfile::tempdir().unwrap());
        for (path, text) in [
            ("proc/sys/kernel/osrelease", "6.12.1-test\n"),
            ("proc/meminfo", MEMINFO),
            ("proc/sys/vm/overcommit_memory", "0\n"),
            ("proc/sys/vm/max_map_count", "65530\n"),
            ("proc/sys/vm/memfd_noexec", "0\n"),
            ("proc/sys/vm/zone_reclaim_mode", "0\n"),
            ("proc/sys/vm/swappiness", "60\n"),
            ("proc/sys/fs/file-nr", "1000\t0\t9223372036854775807\n"),
            ("proc/sys/kernel/numa_balancing", "0\n"),
            ("proc/sys/kernel/yama/ptrace_scope", "1\n"),
            ("proc/cmdline", "quiet\n"),
            ("proc/77/status", STATUS),
            ("proc/77/maps", "1-2 r--p 0 0:0 0\n"),
            ("proc/77/cgroup", "0::/app/box\n"),
            ("proc/77/mountinfo", MOUNTS),
            ("proc/77/uid_map", "         0          0 4294967295\n"),
            ("proc/77/fd/0", ""),
            ("proc/78/status", STATUS),
            ("proc/78/fd/0", ""),
            ("cg/app/box/memory.max", "max\n"),
            ("cg/app/memory.max", "8589934592\n"),
            ("cg/app/memory.high", "max\n"),
            ("cg/app/memory.current", "1000000000\n"),
            ("cg/app/memory.stat", "anon 1\n"),
            ("cg/app/memory.events", "high 0\nmax 0\n"),
            ("sys/kernel/security/lsm", "capability,yama"),
            ("sys/module/zswap/parameters/enabled", "N\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            (
                "sys/kernel/mm/transparent_hugepage/shmem_enabled",
                "always within_size [advise] never deny force\n",
            ),
            ("sys/kernel/mm/numa/demotion_enabled", "false\n"),
            ("sys/devices/system/node/online", "0-1\n"),
            ("sys/devices/system/node/has_memory", "0-1\n"),
            ("sys/devices/system/cpu/online", "0-3\n"),
            ("sys/devices/system/cpu/present", "0-3\n"),
        ] {
            machine.put(path, text);
        }
        machine.put("proc/77/limits", limits("unlimited", "65536", "unlimited", "unlimited"));
        for node in [0, 1] {
            machine.node(node, 8);
        }
        machine.pool(HUGE, 16, 10);
        symlink("77", machine.0.path().join("proc/self")).unwrap();
        let shm = machine.0.path().join("dev/shm");
        fs::create_dir_all(shm.join("areas-1000")).unwrap();
        fs::set_permissions(&shm, fs::Permissions::from_mode(0o1777)).unwrap();
        machine.own(0o700);
        machine
    }

    fn node(&self, node: u32, huge: u64) {
        let folder = format!("sys/devices/system/node/node{node}");
        self.put(&format!("{folder}/cpulist"), if node == 0 { "0-1\n" } else { "2-3\n" });
        self.put(&format!("{folder}/distance"), if node == 0 { "10 20\n" } else { "20 10\n" });
        self.put(
            &format!("{folder}/meminfo"),
            format!("Node {node} MemTotal: 8000000 kB\nNode {node} MemFree: 5000000 kB\n"),
        );
        self.put(&format!("{folder}/access1/initiators/node{node}/uevent"), "");
        self.put(&format!("{folder}/access1/initiators/read_bandwidth"), "10000\n");
        self.pool(&format!("{folder}/hugepages/hugepages-2048kB"), huge, huge.min(5));
    }

    fn pool(&self, folder: &str, total: u64, free: u64) {
        for (file, number) in [("nr", total), ("free", free), ("surplus", 0), ("resv", 0)] {
            self.put(&format!("{folder}/{file}_hugepages"), format!("{number}\n"));
        }
    }

    /// The registry's folder, of this mode. It belongs to the user that runs the test, and so do
    /// the processes of this machine.
    fn own(&self, mode: u32) {
        let uid = rustix::process::geteuid().as_raw();
        let shm = self.0.path().join("dev/shm");
        let folder = shm.join(format!("areas-{uid}"));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        for pid in [77, 78] {
            self.put(&format!("proc/{pid}/status"), STATUS.replace("1000", &uid.to_string()));
        }
    }

    fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.0.path().join(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }

    fn checks(&self) -> Vec<Check> {
        machine(&Facts::of(self.0.path())).into_iter().flat_map(|group| group.checks).collect()
    }
}

/// What cannot be found out from files.
const TRIED: [&str; 2] = ["kernel.", "sandbox."];

#[test]
fn a_healthy_machine_is_fine() {
    let machine = Machine::healthy();
    let ill: Vec<Check> = machine
        .checks()
        .into_iter()
        .filter(|check| check.state != Fine && !TRIED.iter().any(|group| check.id.starts_with(group)))
        .collect();
    assert_eq!(ill, []);
    // What was not tried is not fine either.
    let tried = machine.checks().into_iter().find(|check| check.id == "sandbox.calls").unwrap();
    assert_eq!(tried.state, Unknown);
}

/// One illness: what is there then, which check reports it, and what mends it, or a part of that.
type Illness = (&'static str, &'static [u8], &'static str, State, &'static str);

use State::{Broken, Fine, Remark, Unknown};

#[rustfmt::skip]
const ILLNESSES: &[Illness] = &[
    ("proc/meminfo", b"MemTotal: 1000 kB\nMemAvailable: 10 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n", "memory.available", Remark, "areas ls --sort ram"),
    ("proc/meminfo", b"MemTotal: 1000 kB\n", "memory.available", Unknown, ""),
    ("proc/meminfo", b"MemTotal: 1000 kB\nMemAvailable: 900 kB\nSwapTotal: 100 kB\nSwapFree: 10 kB\n", "memory.swap", Remark, "sysctl vm.swappiness=1"),
    ("proc/sys/vm/max_map_count", b"1000\n", "limits.mappings", Remark, "sysctl vm.max_map_count=262120"),
    ("proc/sys/vm/max_map_count", b"1\n", "limits.mappings", Broken, "sysctl vm.max_map_count=262120"),
    ("proc/sys/vm/max_map_count", b"many\n", "limits.mappings", Unknown, ""),
    ("proc/sys/vm/overcommit_memory", b"2\n", "limits.overcommit", Remark, "sysctl vm.overcommit_memory=0"),
    ("proc/sys/vm/overcommit_memory", b"-1\n", "limits.overcommit", Unknown, ""),
    ("proc/sys/fs/file-nr", b"999\t0\t1000\n", "limits.file-max", Broken, "sysctl fs.file-max=2000"),
    ("proc/sys/fs/file-nr", b"\x1b[2J", "limits.file-max", Unknown, ""),
    ("proc/sys/kernel/numa_balancing", b"1\n", "numa.balancing", Remark, "sysctl kernel.numa_balancing=0"),
    ("proc/sys/vm/zone_reclaim_mode", b"1\n", "numa.reclaim", Remark, "sysctl vm.zone_reclaim_mode=0"),
    ("sys/kernel/mm/numa/demotion_enabled", b"true\n", "numa.tiers", Remark, "echo false > /sys/kernel/mm/numa/demotion_enabled"),
    ("sys/devices/system/node/node1/distance", b"?\n", "numa.odd", Unknown, ""),
    ("proc/sys/kernel/yama/ptrace_scope", b"3\n", "sight.yama", Remark, "sysctl kernel.yama.ptrace_scope=0"),
    ("proc/77/mountinfo", b"22 1 0:21 / /proc rw - proc proc rw,hidepid=invisible\n", "sight.hidepid", Remark, "mount -o remount,hidepid=0 /proc"),
    ("proc/77/mountinfo", b"22 1 0:21 / /proc rw - proc proc rw,subset=pid\n", "sight.hidepid", Remark, "mount -t proc proc /proc"),
    ("proc/77/mountinfo", b"22 1 0:21 / /proc rw - proc proc rw\n25 1 0:23 / /dev/shm ro - tmpfs tmpfs rw\n", "registry.shm", Broken, "mount -o remount,rw /dev/shm"),
    ("proc/77/mountinfo", b"22 1 0:21 / /proc rw - proc proc rw\n", "groups.membership", Unknown, ""),
    ("proc/77/uid_map", b"0 1000 1\n", "sight.user-namespace", Remark, "areas offer"),
    ("proc/77/uid_map", b"", "sight.user-namespace", Remark, "unshare --map-root-user"),
    ("sys/kernel/mm/transparent_hugepage/enabled", b"always madvise [never]\n", "huge.transparent", Remark, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"),
    ("sys/kernel/mm/transparent_hugepage/enabled", b"\xff\xfe", "huge.transparent", Unknown, ""),
    ("sys/kernel/mm/transparent_hugepage/shmem_enabled", b"always [deny]\n", "huge.shmem", Remark, "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled"),
    ("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", b"0\n", "huge.pool", Remark, "echo 64 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"),
    ("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", b"0\n", "huge.pool", Remark, "echo 32 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"),
    ("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", b"x\n", "huge.pool", Unknown, ""),
    ("sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", b"0\n", "huge.pool", Remark, "echo 8 > /sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages"),
    ("cg/app/memory.high", b"1010000000\n", "groups.high", Broken, "/cg/app/memory.high"),
    ("cg/app/memory.high", b"1200000000\n", "groups.high", Remark, "/cg/app/memory.high"),
    ("cg/app/memory.max", b"1010000000\n", "groups.memory", Broken, "/cg/app/memory.max"),
    ("cg/app/memory.high", b"9000000000\n", "groups.high", Fine, ""),
    ("proc/77/limits", b"Max open files 5000 unlimited files\n", "limits.memlock", Unknown, ""),
    ("proc/cmdline", b"memmap=4M$8M\n", "sight.low-memory", Fine, ""),
    ("sys/kernel/security/lsm", b"capability,landlock\n", "sight.landlock", Fine, ""),
    ("proc/sys/kernel/osrelease", b"\x1b]0;x\x07\n", "kernel.version", Fine, ""),
];

#[test]
fn each_illness_is_found_and_the_line_that_mends_it_reported() {
    for (path, text, id, state, remedy) in ILLNESSES {
        let machine = Machine::healthy();
        machine.put(path, text);
        let why = format!("{path}: {}", String::from_utf8_lossy(text));
        let checks = machine.checks();
        let found: Vec<&Check> = checks.iter().filter(|check| check.id == *id).collect();
        let check =
            found.iter().find(|check| check.state == *state).unwrap_or_else(|| panic!("{why}: {found:?}"));
        let lines = check.remedies.iter().map(|of| match of {
            Remedy::Root(line) | Remedy::Shell(line) | Remedy::Words(line) => line.as_str(),
        });
        let lines: Vec<&str> = lines.collect();
        assert!(remedy.is_empty() || lines.iter().any(|line| line.contains(remedy)), "{why}: {check:?}");
        // Other paths than those of that machine would mend nothing.
        assert!(!format!("{checks:?}").contains(machine.0.path().to_str().unwrap()), "{why}: {checks:?}");
    }
}

#[test]
fn limits_of_the_process() {
    let cases = [
        (
            limits("8388608", "65536", "unlimited", "unlimited"),
            "limits.memlock",
            Remark,
            "ulimit -S -l unlimited",
        ),
        (limits("unlimited", "4", "unlimited", "unlimited"), "limits.nofile", Broken, "ulimit -S -n hard"),
        (limits("unlimited", "256", "unlimited", "unlimited"), "limits.nofile", Remark, "LimitNOFILE="),
        (
            limits("unlimited", "65536", "1073741824", "unlimited"),
            "limits.as",
            Remark,
            "ulimit -S -v unlimited",
        ),
        (limits("unlimited", "65536", "10000000", "unlimited"), "limits.as", Broken, "LimitAS="),
        (
            limits("unlimited", "65536", "unlimited", "10737418240"),
            "limits.fsize",
            Remark,
            "ulimit -S -f unlimited",
        ),
        (limits("unlimited", "65536", "unlimited", "0"), "limits.fsize", Broken, "LimitFSIZE=infinity"),
    ];
    for (text, id, state, remedy) in cases {
        let machine = Machine::healthy();
        machine.put("proc/77/limits", text);
        let check = machine.checks().into_iter().find(|check| check.id == id).unwrap();
        assert_eq!(check.state, state, "{check:?}");
        assert!(format!("{check:?}").contains(remedy), "{check:?}");
    }
}

#[test]
fn whose_capabilities_and_cpuset() {
    let machine = Machine::healthy();
    let uid = rustix::process::geteuid().as_raw().to_string();
    machine.put("proc/77/limits", limits("8388608", "65536", "unlimited", "unlimited"));
    machine.put(
        "proc/77/status",
        STATUS
            .replace("1000", &uid)
            .replace("0-1", "1")
            .replace("CapEff:\t0000000000000000", "CapEff:\t0000000000004000"),
    );
    let checks = machine.checks();
    let find = |id: &str| checks.iter().find(|check| check.id == id).unwrap();
    assert_eq!(find("limits.memlock").state, Fine, "CAP_IPC_LOCK");
    let cpuset = find("numa.cpuset");
    assert_eq!(cpuset.state, Remark);
    assert_eq!(cpuset.remedies[0], Remedy::Root("echo 0-1 > /cg/app/box/cpuset.mems".to_owned()));
    assert!(find("sight.capabilities").finding.contains("CAP_SYS_NICE"));
}

#[test]
fn folders_of_the_registry() {
    let uid = rustix::process::geteuid().as_raw();
    let find =
        |machine: &Machine, id: &str| machine.checks().into_iter().find(|check| check.id == id).unwrap();
    let machine = Machine::healthy();
    machine.own(0o755);
    let check = find(&machine, "registry.folder");
    assert_eq!(check.state, Broken, "{check:?}");
    assert_eq!(check.remedies[0], Remedy::Shell(format!("chmod 700 /dev/shm/areas-{uid}")));
    machine.own(0o700);
    machine.put(&format!("dev/shm/areas-{uid}/a file"), "");
    let space = format!("dev/shm/areas-{uid}/pid-1/teams");
    fs::create_dir_all(machine.0.path().join(&space)).unwrap();
    symlink("/proc/77/fd/0", machine.0.path().join(&space).join("0.1.2")).unwrap();
    symlink("/proc/79/fd/0", machine.0.path().join(&space).join("1.1.2")).unwrap();
    let check = find(&machine, "registry.entries");
    assert!(
        check.finding.starts_with("processes with areas here: 1; gone, their links not yet removed: 1"),
        "{check:?}"
    );
    assert_eq!(check.remedies, [Remedy::Shell(format!("rm -r '/dev/shm/areas-{uid}/a file'"))]);
    // Another process's link in its place.
    machine.remove(&format!("dev/shm/areas-{uid}"));
    symlink("/etc", machine.0.path().join(format!("dev/shm/areas-{uid}"))).unwrap();
    let check = find(&machine, "registry.folder");
    assert!(check.state == Remark && check.finding.contains("a link is never followed"), "{check:?}");
}

/// A machine of which nothing can be read: not one check that panics, or claims anything.
#[test]
fn an_empty_machine_and_one_of_noise() {
    let empty = tempfile::tempdir().unwrap();
    let groups = machine(&Facts::of(empty.path()));
    let fine: Vec<&str> = groups
        .iter()
        .flat_map(|group| &group.checks)
        .filter(|check| check.state == Fine)
        .map(|check| check.id)
        .collect();
    assert_eq!(fine, [""; 0], "of what cannot be seen nothing is claimed");
    assert!(Counts::of(&groups).unknown > 15);
    let noisy = Machine::healthy();
    let paths: Vec<&str> = ILLNESSES.iter().map(|illness| illness.0).collect();
    for noise in [
        &b"\xff\xff\xff"[..],
        b"",
        b"\0\0\0\0",
        b"18446744073709551616\n",
        b"[\n] : - - / / /\n",
        &[b'['; 100_000],
    ] {
        paths.iter().for_each(|path| noisy.put(path, noise));
        assert!(!noisy.checks().is_empty());
    }
}
