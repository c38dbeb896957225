//! What `areas scan` says of real shared memory of each kind: whose it is, who holds it, and
//! whether it is leaked.

#![expect(unsafe_code, reason = "shared memory as C programs make it; each block has its proof")]

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Holder, Ran, Registry, can_run, is_root, skipped};

/// A file in /dev/shm, of so many bytes, all in RAM. It goes when this is dropped.
pub(crate) struct Posix {
    pub(crate) path: PathBuf,
}

impl Posix {
    pub(crate) fn new(name: &str, len: usize) -> Self {
        let posix = Posix { path: Path::new("/dev/shm").join(unique(name)) };
        std::fs::write(&posix.path, vec![7; len]).unwrap();
        posix
    }

    pub(crate) fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    pub(crate) fn open(&self) -> File {
        OpenOptions::new().read(true).write(true).open(&self.path).unwrap()
    }

    pub(crate) fn is_there(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }
}

impl Drop for Posix {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A name that no other test has, nor another run.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// A segment of System V, made by a program that has ended. It goes when this is dropped.
pub(crate) struct Segment(pub(crate) i32);

impl Segment {
    pub(crate) fn new(bytes: usize) -> Self {
        let output = Command::new("ipcmk").args(["-M", &bytes.to_string()]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        Segment(text.trim().rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{text:?}")))
    }

    pub(crate) fn is_there(&self) -> bool {
        let text = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
        let id = self.0.to_string();
        text.lines().skip(1).any(|line| line.split_whitespace().nth(1) == Some(&id))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let _ = Command::new("ipcrm").args(["-m", &self.0.to_string()]).output();
    }
}

pub(crate) fn scan(registry: &Registry) -> Value {
    let ran = registry.run(["scan", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    serde_json::from_str(&ran.stdout()).unwrap()
}

/// A row of the listing.
pub(crate) fn row(scanned: &Value, kind: &str, name: &str) -> Option<Value> {
    let all = scanned["memories"].as_array().unwrap();
    all.iter().find(|memory| memory["kind"] == kind && memory["name"] == name).cloned()
}

pub(crate) fn found(registry: &Registry, kind: &str, name: &str) -> Value {
    let scanned = scan(registry);
    row(&scanned, kind, name).unwrap_or_else(|| panic!("no {kind} {name}: {scanned:#}"))
}

/// The holder with this process's number.
pub(crate) fn ours(row: &Value) -> Option<&Value> {
    row["holders"].as_array().unwrap().iter().find(|holder| holder["pid"] == std::process::id())
}

/// A Python that has shared memory of 3 MiB, in a process group with its resource tracker; and the
/// memory's name.
pub(crate) fn python(registry: &Registry, test: &str) -> Option<(Holder, String)> {
    if !can_run(test, &["python3", "-c", "from multiprocessing import shared_memory"]) {
        return None;
    }
    let script = "from multiprocessing import shared_memory\nimport time\n\
                  memory = shared_memory.SharedMemory(create=True, size=3 << 20)\n\
                  memory.buf[:] = bytes([7]) * (3 << 20)\nprint(memory.name, flush=True)\ntime.sleep(1000)";
    let holder = Holder::start(registry.program("python3").args(["-c", script]));
    let name = holder.ready.trim().to_owned();
    assert!(name.starts_with("psm_"), "{name}");
    Some((holder, name))
}

#[test]
fn machine_a_killed_pythons_memory_is_leaked() {
    let registry = Registry::new();
    let Some((mut holder, name)) = python(&registry, "scanning::machine_a_killed_pythons_memory_is_leaked")
    else {
        return;
    };
    let _gone = Posix { path: Path::new("/dev/shm").join(&name) };
    let row = found(&registry, "python", &name);
    assert_eq!((&row["state"], &row["allocated"]), (&"held".into(), &(3 << 20).into()), "{row}");
    let by = row["holders"].as_array().unwrap().iter().find(|by| by["pid"] == holder.pid()).unwrap();
    assert_eq!((&by["mapped"], &by["free_with"]), (&true.into(), &Value::Null), "{row}");
    // With its tracker, which would have removed it: as the out-of-memory killer and `systemctl
    // kill` do.
    holder.signal_group(Signal::KILL);
    holder.wait();
    let row = found(&registry, "python", &name);
    assert_eq!((&row["state"], row["holders"].as_array().unwrap().len()), (&"leaked".into(), 0), "{row}");
    assert_eq!(row["free_with"], format!("areas reap python {name} --yes"));
    assert_eq!(row["resident"], row["allocated"]);
    // It stands among the first.
    let text = registry.run(["scan", "--leaked"]);
    assert_eq!(text.code, Some(0), "{text:?}");
    let line = text.stdout().lines().find(|line| line.contains(&name)).unwrap().to_owned();
    assert!(line.starts_with("python") && line.contains("3.00 MiB"), "{line}");
    assert!(line.ends_with(&format!("none: areas reap python {name} --yes")), "{line}");
}

#[test]
fn machine_posix_memory_is_held_by_a_descriptor_or_a_mapping() {
    let registry = Registry::new();
    let memory = Posix::new("t-scan-posix", 10_000);
    let row = found(&registry, "shm", memory.name());
    assert_eq!(
        (&row["state"], &row["size"], &row["allocated"]),
        (&"leaked".into(), &10_000.into(), &12288.into())
    );
    let file = memory.open();
    let row = found(&registry, "shm", memory.name());
    assert_eq!((&row["state"], &row["free_with"]), (&"held".into(), &Value::Null), "{row}");
    let by = ours(&row).unwrap();
    assert_eq!((&by["mapped"], &by["descriptors"]), (&false.into(), &1.into()), "{row}");
    // SAFETY: a new mapping, which no process reads.
    let mapping = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            4096,
            rustix::mm::ProtFlags::READ,
            rustix::mm::MapFlags::SHARED,
            &file,
            0,
        )
    }
    .unwrap();
    drop(file);
    let row = found(&registry, "shm", memory.name());
    let by = ours(&row).unwrap();
    assert_eq!((&by["mapped"], &by["descriptors"]), (&true.into(), &0.into()), "{row}");
    // Its name goes, and it is reported all the same.
    std::fs::remove_file(&memory.path).unwrap();
    let row = found(&registry, "shm", memory.name());
    assert_eq!((&row["state"], &row["path"]), (&"held".into(), &Value::Null), "{row}");
    assert!(row["why"].as_str().unwrap().contains("name is gone"), "{row}");
    // SAFETY: the mapping from above.
    unsafe { rustix::mm::munmap(mapping, 4096) }.unwrap();
    assert_eq!(self::row(&scan(&registry), "shm", memory.name()), None);
}

/// What waits in a socket no look at processes shows: the kernel knows of it.
#[test]
fn machine_what_is_on_its_way_through_a_socket_is_not_leaked() {
    let registry = Registry::new();
    let memory = Posix::new("t-scan-flight", 4096);
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    send(&one, memory.open().into());
    let scanned = scan(&registry);
    let row = row(&scanned, "shm", memory.name()).unwrap();
    assert_eq!((&row["state"], row["holders"].as_array().unwrap().len()), (&"held".into(), 0), "{row}");
    assert!(row["why"].as_str().unwrap().contains("through a socket"), "{row}");
    assert!(scanned["unseen"]["in_sockets"].as_u64().unwrap() >= 1, "{scanned}");
    let text = registry.run(["scan"]).stdout();
    assert!(text.contains("on their way through sockets"), "{text}");
    drop((one, other));
    assert_eq!(found(&registry, "shm", memory.name())["state"], "leaked");
}

pub(crate) fn send(socket: &std::os::unix::net::UnixStream, file: OwnedFd) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [file.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&files)));
    sendmsg(socket, &[std::io::IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
}

#[test]
fn machine_a_threads_own_descriptors_are_seen() {
    let registry = Registry::new();
    let memory = Posix::new("t-scan-thread", 4096);
    let path = memory.path.clone();
    let (sender, receiver) = std::sync::mpsc::channel();
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        // SAFETY: this thread uses no descriptor of others, and closes what it opens.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) }.unwrap();
        let file = File::open(path).unwrap();
        sender.send(()).unwrap();
        let _ = wait.recv();
        drop(file);
    });
    receiver.recv().unwrap();
    let row = found(&registry, "shm", memory.name());
    assert_eq!((&row["state"], &ours(&row).unwrap()["descriptors"]), (&"held".into(), &1.into()), "{row}");
    drop(end);
    thread.join().unwrap();
    assert_eq!(found(&registry, "shm", memory.name())["state"], "leaked");
}

