//! Many named areas of several processes at once: each makes its own, opens those of its neighbour,
//! and drops all. Against POSIX shared memory by as many processes.

use anyhow::Result;

use crate::agent::Agent;
use crate::bench::{Bench, Contest, LONG};
use crate::measure::{Side, nanoseconds};

/// So many at once.
const PROCESSES: usize = 8;

/// What they do, one step after the other, and all of them at once.
const STEPS: [&str; 3] = ["make", "open", "drop"];

pub fn run(bench: &mut Bench) -> Result<()> {
    crate::machine::pin(false);
    let each = bench.or_smoke(10_000, 80) / PROCESSES;
    let crowd = |who: &str| -> Result<Vec<Agent>> {
        let mut agents = Vec::new();
        for number in 0..PROCESSES {
            let mut agent = Agent::start(None)?;
            let next = (number + 1) % PROCESSES;
            let prefix = format!("bench-crowd-{}", std::process::id());
            agent.ask(&format!("crowd {who} {prefix}-{number} {prefix}-{next} {each}"))?;
            agents.push(agent);
        }
        Ok(agents)
    };
    let (mut ours, mut posix) = (crowd("areas")?, crowd("posix")?);
    let ours = Side::new("areas", move |times| all(&mut ours, times));
    let peer = Side::new("POSIX shm", move |times| all(&mut posix, times));
    let case = format!(
        "{} of 4 KiB by {PROCESSES} processes: made, opened by another one, dropped",
        each * PROCESSES
    );
    bench.contest(Contest::new(case, LONG, ours).against(peer, 1.0))
}

fn all(agents: &mut [Agent], times: u64) -> Result<u64> {
    let start = std::time::Instant::now();
    for _ in 0..times {
        for step in STEPS {
            agents.iter_mut().try_for_each(|agent| agent.say(step))?;
            for agent in agents.iter_mut() {
                agent.answer()?;
            }
        }
    }
    Ok(nanoseconds(start.elapsed()))
}
