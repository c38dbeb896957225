//! Begins workers, and makes their lives hard: kills single processes and whole groups, stops some,
//! takes the registry's folder away, sends the sequences of ids round and round. All that it does
//! is seeded.

mod disturbing;
mod looking;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};

use crate::board::{Board, Call, Place, SLOTS, Shared, Who, new_life};
use crate::finding::{Findings, Rule};
use crate::report::Report;
use crate::sabotage::Sabotage;
use crate::storm::{Deeds, Options, Storm};
use crate::worker::is_planned;

/// Enough to know what is wrong.
const MAX_FINDINGS: usize = 25;
const TICK: Duration = Duration::from_millis(20);

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
fn within_a_folder(seed: u64, print_seed: bool) -> Result<bool> {
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
    if print_seed {
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

/// The process that has the storm go on.
#[derive(Debug)]
struct Supervisor {
    storm: Storm,
    random: fastrand::Rng,
    shared: Shared,
    _hold: File,
    /// The leaders of the groups, by process.
    workers: HashMap<i32, u64>,
    stopped: Vec<Stopped>,
    /// When the registry's folder is taken away next.
    folder_goes: Instant,
    /// Places of the board, opened once.
    places: Vec<Option<Place>>,
    /// Which object an id led to when it was last seen, and which process had a slot.
    ids: HashMap<i32, u64>,
    slots: HashMap<i32, u32>,
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
            random: fastrand::Rng::with_seed(seed),
            places: (0..SLOTS).map(|_| None).collect(),
            _hold: hold,
            workers: HashMap::new(),
            stopped: Vec::new(),
            folder_goes: Instant::now() + Duration::from_secs(3),
            ids: HashMap::new(),
            slots: HashMap::new(),
            progress: bar,
            storm: Storm {
                findings: Findings::open(&run)?,
                tag: format!("storm{}", std::process::id()),
                memory_before: crate::proc::shared_memory(),
                options: options.clone(),
                seed,
                run,
                board,
                deeds: Deeds::default(),
                started: Instant::now(),
            },
        })
    }

    fn storm(&mut self) -> Result<()> {
        let length = Duration::from_secs_f64(self.storm.options.minutes * 60.0);
        let mut ticks = 0_u64;
        // The board itself takes shared memory, and belongs to no area.
        while self.storm.started.elapsed() < length && self.storm.findings.all().len() < MAX_FINDINGS {
            while self.workers.len() < self.storm.options.processes {
                self.begin_worker()?;
            }
            self.remove_dead()?;
            // What is broken on purpose is to live until it is found.
            if self.storm.options.sabotage.is_none() {
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
                self.print_progress(length);
            }
            ticks += 1;
            std::thread::sleep(TICK);
        }
        self.storm.deeds.seconds = self.storm.started.elapsed().as_secs_f64();
        self.progress.finish_and_clear();
        Ok(())
    }

    fn begin_worker(&mut self) -> Result<()> {
        let group = self.storm.deeds.begun;
        self.storm.deeds.begun += 1;
        let seed = self.random.u64(..);
        let mut command = Command::new("/proc/self/exe");
        command.arg("worker").arg("--run").arg(&self.storm.run).args(["--tag", &self.storm.tag]);
        for (option, number) in [("--group", group), ("--seed", seed), ("--life", new_life())] {
            command.arg(option).arg(number.to_string());
        }
        if let Some(sabotage) = self.storm.options.sabotage {
            command.args(["--sabotage", &sabotage.word()]);
        }
        let child = command.process_group(0).spawn().context("cannot start a worker")?;
        self.workers.insert(i32::try_from(child.id())?, group);
        Ok(())
    }

    fn print_progress(&mut self, length: Duration) {
        if self.progress.is_hidden() {
            return;
        }
        let Deeds { begun, kills, group_kills, stops, most_areas, .. } = self.storm.deeds;
        self.progress.set_message(format!(
            "{:.0} of {:.0} s: {} workers now, {begun} begun, {kills} processes and {group_kills} groups killed, {stops} stopped, \
             up to {most_areas} areas, {} findings",
            self.storm.started.elapsed().as_secs_f64(),
            length.as_secs_f64(),
            self.workers.len(),
            self.storm.findings.all().len()
        ));
    }

    /// Lets the operations that are under way come to their end: also in a short storm none may
    /// hang.
    fn let_operations_end(&mut self) {
        let _ = self.shared.set_call(Call::Rest);
        let under_way = |who: &Who| (who.op != 0).then_some((who.life, who.begun));
        let waited_for: HashSet<_> = self.living().iter().filter_map(|(_, who)| under_way(who)).collect();
        let enough = Instant::now() + Duration::from_secs(self.storm.options.deadline);
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
        let kept = match self.storm.options.sabotage {
            Some(Sabotage::Holder) => crate::ending::keep_one(&self.storm.tag),
            _ => None,
        };
        self.wake(true);
        if self.storm.options.sabotage.is_none() {
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
                    self.storm.deeds.reaped += 1;
                    self.workers.remove(&pid.as_raw_nonzero().get());
                    if !is_planned(status) {
                        self.storm.found(Rule::Death, &format!("process {pid} ended by {status:?}"));
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
        let remains = crate::ending::check(&self.storm, used)?;
        drop(kept);
        let mut report = Report::collect(&self.storm, remains);
        report.check_coverage(&self.storm);
        Ok(report)
    }
}
