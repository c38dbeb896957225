//! Areas that are offered at a socket, and taken there. The socket is beside the registry, and one
//! that a killed process left is there for the next.

#![expect(unsafe_code, reason = "fork, and the environment of the child; each block has its proof")]

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use areas::gate::{Offer, OfferOptions, Outcome, TakeOptions};
use areas::{AnyArea, Area, Error, ErrorKind, ReceiveOptions, Shared, registry};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, fork, mkdir};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::changing::is_it;
use super::joining::{directory, published};
use super::{Act, With, checked, is};
use crate::contents::VICTIM;

/// Nothing here takes so long.
const LONG: Duration = Duration::from_secs(10);

/// An area that is offered, or to be.
struct Gate {
    // First no process is given it any more.
    offer: Option<Offer>,
    _area: Area<Shared>,
    source: registry::Source,
    path: PathBuf,
    /// The processes that have connected.
    clients: Vec<OwnedFd>,
}

fn gate() -> Result<Gate> {
    let path = directory()?.with_file_name("gate");
    let area = published()?;
    let source = registry::find(VICTIM)?;
    Ok(Gate { offer: None, _area: area, source, path, clients: Vec::new() })
}

fn open(it: &mut Gate) -> areas::Result<()> {
    it.offer = Some(OfferOptions::new().open(&it.source, &it.path)?);
    Ok(())
}

/// Connects, and never waits.
fn knock(it: &mut Gate) -> Result<()> {
    let flags = SocketFlags::CLOEXEC;
    let client = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::connect(&client, &SocketAddrUnix::new(&it.path)?)?;
    it.clients.push(client);
    Ok(())
}

fn answer(it: &mut Gate) -> areas::Result<()> {
    let Some(offer) = &mut it.offer else { return Ok(()) };
    let answer = offer.answer(Some(LONG))?;
    let refused = |why: String| Err(Error::new(ErrorKind::System, "answer who connected").with_facts(why));
    match answer.map(|answer| answer.outcome) {
        Some(Outcome::Given) => Ok(()),
        Some(Outcome::Failed(error)) => Err(error),
        Some(Outcome::Refused(why)) => refused(why.to_string()),
        // As the kernel says where it is so.
        Some(Outcome::Left) => refused("sendmsg: EPIPE".to_owned()),
        other => refused(format!("{other:?}")),
    }
}

/// One of those who connected has it.
fn is_given(it: &Gate) -> Result<(), String> {
    let options = ReceiveOptions::new().timeout(Duration::ZERO);
    let came = it.clients.iter().find_map(|client| options.receive(client).ok());
    is_it(came.as_ref())
}

/// Makes the socket, where one may be that a killed process left.
pub(super) fn offer() -> Result<Box<dyn Act>> {
    With::new(gate()?, open, |it| {
        checked(
            knock(it).map_err(|error| Error::new(ErrorKind::Io, "connect").with_facts(error.to_string())),
        )?;
        checked(answer(it))?;
        is_given(it)
    })
    .unchanged(|it| is(!it.path.exists(), || "a socket is left".to_owned()))
    .boxed()
}

/// Answers one who is there.
pub(super) fn give() -> Result<Box<dyn Act>> {
    let mut it = gate()?;
    open(&mut it)?;
    // After an error there is a second one.
    knock(&mut it)?;
    knock(&mut it)?;
    With::new(it, answer, |it| is_given(it))
        .unchanged(|it| is(it.path.exists(), || "the socket is gone".to_owned()))
        .boxed()
}

/// Takes what another process offers, which has a registry of its own, and ends with this one.
pub(super) fn take() -> Result<Box<dyn Act>> {
    let path = directory()?.with_file_name("gate");
    let other = directory()?.with_file_name("other");
    // It is there from the trial before.
    let _ = mkdir(&other, Mode::S_IRWXU);
    let _ = std::fs::remove_file(&path);
    let parent = nix::unistd::getpid();
    // SAFETY: this process has one thread, and has not called the library yet.
    if let ForkResult::Child = unsafe { fork() }.context("fork")? {
        let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
        // SAFETY: the child has one thread.
        unsafe { std::env::set_var("AREAS_DIR", other) };
        let served = || -> Result<()> {
            let mut it = gate()?;
            it.path = path;
            open(&mut it)?;
            while nix::unistd::getppid() == parent {
                if let Some(offer) = &mut it.offer {
                    let _ = offer.answer(Some(Duration::from_millis(100)));
                }
            }
            Ok(())
        };
        std::process::exit(i32::from(served().is_err()));
    }
    let begun = std::time::Instant::now();
    while TakeOptions::new().take(&path).is_err() {
        ensure!(begun.elapsed() < LONG, "no process offers anything");
    }
    With::new(
        (path, None::<AnyArea>),
        |(path, came)| {
            *came = Some(TakeOptions::new().take(path)?);
            Ok(())
        },
        |(_, came)| is_it(came.as_ref()),
    )
    .boxed()
}