#[test]
fn machine_segments_are_leaked_idle_or_held() {
    let registry = Registry::new();
    let segment = Segment::new(8192);
    let name = segment.0.to_string();
    let row = found(&registry, "sysv", &name);
    assert_eq!((&row["state"], &row["size"]), (&"leaked".into(), &8192.into()), "{row}");
    // SAFETY: attached anywhere, and used by nothing.
    let address = unsafe { libc::shmat(segment.0, std::ptr::null(), 0) };
    assert_ne!(address.addr(), usize::MAX);
    let row = found(&registry, "sysv", &name);
    assert_eq!((&row["state"], &ours(&row).unwrap()["mapped"]), (&"held".into(), &true.into()), "{row}");
    // SAFETY: attached above, and used by nothing.
    assert_eq!(unsafe { libc::shmdt(address) }, 0);
    // This process, which had it last, still runs.
    let row = found(&registry, "sysv", &name);
    assert_eq!((&row["state"], &row["free_with"]), (&"idle".into(), &Value::Null), "{row}");
    assert!(row["why"].as_str().unwrap().contains("which had it last, still runs"), "{row}");
}

#[test]
fn machine_semaphores_memory_objects_and_areas() {
    let registry = Registry::new();
    let name = unique("t-scan-sem");
    let c_name = CString::new(format!("/{name}")).unwrap();
    let _gone = Posix { path: Path::new("/dev/shm").join(format!("sem.{name}")) };
    // SAFETY: a name that ends with a zero; the four arguments of a semaphore that is made.
    let semaphore =
        unsafe { libc::sem_open(c_name.as_ptr(), libc::O_CREAT | libc::O_EXCL, 0o600_u32, 1_u32) };
    assert!(!semaphore.is_null());
    assert!(ours(&found(&registry, "sem", &format!("sem.{name}"))).is_some());
    // SAFETY: opened above, and used by nothing.
    assert_eq!(unsafe { libc::sem_close(semaphore) }, 0);
    assert_eq!(found(&registry, "sem", &format!("sem.{name}"))["state"], "leaked");

    let label = unique("t-scan-memfd");
    let memfd = rustix::fs::memfd_create(&label, rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&memfd, 1 << 20).unwrap();
    let row = found(&registry, "memfd", &label);
    assert_eq!(
        (&row["state"], &row["size"], &row["allocated"]),
        (&"held".into(), &(1 << 20).into(), &0.into())
    );
    assert!(ours(&row).is_some(), "{row}");

    let unpublished = areas::builder(5 << 20).shared().unwrap();
    unpublished.write_at(0, &[1; 8192]).unwrap();
    let scanned = scan(&registry);
    let all = scanned["memories"].as_array().unwrap();
    let row = all.iter().find(|row| row["kind"] == "area" && ours(row).is_some()).unwrap();
    assert_eq!((&row["allocated"], &row["areas"]), (&8192.into(), &serde_json::json!([])), "{row}");
    assert!(row["why"].as_str().unwrap().contains("no process publishes it"), "{row}");
    let holder = registry.hold(["create", "--name", "published", "--size", "1M"]);
    let row = found(&registry, "area", "published");
    assert_eq!((&row["state"], &row["areas"][0]["pid"]), (&"held".into(), &holder.pid().into()), "{row}");
}

