//! Giving areas to other teams.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::{Key, Known, State};
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::provider::{Address, is_free};
use crate::registry::peer::{Peer, Reason, State as PeerState, examine};
use crate::registry::process::process_lives;
use crate::registry::source::Holder;
use crate::registry::table::{AreaId, Record};
use crate::registry::transfer::{Claim, PendingTransfer, Refused};
use crate::sys;

/// What one team answered to an offer.
#[derive(Debug)]
enum Answer {
    /// It has the area, under this id.
    Taken(AreaId),
    Refused(Refused),
    /// It has no socket for transfers, or none any more.
    NoSocket,
}

impl State {
    /// Offers an area of ours to another team. From the moment of success on, that team has it too.
    /// The id that it will have there. At an exact address so many bytes must be free.
    pub(in crate::registry) fn offer(
        &mut self,
        key: Key,
        pid: u32,
        to: (Address, u64),
        descriptor: BorrowedFd<'_>,
    ) -> Result<AreaId> {
        let Some(record) = self.own_record(key) else {
            return Err(Error::new(ErrorKind::Registry, format!("transfer an area to process {pid}"))
                .with_facts("it is not published by this process"));
        };
        let what = format!("transfer area {} {:?} to process {pid}", record.id, record.name);
        check_users(&what)?;
        // The folder in use by now is where ids are claimed.
        self.rejoin()?;
        let mut refused = None;
        for peer in self.takers(pid, &what)? {
            check_is_free(&peer, to, &what)?;
            match self.offer_to(&peer, &record, to.0, descriptor, &what)? {
                Answer::Taken(id) => return Ok(id),
                Answer::Refused(why) => refused = Some(why),
                Answer::NoSocket => {}
            }
        }
        Err(match refused {
            Some(refused) => explain(what, refused),
            None => Error::new(ErrorKind::Unsupported, what)
                .with_facts(format!(
                    "process {pid} has no socket for transfers, or its library is of another version"
                ))
                .with_remedy("`registry::join` there says why, and tries again"),
        })
    }

    /// The teams of a process that an area can be offered to: one at least.
    fn takers(&mut self, pid: u32, what: &str) -> Result<Vec<Arc<Peer>>> {
        let limited =
            |error: Error| match error.errno().map(|errno| sys::Errno::from_raw_os_error(errno.raw())) {
                Some(sys::Errno::MFILE | sys::Errno::NFILE) => {
                    remedy::open_files(Error::new(ErrorKind::Limit, what.to_owned()).caused_by(error))
                }
                _ => error,
            };
        let peers = self.teams_of(pid).map_err(limited)?;
        if !peers.is_empty() {
            return Ok(peers);
        }
        match self.empty_teams_of(pid).map_err(limited)? {
            Ok(peers) if peers.is_empty() => Err(self.no_such_team(pid, what.to_owned())),
            Ok(peers) => Ok(peers),
            Err(reason) => Err(unreadable(what.to_owned(), &reason)),
        }
    }

    /// Puts the offer into one team's socket, with a claim on the id that the area will have there.
    fn offer_to(
        &self,
        peer: &Peer,
        record: &Record,
        address: Address,
        descriptor: BorrowedFd<'_>,
        what: &str,
    ) -> Result<Answer> {
        let Some(directory) = self.directory.as_ref().filter(|_| peer.takes_transfers()) else {
            return Ok(Answer::NoSocket);
        };
        let (view, slot) = (peer.view(), peer.link().slot);
        let claim = Claim::take(directory, slot, view.next_given(), what, |id| view.lists(id))?;
        let bytes = PendingTransfer { record: record.clone(), address, id: claim.id() }.encode();
        Ok(match peer.offer(&bytes, &[descriptor, claim.file()]) {
            None => Answer::NoSocket,
            Some(Err(why)) => Answer::Refused(why),
            Some(Ok(())) => {
                directory.notify();
                // It may be asleep until something comes.
                directory.wake_waiters();
                Answer::Taken(claim.id())
            }
        })
    }

    /// The readable teams of a process: two, where it has two copies of this library.
    fn teams_of(&mut self, pid: u32) -> Result<Vec<Arc<Peer>>> {
        // Those that are known; then those in the folder; and then thoroughly, as a folder that
        // does not seem to have changed may have, within a clock tick.
        for thoroughly in [None, Some(false), Some(true)] {
            if let Some(thoroughly) = thoroughly {
                self.read_folder(thoroughly)?;
            }
            let mut peers: Vec<_> = self
                .teams
                .values()
                .filter_map(|team| match team {
                    Known::Readable(peer) if peer.pid() == pid => Some(peer.clone()),
                    _ => None,
                })
                .collect();
            peers.sort_by_key(|peer| peer.link().slot);
            let (live, dead): (Vec<_>, Vec<_>) = peers.into_iter().partition(|peer| peer.is_live());
            dead.into_iter().for_each(|peer| self.remove_dead_peer(&Holder::Peer(peer)));
            // One that has moved to another slot has another link by now, and ids of that slot.
            if !live.is_empty() && (thoroughly == Some(true) || live.iter().all(|peer| peer.is_in_its_slot()))
            {
                return Ok(live);
            }
        }
        Ok(Vec::new())
    }

