//! A run under way: what rows say to, and what they leave behind.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::machine::{self, Machine};
use crate::measure::{self, Plan, Side};
use crate::outcome::{Compared, Curve, Number, Outcome, Report, RowReport};
use crate::peers::{Library, Peers};
use crate::statistics::Spread;
use crate::{Options, count};

/// A run under way.
pub struct Bench {
    pub smoke: bool,
    pub peers: Peers,
    /// The `areas` command.
    pub command: PathBuf,
    /// For files that take part.
    pub out: PathBuf,
    machine: Machine,
    start: Instant,
    rows: Vec<RowReport>,
}

/// The same work by several.
pub struct Contest<'a> {
    case: String,
    ours: Side<'a>,
    plan: Plan,
    /// Whether system calls are counted: the work is done by the thread that is asked.
    counted: bool,
    against: Vec<(Side<'a>, Option<f64>)>,
}

impl<'a> Contest<'a> {
    pub fn new(case: impl Into<String>, plan: Plan, ours: Side<'a>) -> Self {
        Contest { case: case.into(), ours, plan, counted: false, against: Vec::new() }
    }

    pub fn counted(mut self) -> Self {
        self.counted = true;
        self
    }

    /// A peer, and what our share of its time is to be at most.
    pub fn against(mut self, peer: Side<'a>, target: impl Into<Option<f64>>) -> Self {
        self.against.push((peer, target.into()));
        self
    }
}

impl Bench {
    pub fn new(options: &Options) -> Result<Self> {
        Ok(Bench {
            smoke: options.smoke,
            peers: Peers::new(&options.peers),
            command: options.command.clone(),
            out: options.out.clone(),
            machine: machine::look(),
            start: Instant::now(),
            rows: Vec::new(),
        })
    }

    /// From now on what comes of it is that row's.
    pub fn begin(&mut self, name: &'static str, what: &'static str) {
        eprintln!("{:>6.1} s  {name}", self.start.elapsed().as_secs_f64());
        machine::pin(true);
        self.rows.push(RowReport { name, what, outcomes: Vec::new(), curves: Vec::new() });
    }

    fn keep(&mut self, outcome: Outcome) {
        self.rows.last_mut().expect("a row has begun").outcomes.push(outcome);
    }

    /// One of the two numbers.
    pub fn or_smoke<T>(&self, real: T, smoke: T) -> T {
        if self.smoke { smoke } else { real }
    }

    /// Runs a contest. The calls are counted first, before the caches are warm for the clock.
    pub fn contest(&mut self, contest: Contest<'_>) -> Result<()> {
        let Contest { case, mut ours, plan, counted, against } = contest;
        let plan = self.or_smoke(plan, Plan::SMOKE);
        let ours_calls = if counted { count::calls(&mut ours)? } else { None };
        for (mut peer, target) in against {
            let peer_calls = if counted { count::calls(&mut peer)? } else { None };
            let pair = measure::pair(&mut ours, &mut peer, plan).with_context(|| case.clone())?;
            self.keep(Outcome::Compared(Compared {
                case: case.clone(),
                ours: ours.name.clone(),
                peer: peer.name.clone(),
                ratio: pair.ratio,
                ours_ns: pair.ours,
                peer_ns: pair.peer,
                rounds: pair.rounds,
                ours_calls,
                peer_calls,
                target,
            }));
        }
        Ok(())
    }

    /// Our own times in the last comparison of this row, in nanoseconds.
    pub fn last_time(&self) -> Option<Spread> {
        self.rows.last()?.outcomes.iter().rev().find_map(|outcome| match outcome {
            Outcome::Compared(compared) => Some(compared.ours_ns),
            _ => None,
        })
    }

    /// The time of one side alone, in nanoseconds.
    pub fn time(&mut self, plan: Plan, side: &mut Side<'_>) -> Result<Spread> {
        measure::alone(side, self.or_smoke(plan, Plan::SMOKE))
    }

    /// A number of ours.
    pub fn number(
        &mut self,
        case: impl Into<String>,
        value: Spread,
        unit: &'static str,
        target: impl Into<Option<f64>>,
    ) {
        self.keep(Outcome::Number(Number { case: case.into(), value, unit, target: target.into() }));
    }

    pub fn curve(&mut self, curve: Curve) {
        self.rows.last_mut().expect("a row has begun").curves.push(curve);
    }

    /// What cannot be compared here, said aloud.
    pub fn skip(&mut self, case: impl Into<String>, why: impl Into<String>) {
        let (case, why) = (case.into(), why.into());
        let row = self.rows.last().map_or("", |row| row.name);
        eprintln!("SKIPPED: {row}: {case}: {why}");
        self.keep(Outcome::Skipped { case, why });
    }

    /// A peer's library, or it is skipped.
    pub fn library(&mut self, name: &'static str) -> Option<Library> {
        match self.peers.library(name) {
            Ok(library) => Some(library),
            Err(why) => {
                self.skip(name, why);
                None
            }
        }
    }

    pub fn finish(self) -> Report {
        Report {
            schema: 1,
            smoke: self.smoke,
            machine: self.machine.at_end(),
            seconds: self.start.elapsed().as_secs_f64(),
            rows: self.rows,
        }
    }
}

/// For work of a few microseconds each.
pub const SHORT: Plan = Plan::SHORT;
/// For work of a tenth of a second and more.
pub const LONG: Plan = Plan::LONG;
/// For work of milliseconds.
pub const MIDDLE: Plan = Plan {
    batch: Duration::from_millis(20),
    budget: Duration::from_millis(2_500),
    rounds: 11,
    most: 1 << 10,
};
