//! `areas fetch`: an area of another machine, placed, published and held here.

use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::time::Duration;

use areas::{Area, Bytes, Error, ErrorKind, Name, Shared, registry};

use super::args::Fetch;
use super::worker::{Fetched, Worker};
use super::{pass_on, program};
use crate::failure::Result;
use crate::hold::hold;
use crate::holder::ToHold;
use crate::output::{self, progress::Bar, style::shows_progress};
use crate::target::name_of;

pub(crate) fn run(fetch: &Fetch, quiet: bool) -> Result<ExitCode> {
    // Whatever of it makes no sense is said before anything is started.
    let placement = fetch.placing.placement(quiet)?;
    let lock = fetch.placing.lock()?;
    refuse_what_is_taken(fetch)?;
    let make = |size, most: Option<usize>| -> areas::Result<Area<Shared>> {
        let ask = fetch.placing.builder(size, placement).lock(lock);
        let mut area = most.map_or_else(|| ask.shared(), |most| ask.clone().growable(most).shared())?;
        if most.is_none() {
            let bar = Bar::new("take pages", Some(size as u64), quiet);
            area.populate_with(&mut bar.follow())?;
        }
        output::print_granted(&area, fetch.placing.asked(placement), quiet);
        Ok(area)
    };
    let fetched = Worker::start(command(fetch, quiet))?.bring(make)?;
    if !quiet && fetch.holding.command.is_empty() {
        print_fetched(&fetched);
    }
    let Fetched { area, name, note, .. } = fetched;
    let name = fetch.name.clone().unwrap_or(name);
    let note = fetch.publishing.note.clone().or(Some(note).filter(|note| !note.is_empty()));
    let exclusive = fetch.publishing.exclusive;
    hold(vec![ToHold { area, name, note, exclusive }], &fetch.holding, quiet)
}

/// What would be refused at the end, once all of it had come. (At the end it is looked at again.)
fn refuse_what_is_taken(fetch: &Fetch) -> Result<()> {
    let name = fetch.name.clone().or_else(|| name_there(fetch.location.as_bytes()));
    let Some(name) = name.filter(|_| fetch.publishing.exclusive) else { return Ok(()) };
    let Ok(holder) = registry::find(name.as_bytes()) else { return Ok(()) };
    Err(Error::new(ErrorKind::NameTaken, format!("fetch an area as {name:?} exclusively"))
        .with_facts(format!("process {} holds an area of that name", holder.pid()))
        .with_remedy("choose another name (`--name`), or leave out --exclusive")
        .into())
}

/// The name in `HOST:PORT/NAME`, if there is one.
fn name_there(location: &[u8]) -> Option<Name> {
    let text = location.windows(3).position(|part| part == b"://").map_or(location, |at| &location[at + 3..]);
    let slash = text.iter().position(|&byte| byte == b'/')?;
    name_of(&text[slash + 1..]).ok()
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
fn print_fetched(fetched: &Fetched) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_there_is_the_one_that_it_gets_here() {
        let name = |location: &[u8]| name_there(location).map(|name| name.as_bytes().to_vec());
        for (location, expected) in [
            (&b"h:1/a/b"[..], Some(&b"a/b"[..])),
            (b"grpc+tls://h:1/a", Some(b"a")),
            (b"[::1]:1/hex:61ff", Some(b"a\xff")),
            (b"h:1/name:hex:61", Some(b"hex:61")),
            (b"h:1", None),
            (b"h:1/", None),
        ] {
            assert_eq!(name(location).as_deref(), expected, "{location:?}");
        }
    }
}
