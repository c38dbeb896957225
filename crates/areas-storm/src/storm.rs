//! A storm under way: what its parts know of it.

use std::path::PathBuf;
use std::time::Instant;

use crate::board::Board;
use crate::finding::{Findings, Rule};
use crate::sabotage::Sabotage;

/// How a storm shall be.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// How long
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    pub(crate) minutes: f64,
    /// How many workers at once; their children come on top
    #[arg(long, default_value_t = 32, value_name = "P")]
    pub(crate) processes: usize,
    /// Where chance begins: the same seed makes the same plans, though not the same races
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Seconds after which an operation counts as hanging, on a machine that does much else
    #[arg(long, default_value_t = 180)]
    pub(crate) deadline: u64,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Break a rule on purpose: the storm must find it
    #[arg(long, hide = true)]
    pub(crate) sabotage: Option<Sabotage>,
}

/// A storm under way.
#[derive(Debug)]
pub(crate) struct Storm {
    pub(crate) options: Options,
    pub(crate) seed: u64,
    /// Its folder.
    pub(crate) run: PathBuf,
    /// How the names of its areas begin.
    pub(crate) tag: String,
    pub(crate) board: Board,
    pub(crate) findings: Findings,
    pub(crate) deeds: Deeds,
    pub(crate) started: Instant,
    /// Shared memory of the machine before it.
    pub(crate) memory_before: u64,
}

impl Storm {
    /// Reports something that the supervisor has found.
    pub(crate) fn found(&self, rule: Rule, what: &str) {
        self.findings.report(rule, &format!("the supervisor (seed {})", self.seed), what);
    }
}

/// What the supervisor did and saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deeds {
    pub(crate) seconds: f64,
    /// Workers; their children are counted as forks.
    pub(crate) begun: u64,
    /// By the supervisor; parents reap too.
    pub(crate) reaped: u64,
    pub(crate) killed: u64,
    pub(crate) kills: u64,
    pub(crate) group_kills: u64,
    pub(crate) stops: u64,
    pub(crate) folders_removed: u64,
    pub(crate) ids_reused: u64,
    pub(crate) slots_reused: u64,
    pub(crate) most_areas: usize,
    pub(crate) most_processes: usize,
}
