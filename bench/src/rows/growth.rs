//! How costs grow: with areas in a few teams, and with teams that have one area each. Pictures;
//! what should be flat is flat.

use anyhow::Result;

use super::whose::own_registry;
use crate::agent::Agent;
use crate::bench::{Bench, SHORT};
use crate::measure::Plan;
use crate::outcome::Curve;

/// What is timed, and what one point of it is divided by.
const OPERATIONS: [(&str, &str, bool); 6] = [
    ("find-warm", "find, a name found before", false),
    ("find-first", "find, a name for the first time", false),
    ("find-miss", "find, a name of no area", false),
    ("get", "get by id", false),
    ("info", "info", false),
    ("list", "list, an area", true),
];

pub fn run(bench: &mut Bench) -> Result<()> {
    let by_areas: &[(usize, usize)] = if bench.smoke {
        &[(1, 1), (1, 3)]
    } else {
        &[(1, 1), (1, 10), (1, 100), (1, 1_000), (1, 10_000), (8, 12_500)]
    };
    let by_teams: &[(usize, usize)] =
        if bench.smoke { &[(1, 1), (2, 1)] } else { &[(1, 1), (10, 1), (100, 1), (1_000, 1)] };
    picture(bench, "areas", by_areas)?;
    picture(bench, "teams", by_teams)
}

fn picture(bench: &mut Bench, across: &'static str, sizes: &[(usize, usize)]) -> Result<()> {
    let mut curves: Vec<Curve> = OPERATIONS
        .iter()
        .map(|(_, name, _)| Curve {
            picture: if across == "areas" { "growth-areas" } else { "growth-teams" },
            across,
            up: "nanoseconds",
            name: (*name).to_owned(),
            points: Vec::new(),
        })
        .collect();
    for &(teams, each) in sizes {
        let registry = own_registry(&format!("growth-{across}-{teams}-{each}"))?;
        let mut holders = Vec::new();
        for team in 0..teams {
            let mut holder = Agent::start(Some(&registry))?;
            holder.ask(&format!("hold held-{team} {each}"))?;
            holders.push(holder);
        }
        let mut looker = Agent::start(Some(&registry))?;
        looker.ask(&format!("meet held {teams} {each}"))?;
        for ((operation, _, of_each), curve) in OPERATIONS.iter().zip(&mut curves) {
            let all = teams * each;
            let plan = match *operation {
                // Each name once, and one was asked for already.
                "find-first" if all < 8 => continue,
                "find-first" => {
                    Plan { most: (all as u64 / 16).clamp(1, 200), rounds: 9.min(all / 2 - 1), ..Plan::SMOKE }
                }
                "list" => Plan { rounds: 5, ..Plan::SMOKE },
                _ => SHORT.budget(std::time::Duration::from_millis(100)),
            };
            let request = format!("time {operation} {{}}");
            let time = bench.time(plan, &mut looker.side(operation, &request))?.median;
            let work = if across == "areas" { all } else { teams };
            curve.points.push((work as f64, if *of_each { time / all as f64 } else { time }));
        }
        // All at once, not one by one: dropping waits for each.
        for holder in holders {
            holder.kill()?;
        }
    }
    for curve in curves {
        bench.curve(curve);
    }
    Ok(())
}
