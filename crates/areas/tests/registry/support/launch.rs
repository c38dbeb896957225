//! How an agent is started: in which registry, within which commands.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::agent::Agent;
use super::channel::Channel;
use super::folder::Folder;

/// What makes this binary an agent.
pub(crate) const ROLE: &str = "AREAS_TEST_AGENT";

/// An agent to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    directory: Option<PathBuf>,
    within: Vec<String>,
    own_group: bool,
    program: Option<PathBuf>,
}

impl Launch {
    /// One whose registry is that folder's.
    pub(crate) fn new(folder: &Folder) -> Self {
        Launch { directory: Some(folder.registry()), ..Launch::default() }
    }

    /// One whose registry is where it is without `AREAS_DIR`: only in a mount namespace of the
    /// test's own.
    pub(crate) fn by_default() -> Self {
        Launch::default()
    }

    /// One whose registry is any path.
    pub(crate) fn at(directory: impl Into<PathBuf>) -> Self {
        Launch { directory: Some(directory.into()), ..Launch::default() }
    }

    /// Started by a command that starts what follows it: `unshare --mount`, say.
    pub(crate) fn within(mut self, command: &[&str]) -> Self {
        self.within.extend(command.iter().map(|&word| word.to_owned()));
        self
    }

    /// Started after a shell script, with `$1`, `$2` … being these words.
    pub(crate) fn after(self, script: &str, words: &[&str]) -> Self {
        let script = format!("set -e\n{script}\nshift {}\nexec \"$@\"", words.len());
        self.within(&["sh", "-c", &script, "sh"]).within(words)
    }

    /// Another copy of this binary.
    pub(crate) fn program(mut self, path: PathBuf) -> Self {
        self.program = Some(path);
        self
    }

    /// The leader of a process group of its own.
    pub(crate) fn own_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    pub(crate) fn start(&self) -> Agent {
        let (channel, theirs) = Channel::pair().expect("a pair of sockets");
        let mut words = self.within.clone();
        let program = self.program.clone().unwrap_or_else(|| path().expect("our path"));
        words.push(program.to_str().expect("a path in UTF-8").to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(theirs).env(ROLE, "1").env_remove("AREAS_DIR");
        if let Some(directory) = &self.directory {
            command.env("AREAS_DIR", directory);
        }
        if self.own_group {
            command.process_group(0);
        }
        Agent::new(channel, Some(command.spawn().expect("an agent starts")))
    }
}

fn path() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// Puts a new agent in this process's place, which talks over the same channel.
pub(crate) fn exec(channel: Channel) -> io::Error {
    match path() {
        Ok(path) => Command::new(path).stdin(channel.into_fd()).exec(),
        Err(error) => error,
    }
}
