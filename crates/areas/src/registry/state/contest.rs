//! Getting a name for oneself alone: the steps of [`contend`] in the registry. And another name for
//! an area that has one, alone or not.

use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use super::exclusive::{Contender, Outcome, Seen, contend};
use super::{Key, Known, State};
use crate::error::{Error, ErrorKind, Result};
use crate::registry::directory::Directory;
use crate::registry::own::Team;
use crate::registry::process::command_of;
use crate::registry::source::{Holder, Source};
use crate::registry::table::{Announcement, AreaId, Name, Record};
use crate::sys;
use crate::sys::file::Identity;

/// Who claims a name: the time of its claim and its id, which together no other process has; and
/// its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::registry) struct Claim {
    age: (u64, AreaId),
    pid: u32,
}

/// One that wants a name.
struct One {
    area: Announcement,
    /// What it has now, and gives up for the name.
    instead_of: Option<Key>,
    /// Our claim: what holds it in this process, its id, and the folder in which others see it.
    ours: Option<(Key, AreaId, Identity)>,
    deadline: Instant,
    pause: Duration,
}

impl State {
    /// All that others and we have of a name, but for one's own claim, and what one gives up for
    /// it.
    fn look_at_name(&mut self, name: &[u8], ours: [Option<Key>; 2]) -> Result<Seen<Source, Claim>> {
        self.read_folder(true)?;
        // Whoever is seen to claim it behind this sees our claim.
        fence(Ordering::SeqCst);
        let ours = ours.map(|key| self.held.get(&key?)?.number);
        let mut found: Vec<(Holder, Record)> = Vec::new();
        if let Some(team) = &self.own {
            let view = team.table().view();
            let records = view.all_of(name).filter(|(number, _)| !ours.contains(&Some(*number)));
            found.extend(records.map(|(_, record)| (Holder::Own, record)));
        }
        for (link, team) in &self.teams {
            match team {
                Known::Readable(peer) => {
                    let records = peer.view().all_of(name);
                    found.extend(records.map(|(_, record)| (Holder::Peer(peer.clone()), record)));
                }
                Known::Unreadable(reason) if reason.own_limit => {
                    return Err(Error::new(
                        ErrorKind::Limit,
                        format!("look up the holder of the name {:?}", Name::from_table(name)),
                    )
                    .with_facts(format!(
                        "process {} holds areas and could not be looked into: {}",
                        link.pid, reason.text
                    ))
                    .with_remedy("raise that limit"));
                }
                // Neither finds the other's areas.
                Known::Unreadable(_) => {}
            }
        }
        found.sort_by_key(|(_, record)| record.age());
        let (mut claims, mut dead) = (Vec::new(), Vec::new());
        for (holder, record) in found {
            if !holder.is_live() {
                dead.push(holder);
                continue;
            }
            let (age, claiming) = (record.age(), record.claiming);
            let source = Source::new(holder, record);
            if claiming {
                claims.push(Claim { age, pid: source.pid() });
            } else if !source.is_missing() && !source.is_retired() {
                return Ok(Seen::Taken(source));
            }
        }
        dead.iter().for_each(|holder| self.remove_dead_peer(holder));
        Ok(Seen::Claimed(claims))
    }

    /// Makes an area of a claim that all could see from the moment it was made until now; `false`
    /// if they could not.
    ///
    /// What it is `instead_of` goes in the same step, as this process and its children see it.
    fn confirm(
        &mut self,
        (key, id, folder): (Key, AreaId, Identity),
        instead_of: Option<Key>,
    ) -> Result<bool> {
        let is_same = self.id_of(key) == Some(id)
            && match (&self.directory, &self.own) {
                (Some(directory), Some(team)) => {
                    directory.identity() == folder && !directory.is_gone() && directory.has(team.link())?
                }
                _ => false,
            };
        let (Some(held), true) = (self.held.get_mut(&key), is_same) else { return Ok(false) };
        let Some(number) = held.number else { return Ok(false) };
        held.area.claiming = false;
        if let Some(team) = &self.own {
            team.table().confirm(number)?;
        }
        match instead_of {
            Some(before) => self.take_place(before, key),
            None => self.show(key, id),
        }
        self.seen = None;
        self.wake_waiters();
        Ok(true)
    }

    /// In a forked child: what another thread of the parent claimed was never its area.
    pub(super) fn forget_claims(&mut self) {
        let claims: Vec<Key> =
            self.held.iter().filter(|(_, held)| held.area.claiming).map(|(&key, _)| key).collect();
        for key in claims {
            let _ = self.forget(key);
        }
    }
}

impl Contender for One {
    type Error = Error;
    type Holder = Source;
    type Claim = Claim;

