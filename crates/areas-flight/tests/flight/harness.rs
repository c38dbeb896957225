//! What the tests share: "machines" (a registry and a home each), servers, and commands in them.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use areas_testing::{descriptors, maps};
use serde_json::Value;
use tempfile::TempDir;

/// For what takes no time on a machine that has nothing else to do.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The `areas` command, beside the program that is tested: built, if no process has.
pub(crate) fn areas_command() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = Path::new(env!("CARGO_BIN_EXE_areas-flight")).with_file_name("areas");
        if !path.exists() {
            let built =
                Command::new(env!("CARGO")).args(["build", "--package", "areas-cli", "--locked"]).status();
            assert!(built.unwrap().success() && path.exists(), "`cargo build -p areas-cli` makes {path:?}");
        }
        path
    })
}

/// A registry that no other sees, a home with its token, and a network.
pub(crate) struct Machine {
    folder: TempDir,
    /// The network namespace that its commands are started in.
    network: Option<String>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        // As a registry has to be, whatever the umask is.
        let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap();
        for part in ["registry", "home"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
            std::fs::set_permissions(folder.path().join(part), Permissions::from_mode(0o700)).unwrap();
        }
        Machine { folder, network: None }
    }

    pub(crate) fn in_network(name: &str) -> Self {
        Machine { network: Some(name.to_owned()), ..Machine::new() }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The token that its server makes.
    pub(crate) fn token(&self) -> PathBuf {
        self.file("home/areas/flight.token")
    }

    pub(crate) fn areas<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let mut command = match &self.network {
            None => Command::new(areas_command()),
            Some(network) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", network]).arg(areas_command());
                command
            }
        };
        command.args(arguments).stdin(Stdio::null());
        command.env("AREAS_DIR", self.file("registry")).env("XDG_CONFIG_HOME", self.file("home"));
        command.env("LC_ALL", "C.UTF-8").env_remove("TERM");
        command
    }

    pub(crate) fn run<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Ran {
        Ran::from(self.areas(arguments).output().unwrap())
    }

    /// Starts a command that holds something, and waits until it says that it does.
    pub(crate) fn hold<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Held {
        Held::start(&mut self.areas(arguments))
    }

    /// Puts bytes, frozen.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> Held {
        let path = self.file("file");
        std::fs::write(&path, bytes).unwrap();
        self.hold(["put", path.to_str().unwrap(), "--name", name, "--freeze"])
    }

    /// Serves what it has: the server, and its port.
    pub(crate) fn serve(&self, arguments: &[&str]) -> (Held, u16) {
        let held = self.hold([&["serve", "--json"], arguments].concat());
        let ready: Value = serde_json::from_str(&held.ready).unwrap();
        let port = ready["port"].as_u64().unwrap();
        (held, u16::try_from(port).unwrap())
    }

    pub(crate) fn show(&self, area: &str) -> Value {
        let ran = self.run(["show", area, "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_slice(&ran.output).unwrap()
    }

    pub(crate) fn bytes(&self, area: &str) -> Vec<u8> {
        let ran = self.run(["cat", area]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.output
    }

    /// No process publishes anything.
    pub(crate) fn assert_empty(&self) {
        let ran = self.run(["ls", "--json"]);
        let list: Value = serde_json::from_slice(&ran.output).unwrap();
        assert_eq!(list["areas"], serde_json::json!([]), "{ran:?}");
    }
}

/// Whether a command ended so, and said all of that.
#[track_caller]
pub(crate) fn check(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    for words in words {
        assert!(ran.stderr.contains(words), "{words:?} is not said: {ran:?}");
    }
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) output: Vec<u8>,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Ran { code: output.status.code(), output: output.stdout, stderr }
    }
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = String::from_utf8_lossy(&self.output[..self.output.len().min(500)]);
        write!(f, "exit code {:?}\nstdout: {shown}\nstderr: {}", self.code, self.stderr)
    }
}

/// A process that goes on until it is dropped.
pub(crate) struct Held {
    pub(crate) child: Child,
    /// What it said when it was ready.
    pub(crate) ready: String,
}

impl Held {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        let mut held = Held { child, ready };
        assert!(!held.ready.is_empty(), "{command:?} is not ready: {}", held.errors());
        held
    }

    /// Starts one that says nothing for now.
    pub(crate) fn started(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Held { child, ready: String::new() }
    }

    /// All that it says on its standard error, up to its end.
    pub(crate) fn errors(&mut self) -> String {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        errors
    }

    /// What it did, once it has ended.
    pub(crate) fn ended(&mut self) -> Ran {
        let status = wait_for(&mut self.child);
        let mut output = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
        Ran { code: status.code(), output, stderr: self.errors() }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The processes that it has started, and theirs.
    pub(crate) fn all_children(&self) -> Vec<u32> {
        children_of(self.child.id())
    }
}

/// The processes that a process has started, and theirs.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(pid) = all.get(at) {
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
        at += 1;
    }
    all.split_off(1)
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a child, but not forever.
pub(crate) fn wait_for(child: &mut Child) -> ExitStatus {
    let mut status = None;
    let ended = within(SOON, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert!(ended, "it does not end");
    status.unwrap()
}

/// Waits until something is so, at most so long.
pub(crate) fn within(limit: Duration, mut so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !so() {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// The memory objects of areas that a process has mapped or open, by inode; not the table that each
/// process has of what it publishes.
pub(crate) fn objects_of(pid: u32) -> Vec<u64> {
    let maps = maps::of(pid).unwrap_or_default().into_iter();
    let mut all: Vec<u64> = maps.filter(maps::Vma::is_area).map(|vma| vma.inode).collect();
    for one in descriptors::of(pid).unwrap_or_default().iter().filter(|one| one.is_area()) {
        all.extend(std::fs::metadata(&one.path).map(|file| file.ino()));
    }
    all
}

/// No process on this machine has these any more: the kernel has their memory back.
pub(crate) fn assert_freed(objects: &[u64]) {
    assert!(!objects.is_empty());
    let holder = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.find(|&pid| objects_of(pid).iter().any(|object| objects.contains(object)))
    };
    assert!(within(SOON, || holder().is_none()), "process {:?} still has it", holder());
}

/// Bytes of which no two pages are the same.
pub(crate) fn bytes_of(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len.next_multiple_of(8)];
    for (at, word) in bytes.as_chunks_mut().0.iter_mut().enumerate() {
        *word = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).to_le_bytes();
    }
    bytes.truncate(len);
    bytes
}

/// Says aloud that something could not be tested here.
pub(crate) fn skipped(test: &str, why: &str) {
    areas_testing::skipped(&format!("flight::{test}"), why);
}
