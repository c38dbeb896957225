//! A process of the storm: does one thing after the other, at random, until it dies.
//!
//! | file | what |
//! |---|---|
//! | `held.rs` | an area that it holds, and what must be true of its bytes |
//! | `making.rs`, `others.rs`, `changing.rs` | its operations: on new areas, on other processes' areas, on those it holds |
//! | `locking.rs` | a mutex in an area that many have |
//! | `family.rs` | forking, reaping, exec and the ways to die |

mod changing;
mod family;
mod held;
mod locking;
mod making;
mod others;

use std::path::PathBuf;
use std::time::Duration;

use areas::{Area, ErrorKind, Shared as SharedArea, registry};

use crate::board::{Board, Call, ENTRIES, Shared, Slot, Who};
use crate::finding::{Findings, Rule};
use crate::op::Op;
use crate::sabotage::Sabotage;
pub(crate) use family::is_planned;
use held::{Held, Memory};

/// Areas that a process holds at most, so that all processes fit into the machine.
const MAX_HELD: usize = 24;
/// Children of children, at most.
const DEEPEST: u64 = 3;

/// What a worker is given on its command line.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder of this run
    #[arg(long)]
    run: PathBuf,
    /// The number of the worker that this process is, or descends from
    #[arg(long)]
    group: u64,
    #[arg(long)]
    seed: u64,
    /// The number of this process's life
    #[arg(long)]
    life: u64,
    /// The life that it had before exec
    #[arg(long)]
    before: Option<u64>,
    #[arg(long, default_value_t = 0)]
    depth: u64,
    /// Part of each area's name: the storms of one machine do not meet
    #[arg(long)]
    tag: String,
    #[arg(long)]
    sabotage: Option<Sabotage>,
}

/// A child that was not reaped yet.
#[derive(Debug)]
struct Child {
    pid: i32,
    life: u64,
}

#[derive(Debug)]
pub(crate) struct Worker {
    options: Options,
    random: fastrand::Rng,
    board: Board,
    slot: Slot,
    shared: Shared,
    findings: Findings,
    held: Vec<Held>,
    /// The area with the mutex that all lock.
    locks: Option<Area<SharedArea>>,
    children: Vec<Child>,
    /// Operations until it dies by itself.
    left: u64,
    /// The count of folder removals that our journal knows.
    epoch: u64,
    /// Names that an exiting child is to publish are numbered.
    next_name: u64,
    /// Whether it was forked while threads had areas, which it has inherited without them.
    orphans: bool,
    /// What sabotage still has to do.
    sabotage: Option<Sabotage>,
}

/// The name under which a life is found.
pub(crate) fn life_name(tag: &str, life: u64) -> String {
    format!("{tag}-life-{life}")
}

/// A worker's whole life.
pub(crate) fn main(options: Options) -> anyhow::Result<()> {
    crate::quiet::no_core_dumps();
    report_panics(&options);
    let board = Board::at(&options.run);
    let pid = u64::from(std::process::id());
    let (group, seed, life) = (options.group, options.seed, options.life);
    let slot = board.claim(Who { pid, life, group, seed, ..Who::default() })?;
    let mut random = fastrand::Rng::with_seed(seed);
    let worker = Worker {
        left: random.u64(50..2500),
        random,
        slot,
        shared: board.shared()?,
        findings: Findings::open(&options.run)?,
        board,
        held: Vec::new(),
        locks: None,
        children: Vec::new(),
        epoch: 0,
        next_name: 0,
        orphans: false,
        sabotage: options.sabotage,
        options,
    };
    worker.live()
}

/// A panic is a finding, with its message.
fn report_panics(options: &Options) {
    let (run, seed) = (options.run.clone(), options.seed);
    std::panic::set_hook(Box::new(move |panic| {
        if let Ok(findings) = Findings::open(&run) {
            findings.report(
                Rule::Death,
                &format!("process {} (seed {seed})", std::process::id()),
                &panic.to_string(),
            );
        }
    }));
}

