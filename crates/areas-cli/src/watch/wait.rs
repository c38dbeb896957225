//! `areas wait`: until a process publishes a name; until it is frozen, or gone.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use areas::registry::{self, Publications, Source};
use areas::{Error, ErrorKind, Name};

use super::args::Wait;
use super::deaths::Deaths;
use crate::failure::Result;
use crate::output::{self, json, reader};
use crate::report::Report;

/// How often to look for what nothing notifies of.
const BETWEEN: Duration = Duration::from_millis(100);

pub(crate) fn run(wait: &Wait, quiet: bool) -> Result<ExitCode> {
    reader::end_without_reader()?;
    if wait.gone {
        until_gone(&wait.name, wait.timeout)?;
        if !quiet {
            output::print(&format!("area {:?} is gone\n", wait.name))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let source = match wait.frozen {
        true => until_frozen(&wait.name, wait.timeout)?,
        false => registry::wait(wait.name.as_bytes(), wait.timeout)?,
    };
    if wait.json {
        json::print(Report::of(&source)?.to_json(), true)?;
    } else if quiet {
        output::print(&format!("{}\n", source.id()))?;
    } else {
        output::print(&format!("area {} {:?} in process {}\n", source.id(), source.name(), source.pid()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The area of that name, or `None` if there is none.
fn found(name: &Name) -> areas::Result<Option<Source>> {
    match registry::find(name.as_bytes()) {
        Ok(source) => Ok(Some(source)),
        Err(error) if error.kind() == ErrorKind::NoSuchArea => Ok(None),
        Err(error) => Err(error),
    }
}

/// How long to sleep now; `None` once the time is over.
fn slice(begun: Instant, timeout: Option<Duration>) -> Option<Duration> {
    let left = timeout.map_or(BETWEEN, |timeout| timeout.saturating_sub(begun.elapsed()).min(BETWEEN));
    (!left.is_zero()).then_some(left)
}

fn too_long(name: &Name, what: &str, timeout: Option<Duration>, why: String) -> Error {
    Error::new(ErrorKind::TimedOut, format!("wait until area {name:?} is {what}"))
        .with_facts(format!("not within {:?}: {why}", timeout.unwrap_or_default()))
}

fn until_gone(name: &Name, timeout: Option<Duration>) -> areas::Result<()> {
    let begun = Instant::now();
    let mut deaths = Deaths::default();
    while let Some(source) = found(name)? {
        let Some(slice) = slice(begun, timeout) else {
            let why = format!("process {} holds it", source.pid());
            return Err(too_long(name, "gone", timeout, why)
                .with_remedy(format!("`areas show {name}` shows its holders")));
        };
        deaths.expect([source.pid()]);
        deaths.wait(slice);
    }
    Ok(())
}

fn until_frozen(name: &Name, timeout: Option<Duration>) -> areas::Result<Source> {
    let begun = Instant::now();
    let mut publications = Publications::default();
    loop {
        publications.expect()?;
        let source = found(name)?;
        if let Some(source) = &source {
            match source.inspect() {
                Ok(look) if look.is_frozen() => return Ok(source.clone()),
                // It went, or cannot be looked at now: then once more.
                Ok(_) | Err(_) => {}
            }
        }
        let Some(slice) = slice(begun, timeout) else {
            let why = match &source {
                None => "there is no area of that name".to_owned(),
                Some(source) => match source.inspect() {
                    Ok(_) => format!("process {} holds it, and it is not frozen", source.pid()),
                    Err(error) => error.to_string(),
                },
            };
            return Err(too_long(name, "frozen", timeout, why));
        };
        publications.sleep(slice);
    }
}
