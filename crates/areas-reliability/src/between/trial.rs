//! One run: a looker that is stopped before one of its calls, a peer that changes something there,
//! and what others see.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use areas_testing::fdinfo;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::looker::{Answer, Rest};
use super::looking::Looking;
use super::mutation::{Deed, How, Mutation};
use super::peer::Scene;
use super::silent::Silent;
use crate::bystander::Looker as Bystander;
use crate::call::{Call, END};
use crate::held::Held;
use crate::inject::text_at;
use crate::operation::Subject;
use crate::stage::Stage;
use crate::trace::{Ended, Side, Stop, Then, Tracer, state_of};

/// Nothing that is tried here takes that long, even on a machine that is busy: it hangs.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Before which call something changes: the nth of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) index: usize,
    pub(super) call: String,
    nth: usize,
}

/// The points of a run that no process disturbs.
pub(super) fn points(calls: &[String]) -> Vec<Point> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let points = calls.iter().enumerate().map(|(index, call)| {
        let nth = counts.entry(call).or_default();
        *nth += 1;
        Point { index, call: call.clone(), nth: *nth }
    });
    points.collect()
}

/// The outcome of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) calls: Vec<String>,
    /// Whether it came to the point.
    pub(super) hit: bool,
    /// The kind of its error; `None` if it succeeded.
    pub(super) kind: Option<String>,
    pub(super) wrong: Vec<String>,
    /// Whether a file that was taken by its number, and was another one, is kept open.
    pub(super) kept: bool,
    pub(super) held: Held,
}

/// Files that are no business of a looker's: its own database, what waits for others, what is no
/// memory.
pub(super) struct Strangers(TempDir);

impl Strangers {
    pub(super) fn new() -> Result<Self> {
        let strangers = Strangers(tempfile::Builder::new().prefix("areas-strangers-").tempdir()?);
        fs::create_dir(strangers.path().join("folder"))?;
        File::create(strangers.path().join("database"))?.write_all(b"a database")?;
        nix::unistd::mkfifo(&strangers.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU)
            .context("mkfifo")?;
        Ok(strangers)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A registry with a bystander.
pub(super) struct Trial<'a> {
    stage: Stage,
    bystander: Bystander,
    strangers: &'a Strangers,
}

impl<'a> Trial<'a> {
    pub(super) fn new(strangers: &'a Strangers) -> Result<Self> {
        let stage = Stage::new()?;
        let bystander = Bystander::bystander(&stage)?;
        Ok(Trial { stage, bystander, strangers })
    }

    pub(super) fn run(
        &mut self,
        looking: &Looking,
        scene: Scene,
        change: Option<(&Point, &Mutation)>,
        reference: Option<&Outcome>,
    ) -> Result<Outcome> {
        let strangers = self.strangers;
        let database = strangers.path().join("database");
        let path = database.to_str().context("a path that is not UTF-8")?;
        let silent = match change {
            Some((_, mutation)) if mutation.silent => Some(Silent::new(&strangers.path().join("silent"))?),
            _ => None,
        };
        let start = |who, args: &[&str]| Process::start(&self.stage, strangers.path(), who, args);
        let mut looker = start("the looker", &["between-looker", looking.name, path])?;
        let joined = looker.hear()?;
        // The one of its descriptors of a stranger's file that is its own.
        let own = joined.strip_prefix("joined ").and_then(|number| number.parse().ok());
        let own: u64 = own.with_context(|| format!("the looker has not joined: {joined}"))?;
        let word = serde_json::to_string(&(looking.offer, looking.by, scene))?;
        let mut peer = start("the peer", &["between-peer", &word])?;
        let id = peer.hear()?;
        if looking.shadowed {
            self.bystander.ask("wrap")?;
        }
        let strict = scene != Scene::LooseObject && change.is_none_or(|(_, mutation)| mutation.is_strict());
        let strict = if strict { "strict" } else { "lenient" };
        looker.send(&format!("{} {id} {strict}", peer.child.id()))?;
        let mut outcome = Outcome::default();
        let ended =
            self.follow(looking, (&mut looker, own), &mut peer, change, silent.as_ref(), &mut outcome);
        match ended {
            Ok(Ended::Detached) => {
                self.judge(&mut looker, &mut peer, change, silent, &mut outcome, reference)?;
            }
            Ok(ended) => outcome.wrong.push(format!("it ended as {ended:?}; {}", looker.said())),
            Err(error) if outcome.hit => outcome.wrong.push(format!("{error:#}; {}", looker.said())),
            Err(error) => return Err(error.context(looker.said())),
        }
        if outcome.wrong.is_empty() && !is_locked(&database) {
            outcome.wrong.push("no process has the lock on the database any more".to_owned());
        }
        Ok(outcome)
    }

