//! fork: the child holds everything that its parent holds, shared, under ids of its own, from its
//! first call on. The parent's table is the parent's.

use areas::ErrorKind;
use areas_testing::maps;

use crate::support::{Agent, Folder, refused};

#[test]
fn a_child_that_makes_no_call_changes_nothing() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = parent.publish("ring");
    let mut child = parent.fork();
    // Reading and writing the memory asks no process.
    assert!(child.has_bytes_of(area, "ring"));
    child.ask(&format!("fill {} changed", area.handle));
    assert!(parent.has_bytes_of(area, "changed"), "shared, not copied");
    assert_eq!(reader.list().areas.len(), 1);
    assert_eq!(folder.links(), [folder.link_of(parent.pid())]);
    assert_eq!(reader.find("ring").unwrap().pid, parent.pid());
    assert_eq!(parent.id(area), area.id);
}

#[test]
fn a_child_publishes_what_it_inherited_at_its_first_call() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = parent.publish("ring");
    let mut child = parent.fork();
    let inherited = child.id(area).expect("an id of its own");
    assert_ne!(Some(inherited), area.id);
    assert_eq!(parent.id(area), area.id);
    let seen = reader.get(inherited).unwrap();
    assert_eq!((seen.pid, seen.name.as_str()), (child.pid(), "ring"));
    assert_eq!(reader.get(area.id.unwrap()).unwrap().pid, parent.pid());
    assert_eq!(reader.list().names(), ["ring", "ring"]);
    assert_eq!(reader.find("ring").unwrap().pid, parent.pid(), "the oldest");
    // At the same address, so that pointers that were inherited mean the same.
    assert_eq!(
        parent.ask(&format!("address {}", area.handle)),
        child.ask(&format!("address {}", area.handle))
    );
    let at = child.ask(&format!("at {}", area.handle));
    assert_eq!(at, inherited.to_string(), "area_for");
}

#[test]
fn a_first_call_that_looks_for_an_address_gives_the_childs_own_id() {
    let folder = Folder::new();
    let mut parent = Agent::start(&folder);
    let area = parent.publish("ring");
    // It has been asked before, so that there is an answer to inherit.
    let at = |agent: &mut Agent| agent.ask(&format!("at {}", area.handle)).parse::<i32>().unwrap();
    assert_eq!(Some(at(&mut parent)), area.id);
    let mut child = parent.fork();
    let mut grandchild = child.fork();
    let ids = [at(&mut grandchild), at(&mut child), at(&mut parent)];
    assert_eq!([grandchild.id(area), child.id(area), parent.id(area)], ids.map(Some));
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[2] != ids[0], "{ids:?}");
    let mut reader = Agent::start(&folder);
    let pids = ids.map(|id| reader.get(id).unwrap().pid);
    assert_eq!(pids, [grandchild.pid(), child.pid(), parent.pid()]);
}

#[test]
fn a_child_holds_the_area_when_its_parent_dies() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = parent.publish("ring");
    let mut child = parent.fork();
    reader.find("ring").unwrap();
    // The child has inherited the table's descriptor too, under the same number.
    parent.kill();
    let mut newcomer = Agent::start(&folder);
    for reader in [&mut newcomer, &mut reader] {
        refused(reader.find("ring"), ErrorKind::NoSuchArea);
        assert!(reader.list().is_empty(), "the child has not called yet");
    }
    assert_eq!(folder.links(), []);
    assert!(child.has_bytes_of(area, "ring"));
    assert_eq!(child.find("ring").unwrap().pid, child.pid(), "its first call");
    for reader in [&mut newcomer, &mut reader] {
        assert_eq!(reader.find("ring").unwrap().pid, child.pid());
        assert!(reader.clone_of("ring").is_ok());
    }
    child.kill();
    refused(reader.find("ring"), ErrorKind::NoSuchArea);
}

#[test]
fn a_child_that_drops_what_it_inherited_withdraws_nothing_of_its_parents() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = parent.publish("ring");
    parent.publish("other");
    let mut child = parent.fork();
    child.ask("drop-all");
    // Dropping published nothing either: the child has no team yet.
    assert_eq!(reader.list().names(), ["other", "ring"]);
    assert_eq!(folder.links(), [folder.link_of(parent.pid())]);
    child.publish("mine");
    assert_eq!(reader.list().names(), ["mine", "other", "ring"]);
    child.ask("drop-all");
    assert_eq!(reader.list().names(), ["other", "ring"]);
    drop(child);
    assert_eq!(reader.get(area.id.unwrap()).unwrap().name, "ring");
    assert!(reader.clone_of("ring").is_ok());
}

