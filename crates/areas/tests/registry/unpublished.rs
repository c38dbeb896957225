//! Memory that no process publishes and a process holds: it is seen, with all who hold it.

use crate::support::{Agent, Folder, eventually};

/// Size and holders of each object that a process holds and no process publishes.
fn held_by(reader: &mut Agent, pid: u32) -> Vec<(String, Vec<u32>)> {
    let answer = reader.ask(&format!("unpublished {pid}"));
    let entries = answer.split('\u{1e}').filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (size, pids) = entry.split_once(' ').unwrap();
            (size.to_owned(), pids.split(',').map(|pid| pid.parse().unwrap()).collect())
        })
        .collect()
}

#[test]
fn a_clone_without_a_name_is_seen_once_its_publisher_is_gone() {
    let folder = Folder::new();
    let [mut holder, mut first, mut second, mut reader] = std::array::from_fn(|_| Agent::start(&folder));
    holder.publish("ring");
    let clone = first.clone_of("ring").unwrap();
    let other = second.clone_of("ring").unwrap();
    // As long as it is published it is none of these.
    assert_eq!(held_by(&mut reader, first.pid()), []);
    holder.kill();
    assert!(reader.find("ring").is_err());
    let mut pids = [first.pid(), second.pid()];
    pids.sort_unstable();
    let seen = [("4096".to_owned(), pids.to_vec())];
    assert_eq!(held_by(&mut reader, first.pid()), seen);
    assert_eq!(held_by(&mut reader, second.pid()), seen);
    // The holders themselves see it, too.
    let own = first.pid();
    assert_eq!(held_by(&mut first, own), seen);
    second.drop_area(other);
    assert_eq!(held_by(&mut reader, first.pid()), [("4096".to_owned(), vec![first.pid()])]);
    first.drop_area(clone);
    assert_eq!(held_by(&mut reader, first.pid()), []);
}

#[test]
fn an_area_that_never_had_a_name_is_seen() {
    let folder = Folder::new();
    let [mut holder, mut reader] = std::array::from_fn(|_| Agent::start(&folder));
    holder.ask("unnamed");
    assert_eq!(held_by(&mut reader, holder.pid()), [("4096".to_owned(), vec![holder.pid()])]);
    assert!(reader.list().is_empty());
}

/// Its table names it, and leads no process to it any more.
#[test]
fn an_area_whose_descriptor_is_closed_is_seen_by_its_mapping() {
    let folder = Folder::new();
    let [mut holder, mut reader] = std::array::from_fn(|_| Agent::start(&folder));
    let area = holder.publish("ring");
    holder.ask(&format!("close {}", area.handle));
    assert!(reader.clone_of("ring").is_err());
    let pid = holder.pid();
    assert_eq!(held_by(&mut reader, pid), [("-".to_owned(), vec![pid])]);
    holder.kill();
    eventually("it is gone with its holder", || held_by(&mut reader, pid).is_empty());
}
