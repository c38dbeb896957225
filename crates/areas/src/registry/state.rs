//! What this process knows of the registry: its own team, the areas that it has published, the
//! teams it has met, the names it has looked up.
//!
//! One value a process, behind a mutex. A forked child inherits it whole: handlers of `fork` see to
//! it that no thread is in the middle of something at that moment. A page that the kernel wipes on
//! fork tells the child, at its first call, that it is one: then it begins a team of its own and
//! publishes all that it inherited under new ids. Its parent's table is not even mapped in it. A
//! child that never calls, because it calls exec, pays nothing.

mod contest;
mod cut;
mod looking;
mod news;
mod process;
mod teams;
mod transfer;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{Ordering, fence};

use super::by_address::{self, Here, Place, Places};
use super::claim::Claim;
use super::directory::{Coming, Directory, Link, Now, Times};
use super::id::AreaId;
use super::note::Note;
use super::offer::Parcel;
use super::peer::forget_kept_tables;
use super::table::Announcement;
use super::team::Team;
use crate::error::{Error, ErrorKind, Result};
use crate::protection::Protection;
use crate::sys;
pub(super) use contest::{publish_alone, rename, taken};
use looking::Hit;
use news::Quiet;
pub(super) use process::{state, state_up_to_date, withdraw};
use teams::Known;
pub(crate) use transfer::Arrival;

/// A published area, in this process and in the children that inherit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(u64);

/// How keys are hashed: they are counted here, so that nobody can choose them.
#[derive(Default)]
struct Counted(u64);

impl Hasher for Counted {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, number: u64) {
        // Neighbours come to lie apart: 2^64 divided by the golden ratio.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// An area that this process has published.
#[derive(Debug)]
struct Held {
    area: Announcement,
    /// Its record in our table; `None` in a child that has not published it yet, and once its
    /// descriptor is lost.
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
pub(super) struct State {
    /// What readers have who do not wait for this state; and the right to write it.
    here: &'static Here,
    places: Places,
    directory: Option<Directory>,
    own: Option<Team>,
    held: HashMap<Key, Held, BuildHasherDefault<Counted>>,
    /// The first address of each of them.
    addresses: BTreeMap<u64, Key>,
    next_key: u64,
    /// Whether some of what we hold is not published yet: what a child inherited.
    waiting: bool,
    teams: HashMap<Link, Known>,
    /// What the folder's time was when it was last read; `None` if it has to be read again.
    read_at: Option<Coming>,
    /// What the last look at the folder showed; `None` if it showed nothing.
    seen: Option<Times>,
    quiet: Quiet,
    names: HashMap<Box<[u8]>, Hit>,
    /// What other teams have given us and the program has not taken yet.
    arrivals: Vec<Arrival>,
    /// What they have given us and we could not take in.
    stuck: Option<Parcel>,
    /// Until when it is not tried again to join for who only looks: nanoseconds since boot.
    not_again_before: u64,
}

/// How often the folder may be removed under a call, one time after the other, before the call
/// gives up.
const MAX_REMOVALS: u32 = 100;

impl State {
    /// Shows readers where an area of ours is, and under which id.
    fn show(&mut self, key: Key, id: AreaId) {
        // Under a name that it has only claimed it is not shown beside the one that it has.
        let is_shown = |held: &Held| {
            !held.area.claiming || self.addresses.get(&held.area.address).is_none_or(|&shown| shown == key)
        };
        if let Some(held) = self.held.get(&key).filter(|held| is_shown(held)) {
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
            held: HashMap::default(),
            addresses: BTreeMap::new(),
            next_key: 0,
            waiting: false,
            teams: HashMap::new(),
            read_at: None,
            seen: None,
            quiet: Quiet::default(),
            names: HashMap::new(),
            arrivals: Vec::new(),
            stuck: None,
            not_again_before: 0,
        })
    }

    /// Whether this process was forked from the one whose state this is.
    fn is_inherited(&self) -> bool {
        !self.here.fork_detector.is_set()
    }

    /// Begins anew in a forked child: what is the parent's is left to it, and what was inherited
    /// waits to be published.
    fn become_child(&mut self) {
        // Our parent's ids, first: with the fork_detector set they would be believed.
        self.places.clear();
        sys::maps::leave_to_parent();
        self.here.fork_detector.set();
        self.here.is_team.store(false, Ordering::Relaxed);
        self.not_again_before = 0;
        if let Some(team) = self.own.take() {
            team.leave_to_parent();
        }
        // What was not taken in was given to the parent alone.
        self.stuck = None;
        // The child may have another user or pid namespace by now.
        self.directory = None;
        self.forget_teams();
        forget_kept_tables();
        self.forget_claims();
        self.publish_again();
    }

    /// What we hold waits to be published, in a table to come.
    fn publish_again(&mut self) {
        self.here.is_team.store(false, Ordering::Relaxed);
        self.places.clear();
        self.held.values_mut().for_each(|held| held.number = None);
        self.waiting = !self.held.is_empty();
    }