#[test]
fn a_child_drops_what_it_inherited_after_it_has_joined() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let inherited = parent.publish("ring");
    let mut child = parent.fork();
    child.publish("mine");
    assert_eq!(reader.list().names(), ["mine", "ring", "ring"]);
    child.drop_area(inherited);
    assert_eq!(reader.list().names(), ["mine", "ring"]);
    assert_eq!(reader.find("ring").unwrap().pid, parent.pid());
    assert_eq!(reader.find("mine").unwrap().pid, child.pid());
}

#[test]
fn every_generation_is_a_team_of_its_own() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    parent.publish("first");
    let mut child = parent.fork();
    child.publish("second");
    let mut grandchild = child.fork();
    // One whose parent has never called comes between.
    let mut silent = child.fork();
    let mut of_silent = silent.fork();
    grandchild.publish("third");
    of_silent.publish("fourth");
    let mut expected =
        vec!["first", "first", "second", "first", "second", "third", "first", "second", "fourth"];
    expected.sort_unstable();
    assert_eq!(reader.list().names(), expected);
    for (name, agent) in
        [("first", &parent), ("second", &child), ("third", &grandchild), ("fourth", &of_silent)]
    {
        assert_eq!(reader.find(name).unwrap().pid, agent.pid(), "{name}: the oldest is where it was made");
    }
    grandchild.ask("drop-all");
    parent.kill();
    assert_eq!(reader.find("first").unwrap().pid, child.pid(), "the next oldest");
    child.kill();
    assert_eq!(reader.list().names(), ["first", "fourth", "second"]);
    of_silent.kill();
    assert!(reader.list().is_empty());
    // The silent one still holds the memory, and says so when it speaks.
    assert_eq!(silent.list().names(), ["first", "second"]);
}

#[test]
fn a_childs_clone_of_what_it_inherited_survives_the_parent() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    parent.publish("ring");
    let mut child = parent.fork();
    child.clone_as("ring", "copy").unwrap();
    parent.kill();
    assert_eq!(reader.find("copy").unwrap().pid, child.pid());
    assert!(reader.clone_of("ring").is_ok());
}

#[test]
fn a_fork_among_busy_threads_leaves_the_child_able_to_call() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = parent.publish("ring");
    // Threads that publish, look for and drop areas all the while; the forks come in the middle.
    parent.ask("busy 4");
    let mut children: Vec<Agent> = (0..20).map(|_| parent.fork()).collect();
    for child in &mut children {
        assert!(child.id(area).is_some());
        assert!(child.has_bytes_of(area, "ring"));
    }
    parent.ask("idle");
    for child in &children {
        assert!(reader.list().areas.iter().any(|seen| seen.pid == child.pid() && seen.name == "ring"));
    }
}

/// Areas of others are looked at and cloned by several threads at once, outside of the mutex that a
/// fork waits for.
#[test]
fn a_fork_while_others_are_asked_leaves_the_child_able_to_ask() {
    let folder = Folder::new();
    let (mut holder, mut parent) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("ring");
    // Publishing makes it one that forks carefully.
    parent.publish("own");
    parent.ask("remember ring");
    parent.ask("remembered fork 3 300");
}

/// A process that has nothing to do with the registry.
#[test]
fn a_fork_while_a_reservation_is_used_leaves_the_child_able_to_use_it() {
    let folder = Folder::new();
    let mut parent = Agent::start(&folder);
    parent.ask("fork-while-reserved 3 300");
    assert!(folder.links().is_empty());
}

#[test]
fn a_child_that_takes_the_parents_record_lock_is_not_the_parent() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    parent.publish("ring");
    assert!(reader.clone_of("ring").is_ok());
    let mut child = parent.fork();
    parent.kill();
    child.ask("take-record-lock");
    refused(reader.find("ring"), ErrorKind::NoSuchArea);
    assert!(reader.list().is_empty());
}

#[test]
fn a_child_that_only_execs_pays_nothing() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    for i in 0..100 {
        parent.publish(&format!("area-{i}"));
    }
    // A child gets no part of its parent's table.
    let has_table =
        |pid: u32| maps::of(pid).unwrap().iter().any(|vma| vma.path.starts_with("/memfd:areas table"));
    let child = parent.fork();
    assert!(has_table(parent.pid()));
    assert!(!has_table(child.pid()));
    drop(child);
    // From fork to exec no system call is made but the C library's own and exec itself: any other
    // one is deadly here.
    let links = folder.links();
    parent.begin("exec-only-child");
    assert_eq!(parent.wait().code(), Some(42));
    assert!(reader.list().is_empty());
    assert_eq!(links.len(), 1, "the child made none");
}
