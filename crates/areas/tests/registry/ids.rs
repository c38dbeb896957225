//! Ids: one area each while it lives, and not another's soon after.

use std::collections::HashSet;

use areas::ErrorKind;

use crate::support::{Agent, Folder, Held, Link, refused};

/// Sequence numbers are leased in blocks of so many, and a slot has so many blocks of its own. (A
/// quarter of its numbers is for what others give.)
const BLOCK: i32 = 1024;
const BLOCKS: i32 = 384;
const SEQUENCES: i32 = 512 * BLOCK;
const SLOTS: u32 = 4096;

fn ids(text: &str) -> Vec<i32> {
    text.split(' ').map(|id| id.parse().unwrap()).collect()
}

fn slot(id: i32) -> u32 {
    id.unsigned_abs() >> 19
}

fn block(id: i32) -> i32 {
    id % SEQUENCES / BLOCK
}

/// Dead teams' links in all slots that are free.
fn take_all_slots_but(folder: &Folder, free: Option<u32>) {
    let mut taken: HashSet<u32> = folder.links().iter().map(|link| link.slot).collect();
    taken.extend(free);
    for slot in (0..SLOTS).filter(|slot| !taken.contains(slot)) {
        folder.plant_link(&Link { slot, start_time: 1, inode: 1, pid: 1 << 30, descriptor: 3, empty: false });
    }
}

#[test]
fn no_two_areas_have_the_same() {
    let folder = Folder::new();
    let mut agents: Vec<Agent> = (0..3).map(|_| Agent::start(&folder)).collect();
    for agent in &mut agents {
        agent.begin("churn ring 2500");
    }
    let mut seen = HashSet::new();
    for agent in &mut agents {
        for id in ids(&agent.end().unwrap()) {
            assert!(id > 0 && seen.insert(id), "{id} comes again");
        }
    }
    assert_eq!(seen.len(), 7500);
}

