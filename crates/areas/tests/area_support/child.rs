//! Tests in processes of their own: for limits, identities, kills, registries and counts of what is
//! held.
//!
//! A test runs its own binary again, for itself alone, with a role in the environment; the two talk
//! in lines over pipes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use super::folder::Folder;
use super::is_root;

const ROLE: &str = "AREAS_TEST_ROLE";
/// Begins a line that is for the other side: what libtest prints has none.
const MARK: char = '\u{1e}';
/// Stands for a line's end inside of what is reported.
const BREAK: char = '\u{1f}';
/// "nobody": an ordinary user without any capability.
pub(crate) const NOBODY: u32 = 65534;

/// The test that is running, by its name: what the `test!` macro makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Test(pub(crate) &'static str);

/// `test!("name")`: the test function of that name in this module.
macro_rules! test {
    ($name:literal) => {
        $crate::support::child::Test(concat!(module_path!(), "::", $name))
    };
}
pub(crate) use test;

/// As whom, and where, a process of a test's own runs.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    /// As an ordinary user, where we are root.
    ordinary: bool,
    /// Run by this command: `unshare --pid …`.
    through: Vec<&'static str>,
    folder: Option<Folder>,
    registry: Option<PathBuf>,
}

impl Stage {
    pub(crate) fn ordinary() -> Self {
        Stage { ordinary: true, ..Stage::default() }
    }

    pub(crate) fn through(command: &[&'static str]) -> Self {
        Stage { through: command.to_vec(), ..Stage::default() }
    }

    /// The stage that this process is on: the same registry.
    pub(crate) fn here() -> Self {
        Stage { registry: std::env::var_os("AREAS_DIR").map(PathBuf::from), ..Stage::default() }
    }

    /// With that folder as the registry, whatever is there.
    pub(crate) fn registry(self, path: PathBuf) -> Self {
        Stage { registry: Some(path), ..self }
    }

    /// The folder of all processes on this stage. Made again at first use, and the user's own.
    fn folder(&mut self) -> &Folder {
        let (ordinary, folder) = (self.ordinary && is_root(), &mut self.folder);
        folder.get_or_insert_with(|| {
            let folder = Folder::new();
            if ordinary {
                chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            }
            folder
        })
    }

    fn command(&mut self) -> Command {
        let mut program = std::env::current_exe().unwrap();
        let ordinary = self.ordinary && is_root();
        if ordinary {
            // The build's folder may be one that only root can enter.
            let copy = self.folder().join("program");
            if !copy.exists() {
                std::fs::copy(&program, &copy).unwrap();
                std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).unwrap();
            }
            program = copy;
        }
        let mut command = match self.through.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        if ordinary {
            command.uid(NOBODY).gid(NOBODY).current_dir("/");
        }
        let registry = self.registry.clone().unwrap_or_else(|| self.folder().join("registry"));
        command.env("AREAS_DIR", registry);
        command
    }
}

impl Test {
    /// The name as libtest knows it, without the crate.
    pub(crate) fn name(self) -> &'static str {
        self.0.split_once("::").map_or(self.0, |(_, rest)| rest)
    }

    /// What this process is to do, if it was started by this test.
    pub(crate) fn role(self) -> Option<String> {
        std::env::var(ROLE).ok()
    }

    /// Runs `body` in a process of its own; releases what it returned there.
    ///
    /// The other process comes here too, and never returns from here.
    pub(crate) fn alone(self, mut stage: Stage, body: impl FnOnce() -> String) -> String {
        if self.role().is_some() {
            reply(&body());
            std::process::exit(0);
        }
        let mut process = self.spawn(&mut stage, "alone");
        let answer = process.hear();
        assert!(process.end().success(), "{} reported {answer:?} and then failed", self.0);
        answer
    }

    /// Starts this test once more, in a role.
    pub(crate) fn spawn(self, stage: &mut Stage, role: &str) -> Peer {
        let mut command = stage.command();
        command.args([self.name(), "--exact", "--nocapture"]).env(ROLE, role);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = loop {
            match command.spawn() {
                // Another test's thread has forked while we were writing the copy, and has not come
                // to its exec yet.
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                other => break other.unwrap(),
            }
        };
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Peer { child, to, from }
    }
}

/// Another process of the same test. Killed if it is dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// The next thing that it reports.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            if self.from.read_line(&mut line).unwrap() == 0 {
                let status = self.child.wait().unwrap();
                panic!("the other process ended ({status}) and reported nothing, but said: {all}");
            }
            if let Some(reported) = line.strip_prefix(MARK) {
                return reported.trim_end().replace(BREAK, "\n");
            }
            all.push_str(&line);
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        let to = self.to.as_mut().unwrap();
        writeln!(to, "{text}").unwrap();
        to.flush().unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it end, and waits for that.
    pub(crate) fn end(&mut self) -> ExitStatus {
        self.to = None;
        self.child.wait().unwrap()
    }

    /// `SIGKILL`, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reports to the process that started this one.
pub(crate) fn reply(text: &str) {
    let mut out = std::io::stdout().lock();
    // libtest leaves its own line unfinished.
    writeln!(out, "\n{MARK}{}", text.replace('\n', &BREAK.to_string())).unwrap();
    out.flush().unwrap();
}

/// What the process that started this one sends next; empty when it has ended or wants us to.
pub(crate) fn hear() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
