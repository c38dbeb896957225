//! Two sides in turn: ours, the peer, the peer, ours … so that whatever the machine does besides,
//! it does to both. What counts is the ratio of two neighbours in time, and of many such ratios the
//! median.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::statistics::Spread;

/// Does the work so many times and reports the nanoseconds that it took.
pub type Work<'a> = Box<dyn FnMut(u64) -> Result<u64> + 'a>;

/// One who does the work.
pub struct Side<'a> {
    pub name: String,
    pub work: Work<'a>,
}

impl<'a> Side<'a> {
    /// Work that is timed inside.
    pub fn new(name: impl Into<String>, work: impl FnMut(u64) -> Result<u64> + 'a) -> Self {
        Side { name: name.into(), work: Box::new(work) }
    }

    /// Work that is done again and again within one reading of the clock.
    pub fn each(name: impl Into<String>, mut work: impl FnMut() -> Result<()> + 'a) -> Self {
        Side::new(name, move |times| {
            let start = Instant::now();
            for _ in 0..times {
                work()?;
            }
            Ok(nanoseconds(start.elapsed()))
        })
    }
}

/// As the peers in C count.
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How long a pair is compared.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The least that one batch takes, unless it does its work `most` times.
    pub batch: Duration,
    /// For all rounds of one pair.
    pub budget: Duration,
    /// At least so many rounds, whatever they take.
    pub rounds: usize,
    /// More than so often a batch does not do its work.
    pub most: u64,
}

impl Plan {
    /// For work of microseconds. A batch is shorter than the time that a scheduler gives to one
    /// process: on a busy machine most batches are not interrupted, and the median is one of those.
    pub const SHORT: Plan = Plan {
        batch: Duration::from_micros(300),
        budget: Duration::from_millis(900),
        rounds: 51,
        most: 1 << 20,
    };
    /// For work that is done once a batch.
    pub const LONG: Plan = Plan { batch: Duration::ZERO, budget: Duration::from_secs(6), rounds: 9, most: 1 };
    /// To see whether it runs.
    pub const SMOKE: Plan = Plan { batch: Duration::ZERO, budget: Duration::ZERO, rounds: 1, most: 2 };

    pub const fn budget(self, budget: Duration) -> Self {
        Plan { budget, ..self }
    }
}

/// The outcome of a pair, in nanoseconds a time.
#[derive(Clone, Debug)]
pub struct Pair {
    pub ratio: Spread,
    pub ours: Spread,
    pub peer: Spread,
    pub rounds: usize,
}

const MAX_ROUNDS: usize = 1_001;

/// Compares two sides.
pub fn pair(ours: &mut Side<'_>, peer: &mut Side<'_>, plan: Plan) -> Result<Pair> {
    let our_times = warm(ours, plan)?;
    let peer_times = warm(peer, plan)?;
    let mut times = (Vec::new(), Vec::new());
    let start = Instant::now();
    while times.0.len() < plan.rounds || (times.0.len() < MAX_ROUNDS && start.elapsed() < plan.budget) {
        // Who is first takes turns.
        let (a, b) = if times.0.len() % 2 == 0 {
            let a = once(ours, our_times)?;
            (a, once(peer, peer_times)?)
        } else {
            let b = once(peer, peer_times)?;
            (once(ours, our_times)?, b)
        };
        times.0.push(a);
        times.1.push(b);
    }
    let ratios = times.0.iter().zip(&times.1).map(|(a, b)| a / b).collect();
    Ok(Pair {
        rounds: times.0.len(),
        ratio: Spread::of(ratios),
        ours: Spread::of(times.0),
        peer: Spread::of(times.1),
    })
}

/// The times of one side alone.
pub fn alone(side: &mut Side<'_>, plan: Plan) -> Result<Spread> {
    let times = warm(side, plan)?;
    let mut values = Vec::new();
    let start = Instant::now();
    while values.len() < plan.rounds || (values.len() < MAX_ROUNDS && start.elapsed() < plan.budget) {
        values.push(once(side, times)?);
    }
    Ok(Spread::of(values))
}

/// Does it until it is warm, and finds out how often it fits into a batch.
fn warm(side: &mut Side<'_>, plan: Plan) -> Result<u64> {
    let mut times = 1;
    loop {
        let took = once(side, times)? * times as f64;
        let wanted = plan.batch.as_nanos() as f64;
        if took >= wanted || times >= plan.most {
            return Ok(times);
        }
        // Not by more than tenfold: the first time of all is a slow one.
        let grown = (times as f64 * (wanted / took.max(1.0) * 1.2).clamp(2.0, 10.0)).ceil();
        times = (grown as u64).min(plan.most);
    }
}

/// Nanoseconds a time.
fn once(side: &mut Side<'_>, times: u64) -> Result<f64> {
    let took = (side.work)(times).with_context(|| side.name.clone())?;
    // What is faster than the clock's tick took half a tick.
    Ok((took as f64).max(0.5) / times as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_up<'a>(name: &str, each: u64) -> Side<'a> {
        Side::new(name, move |times| Ok(times * each))
    }

    #[test]
    fn ratios_are_of_one_time_each() {
        // Their batches differ, what one time takes does not.
        let pair =
            pair(&mut made_up("a", 3), &mut made_up("b", 1_000), Plan::SHORT.budget(Duration::ZERO)).unwrap();
        assert_eq!(pair.ratio, Spread::exactly(0.003));
        assert_eq!((pair.ours.median, pair.peer.median, pair.rounds), (3.0, 1_000.0, 51));
    }

    #[test]
    fn batches_are_as_long_as_they_are_to_be() {
        let most = std::cell::Cell::new(0);
        let mut side = Side::new("a", |times| {
            most.set(times.max(most.get()));
            Ok(times * 10)
        });
        let times = warm(&mut side, Plan::SHORT).unwrap();
        assert!(times * 10 >= 300_000 && times < 300_000, "{times}");
        assert_eq!(warm(&mut side, Plan::LONG).unwrap(), 1);
    }

    #[test]
    fn who_fails_is_named() {
        let mut bad = Side::new("the peer", |_| anyhow::bail!("no"));
        let error = alone(&mut bad, Plan::SMOKE).unwrap_err();
        assert_eq!(format!("{error:#}"), "the peer: no");
    }
}
