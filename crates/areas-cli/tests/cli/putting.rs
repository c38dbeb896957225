//! Files into areas and out again.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::time::Duration;

use areas_testing::{descriptors, smaps, status};
use rustix::process::Signal;

use crate::harness::{Ran, Registry, bytes_of, skipped, within};

#[test]
fn every_byte_comes_back() {
    let registry = Registry::new();
    for len in [1, 4096, 5000, (40 << 20) + 123] {
        let file = registry.file_of("file", len);
        let _holder = registry.hold(["put".as_ref(), file.as_os_str(), "--name".as_ref(), "copy".as_ref()]);
        let area = registry.show("copy");
        assert_eq!(area["size"], len);
        assert_eq!(area["resident"], area["mapped"], "all of it is in RAM");
        let ran = registry.run(["cat", "copy"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        assert!(ran.output == bytes_of(len), "{len}");
        let by_id = registry.run(["cat", &area["id"].to_string()]);
        assert!(by_id.output == ran.output, "{len}");
    }
    registry.assert_empty();
}

/// The folder of a new control group with that limit on memory, in either version; `None` where
/// none can be made.
fn control_group(limit: usize) -> Option<(std::path::PathBuf, &'static str)> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mounts: Vec<Vec<&str>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
    let one =
        mounts.iter().find(|mount| mount[2] == "cgroup" && mount[3].split(',').any(|word| word == "memory"));
    let (top, file) = match one {
        Some(mount) => (mount[1], "memory.limit_in_bytes"),
        None => (mounts.iter().find(|mount| mount[2] == "cgroup2")?[1], "memory.max"),
    };
    let top = std::path::Path::new(top);
    let _ = fs::write(top.join("cgroup.subtree_control"), "+memory");
    let folder = top.join(format!("areas-put-{}", std::process::id()));
    fs::create_dir(&folder).ok()?;
    if fs::write(folder.join(file), limit.to_string()).is_err() {
        let _ = fs::remove_dir(&folder);
        return None;
    }
    Some((folder, file))
}

/// In a container with too little memory it is refused, from a file and from a pipe, and not
/// killed.
#[test]
fn more_than_a_control_group_may_hold_is_refused() {
    let Some((folder, file)) = control_group(64 << 20) else {
        return skipped(
            "putting::more_than_a_control_group_may_hold_is_refused",
            "no control group can be made here",
        );
    };
    let registry = Registry::new();
    let large = registry.file_of("large", 200 << 20);
    let inside = format!("echo 0 > {}/cgroup.procs && ", folder.display());
    for put in [
        format!("exec areas put {} --name large -- true", large.display()),
        // As much as may be there once, and not while it is moved.
        "head -c 200M /dev/zero | areas put - --name large -- true".to_owned(),
        "head -c 60M /dev/zero | areas put - --name large -- true".to_owned(),
    ] {
        let ran = registry.shell(&format!("{inside}{put}"));
        assert_eq!(ran.code, Some(1), "{put}: {ran:?}");
        let name = folder.file_name().unwrap().to_str().unwrap();
        let whose = format!("control group /{name} ({file} is 64.0 MiB, ");
        assert!(
            ran.stderr.contains(&whose) && ran.stderr.contains("help: ask for less, raise the limit: `echo "),
            "{ran:?}"
        );
    }
    let ran = registry.shell(&format!("{inside}head -c 40M /dev/zero | areas put - --name fits -- true"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(within(Duration::from_secs(5), || fs::remove_dir(&folder).is_ok()));
    registry.assert_empty();
}

#[test]
fn placed_locked_frozen() {
    let registry = Registry::new();
    let file = registry.file_of("file", (3 << 20) + 5);
    let file = file.to_str().unwrap();
    let cases: [(&[&str], &str, &str, &str); 9] = [
        (&[], "default", "none", "rw-"),
        (&["--policy", "default"], "default", "none", "rw-"),
        (&["--policy", "local"], "local", "none", "rw-"),
        (&["--nodes", "0"], "bind:0", "none", "rw-"),
        (&["--policy", "bind", "--nodes", "0"], "bind:0", "none", "rw-"),
        (&["--policy", "preferred", "--nodes", "0"], "preferred:0", "none", "rw-"),
        (&["--policy", "interleave", "--nodes", "0"], "interleave:0", "none", "rw-"),
        (&["--lock", "lazy"], "default", "lazy", "rw-"),
        (&["--lock", "full", "--freeze"], "default", "full", "r--"),
    ];
    for (options, policy, lock, protection) in cases {
        let mut holder = registry.hold([&["put", file, "--name", "x"][..], options].concat());
        let area = registry.show("x");
        assert_eq!(area["policy"], policy, "{options:?}");
        assert_eq!(area["lock"], lock, "{options:?}");
        assert_eq!(area["protection"], protection, "{options:?}");
        assert_eq!(area["frozen"], options.contains(&"--freeze"), "{options:?}");
        assert_eq!(area["resident"], area["mapped"], "{options:?}");
        assert!(registry.run(["cat", "x"]).output == bytes_of((3 << 20) + 5), "{options:?}");
        holder.signal(Signal::TERM);
        assert_eq!(holder.wait(), 128 + 15);
    }
}

/// Contiguous parts, from a file and from a stream; and a memory space for the nodes of a policy.
#[test]
fn split_and_spaces() {
    let registry = Registry::new();
    let file = registry.file_of("file", (3 << 20) + 5);
    let file = file.to_str().unwrap();
    let put = ["put", file, "--name", "x", "--split", "0:1,0:3"];
    let mut holder = registry.hold(put);
    assert_eq!(registry.show("x")["policy"], "bind:0");
    assert!(registry.run(["cat", "x"]).output == bytes_of((3 << 20) + 5));
    holder.signal(Signal::TERM);
    assert_eq!(holder.wait(), 128 + 15);
    let ran = registry.shell("head -c 5000000 /dev/zero | areas put - --name x --split 0,0 -- areas show x");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout().contains("bind:0"), "{ran:?}");
    let create = ["create", "--name", "x", "--size", "3M", "--populate"];
    let _holder = registry.hold([&create[..], &["--split", "0"]].concat());
    assert_eq!(registry.show("x")["resident"], 3 << 20);
    for (options, code, text) in [
        (&["--split", "0:1", "--nodes", "0"][..], 2, "cannot be used with"),
        (&["--split", "0:0"], 2, "it is not a list of nodes"),
        (&["--split", "1023"], 1, "may not be used"),
        (&["--nodes", "highest-capacity@cpu99999"], 2, "CPU 99999 is on no node"),
        (&["--nodes", "highest-capacity@9"], 2, "it names neither a CPU nor a node"),
    ] {
        let ran = registry.run([&create[..], options].concat());
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(text), "{ran:?}");
    }
    let ran = registry.run(
        [&["create", "--name", "y", "--size", "1M", "--nodes", "highest-capacity"], &["--", "true"][..]]
            .concat(),
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.starts_with("areas: highest-capacity is node"), "{ran:?}");
}

#[test]
fn interleaving_takes_all_nodes_that_are_allowed() {
    let registry = Registry::new();
    let file = registry.file_of("file", 1 << 20);
    let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x", "--policy", "interleave"]);
    let policy = registry.show("x")["policy"].clone();
    assert!(policy.as_str().unwrap().starts_with("interleave:"), "{policy}");
    assert!(!policy.as_str().unwrap().ends_with("all"), "{policy}");
}

#[test]
fn a_locked_area_is_locked() {
    let registry = Registry::new();
    let file = registry.file_of("file", 4 << 20);
    for lock in ["full", "lazy"] {
        let holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x", "--lock", lock]);
        let status = status::of(holder.pid()).unwrap();
        assert_eq!(status.bytes("VmLck"), Some(4 << 20), "{lock}: {status:?}");
        // Not only to be locked: every page of it is.
        let maps = smaps::of(holder.pid()).unwrap();
        assert!(maps.iter().any(|one| one.bytes("Locked") == 4 << 20), "{lock}: {maps:?}");
    }
}

#[test]
fn what_the_pool_cannot_give_is_reported() {
    let registry = Registry::new();
    let file = registry.file_of("file", 5 << 20);
    let mut holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x", "--huge", "auto"]);
    assert!(registry.run(["cat", "x"]).output == bytes_of(5 << 20));
    let area = registry.show("x");
    holder.signal(Signal::TERM);
    holder.wait();
    if area["page_size"] == 2 << 20 {
        assert_eq!(area["mapped"], 6 << 20);
    } else {
        let ran = registry.run(["put", file.to_str().unwrap(), "--name", "x", "--huge", "2M"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("2 MiB pages"), "{ran:?}");
        registry.assert_empty();
    }
}

#[test]
fn an_empty_file_is_an_area_of_size_0() {
    let registry = Registry::new();
    let file = registry.file_of("empty", 0);
    for options in [&[][..], &["--freeze"], &["--lock", "full"], &["--policy", "interleave"]] {
        let arguments = [&["put", file.to_str().unwrap(), "--name", "empty"][..], options].concat();
        let _holder = registry.hold(arguments);
        let area = registry.show("empty");
        assert_eq!((&area["size"], &area["resident"]), (&0.into(), &0.into()), "{options:?}");
        assert_eq!(area["mapped"], rustix::param::page_size(), "{options:?}");
        let ran = registry.run(["cat", "empty"]);
        assert_eq!((ran.code, ran.output.len()), (Some(0), 0), "{options:?}");
    }
}

#[test]
fn what_is_no_file_leaves_nothing_behind() {
    let registry = Registry::new();
    let folder = registry.file("folder");
    fs::create_dir(&folder).unwrap();
    let cases = [
        (folder, "it is a directory"),
        (registry.file("nothing"), "no such file or directory"),
        (registry.file("nothing/below"), "no such file or directory"),
    ];
    for (path, message) in cases {
        let ran = registry.run(["put".as_ref(), path.as_os_str(), "--name".as_ref(), "x".as_ref()]);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("areas: cannot read {path:?}: {message}")), "{ran:?}");
    }
    registry.assert_empty();
}

#[test]
fn names_may_hold_anything_but_nul() {
    let registry = Registry::new();
    let file = registry.file_of("file", 100);
    for name in [&b"a b/c"[..], b"123", b"-x", b"\xff\xfe", "größe\n".as_bytes(), &[b'y'; 255]] {
        let name = std::ffi::OsStr::from_bytes(name);
        let mut argument = std::ffi::OsString::from("--name=");
        argument.push(name);
        let _holder = registry.hold(["put".as_ref(), file.as_os_str(), argument.as_os_str()]);
        let mut forced = std::ffi::OsString::from("name:");
        forced.push(name);
        let ran = registry.run(["cat".as_ref(), forced.as_os_str()]);
        assert!(ran.output == bytes_of(100), "{name:?}: {ran:?}");
        assert_eq!(registry.list().len(), 1);
    }
}

#[test]
fn a_part_of_an_area() {
    let registry = Registry::new();
    let file = registry.file_of("file", 1_000_000);
    let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let bytes = bytes_of(1_000_000);
    let cases: [(&[&str], &[u8]); 7] = [
        (&["--offset", "0", "--length", "0"], &[]),
        (&["--offset", "5", "--length", "7"], &bytes[5..12]),
        (&["--offset", "1K"], &bytes[1024..]),
        (&["--length", "600K"], &bytes[..600 << 10]),
        (&["--offset", "999999", "--length", "1G"], &bytes[999_999..]),
        (&["--offset", "1000000"], &[]),
        (&["--offset", "1000000", "--length", "1"], &[]),
    ];
    for (options, expected) in cases {
        let ran = registry.run([&["cat", "x"][..], options].concat());
        assert_eq!(ran.code, Some(0), "{options:?}");
        assert!(ran.output == expected, "{options:?}: {}", ran.output.len());
    }
    let ran = registry.run(["cat", "x", "--offset", "1000001"]);
    assert_eq!((ran.code, ran.output.len()), (Some(1), 0));
    assert!(ran.stderr.contains("byte 1000001 is beyond its end, at 1000000"), "{ran:?}");
}

#[test]
fn reading_holes_takes_no_memory() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "zeros", "--size", "64M"]);
    assert_eq!(registry.show("zeros")["resident"], 0);
    let ran = registry.run(["cat", "zeros"]);
    assert_eq!(ran.output.len(), 64 << 20);
    assert!(ran.output.iter().all(|&byte| byte == 0));
    assert_eq!(registry.show("zeros")["resident"], 0, "cat has touched it");
}

