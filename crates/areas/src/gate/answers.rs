//! The answer to a process that connects: the area or a refusal, and the outcome for those that got
//! the area.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use super::place::failed;
use super::refusal::{Packet, Refusal};
use super::who::{self, Peer, Users};
use crate::area::passing::Message;
use crate::error::{Error, ErrorKind, Result};
use crate::object::{Extent, OFFERED, Object, Piece};
use crate::registry::{self, Rights, Source};
use crate::sys;
use crate::sys::checked_fd::CheckedFd;

/// So many connections of one user may have an area that is not fetched.
const MAX_OF_ONE: usize = 32;

/// So many of all users together.
const MAX_OF_ALL: usize = 256;

/// So many ended connections are reported, where they are not asked for in time: the last ones.
const MAX_ENDED: usize = MAX_OF_ALL;

/// Who connected, and the outcome.
#[derive(Debug)]
#[non_exhaustive]
pub struct Answer {
    /// Who connected; without a user and a process where the kernel did not report them.
    pub peer: Peer,
    /// The outcome.
    pub outcome: Outcome,
}

/// The outcome of a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The area is on its way, or there. Whether it was taken turns out once the connection ends:
    /// [`Offer::ended`](super::Offer::ended).
    Given,
    /// It was refused, and was sent the reason.
    Refused(Refusal),
    /// It could not be given, for this reason, which is not sent to the other side.
    Failed(Error),
    /// It ended the connection before it was answered.
    Left,
}

/// As a line: "given to process 12 of user 1000".
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.peer;
        match &self.outcome {
            Outcome::Given => write!(f, "given to {peer}"),
            Outcome::Refused(why) => write!(f, "refused to {peer}: {why}"),
            Outcome::Failed(error) => write!(f, "not given to {peer}: {error}"),
            Outcome::Left => write!(f, "not given to {peer}: it left before it was answered"),
        }
    }
}

/// The end of a connection on which an area went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Who had connected.
    pub peer: Peer,
    /// Whether the area was taken from it. Where it was not, the taker has left, or has refused
    /// what it saw: it was beyond a bound of its, say.
    pub taken: bool,
}

/// As a line: "given to process 12 of user 1000".
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.taken {
            true => write!(f, "given to {}", self.peer),
            false => write!(f, "not given to {}: it left without taking what was sent", self.peer),
        }
    }
}

/// A process that was given an area, and has not closed the connection yet.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) socket: CheckedFd,
    peer: Peer,
}

/// What is answered, and to whom it was.
#[derive(Debug)]
pub(super) struct Answers {
    source: Source,
    read_only: bool,
    users: Users,
    pub(super) given: Vec<Outstanding>,
    pub(super) ended: VecDeque<Ended>,
    pub(super) early: VecDeque<OwnedFd>,
    pub(super) pause: Option<Instant>,
}

/// Why a process is not given it.
enum No {
    Refused(Refusal),
    Failed(Error),
    Left,
}

impl Answers {
    pub(super) fn new(source: Source, read_only: bool, users: Users) -> Self {
        Answers {
            source,
            read_only,
            users,
            given: Vec::new(),
            ended: VecDeque::new(),
            early: VecDeque::new(),
            pause: None,
        }
    }

    /// Forgets those of the given ones whose connection has ended, in their order. A taker that
    /// closes it while the packet is still there resets it (unix(7)).
    pub(super) fn forget(&mut self, has_ended: &[bool]) {
        let mut has_ended = has_ended.iter();
        let ended = &mut self.ended;
        self.given.retain(|given| {
            if !has_ended.next().copied().unwrap_or(false) {
                return true;
            }
            if ended.len() == MAX_ENDED {
                ended.pop_front();
            }
            ended.push_back(Ended {
                peer: given.peer,
                taken: !sys::listening::was_reset(given.socket.as_fd()),
            });
            false
        });
    }

