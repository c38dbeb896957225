//! Looking for areas: by name, by id, by address, one after the other, or all.

use std::ops::Bound;
use std::sync::Arc;

use super::State;
use super::known::{Hit, Known};
use crate::error::{Error, ErrorKind, Result};
use crate::registry::directory::{Directory, Now};
use crate::registry::own::Team;
use crate::registry::own::by_address::{Has, Place};
use crate::registry::peer::Peer;
use crate::registry::process::{command_of, process_lives};
use crate::registry::source::{Holder, Listing, Source, UnreadableTeam};
use crate::registry::table::{AreaId, Name, Record, View, candidates};
use crate::sys;
use crate::sys::file::Identity;

/// So many retired areas of one name are passed over in one search: more are made up, by who writes
/// new ones as we look, or by a wild write into our own table.
const MAX_RETIRED: usize = 4096;

/// Names remembered at most: a program that looks for more and more new ones does not grow without
/// limit.
const MAX_NAMES: usize = 4096;

fn view_of<'a>(own: Option<&'a Team>, holder: &'a Holder) -> Option<&'a View> {
    match holder {
        Holder::Own => Some(own?.table().view()),
        Holder::Peer(peer) => Some(peer.view()),
    }
}

impl State {
    /// Our own area that has an address: not in the reserve behind one.
    pub(in crate::registry) fn at(&mut self, address: u64) -> Option<Source> {
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

    /// Whether an area of ours that begins at `start` is said to reach to an address.
    pub(in crate::registry) fn reaches(&self, start: u64, address: u64) -> bool {
        let held = self.addresses.get(&start).and_then(|key| self.held.get(key));
        held.is_some_and(|held| (start..start.saturating_add(held.area.span)).contains(&address))
    }

    /// The name of an area of ours that has an address, and is published no more because its
    /// descriptor was closed.
    pub(in crate::registry) fn lost_at(&self, address: u64) -> Option<Name> {
        let (&start, key) = self.addresses.range(..=address).next_back()?;
        let held = self.held.get(key)?;
        let is_lost = held.number.is_none() && !held.has_descriptor();
        (is_lost && address - start < held.area.span).then(|| held.area.name.clone())
    }

    /// Whether an area of ours of that name is published no more because its descriptor was closed.
    fn has_lost(&self, name: &Name) -> bool {
        self.held
            .values()
            .any(|held| held.number.is_none() && held.area.name == *name && !held.has_descriptor())
    }

    /// The oldest area of a name that can be read.
    pub(in crate::registry) fn find(&mut self, name: &[u8]) -> Result<Option<Source>> {
        if let Some(hit) = self.names.get_mut(name)
            && let Some(protection) = view_of(self.own.as_ref(), &hit.holder)
                .and_then(|view| view.unchanged(hit.number, hit.generation))
            && !hit.holder.is_missing(hit.record.id)
            && hit.holder.is_live()
        {
            if protection != hit.record.protection {
                Arc::make_mut(&mut hit.record).area.protection = protection;
            }
            // Whatever came since is younger.
            return Ok(Some(Source::new(hit.holder.clone(), hit.record.clone())));
        }
        self.names.remove(name);
        self.read_folder(false)?;
        self.hear();
        let mut passed = 0;
        loop {
            let own = self.own.as_ref().and_then(|team| {
                let (number, generation, record) = team.table().view().find(name)?;
                Some(Hit { holder: Holder::Own, number, generation, record: record.into() })
            });
            let mut readable: Vec<(&Arc<Peer>, &View)> = Vec::with_capacity(self.teams.len());
            readable.extend(self.teams.values().filter_map(|team| match team {
                Known::Readable(peer) => Some((peer, peer.view())),
                Known::Unreadable(_) => None,
            }));
            let mut oldest = own;
            candidates(&readable, name, |&peer, _| {
                if let Some((number, generation, record)) = peer.find(name)
                    && oldest.as_ref().is_none_or(|other| record.age() < other.record.age())
                {
                    let holder = Holder::Peer(peer.clone());
                    oldest = Some(Hit { holder, number, generation, record: record.into() });
                }
            });
            let Some(hit) = oldest else { return Ok(None) };
            if hit.holder.is_live() {
                let source = Source::new(hit.holder.clone(), hit.record.clone());
                if source.is_retired() {
                    self.pass_over(&source);
                    passed += 1;
                    if passed >= MAX_RETIRED {
                        return Ok(None);
                    }
                    continue;
                }
                if self.names.len() >= MAX_NAMES {
                    self.names.clear();
                }
                self.names.insert(name.into(), hit.clone());
                return Ok(Some(source));
            }
            self.remove_dead_peer(&hit.holder);
        }
    }

    /// Passes over a retired area from now on.
    pub(in crate::registry) fn pass_over(&mut self, retired: &Source) {
        match &retired.holder {
            Holder::Own => self.retire_own(retired.record().object),
            Holder::Peer(peer) => peer.pass_over(retired.id()),
        }
    }

    /// The area of that id, among the teams that we know.
    fn known(&mut self, id: AreaId) -> Option<Source> {
        // A team that moves to another slot has areas for a moment that still say their old id.
        let found = |record: Option<(u32, u64, Record)>| {
            record.map(|(_, _, record)| record).filter(|record| record.id == id && !record.claiming)
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
            self.remove_dead_peer(&holder);
        }
        alive
    }

    /// The area of an id.
    pub(in crate::registry) fn get(&mut self, id: AreaId) -> Result<Source> {
        let now = self.directory.as_ref().map(Directory::now);
        self.seen = match now {
            Some(Now::Here(times)) => Some(times),
            _ => None,
        };
        self.hear();
        // What is known needs no look at who else has come: an id has one holder.
        if matches!(now, Some(Now::Here(_) | Now::Unknown))
            && let Some(known) = self.known(id)
        {
            return Ok(known);
        }
        self.read_folder(false)?;
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let unreadable = self.teams.iter().find_map(|(link, team)| match team {
            Known::Unreadable(reason) if link.slot == id.slot() => Some((link.pid, reason.clone())),
            _ => None,
        });
        let what = format!("look at area {id}");
        Err(match unreadable {
            Some((pid, reason)) => Error::new(reason.kind(), what)
                .with_facts(format!("its id belongs to process {pid}, which cannot be read: {}", reason.text))
                .with_remedy(
                    "run with the same user, group and capabilities, or have it passed over a socket",
                ),
            None => Error::new(ErrorKind::NoSuchArea, what)
                .with_facts("no live area of this user and pid namespace has that id")
                .with_remedy("`areas ls` lists what there is"),
        })
    }

    /// A process's area that begins at the lowest address above `after`.
    pub(in crate::registry) fn next(&mut self, pid: u32, after: u64) -> Result<Option<Source>> {
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
                Known::Unreadable(reason) => unreadable = Some(reason.clone()),
            }
        }
        for holder in dead {
            self.remove_dead_peer(&holder);
        }
        let what = || format!("look for the areas of process {pid}");
        match (next, unreadable) {
            (Some(next), _) => Ok(Some(next)),
            (None, Some(reason)) => Err(Error::new(reason.kind(), what())
                .with_facts(format!("it has some, and cannot be read: {}", reason.text))
                .with_remedy("run with the same user, group and capabilities")),
            (None, None) if own || process_lives(pid) => Ok(None),
            (None, None) => Err(Error::new(ErrorKind::NoSuchTeam, what())
                .with_facts("no live process has that number")
                .with_remedy("`areas ls` lists the processes that hold areas")),
        }
    }

    fn next_own(&self, after: u64) -> Option<Source> {
        let view = self.own.as_ref()?.table().view();
        self.addresses.range((Bound::Excluded(after), Bound::Unbounded)).find_map(|(_, key)| {
            let (_, record) = view.record(self.held.get(key)?.number?)?;
            (!record.claiming).then(|| Source::new(Holder::Own, record))
        })
    }

    /// Whether an id is that of an area that we publish.
    pub(in crate::registry) fn lists_own(&self, id: AreaId) -> bool {
        self.own.as_ref().is_some_and(|team| team.link().slot == id.slot() && team.table().view().lists(id))
    }

    /// All areas over an object, the oldest first, but for those that were found not to be where
    /// their tables say.
    pub(in crate::registry) fn of_object(&self, object: Identity) -> Vec<Source> {
        let mut found = Vec::new();
        if let Some(team) = &self.own {
            found.extend(team.table().view().records().map(|(_, _, record)| (Holder::Own, record)));
        }
        for team in self.teams.values() {
            if let Known::Readable(peer) = team {
                found
                    .extend(peer.view().records().map(|(_, _, record)| (Holder::Peer(peer.clone()), record)));
            }
        }
        found.retain(|(holder, record)| record.object == object && !holder.is_missing(record.id));
        found.sort_by_key(|(_, record)| record.age());
        found.into_iter().map(|(holder, record)| Source::new(holder, record)).collect()
    }

    /// Everything that is there.
    pub(in crate::registry) fn list(&mut self) -> Result<Listing> {
        self.list_of(None)
    }

    /// The same, or what is over one object.
    pub(in crate::registry) fn list_of(&mut self, of: Option<Identity>) -> Result<Listing> {
        let is_wanted = |record: &Record| !record.claiming && of.is_none_or(|wanted| wanted == record.object);
        self.read_folder(true)?;
        let mut listing = Listing::default();
        let mut dead = Vec::new();
        for (link, team) in &self.teams {
            match team {
                Known::Readable(peer) if peer.is_live() => listing.areas.extend(
                    peer.view()
                        .records()
                        .filter(|(_, _, record)| is_wanted(record))
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
            self.remove_dead_peer(&holder);
        }
        if let Some(team) = &self.own {
            let own = team.table().view().records().filter(|(_, _, record)| is_wanted(record));
            listing.areas.extend(own.map(|(_, _, record)| Source::new(Holder::Own, record)));
        }
        let own = sys::process::pid();
        listing.areas.sort_by_key(|source| source.order(own));
        listing.unreadable.sort_by_key(|team| team.pid);
        Ok(listing)
    }

    /// The error for a name that no process has.
    pub(in crate::registry) fn no_such(&self, name: &Name) -> Error {
        let what = format!("find area {name:?}");
        if self.has_lost(name) {
            return lost(Error::new(ErrorKind::NoSuchArea, what), name);
        }
        let error = match self.hidden(name) {
            None => Error::new(ErrorKind::NoSuchArea, what)
                .with_facts("no live process of this user and pid namespace holds an area of that name"),
            Some(hidden) => Error::new(hidden.kind, what).with_facts(format!(
                "no process that can be read holds an area of that name; {}",
                hidden.text
            )),
        };
        let limited = error.kind() == ErrorKind::Limit;
        error.with_remedy(if limited {
            "raise that limit, and look again"
        } else {
            "`areas ls` lists what there is"
        })
    }

    /// Where an area of that name could be all the same, or is and cannot be opened; `None` if
    /// nothing is hidden from us.
    pub(in crate::registry) fn hidden(&self, name: &Name) -> Option<Hidden> {
        /// More would only be the same again.
        const MAX_SHOWN: usize = 3;
        let mut kind = ErrorKind::NoSuchArea;
        let mut unreadable: Vec<(u32, &String)> = Vec::new();
        let mut missing: Vec<u32> = Vec::new();
        for (link, team) in &self.teams {
            match team {
                Known::Unreadable(reason) => {
                    unreadable.push((link.pid, &reason.text));
                    // For want of something in this very process it is not known whether there is
                    // such an area.
                    if reason.own_limit {
                        kind = ErrorKind::Limit;
                    }
                }
                Known::Readable(peer) if peer.has_missing(name.as_bytes()) => missing.push(link.pid),
                Known::Readable(_) => {}
            }
        }
        unreadable.sort_unstable();
        missing.sort_unstable();
        let mut parts = Vec::new();
        if !unreadable.is_empty() {
            let count = unreadable.len();
            let noun = if count == 1 { "process holds" } else { "processes hold" };
            let reported: Vec<String> =
                unreadable.iter().take(MAX_SHOWN).map(|(pid, why)| format!("{pid}: {why}")).collect();
            parts.push(format!("{count} {noun} areas and cannot be read: {}", reported.join("; ")));
        }
        if !missing.is_empty() {
            let reported: Vec<String> = missing.iter().take(MAX_SHOWN).map(ToString::to_string).collect();
            parts.push(format!(
                "process {} lists one, whose descriptor is another file's now, or that is retired",
                reported.join(", ")
            ));
        }
        (!parts.is_empty()).then(|| Hidden { kind, text: parts.join("; ") })
    }
}

/// Why it is not certain that there is no area of a name.
#[derive(Debug)]
pub(in crate::registry) struct Hidden {
    /// What kind of error that makes of it.
    pub(in crate::registry) kind: ErrorKind,
    /// For people.
    pub(in crate::registry) text: String,
}

/// Says of an area of this process's own why it is published no more.
pub(in crate::registry) fn lost(error: Error, name: &Name) -> Error {
    error
        .with_facts(format!(
            "area {name:?} is not published any more: its descriptor was closed; its memory is usable"
        ))
        .with_remedy("do not close descriptors that are not yours (close_range, closefrom)")
}
