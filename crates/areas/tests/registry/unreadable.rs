//! Holders that live and may not be looked into: said to be there, refused with the reason, and
//! never taken for dead.

use areas::ErrorKind;

use crate::support::{Agent, Folder, Launch, can_run, is_root, refused, test_name};

const USER: u32 = 65534;
const GROUP: u32 = 65533;

/// What all see of an unreadable holder of the area "secret".
fn stays_unreadable(folder: &Folder, holder: &Agent, id: i32, reader: &mut Agent, reason: &str) {
    let link = folder.link_of(holder.pid());
    for round in 0..2 {
        let listed = reader.list();
        assert!(!listed.names().contains(&"secret"), "{listed:?}");
        assert_eq!(listed.unreadable.len(), 1, "{listed:?}");
        let (pid, why) = &listed.unreadable[0];
        assert_eq!(*pid, holder.pid());
        assert!(why.contains(reason), "{why}");
        let text = refused(reader.find("secret"), ErrorKind::NoSuchArea);
        assert!(text.contains(&holder.pid().to_string()), "the error names the process: {text}");
        let text = refused(reader.get(id), ErrorKind::Unreadable);
        assert!(text.contains(&holder.pid().to_string()) && text.contains(reason), "{text}");
        assert!(folder.has(&link), "who is not proven dead is never reaped");
        if round == 0 {
            // Nor by one who joins, and looks for a free slot.
            reader.publish("mine");
            assert_eq!(reader.find("mine").unwrap().pid, reader.pid());
        }
    }
    assert_eq!(reader.list().names(), ["mine"]);
}

#[test]
fn a_holder_that_is_not_dumpable() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(USER);
    let mut holder = Agent::start_as(&folder, USER, None);
    let mut reader = Agent::start_as(&folder, USER, None);
    let id = holder.publish("secret").id.unwrap();
    holder.ask("dumpable no");
    stays_unreadable(&folder, &holder, id, &mut reader, "not dumpable");
    // It is looked at again as soon as it allows it.
    holder.ask("dumpable yes");
    assert_eq!(reader.find("secret").unwrap().pid, holder.pid());
    assert!(reader.clone_of("secret").is_ok());
    assert_eq!(reader.list().unreadable, []);
}

#[test]
fn a_holder_that_becomes_unreadable_once_it_is_known() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(USER);
    let mut holder = Agent::start_as(&folder, USER, None);
    let mut reader = Agent::start_as(&folder, USER, None);
    holder.publish("secret");
    assert!(reader.clone_of("secret").is_ok());
    holder.ask("dumpable no");
    // Its table is mapped already; what is no longer possible is reported as what it is.
    assert_eq!(reader.find("secret").unwrap().pid, holder.pid());
    refused(reader.clone_of("secret"), ErrorKind::Unreadable);
    // Without its record lock, too, it is not taken for dead.
    holder.ask("dumpable yes");
    holder.ask("lose-record-lock");
    holder.ask("dumpable no");
    let link = folder.link_of(holder.pid());
    let _ = reader.find("secret");
    reader.list();
    assert!(folder.has(&link));
    holder.kill();
    refused(reader.find("secret"), ErrorKind::NoSuchArea);
    assert!(reader.list().is_empty());
}

#[test]
fn an_unreadable_holder_that_dies_is_reaped() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(USER);
    let mut holder = Agent::start_as(&folder, USER, Some("net-bind-service"));
    let mut reader = Agent::start_as(&folder, USER, None);
    let id = holder.publish("secret").id.unwrap();
    refused(reader.get(id), ErrorKind::Unreadable);
    holder.kill_unreaped();
    refused(reader.get(id), ErrorKind::NoSuchArea);
    assert!(reader.list().is_empty());
    assert_eq!(folder.links(), []);
}

#[test]
fn a_holder_of_another_group() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(USER);
    let mut holder = Agent::start(&folder);
    holder.become_user(USER, GROUP, None);
    let mut reader = Agent::start_as(&folder, USER, None);
    let id = holder.publish("secret").id.unwrap();
    stays_unreadable(&folder, &holder, id, &mut reader, "another group");
}