    /// Begins again for the user that this process works for by now: as a team of its own in that
    /// user's registry, as a forked child does. What is still held is published there. The old
    /// user's processes see that the old table is gone.
    fn become_user(&mut self) -> Result<()> {
        self.places.clear();
        if let (Some(team), Some(directory)) = (self.own.take(), self.directory.take()) {
            // Mostly that is no longer permitted: the next looker sees that it leads nowhere.
            directory.remove(team.link());
        }
        self.directory = None;
        self.forget_teams();
        self.publish_again();
        self.publish_inherited()
    }

    /// Forgets the folder that was looked into, where this process has not joined. Whether it has
    /// not.
    pub(super) fn look_elsewhere(&mut self) -> bool {
        let only_looks = self.own.is_none() && self.held.is_empty();
        if only_looks {
            self.directory = None;
            self.forget_teams();
        }
        only_looks
    }

    /// Looks whether this process works for another user by now: for calls that are not made often.
    pub(super) fn notice_user(&mut self) -> Result<()> {
        match self.directory.as_ref().is_some_and(Directory::is_other_users) {
            true => self.become_user(),
            false => Ok(()),
        }
    }

    /// Begins a table anew where somebody closed the descriptor of ours, through which others would
    /// find it. Areas whose own descriptors are still there are published again; to the others
    /// nobody can be led any more.
    fn heal(&mut self) -> Result<()> {
        let Some(team) = &self.own else { return Ok(()) };
        if team.is_intact()? {
            return Ok(());
        }
        // What was found in it may be something else in the next one.
        self.names.clear();
        if let Some(team) = self.own.take()
            && let Some(directory) = self.directory.as_ref().filter(|directory| !directory.is_gone())
        {
            directory.remove(team.link());
        }
        self.publish_again();
        Ok(())
    }

