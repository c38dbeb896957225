//! The command that lists what is there, against those for System V segments: as many, in a
//! namespace of their own.

use anyhow::Result;

use crate::agent::Agent;
use crate::bench::{Bench, Contest, MIDDLE};
use crate::machine;

pub fn run(bench: &mut Bench) -> Result<()> {
    let (teams, each) = bench.or_smoke((100, 100), (2, 2));
    let mut holders = Vec::new();
    for team in 0..teams {
        let mut holder = Agent::start(None)?;
        holder.say(&format!("hold listed-{team} {each}"))?;
        holders.push(holder);
    }
    for holder in &mut holders {
        holder.answer()?;
    }
    machine::pin(true);
    let mut segments = Agent::start(None)?;
    if let Err(error) = segments.ask(&format!("segments {}", teams * each)) {
        bench.skip("System V segments", format!("{error:#}"));
        return Ok(());
    }
    let mut ours = Agent::start(None)?;
    let run = |program: &str, args: &str| format!("run {{}} {program}{args}");
    let list = run(&bench.command.display().to_string(), " ls");
    let case = format!("{} of {teams} processes", teams * each);
    for (who, args, target) in [("ipcs", " -m", Some(1.0)), ("lsipc", " -m", Some(1.0))] {
        if !std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .any(|folder| folder.join(who).is_file())
        {
            bench.skip(who, "it is not here");
            continue;
        }
        let request = run(who, args);
        let peer = segments.side(&format!("{who}{args}"), &request);
        bench.contest(Contest::new(&case, MIDDLE, ours.side("areas ls", &list)).against(peer, target))?;
    }
    Ok(())
}
