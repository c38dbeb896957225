//! Begins workers, and makes their lives hard: kills single processes and whole groups, stops some,
//! takes the registry's folder away, sends the sequences of ids round and round. All that it does
//! is seeded.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::IsTerminal as _;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use areas::{ErrorKind, registry};
use indicatif::ProgressBar;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};

use crate::board::{Board, Call, Place, SLOTS, Shared, Who, new_life, now};
use crate::finding::{Findings, Rule};
use crate::op::Op;
use crate::report::{Deeds, Report};
use crate::sabotage::Sabotage;
use crate::worker::{is_planned, life_name};

/// How a storm shall be.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// How long
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    minutes: f64,
    /// How many workers at once; their children come on top
    #[arg(long, default_value_t = 32, value_name = "P")]
    processes: usize,
    /// Where chance begins: the same seed makes the same plans, though not the same races
    #[arg(long)]
    seed: Option<u64>,
    /// Seconds after which an operation counts as hanging, on a machine that does much else
    #[arg(long, default_value_t = 180)]
    deadline: u64,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Break a rule on purpose: the storm must find it
    #[arg(long, hide = true)]
    sabotage: Option<Sabotage>,
}

/// Enough to know what is wrong.
const MAX_FINDINGS: usize = 25;
const TICK: Duration = Duration::from_millis(20);
/// Of a thousand times that others are disturbed, those at which a group is killed; before them,
/// one process is.
const KILL_GROUP: Range<u32> = 120..135;
/// … at which one is stopped for a while.
const STOP: Range<u32> = 135..235;

/// Processes that live at once, for each worker: with more, none forks, and more are killed.
const CROWD: usize = 4;

/// A process that we may stop: not for so long that others' deadlines pass.
const LONGEST_STOP: u64 = 800;

/// The command: whether nothing was found.
pub(crate) fn main(options: &Options) -> Result<bool> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let Some(run) = std::env::var_os(INSIDE) else { return within_a_folder(seed, options.seed.is_none()) };
    let mut supervisor = Supervisor::new(options, seed, run.into())?;
    supervisor.storm()?;
    let report = supervisor.end()?;
    report.print(options.json)?;
    Ok(report.findings.is_empty())
}

/// Reports to the supervisor which folder the run has.
const INSIDE: &str = "AREAS_STORM_RUN";

/// Starts the supervisor in a folder of its own, with a registry of its own: a process finds its
/// registry by the environment that it was started with. The folder goes when it is done.
fn within_a_folder(seed: u64, tell_seed: bool) -> Result<bool> {
    let base =
        if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
    let run = tempfile::Builder::new()
        .prefix("areas-storm-")
        .tempdir_in(base)
        .context("cannot make a folder for the run")?;
    let mut command = Command::new("/proc/self/exe");
    command
        .args(std::env::args_os().skip(1))
        .env("AREAS_DIR", run.path().join("registry"))
        .env(INSIDE, run.path());
    if tell_seed {
        command.args(["--seed", &seed.to_string()]);
    }
    let status = command.status().context("cannot start the supervisor")?;
    Ok(status.success())
}

/// A process that we have stopped, and when it shall go on.
#[derive(Debug)]
struct Stopped {
    pid: Pid,
    life: u64,
    until: Instant,
}

#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) options: Options,
    pub(crate) seed: u64,
    pub(crate) run: PathBuf,
    pub(crate) tag: String,
    random: fastrand::Rng,
    pub(crate) board: Board,
    shared: Shared,
    _hold: File,
    pub(crate) findings: Findings,
    /// The leaders of the groups, by process.
    workers: HashMap<i32, u64>,
    stopped: Vec<Stopped>,
    /// When the registry's folder is taken away next.
    folder_goes: Instant,
    pub(crate) deeds: Deeds,
    /// Places of the board, opened once.
    places: Vec<Option<Place>>,
    /// Which object an id led to when it was last seen, and which process had a slot.
    ids: HashMap<i32, u64>,
    slots: HashMap<i32, u32>,
    pub(crate) started: Instant,
    pub(crate) memory_before: u64,
    progress: ProgressBar,
}

impl Supervisor {
    fn new(options: &Options, seed: u64, run: PathBuf) -> Result<Self> {
        crate::quiet::no_core_dumps();
        // Children of those who die become ours, so that none is lost.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .context("prctl(PR_SET_CHILD_SUBREAPER)")?;
        let board = Board::create(&run)?;
        let hold = board.supervise()?;
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        Ok(Supervisor {
            shared: board.shared()?,
            findings: Findings::open(&run)?,
            tag: format!("storm{}", std::process::id()),
            random: fastrand::Rng::with_seed(seed),
            places: (0..SLOTS).map(|_| None).collect(),
            memory_before: crate::proc::shared_memory(),
            options: options.clone(),
            seed,
            run,
            board,
            _hold: hold,
            workers: HashMap::new(),
            stopped: Vec::new(),
            folder_goes: Instant::now() + Duration::from_secs(3),
            deeds: Deeds::default(),
            ids: HashMap::new(),
            slots: HashMap::new(),
            started: Instant::now(),
            progress: bar,
        })
    }

