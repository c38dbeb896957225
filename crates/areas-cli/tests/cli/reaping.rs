//! What `areas reap` frees, and what it refuses: never what anybody holds.

#![expect(unsafe_code, reason = "shared memory as C programs make it; each block has its proof")]

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Registry, can_run, within};
use crate::scanning::{Posix, Segment, found, python, unique};

#[test]
fn machine_a_pythons_leak_is_freed_once_it_is_asked_for() {
    let registry = Registry::new();
    let Some((mut holder, name)) =
        python(&registry, "reaping::machine_a_pythons_leak_is_freed_once_it_is_asked_for")
    else {
        return;
    };
    let memory = Posix { path: Path::new("/dev/shm").join(&name) };
    let ran = registry.run(["reap", "python", &name, "--yes"]);
    assert_eq!((ran.code, memory.is_there(), ran.stdout().as_str()), (Some(1), true, ""), "{ran:?}");
    assert!(
        ran.stderr.contains(&format!("held by process {} python3 (mapped, open)", holder.pid())),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("help: "), "{ran:?}");
    holder.signal_group(Signal::KILL);
    holder.wait();
    // The tracker may end a moment later.
    assert!(within(Duration::from_secs(10), || found(&registry, "python", &name)["state"] == "leaked"));
    let ran = registry.run(["reap", "python", &name]);
    assert_eq!((ran.code, memory.is_there()), (Some(0), true), "{ran:?}");
    assert!(ran.stdout().starts_with(&format!("would free 3.00 MiB: python \"{name}\": ")), "{ran:?}");
    // What is freed is measured where it lies.
    let used = || {
        let stat = rustix::fs::statvfs("/dev/shm").unwrap();
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    };
    let before = used();
    let ran = registry.run(["reap", "python", &name, "--yes"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(ran.stdout(), format!("freed 3.00 MiB: python \"{name}\"\n"));
    assert!(!memory.is_there());
    // Other tests have memory there, too, but not that much.
    assert!(within(Duration::from_secs(10), || used() + (2 << 20) < before), "{before} {}", used());
    let ran = registry.run(["reap", "python", &name, "--yes"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
}

#[test]
fn machine_segments() {
    let registry = Registry::new();
    let segment = Segment::new(8192);
    let name = segment.0.to_string();
    let ran = registry.run(["reap", "sysv", &name, "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!((ran.code, &report["results"][0]["outcome"]), (Some(0), &"would_free".into()), "{ran:?}");
    assert!(segment.is_there());
    let ran = registry.run(["reap", "sysv", &name, "--yes"]);
    assert_eq!((ran.code, segment.is_there()), (Some(0), false), "{ran:?}");
    let ran = registry.run(["reap", "sysv", &name, "--yes"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");

    let segment = Segment::new(8192);
    let name = segment.0.to_string();
    // SAFETY: attached anywhere, and used by nothing.
    let address = unsafe { libc::shmat(segment.0, std::ptr::null(), 0) };
    let ran = registry.run(["reap", "sysv", &name, "--yes"]);
    assert_eq!((ran.code, segment.is_there()), (Some(1), true), "{ran:?}");
    assert!(ran.stderr.contains(&format!("held by process {} ", std::process::id())), "{ran:?}");
    // SAFETY: attached above, and used by nothing.
    assert_eq!(unsafe { libc::shmdt(address) }, 0);
    let ran = registry.run(["reap", "sysv", &name, "--yes"]);
    assert_eq!((ran.code, segment.is_there()), (Some(1), true), "{ran:?}");
    assert!(ran.stderr.contains("which had it last, still runs"), "{ran:?}");
    for wrong in ["x", "-1", "1.5"] {
        assert_eq!(registry.run(["reap", "sysv", "--yes", "--", wrong]).code, Some(2), "{wrong}");
    }
}

#[test]
fn machine_what_is_not_leaked_is_refused() {
    let registry = Registry::new();
    let memory = Posix::new("t-reap", 4096);
    let name = memory.name();
    let refused = |kind: &str, name: &str, code: i32, why: &str| {
        let ran = registry.run(["reap", kind, name, "--yes"]);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(code), ""), "{ran:?}");
        assert!(ran.stderr.contains(why), "{why}: {ran:?}");
        assert!(memory.is_there());
    };
    // A descriptor that opens nothing keeps it all the same.
    let path = rustix::fs::open(&memory.path, OFlags::PATH, Mode::empty()).unwrap();
    refused("shm", name, 1, "(open)");
    drop(path);
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    crate::scanning::send(&one, memory.open().into());
    refused("shm", name, 1, "its holder is not seen");
    drop((one, _other));
    let link = memory.path.with_extension("link");
    std::fs::hard_link(&memory.path, &link).unwrap();
    refused("shm", name, 1, "it has 2 names");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(name, &link).unwrap();
    refused("shm", link.file_name().unwrap().to_str().unwrap(), 2, "not a regular file");
    std::fs::remove_file(&link).unwrap();
    refused("python", name, 2, "by its name it is shm");
    let podmans = Posix::new("libpod_rootless_lock_t", 4096);
    assert_eq!(found(&registry, "shm", podmans.name())["state"], "idle");
    refused("shm", podmans.name(), 1, "podman has its locks in it");
    assert!(podmans.is_there());
    refused("area", name, 2, "an area cannot leak");
    refused("memfd", name, 2, "cannot leak");
    refused("shm", "../../etc/passwd", 3, "without `.` and `..`");
    refused("shm", "/etc/passwd", 3, "its path below /dev/shm");
    refused("huge", "/etc/passwd", 2, "lies on another file system");
    refused("shm", "t-reap-nothing", 3, "there is no such file");
    // Several at once: what can be freed is, and the status says that not all was; 3 only where
    // there was nothing to do at all.
    let ran = registry.run(["reap", "shm", "t-reap-nothing", "t-reap-nothing-2", "--yes"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let held = Posix::new("t-reap-held", 4096);
    let descriptor = held.open();
    for order in [["t-reap-nothing", held.name()], [held.name(), "t-reap-nothing"]] {
        let ran = registry.run(["reap", "shm", order[0], order[1], "--yes"]);
        assert_eq!((ran.code, held.is_there()), (Some(1), true), "{ran:?}");
    }
    drop(descriptor);
    let ran = registry.run(["reap", "shm", "t-reap-nothing", name, "--yes"]);
    assert_eq!((ran.code, memory.is_there()), (Some(1), false), "{ran:?}");
    assert!(ran.stdout().starts_with("freed ") && ran.stderr.contains("there is no such file"), "{ran:?}");
}

/// What is in the folder of a registry is ours.
#[test]
fn machine_registries_are_never_touched() {
    let folder = Path::new("/dev/shm").join(unique("t-reap-registry"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let registry = Registry::new();
    let mut command = registry.areas(["create", "--name", "x", "--size", "1M"]);
    let holder = crate::harness::Holder::start(command.env("AREAS_DIR", &folder));
    let space = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().file_name();
    let name = format!("{}/{}/control", unique("t-reap-registry"), space.to_str().unwrap());
    assert!(Path::new("/dev/shm").join(&name).is_file());
    let ran =
        crate::harness::Ran::of(registry.areas(["reap", "file", &name, "--yes"]).env("AREAS_DIR", &folder));
    let there = Path::new("/dev/shm").join(&name).is_file();
    drop(holder);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!((ran.code, there), (Some(2), true), "{ran:?}");
    assert!(ran.stderr.contains("it belongs to the registry of areas"), "{ran:?}");
}

#[test]
fn machine_files_of_hugetlbfs() {
    let test = "reaping::machine_files_of_hugetlbfs";
    let registry = Registry::new();
    let folder = registry.file("huge");
    std::fs::create_dir(&folder).unwrap();
    let folder = folder.to_str().unwrap();
    // In a mount namespace of its own, which goes with the command.
    if !can_run(test, &["unshare", "--mount", "mount", "-t", "hugetlbfs", "none", folder]) {
        return;
    }
    let script = format!(
        "set -e; mount -t hugetlbfs none {folder}; truncate -s 2M {folder}/x; exec 3<{folder}/x
         areas scan --no-headings --kind huge | grep ' held ' | grep -c {folder}/x
         ! areas reap huge {folder}/x --yes 2>/dev/null
         exec 3<&-
         areas scan --no-headings --kind huge | grep -c 'leaked.*areas reap huge {folder}/x --yes'
         areas reap huge {folder}/x --yes
         ! test -e {folder}/x"
    );
    let mut command = registry.program("unshare");
    command.args(["--mount", "bash", "-c", &script]).env("PATH", crate::harness::path_with_areas());
    let ran = crate::harness::Ran::of(&mut command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout(), format!("1\n1\nfreed 0 B: huge \"{folder}/x\"\n"));
}

/// What leaks in a container takes the machine's memory: it is found from outside, and freed there.
#[test]
fn machine_what_leaks_in_another_mount_namespace() {
    let test = "reaping::machine_what_leaks_in_another_mount_namespace";
    let mount = "mount -t tmpfs none /dev/shm";
    if !can_run(test, &["unshare", "--mount", "sh", "-c", mount]) {
        return;
    }
    let registry = Registry::new();
    let name = unique("t-reap-inside");
    let script = format!(
        "{mount}; echo text > /dev/shm/{name}; echo text > /dev/shm/{name}-held; exec 3</dev/shm/{name}-held
         ln -s /etc/passwd /dev/shm/{name}-link; echo ready; read -r end; test -e /dev/shm/{name}; echo $?"
    );
    let mut command = registry.program("unshare");
    command.args(["--mount", "bash", "-c", &script]).stdin(std::process::Stdio::piped());
    let inside = crate::harness::Holder::start(&mut command);
    let pid = inside.pid().to_string();
    let row = found(&registry, "shm", &format!("{name}-held"));
    assert_eq!((&row["state"], &row["holders"][0]["pid"]), (&"held".into(), &inside.pid().into()), "{row}");
    let row = found(&registry, "shm", &name);
    assert_eq!((&row["state"], &row["inside"]), (&"leaked".into(), &inside.pid().into()), "{row}");
    assert_eq!(row["free_with"], format!("areas reap shm {name} --in {pid} --yes"));
    // Here there is no such file.
    assert_eq!(registry.run(["reap", "shm", &name, "--yes"]).code, Some(3));
    let ran = registry.run(["reap", "shm", &format!("{name}-held"), "--in", &pid, "--yes"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let ran = registry.run(["reap", "shm", &format!("{name}-link"), "--in", &pid, "--yes"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let ran = registry.shell(row["free_with"].as_str().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(!Path::new(&format!("/proc/{pid}/root/dev/shm/{name}")).exists());
    assert!(Path::new(&format!("/proc/{pid}/root/dev/shm/{name}-held")).exists());
}

/// Threads open, map and close a memory all the time while it is to be freed, and make it again
/// once it is. Whoever has it has its bytes; what a process had all the while is never said to be
/// freed.
#[test]
fn machine_what_is_held_is_never_freed_in_a_storm() {
    let registry = Registry::new();
    let path = Path::new("/dev/shm").join(unique("t-reap-storm"));
    let end = AtomicBool::new(false);
    // When each had which one.
    let held: Mutex<Vec<(Instant, Instant, u64)>> = Mutex::default();
    let holder = |seed: u64| {
        let mut chance = seed;
        while !end.load(Ordering::Relaxed) {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_millis((chance >> 33) % 150));
            let Ok(file) = std::fs::File::open(&path) else { continue };
            let opened = Instant::now();
            let inode = std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap());
            let expected = vec![7; 100_000];
            std::thread::sleep(Duration::from_millis((chance >> 40) % 60));
            let mut bytes = vec![0; 100_000];
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).unwrap();
            assert!(bytes == expected);
            held.lock().unwrap().push((opened, Instant::now(), inode));
        }
    };
    let (mut freed, mut refused) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=2).map(|seed| scope.spawn(move || holder(seed))).collect();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) && (freed.len() < 8 || refused < 8) {
            if !path.exists() {
                let new = path.with_extension("new");
                std::fs::write(&new, vec![7; 100_000]).unwrap();
                std::fs::rename(&new, &path).unwrap();
            }
            let inode = std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
            let start = Instant::now();
            let ran = registry.run(["reap", "shm", path.file_name().unwrap().to_str().unwrap(), "--yes"]);
            match ran.code {
                Some(0) if ran.stdout().starts_with("freed ") => freed.push((start, Instant::now(), inode)),
                // A process opened it at that very moment, and keeps it.
                Some(0) => assert!(ran.stderr.contains("keeps its memory"), "{ran:?}"),
                Some(1) => refused += 1,
                _ => panic!("{ran:?}"),
            }
        }
        end.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let _ = std::fs::remove_file(&path);
    for (start, done, inode) in &freed {
        let all_the_while =
            |(opened, closed, had): &(Instant, Instant, u64)| had == inode && opened < start && closed > done;
        assert!(!held.lock().unwrap().iter().any(all_the_while), "freed under a holder");
    }
    // Both were tried.
    assert!(freed.len() >= 3 && refused >= 3, "{} freed, {refused} refused", freed.len());
    // Nothing is left half done.
    let left = std::fs::read_dir("/dev/shm").unwrap().flatten().any(|entry| {
        entry.file_name().to_string_lossy().starts_with(&format!(".areas-reap-{}", std::process::id()))
    });
    assert!(!left);
}