    fn claim(&mut self) -> Result<Claim> {
        let mut state = super::state_up_to_date()?;
        let (key, id) = match self.instead_of {
            None => state.publish(self.area.clone())?,
            Some(_) => state.publish_beside(self.area.clone(), None)?,
        };
        self.ours = Some((key, id, state.directory.as_ref().map(Directory::identity).unwrap_or_default()));
        let record = state
            .own
            .as_ref()
            .map(Team::table)
            .and_then(|table| Some(table.view().record(state.held.get(&key)?.number?)?.1));
        let age = record.map_or((u64::MAX, id), |record| record.age());
        Ok(Claim { age, pid: sys::process::pid() })
    }

    fn look(&mut self) -> Result<Seen<Source, Claim>> {
        let ours = [self.ours.map(|(key, ..)| key), self.instead_of];
        super::state()?.look_at_name(self.area.name.as_bytes(), ours)
    }

    fn confirm(&mut self) -> Result<bool> {
        let Some(ours) = self.ours else { return Ok(false) };
        super::state()?.confirm(ours, self.instead_of)
    }

    fn withdraw(&mut self) {
        if let Some((key, ..)) = self.ours.take() {
            super::withdraw(key);
        }
    }

    fn wait(&mut self) -> bool {
        const LONGEST: Duration = Duration::from_millis(5);
        if Instant::now() >= self.deadline {
            return false;
        }
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST);
        true
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// Publishes an area under a name that no other area has.
///
/// # Errors
/// [`ErrorKind::NameTaken`]; [`ErrorKind::Busy`] where a process claims it and does not go on.
pub(in crate::registry) fn publish_alone(area: Announcement, timeout: Duration) -> Result<(Key, AreaId)> {
    let what = format!("publish area {:?} exclusively", area.name);
    get_alone(area, None, timeout, &what)
}

/// Publishes an area of ours under another name instead of its own; alone, if there is a timeout
/// for that. At no moment is it found under neither. Where that fails, it has what it had.
///
/// # Errors
/// As [`publish_alone`], [`State::publish`].
pub(in crate::registry) fn rename(
    before: Key,
    name: Name,
    alone: Option<Duration>,
    what: &str,
) -> Result<(Key, AreaId)> {
    let mut state = super::state_up_to_date()?;
    let Some(held) = state.held.get(&before) else {
        return Err(
            Error::new(ErrorKind::NoSuchArea, what.to_owned()).with_facts("it is not published any more")
        );
    };
    let area = Announcement { name, ..held.area.clone() };
    let Some(timeout) = alone else {
        let (key, id) = state.publish_beside(area, None)?;
        state.take_place(before, key);
        return Ok((key, id));
    };
    drop(state);
    get_alone(area, Some(before), timeout, what).map_err(|error| match error.kind() {
        ErrorKind::NameTaken => {
            error.with_remedy("choose another name, or rename it without asking for an exclusive name")
        }
        _ => error,
    })
}

fn get_alone(
    area: Announcement,
    instead_of: Option<Key>,
    timeout: Duration,
    what: &str,
) -> Result<(Key, AreaId)> {
    let what = || what.to_owned();
    let mut one = One {
        area: Announcement { claiming: true, ..area },
        instead_of,
        ours: None,
        deadline: Instant::now() + timeout,
        pause: Duration::from_micros(50),
    };
    match contend(&mut one)? {
        // From here on its owner takes it back.
        Outcome::Ours => match one.ours.take() {
            Some((key, id, _)) => Ok((key, id)),
            None => Err(Error::new(ErrorKind::Registry, what()).with_facts("its claim is gone")),
        },
        Outcome::Taken(source) => Err(taken(what(), &source)),
        Outcome::Stuck(Claim { pid, .. }) => {
            let command = command_of(pid).map_or(String::new(), |command| format!(" ({command})"));
            Err(Error::new(ErrorKind::Busy, what())
                .with_facts(format!(
                    "process {pid}{command} is taking the name, and has not gone on within {timeout:?}"
                ))
                .with_remedy(format!("continue it (`kill -CONT {pid}`) or end it, and try again")))
        }
        Outcome::Restless => Err(Error::new(ErrorKind::Registry, what())
            .with_facts("the registry's folder is removed again and again")
            .with_remedy("see which process removes it, or set AREAS_DIR to a folder of your own")),
    }
}

/// The error for a name that is taken.
pub(in crate::registry) fn taken(what: String, source: &Source) -> Error {
    let pid = source.pid();
    let command = command_of(pid).map_or(String::new(), |command| format!(" ({command})"));
    Error::new(ErrorKind::NameTaken, what)
        .with_facts(format!("process {pid}{command} holds an area of that name, with id {}", source.id()))
        .with_remedy("choose another name, or open the one that is there (`create_or_open` does either)")
}
