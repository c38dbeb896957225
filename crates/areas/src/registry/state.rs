//! What this process knows of the registry: its own team, the teams it has met, the names it has looked up.
//!
//! One value a process, behind a mutex, made anew in a forked child: a page that the kernel wipes on fork tells the child
//! that what it inherited is its parent's. The parent's value stays where it is, untouched: its table is not even mapped in
//! the child.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::directory::{Directory, Link};
use super::id::AreaId;
use super::info::{Listing, UnreadableTeam, command_of};
use super::name::Name;
use super::peer::{Peer, State as PeerState, examine};
use super::source::{Holder, Source};
use super::table::Record;
use super::team::{Announcement, Team};
use crate::error::{Error, Kind, Result};
use crate::mapping::Mapping;
use crate::place::Placement;
use crate::protection::Protection;
use crate::provider::{Provider, Request, System};
use crate::sys;
use crate::sys::file::Identity;
use crate::sys::memory::Advice;

/// A process's state, and those of the children forked from it.
struct Generation {
    /// Holds a 1, and a 0 in every child.
    canary: Mapping,
    state: Mutex<State>,
    child: OnceLock<Box<Generation>>,
}

static FIRST: OnceLock<Box<Generation>> = OnceLock::new();

impl Generation {
    fn new() -> Result<Box<Self>> {
        let mut canary = System::new().map(&Request::new(1))?;
        canary.as_bytes_mut()?[0] = 1;
        canary.advise(Advice::WipeOnFork).map_err(|errno| {
            Error::new(Kind::Unsupported, "use the registry")
                .call("madvise(MADV_WIPEONFORK)", errno)
                .help("this needs Linux 4.14")
        })?;
        Ok(Box::new(Generation { canary, state: Mutex::default(), child: OnceLock::new() }))
    }

    fn is_ours(&self) -> bool {
        self.canary.load::<u8>(0, 1).is_ok_and(|byte| byte == 1)
    }
}

/// This process's state.
pub(super) fn state() -> Result<MutexGuard<'static, State>> {
    let mut place = &FIRST;
    loop {
        let generation = match place.get() {
            Some(generation) => generation,
            None => {
                let new = Generation::new()?;
                place.get_or_init(|| new)
            }
        };
        if generation.is_ours() {
            return Ok(generation.state.lock().unwrap_or_else(PoisonError::into_inner));
        }
        place = &generation.child;
    }
}

/// An area's place in its team's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Which table: a child, or a team that had to start anew, has another.
    table: Identity,
    number: u32,
}

#[derive(Debug)]
enum Known {
    Readable(Arc<Peer>),
    Unreadable(String),
}

/// What is remembered of a name that was found.
#[derive(Clone, Debug)]
struct Hit {
    holder: Holder,
    number: u32,
    generation: u64,
}

#[derive(Debug, Default)]
pub(super) struct State {
    directory: Option<Directory>,
    own: Option<Team>,
    teams: HashMap<Link, Known>,
    /// The folder's time when it was last read; `None` if it has to be read again.
    read_at: Option<i128>,
    names: HashMap<Box<[u8]>, Hit>,
}

/// Names remembered at most: a program that looks for ever new ones does not grow for ever.
const MOST_NAMES: usize = 4096;
/// A change of the folder within this time of another does not show in its time stamp, which is a clock tick coarse.
const TICKS: i128 = 100_000_000;

impl State {
    /// Publishes an area under this process's team, which begins with its first one.
    pub(super) fn publish(&mut self, area: Announcement) -> Result<(Entry, AreaId)> {
        self.keep()?;
        let directory = match &mut self.directory {
            Some(directory) if directory.is_joined() => directory,
            other => {
                self.teams.clear();
                self.names.clear();
                self.read_at = None;
                other.insert(Directory::join()?)
            }
        };
        let team = match &mut self.own {
            Some(team) => team,
            none => none.insert(Team::create(directory)?),
        };
        let (number, id) = team.publish(directory, area)?;
        Ok((Entry { table: team.identity(), number }, id))
    }

    /// Sees to it that others find our team: publishes it again where the folder was removed.
    pub(super) fn keep(&mut self) -> Result<()> {
        if self.own.as_ref().is_some_and(|team| !team.is_intact()) {
            return Err(Error::new(Kind::Registry, "keep this process's areas published")
                .detail("somebody closed the descriptor of its table: nobody finds its areas any more")
                .help("leave descriptors alone that are not yours; areas that are mapped stay usable"));
        }
        self.rejoin()
    }