    pub(super) fn begin_with(&mut self, early: Vec<OwnedFd>) {
        self.early.extend(early);
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Finds the area where it is now: under its id, or, where another process that publishes the
    /// same memory has its name, there.
    pub(super) fn look_again(&mut self) -> Result<()> {
        let known = self.source.record();
        let is_it = |found: &Source| {
            found.record().object == known.object
                && found.record().piece == known.piece
                && !found.is_retired()
        };
        let gone = || {
            Error::new(
                ErrorKind::NoSuchArea,
                format!("offer area {} {:?}", self.source.id(), self.source.name()),
            )
            .with_facts("it is gone: no process publishes it any more, or it is retired")
            .with_remedy("takers keep what they have; offer what has taken its place, if anything has")
        };
        let found = match registry::get(self.source.id()) {
            Ok(found) if is_it(&found) => found,
            Err(error) if error.kind() != ErrorKind::NoSuchArea => return Err(error),
            _ => match registry::find(self.source.name().as_bytes()) {
                Ok(found) if is_it(&found) => found,
                Err(error) if ![ErrorKind::NoSuchArea, ErrorKind::InvalidInput].contains(&error.kind()) => {
                    return Err(error);
                }
                _ => return Err(gone()),
            },
        };
        self.source = found;
        Ok(())
    }

    pub(super) fn answer(&mut self, socket: OwnedFd) -> Answer {
        let peer = match Peer::of(socket.as_fd()) {
            Ok(peer) => peer,
            Err(errno) => {
                let error = failed(
                    "identify the process that takes an area".to_owned(),
                    "getsockopt(SO_PEERCRED)",
                    errno,
                );
                return Answer { peer: Peer { user: None, process: None }, outcome: Outcome::Failed(error) };
            }
        };
        let refuse = |why| {
            // A process that does not wait for it gets no answer.
            let _ = sys::listening::send(socket.as_fd(), &Packet::new(why, peer.user).encode());
        };
        let outcome = match self.give(socket.as_fd(), peer) {
            Ok(()) => match CheckedFd::new(socket) {
                Ok(socket) => {
                    self.given.push(Outstanding { socket, peer });
                    Outcome::Given
                }
                Err(_) => Outcome::Given,
            },
            Err(No::Refused(why)) => {
                refuse(why);
                Outcome::Refused(why)
            }
            Err(No::Failed(error)) => {
                refuse(Refusal::Failed);
                Outcome::Failed(error)
            }
            Err(No::Left) => Outcome::Left,
        };
        Answer { peer, outcome }
    }

    fn give(&mut self, socket: BorrowedFd<'_>, peer: Peer) -> Result<(), No> {
        let own = who::own();
        if !self.users.include(peer.user, own.as_slice()) {
            return Err(No::Refused(Refusal::NotOffered));
        }
        let of_it = self.given.iter().filter(|given| given.peer.user == peer.user).count();
        if of_it >= MAX_OF_ONE || self.given.len() >= MAX_OF_ALL {
            return Err(No::Refused(Refusal::Busy));
        }
        let failed = |error: Error| match error.kind() {
            ErrorKind::NoSuchArea => No::Refused(Refusal::Gone),
            _ => No::Failed(error),
        };
        self.look_again().map_err(failed)?;
        let what = || format!("give area {} {:?} to {peer}", self.source.id(), self.source.name());
        let given = Given::open(&self.source, self.read_only, &what).map_err(failed)?;
        given.let_their_processes_read(peer.user, &what).map_err(No::Failed)?;
        if self.read_only && given.lets_write(peer.user, &what).map_err(No::Failed)?.is_some() {
            return Err(No::Refused(Refusal::NotEnforced));
        }
        given.send(socket).map_err(|errno| match errno {
            sys::Errno::PIPE | sys::Errno::CONNRESET => No::Left,
            // What others of our user's processes have under way counts as well.
            sys::Errno::TOOMANYREFS => No::Refused(Refusal::Busy),
            errno => No::Failed(super::place::failed(what(), "sendmsg(SCM_RIGHTS)", errno)),
        })
    }
}

/// An area, opened with the rights that are given, and the message that goes with it.
pub(super) struct Given {
    object: Object,
    message: Message,
}

impl Given {
    /// Opens it: for reading only, or with the rights that this process may give.
    pub(super) fn open(source: &Source, read_only: bool, what: &dyn Fn() -> String) -> Result<Self> {
        let reading = source.open_object(Rights::Reading)?;
        let object = if read_only || reading.was_frozen() || reading.refused_writers() {
            reading
        } else if let Some(why) = source.forbids_writing() {
            return Err(Error::new(ErrorKind::NotPermitted, what())
                .with_facts(why)
                .with_remedy("offer it for reading only: `--read-only`, `OfferOptions::read_only`"));
        } else {
            source.open_object(Rights::Writing)?
        };
        let refuse = |detail: &'static str, help: &'static str| {
            Err(Error::new(ErrorKind::Unsupported, what()).with_facts(detail).with_remedy(help))
        };
        object.refuse_physical(what)?;
        if object.piece() != Piece::WHOLE {
            return refuse(
                "it is a part of what it was: the program has unmapped the rest",
                "copy what it holds into an area of its own",
            );
        }
        if let Extent::Resizable { .. } = object.extent() {
            return refuse(
                "it may shrink while the receiver has it mapped, whose accesses beyond its end would fault",
                "freeze it, or make it growable instead",
            );
        }
        if object.mark_held()? {
            source.refuse_cut()?;
        }
        let record = source.record();
        let name = Some(&record.name).filter(|name| !name.as_bytes().is_empty());
        let message = Message::of(&object, name, &record.note, record.lock);
        Ok(Given { object, message })
    }