    fn follow(
        &mut self,
        looking: &Looking,
        (looker, own): (&mut Process, u64),
        peer: &mut Process,
        change: Option<(&Point, &Mutation)>,
        silent: Option<&Silent>,
        outcome: &mut Outcome,
    ) -> Result<Ended> {
        let tracer = Tracer::attach(&looker.child, Subject::Itself)?.within(TIMEOUT, silent.map(Silent::pid));
        peer.send(&format!("arrange {}", looker.child.id()))?;
        peer.answers()?;
        let strangers = self.strangers.path().to_string_lossy().into_owned();
        let mut about = About::new(looking, peer.child.id());
        let mut count = 0;
        tracer.follow(&mut |stop: &Stop| {
            let end = stop.call.number == END;
            if stop.side == Side::Exit || !(about.counts(stop) || end) {
                return Ok(Then::GoOn);
            }
            let name = stop.call.name();
            if let Some((point, mutation)) = change
                && point.call == name
            {
                count += 1;
                if count == point.nth {
                    outcome.hit = true;
                    self.apply(mutation, peer)
                        .with_context(|| format!("the peer's part, {}", mutation.name))?;
                }
            }
            outcome.wrong.extend(touches_stranger(stop.pid.as_raw(), &stop.call, &strangers, own));
            outcome.calls.push(name);
            Ok(if end { Then::Detach } else { Then::GoOn })
        })
    }

    fn apply(&self, mutation: &Mutation, peer: &mut Process) -> Result<()> {
        match mutation.how {
            How::Peer(_) | How::PeerStopped(_) => {
                peer.send(&format!("mutate {}", mutation.name))?;
                peer.answers()?;
                if let How::PeerStopped(_) = mutation.how { peer.signal(Signal::SIGSTOP) } else { Ok(()) }
            }
            How::Driver(Deed::Stop) => peer.signal(Signal::SIGSTOP),
            How::Driver(Deed::Kill) => {
                peer.kill();
                Ok(())
            }
            How::Driver(Deed::Folder(deed)) => deed(&self.stage.registry()),
        }
    }

    /// Its answer, what it finds without the peer, and what it holds then.
    fn judge(
        &mut self,
        looker: &mut Process,
        peer: &mut Process,
        change: Option<(&Point, &Mutation)>,
        silent: Option<Silent>,
        outcome: &mut Outcome,
        reference: Option<&Outcome>,
    ) -> Result<()> {
        let line = match looker.hear() {
            Ok(line) => line,
            Err(error) => {
                outcome.wrong.push(format!("using the answer: {error:#}"));
                return Ok(());
            }
        };
        let answer: Answer = serde_json::from_str(&line).with_context(|| format!("its answer: {line}"))?;
        outcome.wrong.extend(answer.wrong);
        outcome.kind = answer.failed.as_ref().map(|(kind, _)| kind.clone());
        let mutation = change.map(|(_, mutation)| mutation);
        if let Some((_, text)) = &answer.failed
            && mutation.is_some_and(|mutation| mutation.harmless)
            && reference.is_some_and(|reference| reference.kind != outcome.kind)
        {
            outcome.wrong.push(format!("it fails for what takes nothing away: {text}"));
        }
        // A process that has a file of it open would not end while it does not answer.
        drop(silent);
        peer.kill();
        if mutation.is_some_and(Mutation::is_of_folder) {
            self.put_back()?;
        }
        self.bystander.ask("keep").context("the bystander")?;
        self.bystander.ask("find by-fixed").context("the bystander")?;
        looker.send("alone")?;
        let line = match looker.hear() {
            Ok(line) => line,
            Err(error) => {
                outcome.wrong.push(format!("after the peer's death: {error:#}"));
                return Ok(());
            }
        };
        let rest: Rest = serde_json::from_str(&line).with_context(|| format!("what it holds: {line}"))?;
        outcome.wrong.extend(rest.wrong);
        if let Some(reference) = reference {
            let others = |what: &String| mutation.is_some_and(|mutation| mutation.explains(what));
            for (how, mut what) in
                [("held", rest.held.beyond(&reference.held)), ("lacking", rest.held.lacks(&reference.held))]
            {
                what.retain(|what| !others(what));
                if how == "held" && mutation.is_some_and(Mutation::may_be_kept) && what.len() == 1 {
                    outcome.kept = what[0].contains("descriptor of");
                    what.retain(|_| !outcome.kept);
                }
                if !what.is_empty() {
                    outcome.wrong.push(format!("{how} in the end: {}", what.join(", ")));
                }
            }
        }
        outcome.held = rest.held;
        Ok(())
    }

    /// What is in the folder's place goes, and its rights come back; nothing else does.
    fn put_back(&self) -> Result<()> {
        let registry = self.stage.registry();
        if fs::symlink_metadata(&registry).is_ok_and(|found| !found.is_dir()) {
            fs::remove_file(&registry)?;
        }
        let private = || fs::Permissions::from_mode(0o700);
        if registry.is_dir() {
            fs::set_permissions(&registry, private())?;
            for space in fs::read_dir(&registry)?.flatten() {
                let teams = space.path().join("teams");
                if teams.is_dir() {
                    fs::set_permissions(teams, private())?;
                }
            }
        }
        Ok(())
    }
}

/// Which calls count: all, or, of an operation that looks at all processes, those that are not
/// about others than the peer.
struct About {
    crowd: bool,
    peer: String,
    counting: bool,
}

impl About {
    fn new(looking: &Looking, peer: u32) -> Self {
        About { crowd: looking.crowd, peer: format!("/proc/{peer}/"), counting: true }
    }

