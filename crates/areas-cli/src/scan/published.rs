//! What registries say of areas: this user's, or all users'. A registry that cannot be read leaves
//! its areas without their names, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use areas::registry::{self, Listing};

use super::memory::{Object, Published};
use crate::failure::Result;
use crate::users;

/// The areas that registries have, by their memory.
#[derive(Debug, Default)]
pub(super) struct Registries {
    areas: BTreeMap<Object, Vec<Published>>,
    /// The users whose registry was read whole.
    read: BTreeSet<u32>,
    /// Of those that could not be read, why; for people.
    pub(super) unread: Vec<String>,
}

impl Registries {
    /// Reads this user's registry, or all users'.
    ///
    /// # Errors
    /// All users' were asked for by a user other than root.
    pub(super) fn read(all_users: bool) -> Result<Self> {
        let mut found = Registries::default();
        let own = rustix::process::geteuid().as_raw();
        let failures = if all_users {
            users::each_registry("name all users' areas", |user| {
                registry::list().map(|listing| found.add(user, listing))
            })?
        } else {
            let read = users::is_there("name areas").and_then(|()| registry::list());
            read.map(|listing| found.add(own, listing)).err().map(|error| (own, error)).into_iter().collect()
        };
        found.unread = failures
            .into_iter()
            .map(|(user, error)| {
                format!("which areas user {user} has published is not known, all else is listed: {error:#}")
            })
            .collect();
        Ok(found)
    }

    fn add(&mut self, user: u32, listing: Listing) {
        if listing.unreadable.is_empty() {
            self.read.insert(user);
        }
        for area in listing.areas {
            // What is not where its table says is not a name of this memory.
            let Ok(info) = area.info() else { continue };
            self.areas.entry(info.object).or_default().push(Published {
                id: info.id.get(),
                name: info.name,
                pid: info.pid,
                user,
            });
        }
    }

    /// The areas over a memory.
    pub(super) fn over(&self, object: Object) -> Vec<Published> {
        self.areas.get(&object).cloned().unwrap_or_default()
    }

    /// Whether all that this user has published is known.
    pub(super) fn knows(&self, user: Option<u32>) -> bool {
        user.is_some_and(|user| self.read.contains(&user))
    }
}
