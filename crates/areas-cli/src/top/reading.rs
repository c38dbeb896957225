//! One look at all that is published: a memory each, with the areas over it. And what became of it
//! since the last look.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use areas::registry::{self, Source};
use areas::{AreaId, ErrorKind, Name, Node};

use crate::report::{Holders, Report};

/// Which part of which memory object: device, inode, and where in it.
pub(super) type Key = ((u64, u64), usize);

/// All that was published at a moment.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) memories: Vec<Memory>,
    /// Published areas over them.
    pub(super) areas: usize,
    /// Processes that hold areas and cannot be looked into.
    pub(super) unreadable: usize,
    /// How long it took to find out.
    pub(super) took: Duration,
}

/// A memory, with what was measured of it. What could not be found out is `None`.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) key: Key,
    /// The published areas over it: the oldest first. There is one.
    pub(super) areas: Vec<Held>,
    pub(super) size: u64,
    pub(super) resident: Option<u64>,
    pub(super) swapped: Option<u64>,
    pub(super) nodes: Option<Vec<(Node, u64)>>,
    pub(super) node_unknown: Option<u64>,
    pub(super) locked: bool,
    pub(super) growth: Growth,
}

/// A published area over a memory.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) id: AreaId,
    pub(super) name: Name,
    pub(super) pid: u32,
    pub(super) command: Option<String>,
    created: u64,
}

/// Bytes by which what is in RAM has grown. `None` where it is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Growth {
    /// Since the first reading.
    pub(super) since_start: Option<i64>,
    /// A second, since the last one.
    pub(super) per_second: Option<i64>,
}

impl Memory {
    /// The name that it is known by: that of its oldest area.
    pub(super) fn name(&self) -> &Name {
        &self.areas[0].name
    }

    /// The lowest id over it.
    pub(super) fn id(&self) -> AreaId {
        self.areas.iter().map(|area| area.id).min().unwrap_or(self.areas[0].id)
    }

    /// The processes that publish it, each once, in the order of its areas.
    pub(super) fn holders(&self) -> Vec<&Held> {
        let mut holders: Vec<&Held> = Vec::new();
        for area in &self.areas {
            if !holders.iter().any(|holder| holder.pid == area.pid) {
                holders.push(area);
            }
        }
        holders
    }
}

impl Reading {
    /// Looks at all areas. Those that go while we look are left out: they are gone.
    pub(super) fn take() -> areas::Result<Self> {
        let start = Instant::now();
        let listing = registry::list()?;
        let mut unreadable = listing.unreadable.len();
        let mut commands = Holders::default();
        let mut groups: Vec<(Vec<Held>, Vec<Source>)> = Vec::new();
        let mut places: BTreeMap<Key, usize> = BTreeMap::new();
        let mut areas = 0;
        for source in listing.areas {
            let info = match source.info() {
                Ok(info) => info,
                Err(error) => {
                    unreadable += usize::from(error.kind() != ErrorKind::NoSuchArea);
                    continue;
                }
            };
            areas += 1;
            let held = Held {
                id: info.id,
                name: info.name.clone(),
                pid: info.pid,
                command: commands.command(&info),
                created: info.created_since_boot,
            };
            let place = *places.entry((info.object, info.offset)).or_insert(groups.len());
            match groups.get_mut(place) {
                Some((all, sources)) => {
                    all.push(held);
                    sources.push(source);
                }
                None => groups.push((vec![held], vec![source])),
            }
        }
        let memories = measured(groups, &mut commands)?;
        Ok(Reading { memories, areas, unreadable, took: start.elapsed() })
    }

    /// Bytes in RAM of all together; `None` where it is not known of all.
    pub(super) fn resident(&self) -> Option<u64> {
        self.memories.iter().map(|memory| memory.resident).sum()
    }

    /// By how much they grow a second, as far as that is known.
    pub(super) fn per_second(&self) -> i64 {
        self.memories.iter().filter_map(|memory| memory.growth.per_second).fold(0, i64::saturating_add)
    }
}

/// Measures each memory once, by way of the first of its areas that is still there.
fn measured(groups: Vec<(Vec<Held>, Vec<Source>)>, holders: &mut Holders) -> areas::Result<Vec<Memory>> {
    let mut memories = Vec::with_capacity(groups.len());
    let mut held = Vec::with_capacity(groups.len());
    let mut rest = Vec::with_capacity(groups.len());
    let mut first = Vec::with_capacity(groups.len());
    for (areas, sources) in groups {
        let mut sources = sources.into_iter();
        // There is one, or there were no group.
        let Some(source) = sources.next() else { continue };
        held.push(areas);
        first.push(source);
        rest.push(sources.collect::<Vec<_>>());
    }
    let mut at = 0;
    registry::measure_each(first, |source, answer| {
        let others = &rest[at];
        let areas = std::mem::take(&mut held[at]);
        at += 1;
        let mut report = Report::measured(source, answer, holders);
        for other in others {
            match &report {
                Err(error) if error.kind() == ErrorKind::NoSuchArea => {
                    report = Report::measured(other, other.measure(), holders);
                }
                _ => break,
            }
        }
        match report {
            Ok(report) => memories.push(Memory::new(areas, &report)),
            Err(error) if error.kind() == ErrorKind::NoSuchArea => {}
            Err(error) => return Err(error),
        }
        Ok(())
    })?;
    Ok(memories)
}

