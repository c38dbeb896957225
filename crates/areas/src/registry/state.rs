//! What this process knows of the registry: its own team, the areas that it has published, the teams it has met, the names it
//! has looked up.
//!
//! One value a process, behind a mutex. A forked child inherits it whole: handlers of `fork` see to it that no thread is in the
//! middle of something at that moment. A page that the kernel wipes on fork tells the child, at its first call, that
//! it is one: then it begins a team of its own and publishes all that it inherited under new ids. Its parent's table is
//! not even mapped in it. A child that never calls, because it calls exec, pays nothing.

mod transfer;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::by_address::{self, Has, Here, Place, Places};
use super::directory::{Directory, Link};
use super::id::AreaId;
use super::info::{Listing, UnreadableTeam, command_of};
use super::name::Name;
use super::offer::Parcel;
use super::peer::{Peer, Reason, State as PeerState, asking, examine, forget_kept_tables, process_lives};
use super::source::{Holder, Source};
use super::table::{Announcement, Record};
use super::team::Team;
use crate::error::{Error, Kind, Result};
use crate::protection::Protection;
use crate::sys;

pub(crate) use transfer::Arrival;

static STATE: Mutex<Option<Box<State>>> = Mutex::new(None);

/// All mutexes of the registry that a thread may hold: first the state's.
type Mutexes = (MutexGuard<'static, Option<Box<State>>>, MutexGuard<'static, ()>);

thread_local! {
    /// Held while this thread forks.
    static FORKING: Cell<Option<Mutexes>> = const { Cell::new(None) };
}

fn lock() -> MutexGuard<'static, Option<Box<State>>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn before_fork() {
    let mutexes = (lock(), asking());
    // A thread that is being torn down forks without the protection; it had no business to.
    let _ = FORKING.try_with(|held| held.set(Some(mutexes)));
}

extern "C" fn after_fork() {
    let _ = FORKING.try_with(|held| held.take());
}