impl Worker {
    fn live(mut self) -> ! {
        self.begin_life();
        loop {
            if self.shared.is_over() {
                crate::fork::leave(0);
            }
            if self.shared.call() == Call::Rest {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            self.meet_new_folder();
            self.reap();
            self.sabotage();
            if self.left == 0 {
                self.die();
            }
            self.left -= 1;
            self.step();
        }
    }

    /// Publishes who we are, and looks whether what we were before exec is gone.
    fn begin_life(&mut self) {
        self.epoch = self.shared.epoch();
        if let Some(before) = self.options.before {
            self.no_process_finds(before, i32::try_from(self.slot.who.pid).unwrap_or(0), "it called exec");
        }
        let name = life_name(&self.options.tag, self.options.life);
        if let Some(area) = self.tried(Op::CreateFixed, |_| areas::builder(4096).shared()) {
            let mut held = Held::new_shared(area);
            self.fill(&mut held);
            held.is_life = true;
            self.publish(&mut held, &name);
            self.held.push(held);
        }
    }

    fn step(&mut self) {
        let full = self.held.len() >= MAX_HELD;
        match self.random.u32(0..1000) {
            0..200 if full => self.drop_one(),
            0..40 => self.create_fixed(),
            40..80 => self.create_growable(),
            80..120 => self.create_resizable(),
            120..130 => self.create_private(),
            130..140 => self.move_found(),
            140..150 => self.create_locked(),
            150..160 => self.create_placed(),
            160..200 => self.publish_one(),
            200..380 if full => self.check_one(),
            200..380 => self.clone_one(),
            380..440 => self.find_a_process(),
            440..520 => self.get_by_id(),
            520..540 => self.list(),
            540..550 => self.lock_one(),
            550..670 => self.check_one(),
            670..680 => self.verify_one(),
            680..740 => self.write_one(),
            740..780 => self.grow_one(),
            780..840 => self.resize_one(),
            840..855 => self.freeze_one(),
            855..870 => self.protect_one(),
            870..890 => self.at_one(),
            890..910 => self.resize_alone(),
            910..914 => self.wait_a_little(),
            914..918 => self.take_alone(),
            918..920 => self.churn(),
            920..925 => self.keep(),
            925..970 => self.drop_one(),
            970..980 => self.drop_all(),
            980..994 => self.fork(),
            994..997 => self.fork_among_threads(),
            _ => self.wait_for_child(),
        }
    }

    fn who(&self) -> String {
        let Who { pid, life, group, seed, .. } = self.slot.who;
        format!("process {pid} (worker {group}, life {life}, seed {seed})")
    }

    fn found(&self, rule: Rule, what: &str) {
        self.findings.report(rule, &self.who(), what);
    }

    /// Does an operation; an error that it may not have is a finding.
    fn tried<T>(&mut self, op: Op, call: impl FnOnce(&mut Self) -> areas::Result<T>) -> Option<T> {
        self.slot.begin(op);
        let result = call(self);
        self.ended(op, result)
    }

    fn ended<T>(&mut self, op: Op, result: areas::Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.slot.end(op, None);
                Some(value)
            }
            Err(error) => {
                if !op.allows(error.kind()) {
                    self.found(Rule::Error, &format!("{}: {error:#} ({:?})", op.name(), error.kind()));
                }
                self.slot.end(op, Some(error.kind()));
                None
            }
        }
    }

    /// Where the folder was removed, our areas are published again, perhaps under other ids.
    fn meet_new_folder(&mut self) {
        let epoch = self.shared.epoch();
        if epoch == self.epoch || epoch % 2 == 1 {
            return;
        }
        self.keep();
        self.epoch = epoch;
        self.record_all();
    }

    fn record_all(&mut self) {
        for at in 0..self.held.len() {
            if let (Some(entry), Some(id)) = (self.held[at].entry, self.held[at].id()) {
                self.slot.record(entry, u64::from(id.get().unsigned_abs()), self.held[at].object, self.epoch);
            }
        }
    }

    fn keep(&mut self) {
        self.tried(Op::Keep, |_| registry::ensure_published());
    }

    /// Records a published area, so that others may hold us to it.
    fn record(&mut self, held: &mut Held) {
        let taken: Vec<usize> = self.held.iter().filter_map(|held| held.entry).collect();
        let Some(entry) = (0..ENTRIES).find(|entry| !taken.contains(entry)) else { return };
        let Some(id) = held.id() else { return };
        let mut inode = held.object;
        let mut id = u64::from(id.get().unsigned_abs());
        match self.sabotage {
            Some(Sabotage::Id) => inode += 1,
            Some(Sabotage::Absent) => id ^= 1 << 18,
            _ => {}
        }
        self.slot.record(entry, id, inode, self.epoch);
        held.entry = Some(entry);
    }

    fn any_held(&mut self, wanted: impl Fn(&Held) -> bool) -> Option<usize> {
        let fitting: Vec<usize> = (0..self.held.len()).filter(|&at| wanted(&self.held[at])).collect();
        self.random.choice(fitting)
    }

    /// Breaks a rule, once there is something to break it with.
    fn sabotage(&mut self) {
        match self.sabotage {
            Some(Sabotage::Byte) => {
                let shared = self.any_held(|held| held.writable && held.solid > 64 && held.entry.is_some());
                if let Some(at) = shared
                    && let Memory::Shared(area) = &self.held[at].memory
                    && area.write_at(40, &[0]).is_ok()
                {
                    self.sabotage = None;
                }
            }
            Some(Sabotage::Error) => {
                self.sabotage = None;
                self.tried(Op::CreateFixed, |_| areas::builder(0).shared());
            }
            Some(Sabotage::Hang) => {
                self.slot.begin(Op::Check);
                loop {
                    std::thread::park();
                }
            }
            Some(Sabotage::Leak) => {
                self.sabotage = None;
                if let Ok(area) = areas::builder(4096).name(format!("{}-leak", self.options.tag)).shared() {
                    let _kept = std::mem::ManuallyDrop::new(area);
                }
                self.drop_all();
            }
            // Often, so that two meet.
            Some(Sabotage::Lock) => self.lock_one(),
            Some(Sabotage::Crash) => crate::fork::crash(),
            Some(Sabotage::Panic) => unreachable!("this panic was asked for"),
            _ => {}
        }
    }

    /// An area of a life that ended: no process may find it in that process.
    fn no_process_finds(&self, life: u64, pid: i32, why: &str) {
        let name = life_name(&self.options.tag, life);
        match registry::find(&name) {
            // A child of it that lives holds it too.
            Ok(source) if source.pid() != pid.unsigned_abs() => {}
            Ok(source) => self.found(
                Rule::DeadName,
                &format!("process {pid} holds {name:?} with id {}, although {why}", source.id()),
            ),
            Err(error) if error.kind() == ErrorKind::NoSuchArea => {}
            Err(error) => self.found(Rule::Error, &format!("look for a dead name: {error:#}")),
        }
    }
}
