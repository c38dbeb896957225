//! The process that fetches for `areas fetch`, and for `areas.fetch` in Python.
//!
//! The one that started it makes the area, where it shall be placed, publishes it and holds it: all
//! that it does for any other area. This one fills it. Between the two, over the standard streams:
//!
//! 1. this process says on its standard output how large the area is: `{"event":"size",…}`, a line
//!    of JSON as each of them;
//! 2. the other one makes an area without a name and sends it over the Unix socket that is this
//!    process's standard input; it keeps nothing of it;
//! 3. this process fills it, freezes it, compares the checksum, sends it back, and says
//!    `{"event":"done",…}`.
//!
//! Where the area is of the same machine and registry, it is found there, compared, and sent back
//! at once. What goes wrong is said as `{"event":"failed",…}`; then nothing is sent back. If the
//! other process ends, so does this one, and with both all memory is gone.

use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use areas::{AnyArea, Area, Error, ErrorKind, Frozen, Name, PageSize, ReceiveOptions, Result, registry};
use arrow_flight::FlightInfo;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::args::Fetch;
use crate::checksum::Checksum;
use crate::client::{Brought, Download, Found, Peer, TableDownload};
use crate::hex::hex;
use crate::place::Location;
use crate::wire::{self, Offered};
use crate::{code_of, complain, runtime};

/// Of a server that does not report how much there is, no more is taken without being asked to.
const DEFAULT_MAX_SIZE: u64 = 1 << 30;

/// What is said of a fetch.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    /// An area of so many bytes is wanted; where `most` is there, one that may grow so far.
    Size {
        size: u64,
        most: Option<u64>,
        name: String,
        note: String,
    },
    /// It was sent back. Without a checksum there was nothing to compare it with.
    Done {
        checksum: Option<String>,
        sent: u64,
        /// For so long, without making the area and comparing it.
        seconds: f64,
        resumed: u32,
        local: bool,
        name: String,
        note: String,
    },
    Failed {
        kind: String,
        what: &'a str,
        detail: Option<String>,
        help: Option<&'a str>,
    },
}

impl<'a> Event<'a> {
    fn failed(error: &'a Error) -> Self {
        // All that it says in its one line, behind what could not be done.
        let whole = error.to_string();
        let detail = whole.strip_prefix("cannot ").and_then(|rest| rest.strip_prefix(error.what()));
        let detail = detail.and_then(|rest| rest.strip_prefix(": ")).map(str::to_owned);
        Event::Failed {
            kind: format!("{:?}", error.kind()),
            what: error.what(),
            detail,
            help: error.remedy(),
        }
    }
}

/// To a program that started this one: what failed.
pub(crate) fn say_failed(error: &Error) -> Result<()> {
    say(&Event::failed(error))
}

fn say(event: &Event<'_>) -> Result<()> {
    let mut line = wire::encode(event);
    line.push(b'\n');
    let mut output = std::io::stdout().lock();
    output
        .write_all(&line)
        .and_then(|()| output.flush())
        .map_err(|error| crate::failure::io_error("talk to the process that started this", error))
}

pub(crate) fn run(fetch: &Fetch) -> ExitCode {
    match fetched(fetch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if say(&Event::failed(&error)).is_err() {
                complain(&format!("{error:#}"));
            }
            ExitCode::from(code_of(&error))
        }
    }
}

fn fetched(fetch: &Fetch) -> Result<()> {
    let socket = std::io::stdin();
    let socket = socket.as_fd();
    end_with_the_other(socket)?;
    // Which a process that is stopped does not see.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| crate::failure::io_error("end with the process that started this", error.into()))?;
    // Here, so that the process that started this gets it in its own words.
    let Location { place, name } = Location::new(fetch.location.clone())?;
    let peer = Peer::new(place, &fetch.reaching, true)?;
    let runtime = runtime()?;
    let what = what(&name, &peer);
    let found = runtime.block_on(async {
        let mut connection = peer.connect().await?;
        peer.ask(&mut connection.client, &name).await
    });
    match found.map_err(|status| peer.failed(&what, &status))? {
        Found::Ours(offered) => ours(fetch, socket, &runtime, peer, &name, offered),
        Found::Foreign(info) => foreign(fetch, socket, &runtime, peer, &name, &info),
    }
}

fn what(name: &Name, peer: &Peer) -> String {
    format!("fetch {name:?} from {}", peer.place)
}

/// From `areas serve`.
fn ours(
    fetch: &Fetch,
    socket: BorrowedFd<'_>,
    runtime: &Runtime,
    peer: Peer,
    asked: &Name,
    offered: Offered,
) -> Result<()> {
    let checksum = checked(&what(asked, &peer), &offered, fetch)?;
    // Under which name it is published here is not the server's to say.
    let its = offered.name()?;
    if its != *asked {
        return Err(Error::new(ErrorKind::Io, what(asked, &peer))
            .with_facts(format!("the server answers with an area of another name: {its:?}"))
            .with_remedy("the server is not one of this version of areas, or not to be trusted"));
    }
    let (name, note) = (hex(offered.name()?.as_bytes()), hex(offered.note()?.as_bytes()));
    let done = |sent, seconds, resumed, local| {
        let (name, note) = (name.clone(), note.clone());
        Event::Done { checksum: Some(checksum.to_string()), sent, seconds, resumed, local, name, note }
    };
    if !fetch.copy && offered.host.is_some() && offered.host == crate::host::identity() {
        match local(&offered, checksum) {
            Ok(area) => {
                area.send(socket)?;
                return say(&done(0, 0.0, 0, true));
            }
            Err(error) => {
                complain(&format!(
                    "the server says that it is on this machine, but: {error}; the bytes are sent"
                ));
            }
        }
    }
    let size = offered.size;
    say(&Event::Size { size, most: None, name: name.clone(), note: note.clone() })?;
    let area = receive(socket, size)?;
    let bar = bar(fetch, Some(size));
    let download = Download::new(peer, asked.clone(), offered, checksum, area, bar);
    let Brought { frozen, resumed, time } = runtime.block_on(download.run(usize::from(fetch.streams)))?;
    frozen.send(socket)?;
    say(&done(size, time.as_secs_f64(), resumed, false))
}