    pub(crate) fn options_sabotage(&self) -> Option<Sabotage> {
        self.options.sabotage
    }

    pub(crate) fn processes(&self) -> usize {
        self.options.processes
    }

    fn found(&self, rule: Rule, what: &str) {
        self.findings.tell(rule, &format!("the supervisor (seed {})", self.seed), what);
    }

    fn storm(&mut self) -> Result<()> {
        let length = Duration::from_secs_f64(self.options.minutes * 60.0);
        let mut ticks = 0_u64;
        // The board itself takes shared memory, and belongs to no area.
        while self.started.elapsed() < length && self.findings.all().len() < MAX_FINDINGS {
            while self.workers.len() < self.options.processes {
                self.begin_worker()?;
            }
            self.bury()?;
            // What is broken on purpose is to live until it is found.
            if self.options.sabotage.is_none() {
                self.disturb();
            }
            self.wake(false);
            if self.folder_goes <= Instant::now() {
                self.remove_folder();
                self.folder_goes = Instant::now() + Duration::from_millis(self.random.u64(2000..10_000));
            }
            if ticks.is_multiple_of(20) {
                self.narrow_sequences();
            }
            if ticks.is_multiple_of(25) {
                self.look_around();
                self.watch();
                self.tell_progress(length);
            }
            ticks += 1;
            std::thread::sleep(TICK);
        }
        self.deeds.seconds = self.started.elapsed().as_secs_f64();
        self.progress.finish_and_clear();
        Ok(())
    }

    fn begin_worker(&mut self) -> Result<()> {
        let group = self.deeds.begun;
        self.deeds.begun += 1;
        let seed = self.random.u64(..);
        let mut command = Command::new("/proc/self/exe");
        command.arg("worker").arg("--run").arg(&self.run).args(["--tag", &self.tag]);
        for (option, number) in [("--group", group), ("--seed", seed), ("--life", new_life())] {
            command.arg(option).arg(number.to_string());
        }
        if let Some(sabotage) = self.options.sabotage {
            command.args(["--sabotage", &sabotage.word()]);
        }
        let child = command.process_group(0).spawn().context("cannot start a worker")?;
        self.workers.insert(i32::try_from(child.id())?, group);
        Ok(())
    }

    /// Those who live, as the board has them.
    pub(crate) fn living(&mut self) -> Vec<(usize, Who)> {
        let mut living = Vec::new();
        for number in 0..SLOTS {
            if self.places[number].is_none() {
                self.places[number] = self.board.look(number);
            }
            // Places are taken from the first one on.
            let Some(place) = &self.places[number] else { break };
            if let Some(who) = place.living() {
                living.push((number, who));
            }
        }
        living
    }

