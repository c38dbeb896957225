//! What the tests share: a registry, commands in it, processes that hold areas.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The program that is tested.
pub(crate) const AREAS: &str = env!("CARGO_BIN_EXE_areas");

/// A registry that no other test sees, and room for files.
pub(crate) struct Registry {
    folder: TempDir,
    files: TempDir,
}

impl Registry {
    pub(crate) fn new() -> Self {
        // As a registry has to be, whatever the umask is.
        let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap();
        Registry { folder, files: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where a file of that name may be.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A file of so many bytes, no two pages of which are the same.
    pub(crate) fn file_of(&self, name: &str, len: usize) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, bytes_of(len)).unwrap();
        path
    }

    /// `areas …`, in this registry and in a plain environment.
    pub(crate) fn areas<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let mut command = self.program(AREAS);
        command.args(arguments);
        command
    }

    /// Any program, in this registry and in a plain environment.
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "LC_CTYPE", "LANG", "TERM"] {
            command.env_remove(variable);
        }
        command.env("AREAS_DIR", self.path()).env("LC_ALL", "C.UTF-8").env("COLUMNS", "100");
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Ran {
        Ran::of(&mut self.areas(arguments))
    }

    /// A shell script, in which `areas` is the program.
    pub(crate) fn shell(&self, script: &str) -> Ran {
        Ran::of(self.program("bash").args(["-c", script]).env("PATH", path_with_areas()))
    }

    /// Starts `areas …`, which is to hold an area, and waits until it says that it is ready.
    /// Signals are as usual: those who run the tests by `nohup`, or in the background of a script,
    /// ignore some, and whom they start ignores these, too.
    pub(crate) fn hold<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Holder {
        let mut command = self.program("env");
        command.args(["--default-signal", AREAS]).args(arguments);
        Holder::start(&mut command)
    }

    /// What `areas ls --json` says.
    pub(crate) fn list(&self) -> Vec<Value> {
        let ran = self.run(["ls", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let list: Value = serde_json::from_str(&ran.stdout()).unwrap();
        list["areas"].as_array().unwrap().clone()
    }

    /// What `areas show --json` says.
    pub(crate) fn show(&self, area: &str) -> Value {
        let ran = self.run(["show", area, "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.stdout()).unwrap()
    }

    /// Nothing is there, and nothing is in the way of the next one.
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.list(), Vec::<Value>::new());
    }
}

/// What the last line of `areas ls` says of the areas it lists, without what else there is on the
/// machine, and where was looked.
pub(crate) fn total_of(listing: &str) -> &str {
    let line = listing.lines().last().unwrap_or_default();
    line.split_once("; ").map_or(line, |(total, _)| total)
}

/// The search path, with the program's folder first.
pub(crate) fn path_with_areas() -> String {
    let folder = Path::new(AREAS).parent().unwrap().display();
    format!("{folder}:{}", std::env::var("PATH").unwrap())
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

/// What a command did.
pub(crate) struct Ran {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) output: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        Ran::from(command.output().unwrap())
    }

    /// With that on its standard input.
    pub(crate) fn fed(command: &mut Command, input: &[u8]) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Who does not want it all has closed it.
        let _ = child.stdin.take().unwrap().write_all(input);
        Ran::from(child.wait_with_output().unwrap())
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.output.clone()).unwrap()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Ran {
            code: output.status.code(),
            output: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = String::from_utf8_lossy(&self.output[..self.output.len().min(2000)]);
        write!(f, "exit code {:?}\nstdout: {shown}\nstderr: {}", self.code, self.stderr)
    }
}

/// A process that holds an area, in a process group of its own. It is killed when this is dropped.
pub(crate) struct Holder {
    child: Child,
    output: BufReader<ChildStdout>,
    /// What it said when it was ready.
    pub(crate) ready: String,
}

impl Holder {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        output.read_line(&mut ready).unwrap();
        let mut holder = Holder { child, output, ready };
        if holder.ready.is_empty() {
            let mut errors = String::new();
            holder.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("{command:?} is not ready: {errors}");
        }
        holder
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.raw_pid(), signal).unwrap();
    }

    pub(crate) fn signal_group(&self, signal: Signal) {
        rustix::process::kill_process_group(self.raw_pid(), signal).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its exit code, or 1000 + n if signal n ended it.
    pub(crate) fn wait(&mut self) -> i32 {
        code_of(wait_for(&mut self.child))
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// What it has said on its standard error, up to its end.
    pub(crate) fn errors(&mut self) -> String {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        errors
    }

    /// What else it says, up to its end.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 1000 + status.signal().unwrap())
}

/// Waits for a child, but not forever.
pub(crate) fn wait_for(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "it does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
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

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says aloud that something could not be tested here.
pub(crate) fn skipped(test: &str, why: &str) {
    areas_testing::skipped(&format!("cli::{test}"), why);
}

/// Whether a command works here (`unshare`, `mount`): a chroot, a container or a sandbox may forbid
/// it. Where it does not, that is said, with the command's own words.
pub(crate) fn can_run(test: &str, command: &[&str]) -> bool {
    let output = Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).output();
    let why = match &output {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    skipped(test, &format!("`{}` does not work here: {why}", command.join(" ")));
    false
}

/// Replaces what differs from run to run: numbers of areas and processes, addresses, times.
pub(crate) fn without_chance(area: &mut Value) {
    for (field, stand_in) in
        [("id", "ID"), ("pid", "PID"), ("address", "ADDRESS"), ("created", "CREATED"), ("object", "OBJECT")]
    {
        if let Some(value) = area.get_mut(field) {
            assert!(!value.is_null(), "{field}");
            *value = format!("[{stand_in}]").into();
        }
    }
    // Which node it is on depends on the machine; its sum does not.
    if let Some(nodes) = area.get_mut("nodes") {
        let sum: u64 = nodes.as_object().unwrap().values().map(|bytes| bytes.as_u64().unwrap()).sum();
        *nodes = serde_json::json!({ "[NODES]": sum });
    }
    for holder in area.get_mut("holders").and_then(Value::as_array_mut).into_iter().flatten() {
        holder["pid"] = "[PID]".into();
        for id in holder["ids"].as_array_mut().unwrap() {
            *id = "[ID]".into();
        }
    }
}