    fn counts(&mut self, stop: &Stop) -> bool {
        if !self.crowd {
            return true;
        }
        let at = match stop.call.name().as_str() {
            "openat" | "readlinkat" | "newfstatat" | "statx" => 1,
            "readlink" => 0,
            _ => return self.counting,
        };
        let path = text_at(stop.pid.as_raw(), stop.call.args[at]);
        if path
            .strip_prefix("/proc/")
            .is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()))
        {
            self.counting = path.starts_with(&self.peer);
        }
        self.counting
    }
}

/// Whether a call opens or closes a file that is no business of the looker's; it may look at one by
/// O_PATH.
fn touches_stranger(pid: i32, call: &Call, strangers: &str, own: u64) -> Option<String> {
    let is_stranger = |target: &str| target.starts_with(strangers) || target == "/dev/null";
    let target_of = |path: String| {
        fs::read_link(path).map(|target| target.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let name = call.name();
    match name.as_str() {
        "openat" => {
            let flags = i32::try_from(call.args[2] & 0x7fff_ffff).unwrap_or(0);
            let path = text_at(pid, call.args[1]).replace("thread-self", &pid.to_string());
            let target = target_of(path.clone());
            (flags & libc::O_PATH == 0 && path.contains("/fd/") && is_stranger(&target))
                .then(|| format!("it opens a stranger's file, {target}, by way of {path}"))
        }
        "close" | "dup3" => {
            let number = call.args[usize::from(name == "dup3")];
            let target = target_of(format!("/proc/{pid}/fd/{number}"));
            let info = |number| fdinfo::of(pid.cast_unsigned(), number).ok();
            let flags = i32::try_from(number).ok().and_then(info).map_or(0, |info| info.flags);
            (number != own && is_stranger(&target) && flags & libc::O_PATH.cast_unsigned() == 0)
                .then(|| format!("it closes a stranger's file, {target}"))
        }
        _ => None,
    }
}

/// Whether anybody has a record lock on a file.
fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::options().read(true).write(true).open(path) else { return false };
    let (Ok(kind), Ok(whence)) = (i16::try_from(libc::F_WRLCK), i16::try_from(libc::SEEK_SET)) else {
        return false;
    };
    let mut whole = libc::flock { l_type: kind, l_whence: whence, l_start: 0, l_len: 0, l_pid: 0 };
    let asked = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GETLK(&mut whole));
    asked.is_ok() && i32::from(whole.l_type) != libc::F_UNLCK
}

/// A process that is talked to in lines. It goes with the value.
struct Process {
    who: &'static str,
    child: Child,
    to: Option<ChildStdin>,
    from: ChildStdout,
    heard: Vec<u8>,
}

impl Process {
    fn start(stage: &Stage, strangers: &Path, who: &'static str, args: &[&str]) -> Result<Self> {
        let mut command = stage.command(args)?;
        command.env(super::STRANGERS, strangers).env("RUST_BACKTRACE", "0");
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {who}"))?;
        let (to, from) = (child.stdin.take(), child.stdout.take().context("its pipe")?);
        Ok(Process { who, child, to, from, heard: Vec::new() })
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn send(&mut self, line: &str) -> Result<()> {
        let to = self.to.as_mut().context("it has gone")?;
        writeln!(to, "{line}").with_context(|| format!("{} has died", self.who))
    }

    /// The next line that it writes, in time.
    fn hear(&mut self) -> Result<String> {
        let end = Instant::now() + TIMEOUT;
        loop {
            if let Some(len) = self.heard.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=len).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{} hangs, in state {}", self.who, state_of(self.child.id()));
            }
            let step = u16::try_from(left.as_millis().max(1)).unwrap_or(u16::MAX);
            if poll(&mut [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)], step).unwrap_or(0) == 0 {
                continue;
            }
            let mut bytes = [0; 4096];
            match self.from.read(&mut bytes)? {
                0 => {
                    let how = self.how_it_ended();
                    bail!("{} has ended: {how}", self.who)
                }
                len => self.heard.extend_from_slice(&bytes[..len]),
            }
        }
    }

    fn answers(&mut self) -> Result<()> {
        match self.hear()?.as_str() {
            "ok" => Ok(()),
            wrong => bail!("{} says: {wrong}", self.who),
        }
    }

    fn how_it_ended(&mut self) -> String {
        let how = match self.child.wait() {
            Ok(status) => match status.signal().map(Signal::try_from) {
                Some(Ok(signal)) => signal.to_string(),
                _ => status.to_string(),
            },
            Err(error) => error.to_string(),
        };
        format!("{how}; {}", self.said())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("{signal}"))
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it wrote before it ended, for messages.
    fn said(&mut self) -> String {
        crate::victim::said(&mut self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
