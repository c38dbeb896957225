//! Commands that go through a team's areas one at a time.

use std::fmt::Write as _;

use areas::registry;

use super::reply::SEPARATOR;
use super::serve::{Failure, Holdings};

pub(crate) fn perform(words: &[&str], holdings: &mut Holdings) -> Option<Result<String, Failure>> {
    Some(match *words {
        ["next", pid, after] => next(pid, after),
        ["walk", pid] => walk(pid, &mut |_| Ok(())),
        // Between the steps, areas of our own come and go.
        ["walk-restless", pid] => walk(pid, &mut |step| {
            match step % 3 {
                0 => drop(holdings.areas.remove(&u32::MAX)),
                _ => drop(holdings.areas.insert(u32::MAX, areas::builder(1).name("restless").shared()?)),
            }
            Ok(())
        }),
        _ => return None,
    })
}

/// The id and the address of the next one, or `end`.
fn next(pid: &str, after: &str) -> Result<String, Failure> {
    Ok(match registry::next(pid.parse()?, after.parse()?)? {
        Some(area) => format!("{} {}", area.id(), area.address()),
        None => "end".to_owned(),
    })
}

fn walk(pid: &str, between: &mut dyn FnMut(u32) -> Result<(), Failure>) -> Result<String, Failure> {
    let (pid, mut after, mut step) = (pid.parse()?, 0, 0);
    let mut answer = String::new();
    while let Some(area) = registry::next(pid, after)? {
        after = area.address();
        let _ = write!(answer, "{} {after}{SEPARATOR}", area.id());
        between(step)?;
        step += 1;
    }
    Ok(answer)
}
