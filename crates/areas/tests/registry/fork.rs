//! fork: a child inherits the memory and the table's descriptor, and is not the team.

use areas::Kind;

use crate::support::{Agent, Folder, refused};

#[test]
fn a_fork_changes_nothing_for_the_parents_areas() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = parent.publish("ring");
    let mut child = parent.fork();
    assert_eq!(reader.list().areas.len(), 1);
    assert_eq!(reader.find("ring").unwrap().pid, parent.pid());
    // The child has the memory, without an id, and finds the parent's area as anybody does.
    assert_eq!(child.id(area), None);
    assert!(child.has_bytes_of(area, "ring"));
    assert_eq!(child.find("ring").unwrap().pid, parent.pid());
    assert_eq!(child.list().areas.len(), 1);
    child.tell(&format!("fill {} changed", area.handle));
    assert!(parent.has_bytes_of(area, "changed"));
    assert_eq!(parent.id(area), area.id);
}

#[test]
fn a_parent_that_dies_is_gone_though_its_child_lives() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = parent.publish("ring");
    let mut child = parent.fork();
    reader.find("ring").unwrap();
    let mut newcomer = Agent::start(&folder);
    // The child has the table's descriptor, under the same number.
    parent.kill();
    for reader in [&mut newcomer, &mut reader, &mut child] {
        refused(reader.find("ring"), Kind::NoSuchArea);
        assert!(reader.list().is_empty());
    }
    assert_eq!(folder.links(), []);
    assert!(child.has_bytes_of(area, "ring"), "the memory is the child's too");
}

#[test]
fn a_child_that_drops_what_it_inherited_withdraws_nothing() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = parent.publish("ring");
    parent.publish("other");
    let mut child = parent.fork();
    child.tell("drop-all");
    assert_eq!(reader.list().names(), ["other", "ring"]);
    // The child's first areas stand in the same places of its own table: dropping them concerns nobody else.
    child.publish("mine");
    child.tell("drop-all");
    assert_eq!(reader.list().names(), ["other", "ring"]);
    drop(child);
    assert_eq!(reader.list().names(), ["other", "ring"]);
    assert_eq!(reader.get(area.id.unwrap()).unwrap().name, "ring");
    assert!(reader.clone_of("ring").is_ok());
}

#[test]
fn a_child_drops_what_it_inherited_after_it_has_joined() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let inherited = parent.publish("ring");
    let mut child = parent.fork();
    // The first record of the child's own table, as the inherited one is of the parent's.
    child.publish("mine");
    child.drop_area(inherited);
    assert_eq!(reader.list().names(), ["mine", "ring"]);
    assert_eq!(reader.find("mine").unwrap().pid, child.pid());
}

#[test]
fn a_child_that_publishes_is_a_team_of_its_own() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let theirs = parent.publish("parents").id.unwrap();
    let mut child = parent.fork();
    let own = child.publish("childs").id.unwrap();
    assert_ne!(own, theirs);
    assert_eq!(reader.list().names(), ["childs", "parents"]);
    assert_eq!(reader.find("childs").unwrap().pid, child.pid());
    assert_eq!(reader.find("parents").unwrap().pid, parent.pid());
    assert!(parent.clone_of("childs").is_ok() && child.clone_of("parents").is_ok());
    parent.kill();
    assert_eq!(reader.list().names(), ["childs"]);
    assert_eq!(folder.links(), [folder.link_of(child.pid())]);
    child.kill();
    assert!(reader.list().is_empty());
}

#[test]
fn a_childs_child_is_a_team_of_its_own() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    parent.publish("first");
    let mut child = parent.fork();
    child.publish("second");
    let mut grandchild = child.fork();
    // One whose parent has never joined comes between.
    let mut silent = child.fork();
    let mut of_silent = silent.fork();
    grandchild.publish("third");
    of_silent.publish("fourth");
    assert_eq!(reader.list().names(), ["first", "fourth", "second", "third"]);
    for (name, agent) in
        [("first", &parent), ("second", &child), ("third", &grandchild), ("fourth", &of_silent)]
    {
        assert_eq!(reader.find(name).unwrap().pid, agent.pid(), "{name}");
    }
    grandchild.tell("drop-all");
    assert_eq!(reader.list().names(), ["first", "fourth", "second"]);
    parent.kill();
    assert_eq!(grandchild.list().names(), ["fourth", "second"]);
}

#[test]
fn a_childs_clone_of_what_it_inherited_survives_the_parent() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    parent.publish("ring");
    let mut child = parent.fork();
    child.clone_as("ring", "ring").unwrap();
    assert_eq!(reader.find("ring").unwrap().pid, parent.pid(), "the oldest");
    parent.kill();
    assert_eq!(reader.find("ring").unwrap().pid, child.pid());
    assert!(reader.clone_of("ring").is_ok());
}