    /// Reaps whoever died: no process may find them any more.
    fn bury(&mut self) -> Result<()> {
        let mut dead = Vec::new();
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    self.deeds.reaped += 1;
                    if status.terminating_signal() == Some(Signal::KILL.as_raw()) {
                        self.deeds.killed += 1;
                    }
                    self.workers.remove(&pid.as_raw_nonzero().get());
                    if !is_planned(status) {
                        self.found(Rule::Death, &format!("process {pid} ended by {status:?}"));
                    }
                    dead.push(pid);
                }
                Ok(None) | Err(rustix::io::Errno::CHILD) => break,
                Err(errno) => return Err(errno).context("wait"),
            }
        }
        if self.options.sabotage == Some(Sabotage::DeadName)
            && self.started.elapsed() > Duration::from_secs(1)
        {
            dead.extend(self.workers.keys().filter_map(|&pid| Pid::from_raw(pid)));
        }
        if dead.is_empty() {
            return Ok(());
        }
        self.check_dead(&dead);
        Ok(())
    }

    /// Nothing of these processes is listed, nor found by the name that each of them had alone.
    fn check_dead(&self, dead: &[Pid]) {
        let listing = match registry::list() {
            Ok(listing) => listing,
            Err(error) => return self.found(Rule::Error, &format!("list: {error:#}")),
        };
        for pid in dead.iter().map(|pid| pid.as_raw_nonzero().get().unsigned_abs()) {
            let living = std::path::Path::new(&format!("/proc/{pid}")).exists();
            // Numbers of processes are given again after a while.
            if living && self.options.sabotage != Some(Sabotage::DeadName) {
                continue;
            }
            if let Some(source) = listing.areas.iter().find(|source| source.pid() == pid) {
                self.found(
                    Rule::DeadName,
                    &format!(
                        "area {} {:?} is listed in process {pid}, which was reaped",
                        source.id(),
                        source.name()
                    ),
                );
            }
            if let Some(team) = listing.unreadable.iter().find(|team| team.pid == pid) {
                self.found(
                    Rule::DeadName,
                    &format!("process {pid} was reaped, and is said to be unreadable: {}", team.reason),
                );
            }
        }
        for place in self.places.iter().flatten() {
            let who = place.who();
            if !dead.iter().any(|pid| u64::from(pid.as_raw_nonzero().get().unsigned_abs()) == who.pid) {
                continue;
            }
            match registry::find(life_name(&self.tag, who.life)) {
                Ok(source) if u64::from(source.pid()) == who.pid && place.living().is_none() => self.found(
                    Rule::DeadName,
                    &format!("{:?} is found in process {}, which was reaped", source.name(), who.pid),
                ),
                Err(error) if error.kind() != ErrorKind::NoSuchArea => {
                    self.found(Rule::Error, &format!("find a dead name: {error:#}"));
                }
                _ => {}
            }
        }
    }

    /// Kills, stops, and takes the folder away.
    fn disturb(&mut self) {
        let living = self.living();
        let crowded = living.len() > self.options.processes * CROWD || living.len() > SLOTS - 64;
        let _ = self.shared.set_call(if crowded { Call::Crowded } else { Call::GoOn });
        let one = self.random.choice(living);
        let pid = |who: &Who| i32::try_from(who.pid).ok().and_then(Pid::from_raw);
        // What chance has not brought about in half of the time is done now.
        let late = self.started.elapsed().as_secs_f64() > self.options.minutes * 30.0;
        let choice = match self.deeds {
            Deeds { group_kills: 0, .. } if late => KILL_GROUP.start,
            Deeds { stops: 0, .. } if late => STOP.start,
            _ => self.random.u32(0..1000),
        };
        match choice {
            choice if choice < KILL_GROUP.start || crowded && choice % 2 == 0 => {
                if let Some((number, who)) = one
                    && let Some(pid) = pid(&who)
                    && self.places[number]
                        .as_ref()
                        .and_then(Place::living)
                        .is_some_and(|now| now.life == who.life)
                    && kill_process(pid, Signal::KILL).is_ok()
                {
                    self.deeds.kills += 1;
                }
            }
            choice if KILL_GROUP.contains(&choice) => {
                // Its leader is not reaped yet, so the number is still the group's.
                let leaders: Vec<i32> = self.workers.keys().copied().collect();
                if let Some(leader) = self.random.choice(leaders).and_then(Pid::from_raw)
                    && kill_process_group(leader, Signal::KILL).is_ok()
                {
                    self.deeds.group_kills += 1;
                }
            }
            choice if STOP.contains(&choice) => {
                if let Some((_, who)) = one
                    && let Some(pid) = pid(&who)
                    && self.stopped.len() < 6
                    && kill_process(pid, Signal::STOP).is_ok()
                {
                    self.deeds.stops += 1;
                    let time = Duration::from_millis(self.random.u64(1..LONGEST_STOP));
                    self.stopped.push(Stopped { pid, life: who.life, until: Instant::now() + time });
                }
            }
            _ => {}
        }
    }

    /// Lets those go on whose time has come.
    fn wake(&mut self, all: bool) {
        let now = Instant::now();
        self.stopped.retain(|Stopped { pid, until, .. }| {
            let stays = *until > now && !all;
            if !stays {
                // It may have been killed in the meantime; who has its number now is not stopped,
                // and does not mind.
                let _ = kill_process(*pid, Signal::CONT);
            }
            stays
        });
    }

    /// As a cleaner of temporary files would: whoever has areas publishes them again.
    fn remove_folder(&mut self) {
        let epoch = self.shared.epoch();
        let registry = self.run.join("registry");
        if self.shared.set_epoch(epoch + 1).is_err() {
            return;
        }
        // Others may add to it at the same time.
        for _ in 0..100 {
            match std::fs::remove_dir_all(&registry) {
                Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
                _ => break,
            }
        }
        let _ = self.shared.set_epoch(epoch + 2);
        self.deeds.folders_removed += 1;
    }

    /// Sends every slot's next lease of sequence numbers to the last two blocks: they run out, go
    /// round, and meet numbers that are in use.
    fn narrow_sequences(&mut self) {
        let Ok(spaces) = std::fs::read_dir(self.run.join("registry")) else { return };
        // A lease is the next block + 1; it lies behind 64 bytes, four bytes a slot
        // (registry/directory.rs).
        let next = [511_u32, 512][usize::from(self.random.bool())];
        let leases: Vec<u8> = (0..4096).flat_map(|_| next.to_le_bytes()).collect();
        for space in spaces.flatten() {
            if let Ok(control) = OpenOptions::new().write(true).open(space.path().join("control")) {
                let _ = control.write_all_at(&leases, 64);
            }
        }
    }

    /// Counts what the storm was to force: ids and slots that were used again.
    fn look_around(&mut self) {
        let Ok(listing) = registry::list() else { return };
        self.deeds.most_areas = self.deeds.most_areas.max(listing.areas.len());
        for source in &listing.areas {
            let id = source.id().get();
            if let Ok(info) = source.info()
                && self.ids.insert(id, info.object.1).is_some_and(|before| before != info.object.1)
            {
                self.deeds.ids_reused += 1;
            }
            if self.slots.insert(id >> 19, source.pid()).is_some_and(|before| before != source.pid()) {
                self.deeds.slots_reused += 1;
            }
        }
    }

    /// Looks for operations that do not end.
    fn watch(&mut self) {
        let deadline = Duration::from_secs(self.options.deadline);
        let living = self.living();
        self.deeds.most_processes = self.deeds.most_processes.max(living.len());
        for (number, who) in living {
            let waited = Duration::from_nanos(now().saturating_sub(who.begun));
            if who.op == 0 || waited < deadline {
                continue;
            }
            let op =
                usize::try_from(who.op - 1).ok().and_then(|at| Op::ALL.get(at)).map_or("?", |op| op.name());
            let others: Vec<String> = self
                .stopped
                .iter()
                .map(|stopped| format!("{} (life {})", stopped.pid, stopped.life))
                .collect();
            self.found(
                Rule::Hang,
                &format!(
                    "process {} (worker {}, seed {}, place {}) is in {op:?} since {waited:?}; stopped now: [{}]; {}",
                    who.pid,
                    who.group,
                    who.seed,
                    number,
                    others.join(", "),
                    crate::proc::doing(who.pid)
                ),
            );
            if let Some(pid) = i32::try_from(who.pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    fn tell_progress(&mut self, length: Duration) {
        if self.progress.is_hidden() {
            return;
        }
        let Deeds { begun, kills, group_kills, stops, most_areas, .. } = self.deeds;
        self.progress.set_message(format!(
            "{:.0} of {:.0} s: {} workers now, {begun} begun, {kills} processes and {group_kills} groups killed, {stops} stopped, \
             up to {most_areas} areas, {} findings",
            self.started.elapsed().as_secs_f64(),
            length.as_secs_f64(),
            self.workers.len(),
            self.findings.all().len()
        ));
    }

    /// Lets the operations that are under way come to their end: also in a short storm none may
    /// hang.
    fn let_operations_end(&mut self) {
        let _ = self.shared.set_call(Call::Rest);
        let under_way = |who: &Who| (who.op != 0).then_some((who.life, who.begun));
        let waited_for: HashSet<_> = self.living().iter().filter_map(|(_, who)| under_way(who)).collect();
        let enough = Instant::now() + Duration::from_secs(self.options.deadline);
        while Instant::now() < enough {
            let living = self.living();
            if !living.iter().filter_map(|(_, who)| under_way(who)).any(|who| waited_for.contains(&who)) {
                return;
            }
            std::thread::sleep(TICK);
        }
        self.watch();
    }

    /// Kills all, looks at what remains, and reports.
    fn end(&mut self) -> Result<Report> {
        let used = crate::ending::memory_in_use();
        let kept = match self.options.sabotage {
            Some(Sabotage::Holder) => crate::ending::keep_one(&self.tag),
            _ => None,
        };
        self.wake(true);
        if self.options.sabotage.is_none() {
            self.let_operations_end();
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            for (_, who) in self.living() {
                if let Some(pid) = i32::try_from(who.pid).ok().and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            for &leader in self.workers.keys() {
                let _ = Pid::from_raw(leader).map(|leader| kill_process_group(leader, Signal::KILL));
            }
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    self.deeds.reaped += 1;
                    self.workers.remove(&pid.as_raw_nonzero().get());
                    if !is_planned(status) {
                        self.found(Rule::Death, &format!("process {pid} ended by {status:?}"));
                    }
                }
                Ok(None) => {
                    anyhow::ensure!(Instant::now() < deadline, "processes of the storm do not die");
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(rustix::io::Errno::CHILD) => break,
                Err(errno) => return Err(errno).context("wait"),
            }
        }
        let remains = crate::ending::check(self, used)?;
        drop(kept);
        let mut report = Report::collect(self, remains);
        report.check_coverage(self);
        Ok(report)
    }
}
