//! `areas fetch`: an area of another machine, placed, published and held here.

use std::process::ExitCode;
use std::time::Duration;

use areas::{Area, Bytes, Shared};

use super::args::Fetch;
use super::worker::{Fetched, Worker};
use super::{pass_on, program};
use crate::failure::Result;
use crate::hold::{ToHold, hold};
use crate::output::{self, progress::Bar, style::shows_progress};

pub(crate) fn run(fetch: &Fetch, quiet: bool) -> Result<ExitCode> {
    // Whatever of it makes no sense is said before anything is started.
    let placement = fetch.placing.placement(quiet)?;
    let lock = fetch.placing.lock()?;
    let make = |size, most: Option<usize>| -> areas::Result<Area<Shared>> {
        let ask = fetch.placing.builder(size, placement).lock(lock);
        let mut area = most.map_or_else(|| ask.shared(), |most| ask.clone().growable(most).shared())?;
        if most.is_none() {
            let bar = Bar::new("take pages", Some(size as u64), quiet);
            area.populate_with(&mut bar.follow())?;
        }
        output::tell_granted(&area, fetch.placing.asked(placement), quiet);
        Ok(area)
    };
    let fetched = Worker::start(command(fetch, quiet))?.bring(make)?;
    if !quiet && fetch.holding.command.is_empty() {
        tell(&fetched);
    }
    let Fetched { area, name, note, .. } = fetched;
    let name = fetch.name.clone().unwrap_or(name);
    let note = fetch.publishing.note.clone().or(Some(note).filter(|note| !note.is_empty()));
    let exclusive = fetch.publishing.exclusive;
    hold(vec![ToHold { area, name, note, exclusive }], &fetch.holding, quiet)
}

fn command(fetch: &Fetch, quiet: bool) -> std::process::Command {
    let mut command = program("fetch");
    pass_on(&fetch.reaching, &mut command);
    command.arg("--streams").arg(fetch.streams.to_string());
    if let Some(Bytes(most)) = fetch.max_size {
        command.arg("--max-size").arg(most.to_string());
    }
    // A clone would be where its source is.
    if fetch.copy || fetch.placing.is_asked() {
        command.arg("--copy");
    }
    if !quiet && shows_progress() {
        command.arg("--progress");
    }
    command.arg("--").arg(&fetch.location);
    command
}

/// What is not seen in the area.
fn tell(fetched: &Fetched) {
    if fetched.local {
        output::complain("it is an area of this machine: cloned, and nothing was sent");
    } else if fetched.seconds > 0.0 {
        let (sent, seconds) = (Bytes(fetched.sent), fetched.seconds);
        let micros = Duration::try_from_secs_f64(seconds).map_or(1, |time| time.as_micros().max(1));
        let rate = Bytes(u64::try_from(u128::from(fetched.sent) * 1_000_000 / micros).unwrap_or(u64::MAX));
        output::complain(&format!("{sent:#} came in {seconds:.3} s, {rate:#} a second"));
    }
    if !fetched.checked {
        output::complain("the server is not one of areas: it sent no checksum to compare this table with");
    }
    if fetched.resumed > 0 {
        let (times, sent) = (fetched.resumed, Bytes(fetched.sent));
        output::complain(&format!(
            "the connection was lost {times} times; all {sent:#} came, and the checksum is right"
        ));
    }
}
