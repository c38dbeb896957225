//! What is known of areas at one look, and what has happened between two.

use std::collections::{BTreeMap, BTreeSet};

use areas::registry::Source;

use super::area::Area;
use super::event::{Event, What};

/// All areas that are watched, by their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(BTreeMap<i32, Area>);

impl Seen {
    pub(super) fn of(areas: &[Source], before: &Seen) -> Self {
        let known = |id: i32| before.0.get(&id);
        let seen = areas.iter().filter_map(|source| Area::of(source, known(source.id().get())));
        Seen(seen.map(|area| (area.id, area)).collect())
    }

    pub(super) fn areas(&self) -> impl Iterator<Item = &Area> {
        self.0.values()
    }

    /// What has happened since: what went, what came, what has changed.
    pub(super) fn since<'a>(&'a self, before: &'a Seen) -> Vec<Event<'a>> {
        let mut events = Vec::new();
        let mut gone: BTreeMap<i32, &Area> = before
            .0
            .iter()
            .filter(|(id, _)| !self.0.contains_key(id))
            .map(|(&id, area)| (id, area))
            .collect();
        let mut came = Vec::new();
        for area in self.areas() {
            let same = before.0.get(&area.id).filter(|before| before.object == area.object).or_else(|| {
                let id = gone.values().find(|before| area.is_successor_of(before))?.id;
                gone.remove(&id)
            });
            match same {
                Some(same) => changes(same, area, &mut events),
                None => came.push(area),
            }
        }
        let known: BTreeSet<(u64, u64)> = before.areas().map(|area| area.object).collect();
        let mut new = BTreeSet::new();
        for area in came {
            let is_clone = known.contains(&area.object) || !new.insert(area.object);
            events.push(Event::of(if is_clone { What::Cloned } else { What::Published }, area));
        }
        events.extend(gone.into_values().map(|area| Event::of(What::Gone, area)));
        events
    }
}

fn changes<'a>(before: &'a Area, now: &'a Area, events: &mut Vec<Event<'a>>) {
    if before.size != now.size {
        events.push(Event::of(What::Resized { before: before.size }, now));
    }
    // Where it was not reported, nothing is known to have changed.
    if let (Some(was), Some(is)) = (&before.policy, &now.policy)
        && was != is
    {
        events.push(Event::of(What::Moved { before: was }, now));
    }
    if now.frozen && !before.frozen {
        events.push(Event::of(What::Frozen, now));
    }
    if now.retired && !before.retired {
        events.push(Event::of(What::Retired, now));
    }
}

#[cfg(test)]
mod tests {
    use areas::Name;

    use super::*;

    fn area(id: i32, pid: u32, inode: u64) -> Area {
        Area {
            id,
            name: Name::new("x").unwrap(),
            pid,
            command: None,
            object: (1, inode),
            address: 0x1000,
            size: 4096,
            frozen: false,
            retired: false,
            policy: Some("default".to_owned()),
        }
    }

    fn seen(areas: &[Area]) -> Seen {
        Seen(areas.iter().map(|area| (area.id, area.clone())).collect())
    }

    fn reported(before: &[Area], now: &[Area]) -> Vec<String> {
        let (before, now) = (seen(before), seen(now));
        now.since(&before).iter().map(|event| format!("{} {}", event.what.word(), event.area.id)).collect()
    }

    #[test]
    fn what_happens_between_two_looks() {
        let one = area(1, 10, 7);
        assert_eq!(reported(&[], std::slice::from_ref(&one)), ["published 1"]);
        assert_eq!(reported(std::slice::from_ref(&one), &[]), ["gone 1"]);
        assert!(reported(std::slice::from_ref(&one), std::slice::from_ref(&one)).is_empty());
        // A second area over the same memory; both at once; another memory.
        assert_eq!(reported(std::slice::from_ref(&one), &[one.clone(), area(2, 11, 7)]), ["cloned 2"]);
        assert_eq!(reported(&[], &[one.clone(), area(2, 11, 7)]), ["published 1", "cloned 2"]);
        assert_eq!(reported(std::slice::from_ref(&one), &[one.clone(), area(2, 11, 8)]), ["published 2"]);
        // The last look's id has been given to another memory.
        assert_eq!(reported(std::slice::from_ref(&one), &[area(1, 12, 9)]), ["published 1"]);
        // Published again by its holder: the same area.
        let renamed = Area { id: 5, frozen: true, ..one.clone() };
        assert_eq!(reported(std::slice::from_ref(&one), &[renamed]), ["frozen 5"]);
        let changed = Area {
            size: 8192,
            policy: Some("bind:1".to_owned()),
            frozen: true,
            retired: true,
            ..one.clone()
        };
        assert_eq!(
            reported(std::slice::from_ref(&one), &[changed]),
            ["resized 1", "moved 1", "frozen 1", "retired 1"]
        );
        let unknown = Area { policy: None, ..one.clone() };
        assert!(
            reported(std::slice::from_ref(&one), std::slice::from_ref(&unknown)).is_empty()
                && reported(&[unknown], &[one]).is_empty()
        );
    }
}
