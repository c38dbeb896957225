//! Threads: the process lives as long as one does, whether or not it is the leader.

use areas::ErrorKind;

use crate::support::{Agent, Folder, is_root, refused, test_name};

#[test]
fn a_process_lives_on_without_its_leader() {
    let folder = Folder::new();
    lives_on(|| Agent::start(&folder));
}

#[test]
fn so_it_does_for_an_ordinary_user() {
    if is_root(test_name!()) {
        let folder = Folder::of_user(65534);
        lives_on(|| Agent::start_as(&folder, 65534, None));
    }
}

fn lives_on(start: impl Fn() -> Agent) {
    let (mut holder, mut reader) = (start(), start());
    holder.publish("ring");
    // One knows it from before.
    assert!(reader.clone_of("ring").is_ok());
    holder.ask("leave-leader");
    let mut newcomer = start();
    for reader in [&mut newcomer, &mut reader] {
        let seen = reader.find("ring").unwrap();
        assert_eq!(seen.pid, holder.pid());
        assert_eq!(reader.get(seen.id).unwrap(), seen);
        assert_eq!(reader.list().names(), ["ring"]);
        assert_eq!(reader.ask("size ring"), "4096");
        assert!(reader.clone_of("ring").is_ok());
    }
    holder.kill();
    for reader in [&mut newcomer, &mut reader] {
        refused(reader.find("ring"), ErrorKind::NoSuchArea);
        assert!(reader.list().is_empty());
    }
}

#[test]
fn nor_does_it_need_the_record_lock_then() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("ring");
    assert!(reader.clone_of("ring").is_ok());
    holder.ask("lose-record-lock");
    holder.ask("leave-leader");
    let mut newcomer = Agent::start(&folder);
    for reader in [&mut newcomer, &mut reader] {
        assert_eq!(reader.find("ring").unwrap().pid, holder.pid());
        assert!(reader.clone_of("ring").is_ok());
        assert_eq!(reader.list().names(), ["ring"]);
    }
    holder.kill();
    refused(newcomer.find("ring"), ErrorKind::NoSuchArea);
    refused(reader.find("ring"), ErrorKind::NoSuchArea);
}

#[test]
fn a_process_without_its_leader_does_what_others_do() {
    let folder = Folder::new();
    let (mut agent, mut other) = (Agent::start(&folder), Agent::start(&folder));
    agent.publish("before");
    other.publish("others");
    agent.ask("leave-leader");
    // Its own, from before and from after, and others'.
    agent.publish("after");
    for name in ["before", "after", "others"] {
        agent.find(name).unwrap();
        assert_eq!(agent.ask(&format!("size {name}")), "4096");
        agent.clone_of(name).unwrap();
    }
    assert_eq!(agent.list().names(), ["after", "before", "others"]);
    assert!(other.clone_of("after").is_ok());
}

#[test]
fn a_process_without_its_leader_can_join() {
    let folder = Folder::new();
    let (mut agent, mut other) = (Agent::start(&folder), Agent::start(&folder));
    agent.ask("leave-leader");
    agent.publish("late");
    assert_eq!(other.find("late").unwrap().pid, agent.pid());
    assert!(other.clone_of("late").is_ok());
    agent.kill();
    refused(other.find("late"), ErrorKind::NoSuchArea);
}

#[test]
fn threads_of_one_process_do_not_disturb_each_other() {
    let folder = Folder::new();
    let mut agent = Agent::start(&folder);
    let rounds: u32 = agent.ask("threads 8 2000").parse().unwrap();
    assert!(rounds >= 8, "every thread came to something: {rounds}");
    assert!(agent.list().is_empty());
}
