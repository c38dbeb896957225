//! Names: which of several areas of one name is found, and what clones do for it.

use areas::ErrorKind;

use crate::support::{Agent, Folder, refused};

#[test]
fn the_oldest_of_a_name_wins_then_the_next_oldest() {
    let folder = Folder::new();
    let mut agents: Vec<Agent> = (0..4).map(|_| Agent::start(&folder)).collect();
    // Not in the order in which they were started, and two of them in one process.
    let order = [2, 0, 2, 3, 1];
    let mut held: Vec<_> = order.iter().map(|&i: &usize| (i, agents[i].publish("ring"))).collect();
    let mut reader = Agent::start(&folder);
    assert_eq!(reader.list().areas.len(), 5);
    while !held.is_empty() {
        let (agent, oldest) = held.remove(0);
        let mut newcomer = Agent::start(&folder);
        for reader in [&mut reader, &mut newcomer] {
            let seen = reader.find("ring").unwrap();
            assert_eq!((Some(seen.id), seen.pid), (oldest.id, agents[agent].pid()));
            assert!(reader.clone_of("ring").is_ok());
        }
        agents[agent].drop_area(oldest);
    }
    refused(reader.find("ring"), ErrorKind::NoSuchArea);
}

#[test]
fn the_next_oldest_is_found_after_a_kill() {
    let folder = Folder::new();
    let (mut first, mut second) = (Agent::start(&folder), Agent::start(&folder));
    first.publish("ring");
    let next = second.publish("ring");
    let mut reader = Agent::start(&folder);
    assert_eq!(reader.find("ring").unwrap().pid, first.pid());
    first.kill();
    assert_eq!(Some(reader.find("ring").unwrap().id), next.id);
}

#[test]
fn a_younger_one_that_goes_changes_nothing() {
    let folder = Folder::new();
    let (mut holder, mut other) = (Agent::start(&folder), Agent::start(&folder));
    let oldest = holder.publish("ring");
    let (younger, elsewhere) = (holder.publish("ring"), other.publish("ring"));
    holder.drop_area(younger);
    assert_eq!(Some(other.find("ring").unwrap().id), oldest.id);
    other.drop_area(elsewhere);
    assert_eq!(Some(other.find("ring").unwrap().id), oldest.id);
    // One that comes back under the name of one that went is younger than all.
    holder.publish("ring");
    assert_eq!(Some(other.find("ring").unwrap().id), oldest.id);
}

#[test]
fn a_name_that_comes_again_is_found_again() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let mut before = None;
    for _ in 0..20 {
        let area = holder.publish("ring");
        assert_ne!(area.id, before);
        assert_eq!(Some(reader.find("ring").unwrap().id), area.id);
        assert!(reader.clone_of("ring").is_ok());
        before = area.id;
        holder.drop_area(area);
        refused(reader.find("ring"), ErrorKind::NoSuchArea);
    }
}

#[test]
fn a_clone_carries_its_sources_name_on() {
    let folder = Folder::new();
    let (mut source, mut holder) = (Agent::start(&folder), Agent::start(&folder));
    let area = source.publish("ring");
    let clone = holder.clone_as("ring", "ring").unwrap();
    assert_ne!(clone.id, area.id);
    let mut reader = Agent::start(&folder);
    assert_eq!(reader.find("ring").unwrap().pid, source.pid());
    source.drop_area(area);
    assert_eq!(Some(reader.find("ring").unwrap().id), clone.id);
    assert!(reader.clone_of("ring").is_ok());
    // And from clone to clone, as each holder is killed.
    reader.clone_as("ring", "ring").unwrap();
    source.kill();
    holder.kill();
    let mut last = Agent::start(&folder);
    assert_eq!(last.find("ring").unwrap().pid, reader.pid());
    assert!(last.clone_of("ring").is_ok());
}

#[test]
fn a_clone_has_a_name_of_its_own() {
    let folder = Folder::new();
    let (mut source, mut holder) = (Agent::start(&folder), Agent::start(&folder));
    source.publish("ring");
    let clone = holder.clone_as("ring", "copy").unwrap();
    source.kill();
    let mut reader = Agent::start(&folder);
    refused(reader.find("ring"), ErrorKind::NoSuchArea);
    assert_eq!(Some(reader.find("copy").unwrap().id), clone.id);
    assert!(holder.has_bytes_of(clone, "ring"), "the bytes are the source's");
}

#[test]
fn any_bytes_but_nul_make_a_name_and_up_to_255() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let long = "x".repeat(255);
    let names = ["a", "..", "/", "../../etc/passwd", "größe", "%s%n", "-", "123", long.as_str()];
    for name in names {
        holder.publish(name);
    }
    for name in names {
        assert_eq!(reader.find(name).unwrap().name, name);
        assert!(reader.clone_of(name).is_ok());
    }
    for wrong in ["", &"x".repeat(256)] {
        refused(holder.try_publish(wrong), ErrorKind::InvalidInput);
        refused(reader.find(wrong), ErrorKind::InvalidInput);
    }
    assert_eq!(reader.list().areas.len(), names.len(), "what was refused left nothing");
}
