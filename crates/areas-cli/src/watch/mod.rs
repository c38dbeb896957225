//! `areas watch`: what happens to areas, a line an event. `areas wait`: until something has
//! happened.
//!
//! | file | what |
//! |---|---|
//! | `args.rs` | what can be said on the command line |
//! | `area.rs`, `seen.rs` | what is known of an area at one look, and what has happened between two |
//! | `event.rs` | how that is reported |
//! | `deaths.rs` | the end of processes |
//! | `wait.rs` | waiting for one thing |

mod area;
pub(crate) mod args;
mod deaths;
mod event;
mod seen;
pub(crate) mod wait;

use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::mpsc::{self, SyncSender};
use std::time::{Duration, Instant};

use areas::registry::{self, Publications};
use areas::{Error, ErrorKind};

use crate::failure::{Result, io_error};
use crate::output::reader;
use args::Watch;
use deaths::Deaths;
use event::{Event, What};
use seen::Seen;

/// What is reported where the time passed first.
const TIMED_OUT: u8 = 4;

/// How long to sleep for a publication: who listens looks all the same, at each interval.
const LONG: Duration = Duration::from_secs(60);

pub(crate) fn run(watch: &Watch, quiet: bool) -> Result<ExitCode> {
    let begun = Instant::now();
    reader::end_without_reader()?;
    let (mut bell, looked) = listen()?;
    let mut deaths = Deaths::default();
    let mut before = look(watch, &Seen::default())?;
    if !quiet {
        for area in before.areas() {
            event::print(&Event::of(What::There, area), watch.json)?;
        }
    }
    let mut reported = 0;
    loop {
        let late = deaths.expect(before.areas().map(|area| area.pid));
        let left = watch.timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
        if left == Some(Duration::ZERO) {
            let too_few = watch.count.is_some();
            return Ok(if too_few { ExitCode::from(TIMED_OUT) } else { ExitCode::SUCCESS });
        }
        let longest = left.map_or(watch.interval, |left| left.min(watch.interval));
        deaths.wait_or(Some(bell.as_fd()), if late { Duration::ZERO } else { longest });
        let rung = is_rung(&mut bell)?;
        let now = look(watch, &before)?;
        if rung {
            // The reader may have ended, which the next look at the pipe shows.
            let _ = looked.try_send(());
        }
        for event in now.since(&before) {
            event::print(&event, watch.json)?;
            reported += 1;
            if watch.count.is_some_and(|count| reported >= count) {
                return Ok(ExitCode::SUCCESS);
            }
        }
        before = now;
    }
}

fn look(watch: &Watch, before: &Seen) -> areas::Result<Seen> {
    let mut areas = registry::list()?.areas;
    areas.retain(|area| {
        watch.areas.is_empty() || watch.areas.iter().any(|pattern| pattern.fits(area.id(), area.name()))
    });
    Ok(Seen::of(&areas, before))
}

/// Listens for publications in a thread of its own: the pipe has a byte once there was one, and
/// nothing more comes until that was looked at.
fn listen() -> Result<(PipeReader, SyncSender<()>)> {
    let (reader, mut writer) = std::io::pipe().map_err(|error| io_error("make a pipe", error))?;
    rustix::io::ioctl_fionbio(&reader, true).map_err(|errno| io_error("make a pipe", errno.into()))?;
    let (looked, wait) = mpsc::sync_channel::<()>(1);
    let listen = move || {
        let mut publications = Publications::default();
        // First expected, then looked, then slept: none is missed. That the registry cannot be
        // listened to, the look shows.
        while publications.expect().is_ok() && std::io::Write::write_all(&mut writer, b"x").is_ok() {
            if wait.recv().is_err() {
                break;
            }
            publications.sleep(LONG);
        }
    };
    std::thread::Builder::new()
        .name("publications".to_owned())
        .spawn(listen)
        .map_err(|error| Error::new(ErrorKind::System, "listen for publications").caused_by(error))?;
    Ok((reader, looked))
}

/// Whether there was a publication, or may have been.
fn is_rung(bell: &mut PipeReader) -> Result<bool> {
    match bell.read(&mut [0; 16]) {
        Ok(0) => Err(Error::new(ErrorKind::Registry, "listen for publications")
            .with_facts("its control file cannot be used any more")
            .into()),
        Ok(_) => Ok(true),
        Err(error)
            if [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::Interrupted].contains(&error.kind()) =>
        {
            Ok(false)
        }
        Err(error) => Err(io_error("listen for publications", error).into()),
    }
}
