//! Looking for areas, and being found.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use areas::AreaId;
use areas::registry::{self, Source};

use super::super::reply::SEPARATOR;
use super::super::{exclusive, notes, workload};
use super::{Failure, Holdings, done};

pub(super) fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    match *words {
        ["busy", threads] => {
            holdings.busy = Some(workload::Busy::start(threads.parse()?));
            done(())
        }
        ["idle"] => done(holdings.busy.take().ok_or("not busy".to_owned())?.stop()?),
        ["wait", name, millis] => {
            let timeout = Duration::from_millis(millis.parse()?);
            Ok(seen(&registry::wait(name, Some(timeout))?))
        }
        ["find", name] => Ok(seen(&registry::find(name)?)),
        ["get", id] => Ok(seen(&registry::get(AreaId::new(id.parse()?)?)?)),
        ["age", name] => age(name),
        ["size", name] => Ok(registry::find(name)?.info()?.size.to_string()),
        ["holders", name] => Ok(registry::find(name)?.holders().len().to_string()),
        ["is-retired", id] => Ok(registry::get(AreaId::new(id.parse()?)?)?.info()?.retired.to_string()),
        ["list"] => list(),
        ["list-while", millis] => list_while(Duration::from_millis(millis.parse()?)),
        ["unpublished", pid] => unpublished(pid.parse()?),
        ["exclusive", ..] => exclusive::perform(&words[1..], holdings),
        ["note", ..] => notes::perform(&words[1..], holdings),
        ["keep"] => done(registry::ensure_published()?),
        ["path"] => Ok(registry::path()?.map_or("-".to_owned(), |path| path.display().to_string())),
        ["remark"] => Ok(registry::path_remark()?.unwrap_or_else(|| "-".to_owned())),
        ["keeper", what] => keeper(what, holdings),
        _ => Err(Failure::Unknown),
    }
}

fn keeper(what: &str, holdings: &mut Holdings) -> Result<String, Failure> {
    match what {
        "end" => holdings.keeper = None,
        "trouble" => {
            let keeper = holdings.keeper.as_ref().ok_or_else(|| "no keeper".to_owned())?;
            return Ok(keeper.trouble().unwrap_or_else(|| "-".to_owned()).replace('\n', " "));
        }
        millis => {
            let interval = Duration::from_millis(millis.parse()?);
            holdings.keeper = Some(registry::Keeper::start(interval)?);
        }
    }
    done(())
}

/// In seconds, by the wall clock.
fn age(name: &str) -> Result<String, Failure> {
    let created = registry::find(name)?.info()?.created();
    let age = SystemTime::now().duration_since(created);
    Ok(age.map_err(|_| "it is of the future".to_owned())?.as_secs().to_string())
}

fn list_while(time: Duration) -> Result<String, Failure> {
    let end = Instant::now() + time;
    let mut rounds = 0;
    while Instant::now() < end {
        registry::list()?;
        rounds += 1;
    }
    Ok(rounds.to_string())
}

/// Of what a process holds: the size, and the numbers of all who hold it.
fn unpublished(pid: u32) -> Result<String, Failure> {
    let mut answer = String::new();
    for memory in registry::unpublished()? {
        let holders: Vec<u32> = memory.holders.iter().map(|holder| holder.pid).collect();
        if holders.contains(&pid) {
            let size = memory.size.map_or("-".to_owned(), |size| size.to_string());
            let holders: Vec<String> = holders.iter().map(ToString::to_string).collect();
            let _ = write!(answer, "{size} {}{SEPARATOR}", holders.join(","));
        }
    }
    Ok(answer)
}

fn seen(source: &Source) -> String {
    format!("{} {} {}", source.id(), source.pid(), source.name())
}

fn list() -> Result<String, Failure> {
    let listing = registry::list()?;
    let mut answer = String::new();
    for area in &listing.areas {
        let _ = write!(answer, "+{}{SEPARATOR}", seen(area));
    }
    for team in &listing.unreadable {
        let _ = write!(answer, "-{} {}{SEPARATOR}", team.pid, team.reason);
    }
    Ok(answer)
}
