//! What a report is made of.

use serde::Serialize;

use crate::machine::Machine;
use crate::statistics::Spread;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub schema: u32,
    pub smoke: bool,
    pub machine: Machine,
    pub seconds: f64,
    pub rows: Vec<RowReport>,
}

/// The outcome of one row.
#[derive(Debug, Serialize)]
pub struct RowReport {
    pub name: &'static str,
    pub what: &'static str,
    pub outcomes: Vec<Outcome>,
    /// Costs as work grows.
    pub curves: Vec<Curve>,
}

/// One comparison, one number, or why there is none.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    Compared(Compared),
    Number(Number),
    Skipped { case: String, why: String },
}

/// Ours beside a peer's.
#[derive(Debug, Serialize)]
pub struct Compared {
    pub case: String,
    pub ours: String,
    pub peer: String,
    /// Ours divided by the peer's.
    pub ratio: Spread,
    /// In nanoseconds.
    pub ours_ns: Spread,
    pub peer_ns: Spread,
    pub rounds: usize,
    /// System calls that one time makes, where they were counted.
    pub ours_calls: Option<f64>,
    pub peer_calls: Option<f64>,
    /// At most this.
    pub target: Option<f64>,
}

/// A number that is ours alone.
#[derive(Debug, Serialize)]
pub struct Number {
    pub case: String,
    pub value: Spread,
    pub unit: &'static str,
    pub target: Option<f64>,
}

/// Points (work, cost), for a picture.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    pub picture: &'static str,
    pub across: &'static str,
    pub up: &'static str,
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

impl Compared {
    pub fn met(&self) -> Option<bool> {
        self.target.map(|target| self.ratio.median <= target)
    }
}

impl Number {
    pub fn met(&self) -> Option<bool> {
        self.target.map(|target| self.value.median <= target)
    }
}