impl Memory {
    fn new(mut areas: Vec<Held>, report: &Report) -> Self {
        areas.sort_by_key(|area| (area.created, area.id));
        Memory {
            key: (report.info.object, report.info.offset),
            areas,
            size: report.info.size as u64,
            resident: report.resident,
            swapped: report.swapped,
            nodes: report.nodes.clone(),
            node_unknown: report.node_unknown,
            locked: report.is_locked(),
            growth: Growth::default(),
        }
    }
}

/// What was in RAM before, to show by how much it grows.
#[derive(Debug, Default)]
pub(super) struct History {
    known: BTreeMap<Key, Seen>,
    started: bool,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at_start: u64,
    last: u64,
    at: Instant,
}

impl History {
    /// Reports for each memory by how much it has grown, and remembers it. What came after the
    /// first reading has grown from nothing.
    pub(super) fn update(&mut self, memories: &mut [Memory], now: Instant) {
        let mut known = BTreeMap::new();
        for memory in memories {
            let Some(resident) = memory.resident else { continue };
            let seen = match self.known.get(&memory.key) {
                Some(seen) => {
                    let took = now.saturating_duration_since(seen.at);
                    memory.growth.per_second = rate(seen.last, resident, took);
                    Seen { last: resident, at: now, ..*seen }
                }
                None => Seen { at_start: if self.started { 0 } else { resident }, last: resident, at: now },
            };
            memory.growth.since_start = Some(difference(seen.at_start, resident));
            known.insert(memory.key, seen);
        }
        self.known = known;
        self.started = true;
    }
}

fn difference(before: u64, now: u64) -> i64 {
    i64::try_from(i128::from(now) - i128::from(before)).unwrap_or(if now > before {
        i64::MAX
    } else {
        i64::MIN
    })
}

/// Bytes a second; `None` where no time has passed.
fn rate(before: u64, now: u64, took: Duration) -> Option<i64> {
    let micros = i128::try_from(took.as_micros()).ok().filter(|&micros| micros > 0)?;
    i64::try_from(i128::from(difference(before, now)) * 1_000_000 / micros).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A memory of that name: each has another inode.
    pub(in crate::top) fn memory(inode: u64, name: &str, size: u64, resident: u64) -> Memory {
        let held = Held {
            id: AreaId::new(i32::try_from(inode).unwrap()).unwrap(),
            name: Name::new(name).unwrap(),
            pid: 100 + u32::try_from(inode).unwrap(),
            command: Some("python3".to_owned()),
            created: inode,
        };
        Memory {
            key: ((1, inode), 0),
            areas: vec![held],
            size,
            resident: Some(resident),
            swapped: Some(0),
            nodes: Some(vec![(Node::new(0).unwrap(), resident)]),
            node_unknown: Some(0),
            locked: false,
            growth: Growth::default(),
        }
    }

    pub(in crate::top) fn reading(memories: Vec<Memory>) -> Reading {
        Reading { areas: memories.len(), memories, unreadable: 0, took: Duration::from_millis(1) }
    }

    #[test]
    fn growth_is_reported_from_the_second_reading_on() {
        let mut history = History::default();
        let start = Instant::now();
        let mut update = |seconds: u64, memories: &mut Vec<Memory>| {
            history.update(memories, start + Duration::from_secs(seconds));
            memories.iter().map(|memory| memory.growth).collect::<Vec<_>>()
        };
        let growth = |since_start, per_second| Growth { since_start: Some(since_start), per_second };
        assert_eq!(update(0, &mut vec![memory(1, "a", 1000, 100)]), [growth(0, None)]);
        let grown = update(2, &mut vec![memory(1, "a", 1000, 300), memory(2, "b", 50, 50)]);
        assert_eq!(grown, [growth(200, Some(100)), growth(50, None)]);
        let shrunk = update(4, &mut vec![memory(1, "a", 1000, 50), memory(2, "b", 50, 50)]);
        assert_eq!(shrunk, [growth(-50, Some(-125)), growth(50, Some(0))]);
        // What has gone and comes again is new.
        update(5, &mut Vec::new());
        assert_eq!(update(6, &mut vec![memory(1, "a", 1000, 50)]), [growth(50, None)]);
    }

    #[test]
    fn a_memory_that_several_areas_share_is_one() {
        let name = format!("top-reading-{}", std::process::id());
        let area = areas::builder(1 << 20).name(name.as_str()).shared().unwrap();
        area.write_at(0, &[1; 8192]).unwrap();
        let clone = registry::find(&name).unwrap().cloning().same_name().open().unwrap();
        let reading = Reading::take().unwrap();
        let ours: Vec<_> =
            reading.memories.iter().filter(|memory| memory.name().as_bytes() == name.as_bytes()).collect();
        assert_eq!(ours.len(), 1, "{ours:?}");
        assert_eq!((ours[0].areas.len(), ours[0].holders().len()), (2, 1));
        assert_eq!((ours[0].size, ours[0].resident), (1 << 20, Some(8192)));
        drop((area, clone));
    }
}