    /// Joins again where the folder was removed under a team of ours.
    fn rejoin(&mut self) -> Result<()> {
        let Some(team) = &mut self.own else { return Ok(()) };
        if self.directory.as_ref().is_some_and(|directory| !directory.is_gone()) {
            return Ok(());
        }
        let directory = Directory::join()?;
        team.claim(&directory)?;
        self.teams.clear();
        self.names.clear();
        self.read_at = None;
        self.directory = Some(directory);
        Ok(())
    }

    fn own_entry(&mut self, entry: Entry) -> Option<(&mut Team, u32)> {
        self.own.as_mut().filter(|team| team.identity() == entry.table).map(|team| (team, entry.number))
    }

    /// Takes an area back. What is not ours (a forked child drops what it inherited) is left alone.
    pub(super) fn withdraw(&mut self, entry: Entry) {
        if let Some((team, number)) = self.own_entry(entry) {
            // Only a mapping that is gone could refuse, and then there is nothing to take back.
            let _ = team.withdraw(number);
        }
    }

    pub(super) fn set_protection(&mut self, entry: Entry, protection: Protection) {
        if let Some((team, number)) = self.own_entry(entry) {
            let _ = team.table().set_protection(number, protection);
        }
    }

    pub(super) fn set_placement(&mut self, entry: Entry, placement: Placement) {
        if let Some((team, number)) = self.own_entry(entry) {
            let _ = team.table().set_placement(number, placement);
        }
    }

    pub(super) fn id_of(&mut self, entry: Entry) -> Option<AreaId> {
        let (team, number) = self.own_entry(entry)?;
        team.table().view().record(number).map(|(_, record)| record.id)
    }

    /// The oldest area of a name that can be read.
    pub(super) fn find(&mut self, name: &[u8]) -> Result<Option<Source>> {
        if let Some(hit) = self.names.get(name)
            && let Some((generation, record)) = self.record(&hit.holder, hit.number)
            && generation == hit.generation
            && hit.holder.is_live()
        {
            // Whatever came since is younger.
            return Ok(Some(Source::new(hit.holder.clone(), record)));
        }
        self.names.remove(name);
        self.read_folder(false)?;
        loop {
            let own = self.own.as_ref().and_then(|team| {
                let (number, generation, record) = team.table().view().find(name)?;
                Some((Hit { holder: Holder::Own, number, generation }, record))
            });
            let others = self.teams.values().filter_map(|team| match team {
                Known::Readable(peer) => {
                    let (number, generation, record) = peer.view().find(name)?;
                    Some((Hit { holder: Holder::Peer(peer.clone()), number, generation }, record))
                }
                Known::Unreadable(_) => None,
            });
            let Some((hit, record)) = others.chain(own).min_by_key(|(_, record)| record.age()) else {
                return Ok(None);
            };
            if hit.holder.is_live() {
                if self.names.len() >= MOST_NAMES {
                    self.names.clear();
                }
                self.names.insert(name.into(), hit.clone());
                return Ok(Some(Source::new(hit.holder, record)));
            }
            self.bury(&hit.holder);
        }
    }

    fn record(&self, holder: &Holder, number: u32) -> Option<(u64, Record)> {
        match holder {
            Holder::Own => self.own.as_ref()?.table().view().record(number),
            Holder::Peer(peer) => peer.view().record(number),
        }
    }

    /// The area of an id.
    pub(super) fn get(&mut self, id: AreaId) -> Result<Source> {
        self.read_folder(false)?;
        let found = |record: Option<(u32, u64, Record)>| record.map(|(_, _, record)| record);
        if let Some(team) = &self.own
            && team.link().slot == id.slot()
            && let Some(record) = found(team.table().view().by_sequence(id.sequence()))
        {
            return Ok(Source::new(Holder::Own, record));
        }
        let mut unreadable = None;
        let mut dead = Vec::new();
        for (link, team) in self.teams.iter().filter(|(link, _)| link.slot == id.slot()) {
            match team {
                Known::Readable(peer) => {
                    if let Some(record) = found(peer.view().by_sequence(id.sequence())) {
                        let holder = Holder::Peer(peer.clone());
                        if holder.is_live() {
                            return Ok(Source::new(holder, record));
                        }
                        dead.push(holder);
                    }
                }
                Known::Unreadable(reason) => unreadable = Some((link.pid, reason.clone())),
            }
        }
        for holder in dead {
            self.bury(&holder);
        }
        let what = format!("look at area {id}");
        Err(match unreadable {
            Some((pid, reason)) => Error::new(Kind::Unreadable, what)
                .detail(format!("its id belongs to process {pid}, which cannot be read: {reason}"))
                .help("run with the same user, group and capabilities, or have it passed over a socket"),
            None => Error::new(Kind::NoSuchArea, what)
                .detail("no live area of this user and pid namespace has that id")
                .help("`areas ls` lists what there is"),
        })
    }