    /// Publishes what was inherited, under ids of our own. What could not be is tried again at the
    /// next call.
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
            // In a child, or after somebody closed all descriptors, there may be none to lead
            // others to.
            let Some(held) = self.held.get(&key).filter(|held| held.has_descriptor()) else { continue };
            let area = held.area.clone();
            let (number, id) = self.announce(&area, None).inspect_err(|_| self.waiting = true)?;
            if let Some(held) = self.held.get_mut(&key) {
                held.number = Some(number);
            }
            self.show(key, id);
        }
        Ok(())
    }

    /// Publishes an area under this process's team, which begins with its first one.
    pub(super) fn publish(&mut self, area: Announcement) -> Result<(Key, AreaId)> {
        self.publish_claimed(area, None)
    }

    /// The same for an area that another team has given, under the id that it claimed for it, if
    /// that can be.
    fn publish_claimed(&mut self, area: Announcement, claim: Option<&Claim>) -> Result<(Key, AreaId)> {
        let address = area.address;
        let (key, id) = self.publish_beside(area, claim)?;
        self.addresses.insert(address, key);
        self.show(key, id);
        Ok((key, id))
    }

    /// The same, where another one may be shown at its address, which stays so.
    fn publish_beside(&mut self, area: Announcement, claim: Option<&Claim>) -> Result<(Key, AreaId)> {
        self.heal()?;
        self.publish_inherited()?;
        let (number, id) = self.announce(&area, claim)?;
        let key = Key(self.next_key);
        self.next_key += 1;
        self.held.insert(key, Held { area, number: Some(number) });
        Ok((key, id))
    }

    /// Has one that was published beside another one take that one's place, which goes.
    fn take_place(&mut self, of: Key, key: Key) {
        self.withdraw(of);
        let Some(held) = self.held.get(&key) else { return };
        self.addresses.insert(held.area.address, key);
        if let Some(id) = self.id_of(key) {
            self.show(key, id);
        }
    }

    /// Does what needs the folder, and once more where that was removed meanwhile. What has another
    /// reason is told at once: who may not make the folder anew may not the next time either.
    fn retry_if_removed<T>(&mut self, mut call: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        for _ in 0..MAX_REMOVALS {
            match call(self) {
                Err(error)
                    if error.errno() == Some(sys::Errno::NOENT.into())
                        && self.directory.as_ref().is_some_and(Directory::is_gone) => {}
                other => return other,
            }
        }
        call(self)
    }

    /// The number of its record, and the id that it has now.
    fn announce(&mut self, area: &Announcement, claim: Option<&Claim>) -> Result<(u32, AreaId)> {
        self.seen = None;
        if claim.is_none()
            && let Some(published) = self.announce_here(area)?
        {
            return Ok(published);
        }
        self.retry_if_removed(|state| {
            let (directory, team) = state.team(false)?;
            let published = team.publish(directory, area, claim)?;
            directory.wake_waiters();
            Ok(published)
        })
    }

    /// The same in the folder that we have joined, under an id that is leased: first the record,
    /// and then one look, which tells whether the folder is still in use and whether there is news
    /// in it. `None` where it takes more than that: then nothing is published.
    fn announce_here(&mut self, area: &Announcement) -> Result<Option<(u32, AreaId)>> {
        let (Some(directory), Some(team)) = (&self.directory, &mut self.own) else { return Ok(None) };
        if team.needs_ids() || team.link().empty {
            return Ok(None);
        }
        let (number, id) = team.publish(directory, area, None)?;
        // Who waits looks for the record once its telling can be seen.
        fence(Ordering::SeqCst);
        match directory.now() {
            Now::Here(times) => self.seen = Some(times),
            Now::Unknown => {}
            Now::Gone | Now::OtherUsers => {
                // Nobody could find it there.
                team.withdraw(number)?;
                return Ok(None);
            }
        }
        self.wake_waiters();
        Ok(Some((number, id)))
    }

    /// Our team, which begins here where there was none, with or without an area to be published.
    /// One that is there was [healed](State::heal) before.
    fn team(&mut self, empty: bool) -> Result<(&Directory, &mut Team)> {
        // The folder of teams may have been removed. What else is open is looked at where it is
        // needed: to begin, and to lease ids.
        let begins = self.own.as_ref().is_none_or(Team::needs_ids);
        if begins {
            self.notice_user()?;
        }
        let mut is_in_use = match self.directory.as_ref().map(Directory::now) {
            None | Some(Now::Gone) => false,
            Some(Now::Here(_) | Now::Unknown) => true,
            Some(Now::OtherUsers) => {
                self.become_user()?;
                false
            }
        };
        is_in_use &= !begins || self.directory.as_ref().is_some_and(Directory::is_joined);
        if !is_in_use {
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
            none => none.insert(Team::create(directory, empty)?),
        };
        Ok((directory, team))
    }

    /// Joins the registry without an area: others can transfer some to us.
    pub(super) fn join(&mut self) -> Result<()> {
        self.notice_user()?;
        self.heal()?;
        self.publish_inherited()?;
        self.retry_if_removed(|state| {
            let (directory, team) = state.team(true)?;
            team.open_door(directory)
        })
    }

    /// Joins where this process has not, for who only looks. What kept it from joining is tried
    /// again after a while.
    pub(super) fn join_once(&mut self) {
        /// A second.
        const WHILE: u64 = 1_000_000_000;
        if self.own.as_ref().and_then(Team::door).is_none() {
            let now = sys::process::boot_time();
            if now < self.not_again_before {
                return;
            }
            self.not_again_before = now + WHILE;
            if self.join().is_err() {
                return;
            }
        }
        self.here.is_team.store(true, Ordering::Relaxed);
    }

    /// Sees to it that others find our team: publishes it again where the folder, or its link
    /// alone, was removed.
    pub(super) fn keep(&mut self) -> Result<()> {
        self.notice_user()?;
        self.heal()?;
        self.publish_inherited()?;
        self.retry_if_removed(Self::try_to_keep)?;
        match self.held.values().filter(|held| held.number.is_none()).count() {
            0 => Ok(()),
            lost => Err(Error::new(ErrorKind::Registry, "keep this process's areas published")
                .detail(format!("this process has closed the descriptors of {lost} of them: no other process can find these any more"))
                .help("do not close descriptors that are not yours (close_range, closefrom); areas that are mapped stay usable")),
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
        if self.own.is_none() {
            return Ok(());
        }
        match self.directory.as_ref().map(Directory::now) {
            Some(Now::Here(_) | Now::Unknown) => return Ok(()),
            Some(Now::OtherUsers) => return self.become_user(),
            Some(Now::Gone) | None => {}
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

    /// Withdraws all areas over an object.
    pub(super) fn retire_own(&mut self, object: sys::file::Identity) {
        let of_it = |(_, held): &(&Key, &Held)| held.area.object == object && held.area.physical.is_none();
        let keys: Vec<Key> = self.held.iter().filter(of_it).map(|(&key, _)| key).collect();
        keys.into_iter().for_each(|key| self.withdraw(key));
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
        if let (Some(team), Some(number)) = (&mut self.own, held.number) {
            let _ = team.update(number, &held.area);
        }
        if let Some(id) = self.id_of(key) {
            self.show(key, id);
        }
    }

    /// Tells what is noted beside an area from now on. Where there is no room for it, what was
    /// noted stays.
    pub(super) fn set_note(&mut self, key: Key, note: Note) -> Result<()> {
        let Some(held) = self.held.get_mut(&key) else { return Ok(()) };
        if let (Some(team), Some(number)) = (&mut self.own, held.number) {
            team.set_note(number, &held.area.name, &note)?;
        }
        held.area.note = note;
        Ok(())
    }

    pub(super) fn id_of(&self, key: Key) -> Option<AreaId> {
        let number = self.held.get(&key)?.number?;
        self.own.as_ref()?.table().view().id(number)
    }
}

/// Claims a slot for our team in a folder. If it is another one, all areas have other ids, and
/// readers are told.
fn claim(
    team: &mut Team,
    directory: &Directory,
    held: &HashMap<Key, Held, BuildHasherDefault<Counted>>,
    places: &mut Places,
) -> Result<()> {
    let before = team.link().slot;
    let claimed = team.claim(directory);
    if claimed.is_err() || team.link().slot != before {
        for Held { area, number } in held.values().filter(|held| !held.area.claiming) {
            if let Some((_, record)) = number.and_then(|number| team.table().view().record(number)) {
                let _ = places.put(&Place::of(record.id, area).entry());
            }
        }
    }
    claimed
}