#[test]
fn an_id_leads_to_its_area_in_every_process() {
    let folder = Folder::new();
    let mut agents: Vec<Agent> = (0..3).map(|_| Agent::start(&folder)).collect();
    let held: Vec<(u32, i32)> =
        agents.iter_mut().map(|agent| (agent.pid(), agent.publish("ring").id.unwrap())).collect();
    for agent in &mut agents {
        for (pid, id) in &held {
            assert_eq!(agent.get(*id).unwrap().pid, *pid);
        }
        // One further on in another's block, and one in a slot of no process.
        refused(agent.get(held[0].1 + 1), ErrorKind::NoSuchArea);
        let free = (0..SLOTS).find(|&free| held.iter().all(|(_, id)| slot(*id) != free)).unwrap();
        refused(agent.get(i32::try_from(free << 19 | 1).unwrap()), ErrorKind::NoSuchArea);
        refused(agent.get(0), ErrorKind::InvalidInput);
        refused(agent.get(-7), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_live_id_is_passed_over_when_its_turn_comes_again() {
    let folder = Folder::new();
    let mut agent = Agent::start(&folder);
    let old = agent.publish("old");
    let id = old.id.unwrap();
    // The file that says which block is next says: the very same.
    let at = 64 + u64::from(slot(id)) * 4;
    let again = u32::try_from(block(id) + 1).unwrap();
    let control = std::fs::File::options().write(true).open(folder.control()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&control, &again.to_le_bytes(), at).unwrap();
    let seen = ids(&agent.ask("churn young 2000"));
    let distinct: HashSet<i32> = seen.iter().copied().collect();
    assert!(distinct.len() < 1100, "the block came again: {}", distinct.len());
    assert!(!distinct.contains(&id));
    assert_eq!(agent.get(id).unwrap().name, "old");
}

#[test]
fn a_dead_teams_ids_are_not_given_out_again_at_once() {
    let folder = Folder::new();
    let mut reader = Agent::start(&folder);
    let mut first = Agent::start(&folder);
    let mut all = ids(&first.ask("churn ring 10"));
    let (free, mut last) = (slot(all[0]), block(all[0]));
    first.kill();
    for _ in 0..3 {
        reader.list();
        take_all_slots_but(&folder, Some(free));
        let mut next = Agent::start(&folder);
        let ids = ids(&next.ask("churn ring 10"));
        assert!(ids.iter().all(|&id| slot(id) == free), "the only free slot");
        assert_eq!(block(ids[0]), (last + 1) % BLOCKS, "it goes on where the dead one was");
        last = block(ids[0]);
        all.extend(ids);
        next.kill();
    }
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 40);
}

#[test]
fn teams_that_come_at_once_get_a_slot_each() {
    for _ in 0..3 {
        let folder = Folder::new();
        let mut first = Agent::start(&folder);
        first.publish("first");
        // Dead links in all slots but a few in a row, which all will try.
        let own = folder.link_of(first.pid()).slot;
        let free: Vec<u32> = (1..=10).map(|i| (own + i) % SLOTS).collect();
        for slot in (0..SLOTS).filter(|slot| *slot != own && !free.contains(slot)) {
            folder.plant_link(&Link {
                slot,
                start_time: 1,
                inode: 1,
                pid: 1 << 30,
                descriptor: 3,
                empty: false,
            });
        }
        let mut agents: Vec<Agent> = (0..8).map(|_| Agent::start(&folder)).collect();
        for agent in &mut agents {
            agent.begin("publish ring 4096");
        }
        let mut ids: Vec<i32> =
            agents.iter_mut().map(|agent| Held::parse(&agent.end().unwrap()).id.unwrap()).collect();
        ids.sort_unstable_by_key(|id| slot(*id));
        assert!(ids.iter().all(|id| free.contains(&slot(*id))), "{ids:?}");
        ids.dedup_by_key(|id| slot(*id));
        assert_eq!(ids.len(), 8, "each in a slot of its own");
        assert_eq!(first.list().areas.len(), 9);
        for id in ids {
            assert_eq!(first.get(id).unwrap().id, id);
        }
    }
}

#[test]
fn slots_of_the_dead_are_taken_when_no_other_is_left() {
    let folder = Folder::new();
    let mut first = Agent::start(&folder);
    first.publish("ring");
    take_all_slots_but(&folder, None);
    assert_eq!(folder.links().len(), SLOTS as usize);
    let mut second = Agent::start(&folder);
    second.publish("second");
    assert_eq!(folder.links().len(), 2, "the dead are cleared away");
    assert_eq!(first.list().names(), ["ring", "second"]);
}

#[test]
fn a_registry_full_of_living_teams_is_an_error() {
    let folder = Folder::new();
    let mut first = Agent::start(&folder);
    first.publish("ring");
    let real = folder.link_of(first.pid());
    // None of them is proven dead: the process lives, and has a table there.
    for slot in (0..SLOTS).filter(|&slot| slot != real.slot) {
        folder.plant_link(&Link { slot, ..real.clone() });
    }
    let mut second = Agent::start(&folder);
    let text = refused(second.try_publish("second"), ErrorKind::Limit);
    assert!(text.contains("4096") && text.contains("AREAS_DIR"), "{text}");
    // Whoever is in is not disturbed.
    first.publish("more");
    assert_eq!(first.list().names(), ["more", "ring"]);
    let first_pid = first.pid();
    first.kill();
    second.publish("second");
    assert_eq!(second.list().names(), ["second"]);
    assert!(folder.links().iter().all(|link| link.pid != first_pid));
}

#[test]
fn ids_stay_while_areas_come_and_go() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let kept: Vec<Held> = (0..10).map(|i| holder.publish(&format!("kept-{i}"))).collect();
    holder.ask("churn other 3000");
    for (i, area) in kept.iter().enumerate() {
        assert_eq!(holder.id(*area), area.id);
        assert_eq!(reader.get(area.id.unwrap()).unwrap().name, format!("kept-{i}"));
    }
}
