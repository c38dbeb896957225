//! An area of ours of which the program has taken addresses away: what is left of it takes its
//! place, in one step.

use super::{Held, Key, State};
use crate::registry::table::Announcement;
use crate::sys::file::Identity;

impl State {
    /// Puts parts of an area in its place: the first keeps its record and its id, the others get
    /// one of their own, under the same name. Their keys.
    ///
    /// Who looks concurrently finds at least one of them; what could not be published is tried
    /// again at the next call.
    pub(in crate::registry) fn divide(&mut self, key: Key, parts: Vec<Announcement>) -> Vec<Key> {
        if !self.held.contains_key(&key) {
            // It was retired: no part of it is published either.
            return Vec::new();
        }
        let mut parts = parts.into_iter();
        if let (Some(first), Some(held)) = (parts.next(), self.held.get_mut(&key)) {
            let before = std::mem::replace(&mut held.area, first);
            let (now, number) = (held.area.clone(), held.number);
            if before.address != now.address {
                self.leave(before.address, key);
                self.addresses.entry(now.address).or_insert(key);
            }
            if let (Some(team), Some(number)) = (&mut self.own, number) {
                let _ = team.update(number, &now);
            }
            // Readers forget what was sure of it before they are shown what is.
            if self.addresses.get(&now.address) == Some(&key) {
                self.places.remove(now.address);
            }
            if let Some(id) = self.id_of(key) {
                self.show(key, id);
            }
        }
        parts
            .map(|area| {
                let key = Key(self.next_key);
                self.next_key += 1;
                self.addresses.entry(area.address).or_insert(key);
                self.held.insert(key, Held { area, number: None });
                self.waiting = true;
                key
            })
            .collect()
    }

    /// Publishes what waits for it, as far as it can be.
    pub(in crate::registry) fn publish_parts(&mut self) {
        let _ = self.replace_closed_table().and_then(|()| self.publish_inherited());
    }

    /// An area is no longer where it began.
    fn leave(&mut self, address: u64, key: Key) {
        if self.addresses.get(&address) == Some(&key) {
            self.addresses.remove(&address);
            self.places.remove(address);
        }
    }

    /// The parts of an object that areas of ours other than one have, in bytes of it.
    pub(in crate::registry) fn parts_of(
        &self,
        object: Identity,
        but: Option<Key>,
    ) -> Vec<std::ops::Range<u64>> {
        let others = self.held.iter().filter(|(key, held)| Some(**key) != but && held.area.object == object);
        others.map(|(_, held)| held.area.piece.range(held.area.span)).collect()
    }
}