/// What others have called their memory does nothing to a terminal, or to a shell.
#[test]
fn machine_odd_names_are_escaped() {
    let registry = Registry::new();
    let name = [b"t-scan\n\x1b[31m\xe2\x80\xae'$(false)\xff" as &[u8], unique("").as_bytes()].concat();
    let memory = Posix { path: Path::new("/dev/shm").join(std::ffi::OsStr::from_bytes(&name)) };
    std::fs::write(&memory.path, "x").unwrap();
    let ran = registry.run(["scan", "--leaked", "--kind", "shm"]);
    let text = ran.stdout();
    let line = text.lines().find(|line| line.contains("t-scan\\n")).unwrap();
    assert!(line.contains("\\u{1b}[31m\\u{202e}'$(false)"), "{line}");
    assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{text}");
    let scanned = scan(&registry);
    let all = scanned["memories"].as_array().unwrap();
    let row = all.iter().find(|row| row["name"].as_str().unwrap().starts_with("t-scan\n")).unwrap();
    let command = row["free_with"].as_str().unwrap();
    assert!(row["name_bytes"].as_str().unwrap().starts_with("hex:742d"), "{row}");
    // The command that is named does it, in a shell.
    let ran = registry.shell(command);
    assert_eq!((ran.code, memory.is_there()), (Some(0), false), "{command}: {ran:?}");
}