#[test]
fn created_and_populated() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "3M", "--populate", "--nodes", "0"]);
    let area = registry.show("x");
    assert_eq!((&area["resident"], &area["policy"]), (&(3 << 20).into(), &"bind:0".into()));
    assert_eq!(area["nodes"], serde_json::json!({"0": 3 << 20}));
}

#[test]
fn created_to_grow() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M", "--growable", "1G"]);
    let area = registry.show("x");
    assert_eq!((&area["size"], &area["reserve"]), (&(1 << 20).into(), &(1 << 30).into()));
    assert_eq!(area["growable"], true);
    let ran = registry.run(["create", "--name", "y", "--size", "1M", "--growable", "1G", "--lock", "full"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("a reserve cannot be locked"), "{ran:?}");
}

/// The area is a copy: what happens to the file does not matter to it.
#[test]
fn the_file_may_go() {
    let registry = Registry::new();
    let file = registry.file_of("file", 100_000);
    let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    fs::write(&file, "short").unwrap();
    fs::remove_file(&file).unwrap();
    assert!(registry.run(["cat", "x"]).output == bytes_of(100_000));
}

/// A holder keeps no descriptor of the file, and of the area just one.
#[test]
fn a_holder_holds_the_area_alone() {
    let registry = Registry::new();
    let file = registry.file_of("file", 100_000);
    let holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let inode = fs::metadata(&file).unwrap().ino();
    for descriptor in descriptors::of(holder.pid()).unwrap() {
        let target = fs::metadata(descriptor.path);
        assert!(target.is_ok_and(|target| target.ino() != inode));
    }
    let holders = registry.show("x")["holders"].clone();
    assert_eq!(holders.as_array().unwrap().len(), 1);
    assert_eq!(holders[0]["descriptors"], 1, "{holders}");
}