/// From another server of Flight: a table.
fn foreign(
    fetch: &Fetch,
    socket: BorrowedFd<'_>,
    runtime: &Runtime,
    peer: Peer,
    asked: &Name,
    info: &FlightInfo,
) -> Result<()> {
    let what = what(asked, &peer);
    let page = PageSize::base().bytes();
    let most = fetch.max_size.map_or(DEFAULT_MAX_SIZE, |most| most.0);
    let most = usize::try_from(most).ok().filter(|&most| most >= page && isize::try_from(most).is_ok());
    let most = most.ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, what.clone())
            .with_facts("a table takes a page at least, and no more than there are addresses")
    })?;
    let name = hex(asked.as_bytes());
    let size = page as u64;
    say(&Event::Size { size, most: Some(most as u64), name: name.clone(), note: String::new() })?;
    let area = receive(socket, size)?;
    let bar = bar(fetch, u64::try_from(info.total_bytes).ok());
    let start = Instant::now();
    let (frozen, sent) = runtime
        .block_on(TableDownload { peer, what, area, most, bar, came: Arc::default(), room: 0 }.run(info))?;
    let seconds = start.elapsed().as_secs_f64();
    frozen.send(socket)?;
    say(&Event::Done {
        checksum: None,
        sent: sent as u64,
        seconds,
        resumed: 0,
        local: false,
        name,
        note: String::new(),
    })
}

/// What is reported of an area must make sense, and be within what is taken.
fn checked(what: &str, offered: &Offered, fetch: &Fetch) -> Result<Checksum> {
    let refuse = |kind, detail: String| Error::new(kind, what.to_owned()).with_facts(detail);
    if let Some(most) = fetch.max_size.filter(|most| offered.size > most.0) {
        return Err(refuse(
            ErrorKind::Limit,
            format!("it has {:#}, and no more than {most:#} are taken", areas::Bytes(offered.size)),
        )
        .with_remedy("`--max-size SIZE` takes more"));
    }
    let size = usize::try_from(offered.size).ok().filter(|&size| size > 0 && isize::try_from(size).is_ok());
    if size.is_none() {
        return Err(refuse(ErrorKind::Io, format!("it is said to have {} bytes", offered.size)));
    }
    offered.checksum.ok_or_else(|| refuse(ErrorKind::Io, "its checksum is missing".to_owned()))
}

/// The area itself, where it is one of this registry. That it is the one is looked at here.
fn local(offered: &Offered, checksum: Checksum) -> Result<Area<Frozen>> {
    let source = registry::get(offered.id()?)?;
    let refuse = |detail: &str| {
        Error::new(ErrorKind::NoSuchArea, format!("clone area {}", offered.id)).with_facts(detail.to_owned())
    };
    if *source.name() != offered.name()? {
        return Err(refuse("it has another name here"));
    }
    let area = source.open_frozen()?;
    match () {
        () if area.object().file_id() != offered.object => Err(refuse("it has other memory here")),
        () if area.size() as u64 != offered.size => Err(refuse("it has another size here")),
        () if Checksum::of(&area) != checksum => Err(refuse("it has other bytes here")),
        () => Ok(area),
    }
}

/// What the other process has made.
fn receive(socket: BorrowedFd<'_>, size: u64) -> Result<Area<areas::Shared>> {
    let bounds =
        ReceiveOptions::new().max_addresses(usize::MAX).max_locked(usize::MAX).max_pool_bytes(usize::MAX);
    let area = bounds.receive(socket)?;
    let shared = match area {
        AnyArea::Shared(area) if area.size() as u64 == size => area,
        other => {
            return Err(Error::new(ErrorKind::InvalidInput, format!("fill {other}"))
                .with_facts(format!("it is not a shared area of {size} bytes")));
        }
    };
    Ok(shared)
}

/// Whoever started this holds all that comes of it: without it there is nothing to do.
fn end_with_the_other(socket: BorrowedFd<'_>) -> Result<()> {
    let what = "watch the process that started this";
    let socket = socket.try_clone_to_owned().map_err(|error| crate::failure::io_error(what, error))?;
    if rustix::net::sockopt::socket_domain(&socket).ok() != Some(rustix::net::AddressFamily::UNIX) {
        return Err(Error::new(ErrorKind::InvalidInput, "fetch an area")
            .with_facts("the standard input is not a Unix socket")
            .with_remedy("`areas fetch` starts this program"));
    }
    let watch = move || {
        loop {
            let mut polled = [PollFd::new(&socket, PollFlags::empty())];
            // It waits for nothing but what is always reported.
            match poll(&mut polled, None) {
                Ok(_) if polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) => {
                    std::process::exit(1)
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => std::process::exit(1),
            }
        }
    };
    std::thread::Builder::new()
        .name("watch".to_owned())
        .spawn(watch)
        .map(drop)
        .map_err(|error| crate::failure::io_error(what, error))
}

fn bar(fetch: &Fetch, size: Option<u64>) -> ProgressBar {
    if !fetch.progress {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
    let template = match size {
        Some(_) => "{msg} [{wide_bar}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
        None => "{msg} {bytes} {binary_bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_message(format!("fetch {}", areas::escape_invisible(&fetch.location.to_string_lossy())));
    bar
}