#[test]
fn machine_folders_and_options() {
    let registry = Registry::new();
    let folder = Path::new("/dev/shm").join(unique("t-scan-folder"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("x.pkl"), [1; 5000]).unwrap();
    std::os::unix::fs::symlink("x.pkl", folder.join("link")).unwrap();
    let name = format!("{}/x.pkl", unique("t-scan-folder"));
    let row = found(&registry, "file", &name);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!((&row["state"], &row["size"]), (&"leaked".into(), &5000.into()));
    let _memory = Posix::new("t-scan-options", 4096);
    let names = registry.run(["scan", "-q", "--kind", "shm,sem"]);
    assert!(names.stdout().contains(&format!("shm {}\n", unique("t-scan-options"))), "{names:?}");
    assert!(
        names.stdout().lines().all(|line| line.starts_with("shm ") || line.starts_with("sem ")),
        "{names:?}"
    );
    let bytes =
        registry.run(["scan", "--bytes", "--no-headings", "--sort", "name", "--kind", "shm"]).stdout();
    assert!(bytes.contains(" 4096 ") && !bytes.contains("KIND") && !bytes.contains("memories"), "{bytes}");
    assert_eq!(registry.run(["scan", "--kind", "colour"]).code, Some(2));
    assert_eq!(registry.run(["scan", "--leaked", "--kind", "memfd"]).code, Some(3));
}

/// From inside of a pid namespace, whoever is outside is not seen, and is not taken for no process.
#[test]
fn machine_holders_outside_of_a_pid_namespace_are_not_taken_for_none() {
    let test = "scanning::machine_holders_outside_of_a_pid_namespace_are_not_taken_for_none";
    if !can_run(test, &["unshare", "--pid", "--fork", "--mount-proc", "true"]) {
        return;
    }
    let registry = Registry::new();
    let memory = Posix::new("t-scan-outside", 4096);
    let inside = |arguments: &[&str]| {
        let mut command = registry.program("unshare");
        command.args(["--pid", "--fork", "--mount-proc", crate::harness::AREAS]).args(arguments);
        Ran::of(&mut command)
    };
    let held = memory.open();
    let scanned: Value = serde_json::from_str(&inside(&["scan", "--json"]).stdout()).unwrap();
    let row = row(&scanned, "shm", memory.name()).unwrap();
    assert_eq!((&row["state"], row["holders"].as_array().unwrap().len()), (&"held".into(), 0), "{row}");
    assert_eq!(scanned["unseen"]["outside"], true);
    let ran = inside(&["reap", "shm", memory.name(), "--yes"]);
    assert_eq!((ran.code, memory.is_there()), (Some(1), true), "{ran:?}");
    drop(held);
    let ran = inside(&["reap", "shm", memory.name(), "--yes"]);
    assert_eq!((ran.code, memory.is_there()), (Some(0), false), "{ran:?}");
}

/// An ordinary user, who may not look into most processes.
#[test]
fn machine_of_other_users_memory_it_is_said_that_nothing_is_known() {
    let test = "scanning::machine_of_other_users_memory_it_is_said_that_nothing_is_known";
    if !is_root() {
        return skipped(test, "only root can become another user");
    }
    let registry = Registry::new();
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("areas");
    std::fs::copy(crate::harness::AREAS, &program).unwrap();
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let nobody = |arguments: &[&str]| {
        let mut command = registry.program("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(&program)
            .args(arguments);
        Ran::of(command.env_remove("AREAS_DIR"))
    };
    let look = |kind: &str, name: &str| {
        let scanned: Value = serde_json::from_str(&nobody(&["scan", "--json"]).stdout()).unwrap();
        assert!(!scanned["unseen"]["processes"].as_array().unwrap().is_empty(), "{scanned}");
        row(&scanned, kind, name).unwrap()
    };
    let roots = Posix::new("t-scan-roots", 4096);
    let row = look("shm", roots.name());
    assert_eq!(row["state"], "unknown", "{row}");
    assert!(row["why"].as_str().unwrap().contains("only that user and root may ask"), "{row}");
    let ran = nobody(&["reap", "shm", roots.name(), "--yes"]);
    assert_eq!((ran.code, roots.is_there()), (Some(1), true), "{ran:?}");
    // Its own it may ask about; that a process of root's has it open, which it may not look into,
    // the kernel reports.
    let theirs = Posix { path: Path::new("/dev/shm").join(unique("t-scan-theirs")) };
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&theirs.path).unwrap();
    std::os::unix::fs::chown(&theirs.path, Some(65534), Some(65534)).unwrap();
    let held = theirs.open();
    let row = look("shm", theirs.name());
    assert_eq!((&row["state"], row["holders"].as_array().unwrap().len()), (&"held".into(), 0), "{row}");
    let ran = nobody(&["reap", "shm", theirs.name(), "--yes"]);
    assert_eq!((ran.code, theirs.is_there()), (Some(1), true), "{ran:?}");
    drop(held);
    assert_eq!(look("shm", theirs.name())["state"], "leaked");
    let ran = nobody(&["reap", "shm", theirs.name(), "--yes"]);
    assert_eq!((ran.code, theirs.is_there()), (Some(0), false), "{ran:?}");
}
