//! The helper process's end: it takes one command a line and answers each with one line.

mod finding;
mod holding;
mod process;
mod tables;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use areas::registry::{self, Source};
use areas::{Area, Shared};

use super::channel::{Channel, Ear};
use super::{launch, raw, resizing, walking, workload};

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library refused.
    Areas(areas::Error),
    /// The agent itself could not: a mistake in the test, or a wrong result.
    Helper(String),
    /// No command of that group.
    Unknown,
}

impl From<areas::Error> for Failure {
    fn from(error: areas::Error) -> Self {
        Failure::Areas(error)
    }
}

macro_rules! helpers {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::Helper(format!("{error:?}"))
            }
        }
    )*};
}
helpers!(std::io::Error, rustix::io::Errno, std::num::ParseIntError, String);

/// What an agent holds.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    pub(crate) areas: BTreeMap<u32, Area<Shared>>,
    pub(crate) next: u32,
    pub(crate) resizables: resizing::Resizables,
    /// Threads that use the registry in the background.
    pub(crate) busy: Option<workload::Busy>,
    /// Areas of any kind that change hands.
    pub(crate) any: BTreeMap<u32, areas::Received>,
    /// Private memory that is in the way.
    pub(crate) blocks: Vec<Area<areas::Private>>,
    /// Kept open for links that lead to them.
    pub(crate) files: Vec<File>,
    /// Files of other code in this process, which knows nothing of areas.
    pub(crate) bystanders: Vec<File>,
    /// What takes all mappings that there are.
    pub(crate) filler: Vec<areas::Mapping>,
    /// Keeps what is held published.
    keeper: Option<registry::Keeper>,
    /// What was found some time ago.
    source: Option<Source>,
}

impl Holdings {
    pub(crate) fn keep(&mut self, area: Area<Shared>) -> String {
        let id = area.id().map_or("-".to_owned(), |id| id.to_string());
        self.areas.insert(self.next, area);
        self.next += 1;
        format!("{} {id}", self.next - 1)
    }

    fn area_mut(&mut self, handle: &str) -> Result<&mut Area<Shared>, Failure> {
        self.areas.get_mut(&handle.parse()?).ok_or_else(|| Failure::Helper("no such area".to_owned()))
    }

    fn remembered(&self) -> Result<&Source, Failure> {
        self.source.as_ref().ok_or_else(|| Failure::Helper("nothing is remembered".to_owned()))
    }

    pub(crate) fn area(&self, handle: &str) -> Result<&Area<Shared>, Failure> {
        self.areas.get(&handle.parse()?).ok_or_else(|| Failure::Helper(format!("no area {handle}")))
    }
}

/// The agent, if this process is to be one; else nothing.
pub(crate) fn begin() {
    if std::env::var_os(launch::ROLE).is_some() {
        let channel = std::io::stdin().as_fd().try_clone_to_owned().expect("the channel");
        serve(Channel::new(UnixStream::from(channel)), Holdings::default());
    }
}

fn serve(mut channel: Channel, mut holdings: Holdings) -> ! {
    // Whoever does not listen any more has ended.
    let gone = |_| std::process::exit(0);
    channel.send(&format!("hello {}", std::process::id())).unwrap_or_else(gone);
    listen(channel, &mut holdings)
}

fn listen(mut channel: Channel, holdings: &mut Holdings) -> ! {
    while let Ok(Some(line)) = channel.receive() {
        let words: Vec<&str> = line.split(' ').collect();
        let done = match *words.as_slice() {
            ["exec"] => {
                // The new program greets; if there is none, the test sees that the agent has ended.
                let error = launch::exec(channel);
                panic!("exec: {error}");
            }
            ["leave-leader"] => leave_leader(channel, std::mem::take(holdings)),
            ["fork", ear] => fork(ear, holdings),
            ["fork-as", pid, ear] => choose_next(pid).and_then(|()| fork(ear, holdings)),
            _ => perform(&words, holdings),
        };
        let answer = match done {
            Ok(answer) => format!("ok {answer}"),
            Err(Failure::Areas(error)) => {
                format!("refused {:?} {}", error.kind(), format!("{error:#}").replace('\n', " "))
            }
            Err(Failure::Unknown) => format!("failed unknown command {line}"),
            Err(Failure::Helper(why)) => format!("failed {}", why.replace('\n', " ")),
        };
        if channel.send(&answer).is_err() {
            break;
        }
    }
    std::process::exit(0)
}

/// Ends the leader; another thread goes on.
fn leave_leader(mut channel: Channel, mut holdings: Holdings) -> ! {
    std::thread::spawn(move || {
        super::eventually("the leader has ended", || super::folder::has_no_leader(std::process::id()));
        let _ = channel.send("ok");
        listen(channel, &mut holdings)
    });
    raw::end_thread()
}

fn fork(ear: &str, holdings: &mut Holdings) -> Result<String, Failure> {
    match raw::fork()? {
        Some(child) => Ok(child.to_string()),
        None => match Ear::call(ear) {
            Ok(channel) => serve(channel, std::mem::take(holdings)),
            Err(_) => std::process::exit(1),
        },
    }
}

/// The next process of our pid namespace gets that number.
fn choose_next(pid: &str) -> Result<(), Failure> {
    let pid: u32 = pid.parse()?;
    Ok(fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())?)
}

/// Does one command: by the group that knows it.
fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    for perform in [holding::perform, finding::perform, process::perform, tables::perform] {
        match perform(words, holdings) {
            Err(Failure::Unknown) => {}
            done => return done,
        }
    }
    resizing::perform(words, holdings)
        .or_else(|| walking::perform(words, holdings))
        .unwrap_or_else(|| workload::perform(words, holdings))
}

/// The answer of a command that has nothing to say but that it was done.
pub(crate) fn done((): ()) -> Result<String, Failure> {
    Ok(String::new())
}

/// The raw number of a file that is kept.
pub(crate) fn number_of(file: &File) -> i32 {
    file.as_raw_fd()
}
