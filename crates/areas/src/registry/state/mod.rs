//! What this process knows of the registry: its own team, the areas that it has published, the
//! teams it has met, the names it has looked up.
//!
//! One value a process, behind a mutex. A forked child inherits it whole: handlers of `fork` see to
//! it that no thread is in the middle of something at that moment. A page that the kernel wipes on
//! fork shows the child, at its first call, that it is one: then it starts a team of its own and
//! publishes all that it inherited under new ids. Its parent's table is not even mapped in it. A
//! child that never calls, because it calls exec, pays nothing.

mod contest;
mod cut;
mod exclusive;
mod joining;
mod known;
mod looking;
mod news;
mod offering;
mod process;
mod publishing;
mod teams;
mod transfer;
mod transferred;
mod user;

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::atomic::Ordering;

use super::directory::{Coming, Directory, Link, Times};
use super::own::by_address::{self, Here, Place, Places};
use super::own::{Counted, Held, Key, Team};
use super::peer::forget_kept_tables;
use super::table::{Announcement, AreaId, Note};
use super::transfer::Parcel;
use crate::error::Result;
use crate::protection::Protection;
use crate::sys;
pub(super) use contest::{publish_alone, rename, taken};
use known::{Hit, Known};
pub(super) use looking::lost;
use news::Quiet;
pub(super) use process::{state, state_up_to_date, withdraw};
pub(crate) use transfer::Arrival;
pub use transferred::Transferred;
pub use user::look_into;

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
    /// What they have given us and we could not accept.
    stuck: Option<Parcel>,
    /// Until when it is not tried again to join for who only looks: nanoseconds since boot.
    not_again_before: u64,
}

impl State {
    /// Shows readers where an area of ours is, and under which id.
    fn show(&mut self, key: Key, id: AreaId) {
        // Another one may have its address: the one that it is to replace, under whose name it is
        // only claimed so far; or one that came where the program has unmapped it.
        let is_shown = |held: &Held| self.addresses.get(&held.area.address).is_none_or(|&shown| shown == key);
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

    /// Starts over in a forked child: what is the parent's is left to it, and what was inherited
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
        // What was not accepted was given to the parent alone.
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

    /// Starts a new table where the program closed the descriptor of ours, through which others
    /// would find it. Areas whose own descriptors are still there are published again; to the
    /// others no process can be led any more.
    fn replace_closed_table(&mut self) -> Result<()> {
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

    /// Publishes what has changed of an area's place or extent.
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

    /// Publishes what is noted beside an area from now on. Where there is no room for it, what was
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
