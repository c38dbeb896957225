//! Whether finding stays what it is when there are many: 100,000 areas in 64 processes, and one in
//! one, each in a registry of their own, looked at by two processes in turn.

use anyhow::{Context as _, Result};

use super::whose::own_registry;
use crate::agent::Agent;
use crate::bench::{Bench, Contest, MIDDLE, SHORT};
use crate::measure::Plan;

pub fn run(bench: &mut Bench) -> Result<()> {
    let (teams, each) = bench.or_smoke((64, 1_563), (2, 3));
    let (one, many) = (own_registry("one")?, own_registry("many")?);
    let mut holders = vec![Agent::start(Some(&one))?];
    holders[0].ask("hold held-0 1")?;
    for team in 0..teams {
        let mut holder = Agent::start(Some(&many))?;
        holder.say(&format!("hold held-{team} {each}"))?;
        holders.push(holder);
    }
    for holder in &mut holders[1..] {
        anyhow::ensure!(holder.answer()? == each as u64, "a holder holds less");
    }
    let mut of_one = Agent::start(Some(&one))?;
    of_one.ask("meet held 1 1")?;
    let mut of_many = Agent::start(Some(&many))?;
    let there = of_many.ask(&format!("meet held {teams} {each}")).context("100,000 areas")?;
    bench.contest(
        Contest::new(
            "a name found before",
            SHORT,
            of_many.side(&format!("{there} areas"), "time find-warm {}"),
        )
        .against(of_one.side("1 area", "time find-warm {}"), 1.5),
    )?;
    // A name can be looked for the first time only once.
    let few = Plan { most: 500, rounds: 31, budget: std::time::Duration::ZERO, ..SHORT };
    let cold = bench.time(few, &mut of_many.side("cold", "time find-first {}"))?;
    bench.number("a name for the first time", in_microseconds(cold), "µs", 3.0);
    let miss = bench.time(SHORT, &mut of_many.side("miss", "time find-miss {}"))?;
    bench.number("a name of no area", in_microseconds(miss), "µs", None);
    let list = bench.time(MIDDLE, &mut of_many.side("list", "time list {}"))?;
    bench.number(format!("all {there} listed"), list.map(|nanoseconds| nanoseconds / 1e6), "ms", None);
    bench.contest(
        Contest::new("by id", SHORT, of_many.side(&format!("{there} areas"), "time get {}"))
            .against(of_one.side("1 area", "time get {}"), 1.5),
    )?;
    Ok(())
}

pub fn in_microseconds(time: crate::statistics::Spread) -> crate::statistics::Spread {
    time.map(|nanoseconds| nanoseconds / 1_000.0)
}