/// This process's state, to be used by one thread at a time.
pub(super) struct Guard(MutexGuard<'static, Option<Box<State>>>);

impl Deref for Guard {
    type Target = State;

    fn deref(&self) -> &State {
        self.0.as_ref().unwrap_or_else(|| unreachable!("made by `state`"))
    }
}

impl DerefMut for Guard {
    fn deref_mut(&mut self) -> &mut State {
        self.0.as_mut().unwrap_or_else(|| unreachable!("made by `state`"))
    }
}

/// This process's state, in a forked child as far as it can be had without publishing anything.
fn state_as_it_is() -> Result<Guard> {
    let mut guard = lock();
    if guard.is_none() {
        let new = State::new()?;
        sys::process::at_fork(before_fork, after_fork)
            .map_err(|errno| Error::new(Kind::System, "use the registry").call("pthread_atfork", errno))?;
        // Only now: without the handlers it would be tried again.
        *guard = Some(Box::new(new));
    }
    Ok(Guard(guard))
}

/// This process's state. In a forked child, what it inherited is published first.
///
/// Where that cannot be done (a full file system), looking for others' areas works all the same; it is tried again at
/// each call, and publishing and keeping tell the error.
pub(super) fn state() -> Result<Guard> {
    let mut state = state_as_it_is()?;
    if state.is_inherited() {
        state.become_child();
    }
    if state.waiting {
        let _ = state.heal().and_then(|()| state.publish_inherited());
    }
    Ok(state)
}

/// The same, with what other teams have transferred to us taken in: for calls that ask the kernel anyway.
pub(super) fn state_up_to_date() -> Result<Guard> {
    let mut state = state()?;
    // What cannot be taken in is told to those who ask for it.
    let _ = state.look();
    Ok(state)
}

/// A published area, in this process and in the children that inherit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(u64);

/// An area that this process has published.
#[derive(Debug)]
struct Held {
    area: Announcement,
    /// Its record in our table; `None` in a child that has not published it yet, and once its descriptor is lost.
    number: Option<u32>,
}

impl Held {
    /// Whether others can still get at it by the descriptor that is told of it.
    fn has_descriptor(&self) -> bool {
        match sys::guarded::open_under(self.area.descriptor) {
            Ok(identity) => identity == self.area.object,
            // Only that nothing is open there is known to be for good.
            Err(errno) => errno != sys::Errno::BADF,
        }
    }
}

#[derive(Debug)]
enum Known {
    Readable(Arc<Peer>),
    Unreadable(Reason),
}

/// What is remembered of a name that was found.
#[derive(Clone, Debug)]
struct Hit {
    holder: Holder,
    number: u32,
    generation: u64,
}

#[derive(Debug)]
pub(super) struct State {
    /// What readers have who do not wait for this state; and the right to write it.
    here: &'static Here,
    places: Places,
    directory: Option<Directory>,
    own: Option<Team>,
    held: HashMap<Key, Held>,
    /// The first address of each of them.
    addresses: BTreeMap<u64, Key>,
    next_key: u64,
    /// Whether some of what we hold is not published yet: what a child inherited.
    waiting: bool,
    teams: HashMap<Link, Known>,
    /// The folder's time when it was last read; `None` if it has to be read again.
    read_at: Option<i128>,
    names: HashMap<Box<[u8]>, Hit>,
    /// What other teams have given us and the program has not taken yet.
    arrivals: Vec<Arrival>,
    /// What they have given us and we could not take in.
    stuck: Option<Parcel>,
}

/// Names remembered at most: a program that looks for ever new ones does not grow for ever.
const MOST_NAMES: usize = 4096;
/// How often the folder may be removed under a call, one time after the other, before the call gives up.
const MOST_REMOVALS: u32 = 100;
/// A change of the folder within this time of another does not show in its time stamp, which is a clock tick coarse.
const TICKS: i128 = 100_000_000;

impl State {
    /// Our own area that has an address: not in the reserve behind one.
    pub(super) fn at(&mut self, address: u64) -> Option<Source> {
        let (_, &key) = self.addresses.range(..=address).next_back()?;
        let (number, area) = self.held.get(&key).and_then(|held| Some((held.number?, &held.area)))?;
        let (_, record) = self.own.as_ref()?.table().view().record(number)?;
        let place = Place::of(record.id, area);
        match place.has(address) {
            Has::No => return None,
            Has::Yes => {}
            Has::UpTo(sure) => {
                let _ = self.places.put(&place.sure_up_to(sure).entry());
            }
        }
        Some(Source::new(Holder::Own, record))
    }

    /// Shows readers where an area of ours is, and under which id.
    fn show(&mut self, key: Key) {
        let Some(id) = self.id_of(key) else { return };
        if let Some(held) = self.held.get(&key) {
            // Where there is no room for it, readers ask here.
            let _ = self.places.put(&Place::of(id, &held.area).entry());
        }
    }

    fn new() -> Result<Self> {
        let (here, places) = by_address::begin()?;
        Ok(State {
            here,
            places,
            directory: None,
            own: None,
            held: HashMap::new(),
            addresses: BTreeMap::new(),
            next_key: 0,
            waiting: false,
            teams: HashMap::new(),
            read_at: None,
            names: HashMap::new(),
            arrivals: Vec::new(),
            stuck: None,
        })
    }

    /// Whether this process was forked from the one whose state this is.
    fn is_inherited(&self) -> bool {
        !self.here.canary.is_set()
    }

    /// Begins anew in a forked child: what is the parent's is left to it, and what was inherited waits to be published.
    fn become_child(&mut self) {
        // Our parent's ids, first: with the canary set they would be believed.
        self.places.clear();
        self.here.canary.set();
        if let Some(team) = self.own.take() {
            team.leave_to_parent();
        }
        // What was not taken in was given to the parent alone.
        self.stuck = None;
        // The child may have another user or pid namespace by now.
        self.directory = None;
        self.forget_teams();
        forget_kept_tables();
        self.publish_again();
    }

    /// What we hold waits to be published, in a table to come.
    fn publish_again(&mut self) {
        self.places.clear();
        self.held.values_mut().for_each(|held| held.number = None);
        self.waiting = !self.held.is_empty();
    }

    /// Begins a table anew where somebody closed the descriptor of ours, through which others would find it. Areas whose own
    /// descriptors are still there are published again; to the others nobody can be led any more.
    fn heal(&mut self) -> Result<()> {
        let Some(team) = &self.own else { return Ok(()) };
        if team.is_intact()? {
            return Ok(());
        }
        if let Some(team) = self.own.take()
            && let Some(directory) = self.directory.as_ref().filter(|directory| !directory.is_gone())
        {
            directory.remove(team.link());
        }
        self.publish_again();
        Ok(())
    }

    /// Publishes what was inherited, under ids of our own. What could not be is tried again at the next call.
    fn publish_inherited(&mut self) -> Result<()> {
        if !self.waiting {
            return Ok(());
        }
        let mut waiting: Vec<Key> =
            self.held.iter().filter(|(_, held)| held.number.is_none()).map(|(&key, _)| key).collect();
        // In the order in which they were made: which one is the oldest of a name stays so.
        waiting.sort_unstable();
        // A table that has to begin anew meanwhile makes them wait again.
        self.waiting = false;
        for key in waiting {
            // In a child, or after somebody closed all descriptors, there may be none to lead others to.
            let Some(held) = self.held.get(&key).filter(|held| held.has_descriptor()) else { continue };
            let area = held.area.clone();
            let number = self.announce(&area).inspect_err(|_| self.waiting = true)?;
            if let Some(held) = self.held.get_mut(&key) {
                held.number = Some(number);
            }
            self.show(key);
        }
        Ok(())
    }

    fn forget_teams(&mut self) {
        self.teams.clear();
        self.names.clear();
        self.read_at = None;
    }

    /// Publishes an area under this process's team, which begins with its first one.
    pub(super) fn publish(&mut self, area: Announcement) -> Result<Key> {
        self.heal()?;
        self.publish_inherited()?;
        let number = self.announce(&area)?;
        let key = Key(self.next_key);
        self.next_key += 1;
        self.addresses.insert(area.address, key);
        self.held.insert(key, Held { area, number: Some(number) });
        self.show(key);
        Ok(key)
    }

    /// Does what needs the folder, and once more where that was removed meanwhile.
    fn once_more_if_removed<T>(&mut self, mut call: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        for _ in 0..MOST_REMOVALS {
            match call(self) {
                Err(_) if self.directory.as_ref().is_some_and(Directory::is_gone) => {}
                other => return other,
            }
        }
        call(self)
    }

    fn announce(&mut self, area: &Announcement) -> Result<u32> {
        self.once_more_if_removed(|state| state.try_to_announce(area.clone()))
    }

    fn try_to_announce(&mut self, area: Announcement) -> Result<u32> {
        let (directory, team) = self.team()?;
        let number = team.publish(directory, area)?;
        directory.wake_waiters();
        Ok(number)
    }

    /// Our team, which begins here where there was none. One that is there was [healed](State::heal) before.
    fn team(&mut self) -> Result<(&Directory, &mut Team)> {
        // The folder of teams may have been removed. What else is open is looked at where it is needed: to begin, and to lease ids.
        let begins = self.own.as_ref().is_none_or(Team::needs_ids);
        let is_in_use = |directory: &Directory| !directory.is_gone() && (!begins || directory.is_joined());
        if !self.directory.as_ref().is_some_and(is_in_use) {
            self.stay()?;
            let is_in_use = |directory: &Directory| directory.is_joined() && !directory.is_gone();
            if !self.directory.as_ref().is_some_and(is_in_use) {
                self.forget_teams();
                self.directory = Some(Directory::join()?);
            }
        }
        let Some(directory) = &self.directory else { unreachable!("joined above") };
        let team = match &mut self.own {
            Some(team) => team,
            none => none.insert(Team::create(directory)?),
        };
        Ok((directory, team))
    }

    /// Joins the registry without an area: others can transfer some to us.
    pub(super) fn join(&mut self) -> Result<()> {
        self.heal()?;
        self.publish_inherited()?;
        self.once_more_if_removed(|state| {
            let (directory, team) = state.team()?;
            team.open_door(directory)
        })
    }

    /// Sees to it that others find our team: publishes it again where the folder, or its link alone, was removed.
    pub(super) fn keep(&mut self) -> Result<()> {
        self.heal()?;
        self.publish_inherited()?;
        self.once_more_if_removed(Self::try_to_keep)?;
        match self.held.values().filter(|held| held.number.is_none()).count() {
            0 => Ok(()),
            lost => Err(Error::new(Kind::Registry, "keep this process's areas published")
                .detail(format!("somebody closed the descriptors of {lost} of them: nobody can find these any more"))
                .help("leave descriptors alone that are not yours (close_range, closefrom); areas that are mapped stay usable")),
        }
    }

    fn try_to_keep(&mut self) -> Result<()> {
        self.stay()?;
        if let (Some(team), Some(directory)) = (&mut self.own, &self.directory)
            && !directory.has(team.link())?
        {
            claim(team, directory, &self.held, &mut self.places)?;
        }
        if let (Some(team), Some(directory)) = (&mut self.own, &self.directory)
            && team.door().is_some()
        {
            // All else works without it.
            let _ = team.open_door(directory);
        }
        Ok(())
    }

    /// What publishing needs of that: a table, and a folder.
    fn stay(&mut self) -> Result<()> {
        self.heal()?;
        self.rejoin()
    }

    /// Joins again where the folder was removed under a team of ours.
    fn rejoin(&mut self) -> Result<()> {
        if self.own.is_none() || self.directory.as_ref().is_some_and(|directory| !directory.is_gone()) {
            return Ok(());
        }
        self.heal()?;
        let Some(team) = &mut self.own else { return Ok(()) };
        let directory = Directory::join()?;
        // It is still there if only our descriptor of the folder was closed.
        if !directory.has(team.link())? {
            claim(team, &directory, &self.held, &mut self.places)?;
        }
        self.forget_teams();
        self.directory = Some(directory);
        Ok(())
    }

    /// No longer an area of ours; its record's number, if it has one.
    fn forget(&mut self, key: Key) -> Option<u32> {
        let held = self.held.remove(&key)?;
        if self.addresses.get(&held.area.address) == Some(&key) {
            self.addresses.remove(&held.area.address);
            self.places.remove(held.area.address);
        }
        held.number
    }

    /// Takes an area back.
    fn withdraw(&mut self, key: Key) {
        let number = self.forget(key);
        if let (Some(team), Some(number)) = (&mut self.own, number) {
            // Only a mapping that is gone could refuse, and then there is nothing to take back.
            let _ = team.withdraw(number);
        }
    }

    pub(super) fn set_protection(&mut self, key: Key, protection: Protection) {
        let Some(held) = self.held.get_mut(&key) else { return };
        held.area.protection = protection;
        if let (Some(team), Some(number)) = (&self.own, held.number) {
            let _ = team.table().set_protection(number, protection);
        }
    }

    /// Tells what has changed of an area's place or extent.
    pub(super) fn update(&mut self, key: Key, change: impl FnOnce(&mut Announcement)) {
        let Some(held) = self.held.get_mut(&key) else { return };
        change(&mut held.area);
        let Announcement { placement, span, extent, .. } = held.area;
        if let (Some(team), Some(number)) = (&self.own, held.number) {
            let _ = team.table().update(number, placement, span, extent);
        }
        self.show(key);
    }

    pub(super) fn id_of(&self, key: Key) -> Option<AreaId> {
        let number = self.held.get(&key)?.number?;
        self.own.as_ref()?.table().view().id(number)
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
        self.look();
        self.read_folder(false)?;
        // Of a few tables the processor sees by itself that they do not depend on each other.
        const MANY: usize = 4;
        if self.teams.len() > MANY {
            let hash = super::table::hash_of(name);
            let readable = self.teams.values().filter_map(|team| match team {
                Known::Readable(peer) => Some(peer.view().warm(hash)),
                Known::Unreadable(_) => None,
            });
            std::hint::black_box(readable.fold(0, |all, one| all ^ one));
        }
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

    /// The area of that id, among the teams that we know.
    fn known(&mut self, id: AreaId) -> Option<Source> {
        // A team that moves to another slot has areas for a moment that still say their old id.
        let found = |record: Option<(u32, u64, Record)>| {
            record.map(|(_, _, record)| record).filter(|record| record.id == id)
        };
        if let Some(team) = &self.own
            && team.link().slot == id.slot()
            && let Some(record) = found(team.table().view().by_sequence(id.sequence()))
        {
            return Some(Source::new(Holder::Own, record));
        }
        let mut dead = Vec::new();
        let mut alive = None;
        for (_, team) in self.teams.iter().filter(|(link, _)| link.slot == id.slot()) {
            if let Known::Readable(peer) = team
                && let Some(record) = found(peer.view().by_sequence(id.sequence()))
            {
                let holder = Holder::Peer(peer.clone());
                if holder.is_live() {
                    alive = Some(Source::new(holder, record));
                    break;
                }
                dead.push(holder);
            }
        }
        for holder in dead {
            self.bury(&holder);
        }
        alive
    }

    /// The area of an id.
    pub(super) fn get(&mut self, id: AreaId) -> Result<Source> {
        // What is known needs no look at who else has come: an id has one holder.
        if self.directory.as_ref().is_some_and(|directory| !directory.is_gone())
            && let Some(known) = self.known(id)
        {
            return Ok(known);
        }
        self.read_folder(false)?;
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let unreadable = self.teams.iter().find_map(|(link, team)| match team {
            Known::Unreadable(reason) if link.slot == id.slot() => Some((link.pid, reason.text.clone())),
            _ => None,
        });
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

    /// A process's area that begins at the lowest address above `after`.
    pub(super) fn next(&mut self, pid: u32, after: u64) -> Result<Option<Source>> {
        self.read_folder(false)?;
        let own = pid == sys::process::pid();
        let mut next = if own { self.next_own(after) } else { None };
        let (mut unreadable, mut dead) = (None, Vec::new());
        // One process can be several teams: a program may have this library twice.
        for (_, team) in self.teams.iter().filter(|(link, _)| link.pid == pid) {
            match team {
                Known::Readable(peer) if peer.is_live() => {
                    let found =
                        peer.next(after).map(|record| Source::new(Holder::Peer(peer.clone()), record));
                    next = next.into_iter().chain(found).min_by_key(|source| source.order(pid));
                }
                Known::Readable(peer) => dead.push(Holder::Peer(peer.clone())),
                Known::Unreadable(reason) => unreadable = Some(reason.text.clone()),
            }
        }
        for holder in dead {
            self.bury(&holder);
        }
        let what = || format!("look for the areas of process {pid}");
        match (next, unreadable) {
            (Some(next), _) => Ok(Some(next)),
            (None, Some(reason)) => Err(Error::new(Kind::Unreadable, what())
                .detail(format!("it has some, and cannot be read: {reason}"))
                .help("run with the same user, group and capabilities")),
            (None, None) if own || process_lives(pid) => Ok(None),
            (None, None) => Err(Error::new(Kind::NoSuchTeam, what())
                .detail("no live process has that number")
                .help("`areas ls` lists the processes that hold areas")),
        }
    }

    fn next_own(&self, after: u64) -> Option<Source> {
        let view = self.own.as_ref()?.table().view();
        self.addresses.range((Bound::Excluded(after), Bound::Unbounded)).find_map(|(_, key)| {
            let (_, record) = view.record(self.held.get(key)?.number?)?;
            Some(Source::new(Holder::Own, record))
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
                    reason: reason.text.clone(),
                    own_limit: reason.own_limit,
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
        let own = sys::process::pid();
        listing.areas.sort_by_key(|source| source.order(own));
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
        forget_names(&mut self.names, &self.teams);
    }

    /// Meets the teams that came, forgets those that went. Without a change of the folder it is one `fstat`.
    fn read_folder(&mut self, thoroughly: bool) -> Result<()> {
        self.once_more_if_removed(|state| state.try_to_read_folder(thoroughly))
    }

    fn try_to_read_folder(&mut self, thoroughly: bool) -> Result<()> {
        let mut looked = self.directory.as_ref().and_then(Directory::look);
        if looked.is_none() {
            self.rejoin()?;
            // Whoever has a team joins, and does not only look: a folder that went in this moment is an error below, and tried again.
            if self.own.is_none() && self.directory.as_ref().is_none_or(Directory::is_gone) {
                self.directory = Directory::open()?;
                self.forget_teams();
            }
            looked = self.directory.as_ref().map(Directory::changed).transpose()?;
        }
        let (Some(directory), Some(changed)) = (&self.directory, looked) else { return Ok(()) };
        if !thoroughly && self.read_at == Some(changed) {
            return Ok(());
        }
        let links = directory.links()?;
        if let Some(team) = &mut self.own
            && !links.contains(team.link())
            // Without its descriptor there is nothing to lead to: the next publication begins anew.
            && team.is_intact()?
        {
            claim(team, directory, &self.held, &mut self.places)?;
        }
        // Whatever else names our own table is no other team's.
        let own = self.own.as_ref().map(|team| (team.link().pid, team.link().inode));
        let known = self.teams.len();
        self.teams.retain(|link, _| links.contains(link));
        if self.teams.len() < known {
            forget_names(&mut self.names, &self.teams);
        }
        for link in links.into_iter().filter(|link| Some((link.pid, link.inode)) != own) {
            // One that could not be read may let itself be read by now.
            if let Some(Known::Readable(_)) = self.teams.get(&link) {
                continue;
            }
            match examine(&link) {
                PeerState::Live(peer) => {
                    self.teams.insert(link, Known::Readable(Arc::from(peer)));
                }
                PeerState::Unreadable(reason) => {
                    self.teams.insert(link, Known::Unreadable(reason));
                }
                PeerState::Dead => {
                    // One that could not be read, and has died since, was known.
                    self.teams.remove(&link);
                    directory.remove(&link);
                }
            }
        }
        // Removing dead links changes the time, and so may others, within the same tick.
        let settled = i128::from(sys::process::file_time()) - changed > TICKS;
        let any_unreadable = self.teams.values().any(|team| matches!(team, Known::Unreadable(_)));
        self.read_at = (settled && !any_unreadable).then_some(changed);
        Ok(())
    }

    /// The control file, to wait on; `None` where there is no registry.
    pub(super) fn control(&mut self) -> Result<Option<OwnedFd>> {
        self.read_folder(false)?;
        Ok(self.directory.as_ref().and_then(Directory::control))
    }

    /// Where the registry is, if it is there.
    pub(super) fn path(&self) -> Option<std::path::PathBuf> {
        self.directory.as_ref().map(|directory| directory.path().to_owned())
    }

    /// The error for a name that nobody has.
    pub(super) fn no_such(&self, name: &Name) -> Error {
        /// More would only be the same again.
        const TOLD: usize = 3;
        let reasons = self.teams.iter().filter_map(|(link, team)| match team {
            Known::Unreadable(reason) => Some((link.pid, &reason.text)),
            Known::Readable(_) => None,
        });
        let mut unreadable: Vec<(u32, &String)> = reasons.collect();
        unreadable.sort_unstable();
        let error = Error::new(Kind::NoSuchArea, format!("find area {name:?}"));
        let error = match unreadable.is_empty() {
            true => error.detail("no live process of this user and pid namespace holds an area of that name"),
            false => {
                let count = unreadable.len();
                let noun = if count == 1 { "process holds" } else { "processes hold" };
                let told: Vec<String> =
                    unreadable.iter().take(TOLD).map(|(pid, why)| format!("{pid}: {why}")).collect();
                error.detail(format!(
                    "no process that can be read holds an area of that name; {count} {noun} areas and cannot be read: {}",
                    told.join("; ")
                ))
            }
        };
        error.help("`areas ls` lists what there is")
    }
}

/// Claims a slot for our team in a folder. If it is another one, all areas have other ids, and readers are told.
fn claim(
    team: &mut Team,
    directory: &Directory,
    held: &HashMap<Key, Held>,
    places: &mut Places,
) -> Result<()> {
    let before = team.link().slot;
    let claimed = team.claim(directory);
    if claimed.is_err() || team.link().slot != before {
        for Held { area, number } in held.values() {
            if let Some((_, record)) = number.and_then(|number| team.table().view().record(number)) {
                let _ = places.put(&Place::of(record.id, area).entry());
            }
        }
    }
    claimed
}

/// Forgets names of teams that are gone: who remembers one has the dead team's table open, and so keeps it in memory.
fn forget_names(names: &mut HashMap<Box<[u8]>, Hit>, teams: &HashMap<Link, Known>) {
    names.retain(|_, hit| match &hit.holder {
        Holder::Own => true,
        Holder::Peer(peer) => teams.contains_key(peer.link()),
    });
}

/// Takes an area back, in a forked child without publishing the others for it.
pub(super) fn withdraw(key: Key) {
    if let Ok(mut state) = state_as_it_is() {
        if state.is_inherited() {
            let _ = state.forget(key);
        } else {
            state.withdraw(key);
        }
    }
}