    /// Everything that is there.
    pub(super) fn list(&mut self) -> Result<Listing> {
        self.read_folder(true)?;
        let mut listing = Listing::default();
        let mut dead = Vec::new();
        for (link, team) in &self.teams {
            match team {
                Known::Readable(peer) if peer.is_live() => listing.areas.extend(
                    peer.view()
                        .records()
                        .map(|(_, _, record)| Source::new(Holder::Peer(peer.clone()), record)),
                ),
                Known::Readable(peer) => dead.push(Holder::Peer(peer.clone())),
                Known::Unreadable(reason) => listing.unreadable.push(UnreadableTeam {
                    pid: link.pid,
                    command: command_of(link.pid),
                    reason: reason.clone(),
                }),
            }
        }
        for holder in dead {
            self.bury(&holder);
        }
        if let Some(team) = &self.own {
            let own = team.table().view().records();
            listing.areas.extend(own.map(|(_, _, record)| Source::new(Holder::Own, record)));
        }
        listing.areas.sort_by_key(Source::order);
        listing.unreadable.sort_by_key(|team| team.pid);
        Ok(listing)
    }

    /// Forgets a team that is proven dead, and clears its link away.
    fn bury(&mut self, holder: &Holder) {
        if let Holder::Peer(peer) = holder {
            if let Some(directory) = &self.directory {
                directory.remove(peer.link());
            }
            self.teams.remove(peer.link());
        }
    }

    /// Meets the teams that came, forgets those that went. Without a change of the folder it is one `fstat`.
    fn read_folder(&mut self, thoroughly: bool) -> Result<()> {
        self.rejoin()?;
        if self.directory.as_ref().is_none_or(Directory::is_gone) {
            self.directory = Directory::open()?;
            self.teams.clear();
            self.names.clear();
            self.read_at = None;
        }
        let Some(directory) = &self.directory else { return Ok(()) };
        let changed = directory.changed()?;
        if !thoroughly && self.read_at == Some(changed) {
            return Ok(());
        }
        let own = self.own.as_ref().map(Team::link);
        let links = directory.links()?;
        self.teams.retain(|link, _| links.contains(link));
        for link in links.into_iter().filter(|link| Some(link) != own) {
            // One that could not be read may let itself be read by now.
            if let Some(Known::Readable(_)) = self.teams.get(&link) {
                continue;
            }
            match examine(&link) {
                PeerState::Live(peer) => {
                    self.teams.insert(link, Known::Readable(Arc::new(peer)));
                }
                PeerState::Unreadable(reason) => {
                    self.teams.insert(link, Known::Unreadable(reason));
                }
                PeerState::Dead => directory.remove(&link),
            }
        }
        // Removing dead links changes the time, and so may others, within the same tick.
        let settled = i128::from(sys::process::file_time()) - changed > TICKS;
        let any_unreadable = self.teams.values().any(|team| matches!(team, Known::Unreadable(_)));
        self.read_at = (settled && !any_unreadable).then_some(changed);
        Ok(())
    }

    /// Where the registry is, if it is there.
    pub(super) fn path(&self) -> Option<std::path::PathBuf> {
        self.directory.as_ref().map(|directory| directory.path().to_owned())
    }

    /// The error for a name that nobody has.
    pub(super) fn no_such(&self, name: &Name) -> Error {
        let unreadable: Vec<String> = self
            .teams
            .iter()
            .filter(|(_, team)| matches!(team, Known::Unreadable(_)))
            .map(|(link, _)| link.pid.to_string())
            .collect();
        let error = Error::new(Kind::NoSuchArea, format!("find area {name:?}"));
        let error = match unreadable.is_empty() {
            true => error.detail("no live process of this user and pid namespace holds an area of that name"),
            false => error.detail(format!(
                "no process that can be read holds an area of that name; processes {} hold areas and cannot be read",
                unreadable.join(", ")
            )),
        };
        error.help("`areas ls` lists what there is")
    }
}