    /// Whether the right to write it cannot be given any more: it is frozen, or sealed against new
    /// writers.
    pub(super) fn is_sealed(&self) -> bool {
        self.object.was_frozen() || self.object.refused_writers()
    }

    /// Why a user that has it for reading could open it for writing; `None` where the kernel
    /// refuses that.
    pub(super) fn lets_write(&self, user: Option<u32>, what: &dyn Fn() -> String) -> Result<Option<String>> {
        if self.is_sealed() {
            return Ok(None);
        }
        let stat = sys::file::stat(self.object.fd()).map_err(|errno| failed(what(), "fstat", errno))?;
        Ok(match user {
            None => {
                Some("it has no number in this user namespace, and may be any user outside of it".to_owned())
            }
            Some(0) => Some("root may reopen all memory (/proc/PID/fd), whatever its mode".to_owned()),
            Some(user) if user == stat.uid => {
                Some("the memory belongs to that user, who may reopen it (/proc/PID/fd)".to_owned())
            }
            // As its maker gave them. What is ours is changed before it is given.
            Some(_) if stat.mode & 0o022 != 0 && stat.uid != sys::process::user() => {
                Some(format!("the memory belongs to user {}, with mode {:04o}", stat.uid, stat.mode & 0o7777))
            }
            Some(_) => None,
        })
    }

    /// Has other processes of another user read it, too, by way of the one that takes it: through
    /// `/proc`, which no others reach. Only its owner opens it for writing.
    fn let_their_processes_read(&self, user: Option<u32>, what: &dyn Fn() -> String) -> Result<()> {
        let stat = sys::file::stat(self.object.fd()).map_err(|errno| failed(what(), "fstat", errno))?;
        // Only its owner may, and for its owner there is no need.
        if stat.uid != sys::process::user() || user == Some(stat.uid) {
            return Ok(());
        }
        self.object.set_rights(&what(), stat.mode & 0o600 | OFFERED)
    }

    fn send(&self, socket: BorrowedFd<'_>) -> sys::Result<()> {
        sys::socket::send(socket, &self.message.encode(), self.object.own_fd()?)
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("message", &self.message).finish_non_exhaustive()
    }
}
