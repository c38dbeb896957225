//! Two copies of the library in one process: two teams with one pid. Each finds the other's areas
//! as anybody's, and neither takes the other's record lock, descriptors or table away.

use std::collections::BTreeSet;
use std::fs;

use areas::ErrorKind;

use crate::support::{Agent, Folder, refused};

/// Has the second copy do something that works.
fn twin(agent: &mut Agent, command: &str) -> String {
    let answer = agent.ask(&format!("twin {command}"));
    answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{command}: {answer}")).to_owned()
}

#[test]
fn both_are_found_and_find_each_other() {
    let folder = Folder::new();
    let (mut both, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let pid = both.pid().to_string();
    let first = both.publish("first");
    let id: i32 = twin(&mut both, "publish second").parse().unwrap();
    let slots: BTreeSet<u32> =
        folder.links().iter().filter(|link| link.pid == both.pid()).map(|link| link.slot).collect();
    assert_eq!(slots.len(), 2, "each has a slot of its own");
    // For all others they are one process.
    assert_eq!(reader.list().names(), ["first", "second"]);
    assert!(reader.list().areas.iter().all(|area| area.pid == both.pid()));
    assert_eq!(reader.get(id).unwrap().name, "second");
    assert!(reader.clone_of("first").is_ok());
    reader.ask("read-only second");
    // And they see each other.
    assert_eq!(twin(&mut both, "find first"), pid);
    assert_eq!(both.find("second").unwrap().pid.to_string(), pid);
    assert_eq!(both.list().names(), ["first", "second"]);
    assert_eq!(twin(&mut both, "list").split_whitespace().count(), 2);
    both.ask("read-only second");
    twin(&mut both, "clone first");
    both.drop_area(first);
    assert_eq!(twin(&mut both, "list").trim(), format!("second:{pid}"));
    assert_eq!(reader.list().names(), ["second"]);
    both.kill();
    assert!(reader.list().is_empty());
    assert_eq!(folder.links().len(), 0);
}

/// Whether the kernel has a record lock of the process on what it has open under that number.
/// (`/proc/locks` has those of all processes, and leaves some out while others come and go.)
fn has_record_lock(pid: u32, descriptor: i32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).unwrap();
    text.lines().any(|line| line.starts_with("lock:") && line.contains(" POSIX "))
}

#[test]
fn neither_takes_the_others_record_lock_or_more_and_more_descriptors() {
    let folder = Folder::new();
    let mut both = Agent::start(&folder);
    both.publish("first");
    twin(&mut both, "publish second");
    both.list();
    twin(&mut both, "list");
    let tables: Vec<i32> = folder.links().iter().map(|link| link.descriptor).collect();
    assert_eq!(tables.len(), 2);
    let before: usize = both.ask("descriptors").parse().unwrap();
    for round in 0..20 {
        // All are met again.
        fs::remove_dir_all(folder.registry()).unwrap();
        both.keep().unwrap();
        twin(&mut both, "keep");
        assert_eq!(both.list().names(), ["first", "second"], "round {round}");
        assert_eq!(twin(&mut both, "list").split_whitespace().count(), 2, "round {round}");
        both.find("second").unwrap();
    }
    for table in tables {
        assert!(has_record_lock(both.pid(), table), "its owner lives, for all others by one fcntl");
    }
    let after: usize = both.ask("descriptors").parse().unwrap();
    assert_eq!(after, before);
}

#[test]
fn both_go_with_the_process_and_with_a_fork_each_has_a_child() {
    let folder = Folder::new();
    let (mut both, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    both.publish("first");
    twin(&mut both, "publish second");
    both.list();
    twin(&mut both, "list");
    let mut child = both.fork();
    // Each copy notices at its first call that it is in a child.
    child.publish("third");
    twin(&mut child, "list");
    both.kill();
    assert_eq!(reader.list().names(), ["first", "second", "third"]);
    assert!(reader.list().areas.iter().all(|area| area.pid == child.pid()));
    assert!(reader.clone_of("first").is_ok());
    drop(child);
    crate::support::eventually("the child has ended", || reader.list().is_empty());
    refused(reader.find("second"), ErrorKind::NoSuchArea);
}