    /// The teams of a process that have published nothing yet, or why they cannot be read. They are
    /// looked for at each transfer: who looks for areas does not know them.
    fn empty_teams_of(&self, pid: u32) -> Result<Result<Vec<Arc<Peer>>, Reason>> {
        let Some(directory) = &self.directory else { return Ok(Ok(Vec::new())) };
        let (mut peers, mut hidden) = (Vec::new(), None);
        for link in directory.all_links()?.into_iter().filter(|link| link.pid == pid) {
            match examine(&link) {
                PeerState::Live(peer) => peers.push(Arc::from(peer)),
                PeerState::Unreadable(reason) => hidden = Some(reason),
                PeerState::Dead => directory.remove(&link),
            }
        }
        Ok(match hidden {
            Some(reason) if peers.is_empty() => Err(reason),
            _ => Ok(peers),
        })
    }

    fn no_such_team(&self, pid: u32, what: String) -> Error {
        let hidden = self.teams.iter().find_map(|(link, team)| match team {
            Known::Unreadable(reason) if link.pid == pid => Some(reason),
            _ => None,
        });
        match hidden {
            Some(reason) => unreadable(what, reason),
            None if !process_lives(pid) => {
                Error::new(ErrorKind::NoSuchTeam, what).with_facts("no live process has that number")
            }
            None => Error::new(ErrorKind::NoSuchTeam, what)
                .with_facts("that process has not joined the registry: it has no areas, or is another user's")
                .with_remedy(
                    "have it call `registry::join`; to another user, send it over a socket: `Area::send`",
                ),
        }
    }
}

/// The other team asks the kernel who sends, and takes nothing of another user.
fn check_users(what: &str) -> Result<()> {
    if [0, sys::process::user()].contains(&sys::process::real_user()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NotPermitted, what.to_owned())
        .with_facts(format!(
            "this process was started by user {} and works for user {}: the team would refuse it",
            sys::process::real_user(),
            sys::process::user()
        ))
        .with_remedy("send it over a socket: `Area::send`, `receive`"))
}

/// At an exact address so many bytes must be free in the other process.
fn check_is_free(peer: &Peer, (address, used): (Address, u64), what: &str) -> Result<()> {
    if let Address::Exactly(start) = address
        && peer.maps().is_some_and(|maps| !is_free(&maps, start, used))
    {
        return Err(Error::new(ErrorKind::AddressInUse, what.to_owned())
            .with_facts(format!("process {} does not have {used} bytes free at {start:#x}", peer.pid()))
            .with_remedy("choose another address, or let its kernel choose one"));
    }
    Ok(())
}

fn unreadable(what: String, reason: &Reason) -> Error {
    let error = Error::new(reason.kind(), what).with_facts(format!("it cannot be read: {}", reason.text));
    match reason.kind() {
        ErrorKind::Limit => remedy::open_files(error),
        _ => error.with_remedy("send it over a socket: `Area::send`, `receive`"),
    }
}

/// Why another team's transfer socket did not take an offer.
fn explain(what: String, Refused { call, errno }: Refused) -> Error {
    let error = |kind| Error::new(kind, what.clone()).with_system_call(call, errno);
    match errno {
        sys::Errno::AGAIN => error(ErrorKind::Busy)
            .with_facts(format!(
                "as many offers as fit (net.unix.max_dgram_qlen is {}) wait for it already",
                sys::text::read_to_string("/proc/sys/net/unix/max_dgram_qlen").unwrap_or_default().trim()
            ))
            .with_remedy("it accepts them at its next call into the registry: try again then"),
        sys::Errno::MFILE | sys::Errno::NFILE => remedy::open_files(error(ErrorKind::Limit)),
        sys::Errno::TOOMANYREFS => error(ErrorKind::Limit)
            .with_facts("this user has too many descriptors on their way (RLIMIT_NOFILE counts them)")
            .with_remedy("have them taken, or raise the limit (`ulimit -n`, LimitNOFILE=)"),
        sys::Errno::ACCESS | sys::Errno::PERM => error(ErrorKind::NotPermitted)
            .with_facts("it can be read, but nothing can be sent to it")
            .with_remedy("send it over a socket: `Area::send`, `receive`"),
        sys::Errno::NOENT | sys::Errno::SRCH | sys::Errno::CONNREFUSED => error(ErrorKind::NoSuchTeam)
            .with_facts("it ended concurrently, or has closed its socket for transfers"),
        _ => error(ErrorKind::System),
    }
}