#[test]
fn one_line_when_ready() {
    let registry = Registry::new();
    let file = registry.file_of("file", 100_000);
    let mut holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x", "--freeze"]);
    let id = registry.list()[0]["id"].to_string();
    let pid = holder.pid();
    assert_eq!(
        holder.ready,
        format!("area {id} \"x\", 97.7 KiB, frozen: held by process {pid} until it ends\n")
    );
    holder.signal(Signal::TERM);
    assert_eq!((holder.wait(), holder.rest().as_str()), (143, ""));

    let mut holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x", "--json"]);
    let ready: serde_json::Value = serde_json::from_str(&holder.ready).unwrap();
    assert_eq!((&ready["schema"], &ready["name"], &ready["size"]), (&1.into(), &"x".into(), &100_000.into()));
    holder.signal(Signal::TERM);
    assert_eq!((holder.wait(), holder.rest().as_str()), (143, ""));

    let holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x", "--quiet"]);
    assert_eq!(holder.ready, format!("{}\n", registry.list()[0]["id"]));
}

/// No process reads the ready line: then no process wants the area.
#[test]
fn a_closed_output_ends_it_quietly() {
    let registry = Registry::new();
    let mut command = registry.areas(["create", "--name", "x", "--size", "1M"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran =
        Ran::from(command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(141), ""));
    registry.assert_empty();
}

const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// The pool with so many pages more, for this test alone; put back when it is dropped.
struct Pool {
    before: usize,
    _alone: fs::File,
}

impl Pool {
    fn with(pages: usize, test: &str) -> Option<Self> {
        let count =
            || fs::read_to_string(format!("{POOL}/nr_hugepages")).unwrap().trim().parse::<usize>().unwrap();
        let Ok(file) = fs::File::open(format!("{POOL}/nr_hugepages")) else {
            skipped(test, "this kernel has no pool of 2 MiB pages");
            return None;
        };
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let pool = Pool { before: count(), _alone: file };
        let wanted = pool.before + pages;
        if fs::write(format!("{POOL}/nr_hugepages"), wanted.to_string()).is_err() || count() < wanted {
            skipped(test, "the pool of huge pages cannot be filled here (it takes root, and free memory)");
            return None;
        }
        Some(pool)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let _ = fs::write(format!("{POOL}/nr_hugepages"), self.before.to_string());
    }
}

#[test]
fn machine_areas_of_pool_pages_grow_and_are_contiguous() {
    let registry = Registry::new();
    let Some(_pool) = Pool::with(4, "cli::putting::machine_areas_of_pool_pages_grow_and_are_contiguous")
    else {
        return;
    };
    let free =
        || fs::read_to_string(format!("{POOL}/free_hugepages")).unwrap().trim().parse::<usize>().unwrap();
    let before = free();
    for kind in ["--growable", "--resizable"] {
        let options = ["create", "--name", "x", "--size", "1M", "--huge", "2M", kind, "8M"];
        let _holder = registry.hold(options);
        let area = registry.show("x");
        assert_eq!((&area["size"], &area["page_size"]), (&(2 << 20).into(), &(2 << 20).into()), "{kind}");
        assert_eq!(free(), before - 1, "{kind}");
        let ran = registry.run(["resize", "x", "3M"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!((&registry.show("x")["size"], free()), (&(4 << 20).into(), before - 2), "{kind}");
    }
    assert!(within(Duration::from_secs(30), || free() == before), "they are back");
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M", "--lock", "contiguous"]);
    let area = registry.show("x");
    assert_eq!(
        (&area["lock"], &area["page_size"], free()),
        (&"contiguous".into(), &(2 << 20).into(), before - 1)
    );
}

#[test]
fn memory_that_was_not_reserved_cannot_be_had() {
    let registry = Registry::new();
    if fs::read_to_string("/proc/cmdline").unwrap().contains("memmap=") {
        return skipped(
            "cli::putting::memory_that_was_not_reserved_cannot_be_had",
            "this machine reserves memory",
        );
    }
    let ran = registry.run(["create", "--name", "x", "--size", "1M", "--lock", "low"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("memmap=4M$8M"), "{ran:?}");
    let ran = registry.run(["create", "--name", "x", "--size", "1M", "--lock", "lowest"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("contiguous-32"), "{ran:?}");
}