#[test]
fn a_holder_with_a_capability_that_the_reader_lacks() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(USER);
    let mut holder = Agent::start_as(&folder, USER, Some("net-bind-service"));
    let mut reader = Agent::start_as(&folder, USER, None);
    let id = holder.publish("secret").id.unwrap();
    stays_unreadable(&folder, &holder, id, &mut reader, "a capability that we lack");
    // The other way round there is nothing in the way.
    assert_eq!(holder.find("mine").unwrap().pid, reader.pid());
    assert!(holder.clone_of("mine").is_ok());
    // Nor for a process with the same capability.
    let mut equal = Agent::start_as(&folder, USER, Some("net-bind-service"));
    assert!(equal.clone_of("secret").is_ok());
}

#[test]
fn a_holder_outside_the_readers_user_namespace() {
    if !is_root(test_name!()) || !can_run(test_name!(), &["unshare", "--user", "true"]) {
        return;
    }
    let folder = Folder::of_user(USER);
    let mut holder = Agent::start_as(&folder, USER, None);
    let mut reader = Agent::start_as(&folder, USER, None);
    reader.ask("new-user-namespace");
    let id = holder.publish("secret").id.unwrap();
    stays_unreadable(&folder, &holder, id, &mut reader, "another user namespace");
}

#[test]
fn a_holder_that_hidepid_hides() {
    if !is_root(test_name!()) {
        return;
    }
    let mount = ["unshare", "--mount", "mount", "-t", "proc", "-o", "hidepid=2", "proc", "/proc"];
    if !can_run(test_name!(), &mount) {
        return;
    }
    let folder = Folder::of_user(USER);
    let mut holder = Agent::start_as(&folder, USER, Some("net-bind-service"));
    let mut reader = Launch::new(&folder).within(&["unshare", "--mount"]).start();
    reader.ask("run mount -t proc -o hidepid=2 proc /proc");
    reader.become_user(USER, USER, None);
    let id = holder.publish("secret").id.unwrap();
    stays_unreadable(&folder, &holder, id, &mut reader, "hidepid");
    holder.kill();
    refused(reader.get(id), ErrorKind::NoSuchArea);
    assert_eq!(reader.list().names(), ["mine"]);
}

#[test]
fn a_holder_whose_leader_is_gone() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(USER);
    let mut holder = Agent::start_as(&folder, USER, None);
    let mut reader = Agent::start_as(&folder, USER, None);
    let id = holder.publish("secret").id.unwrap();
    holder.ask("leave-leader");
    assert!(reader.clone_of("secret").is_ok(), "another thread shows what the leader does not");
    // Whether it may be looked into is asked of each thread: it is the whole process's.
    holder.ask("dumpable no");
    let mut late = Agent::start_as(&folder, USER, None);
    stays_unreadable(&folder, &holder, id, &mut late, "not dumpable");
    holder.ask("dumpable yes");
    assert!(late.clone_of("secret").is_ok());
    holder.kill();
    refused(late.find("secret"), ErrorKind::NoSuchArea);
}

#[test]
fn a_holder_in_a_user_namespace_of_its_own_is_its_owners_to_read() {
    if !is_root(test_name!()) || !can_run(test_name!(), &["unshare", "--user", "true"]) {
        return;
    }
    let folder = Folder::of_user(USER);
    let mut holder = Agent::start_as(&folder, USER, None);
    let mut reader = Agent::start_as(&folder, USER, None);
    let mut readable = holder.publish("ring").id.is_some();
    holder.ask("new-user-namespace");
    readable &= reader.clone_of("ring").is_ok();
    assert!(readable, "who made a user namespace has all rights in it");
    // The other way it is refused, and said.
    reader.publish("mine");
    let listed = holder.list();
    assert_eq!(listed.names(), ["ring"]);
    assert_eq!(listed.unreadable.len(), 1);
    holder.keep().unwrap();
    assert_eq!(reader.list().names(), ["mine", "ring"]);
}
