//! Areas that a holder lists although their memory is not under the number that it published: it
//! closed the descriptor by mistake, and another file has the number. They stand in no one's way,
//! and what is said of them is true.

use areas::ErrorKind;

use crate::support::{Agent, Folder, Held, is_root, refused, test_name};

/// Another file under the number of an area.
fn lose(folder: &Folder, holder: &mut Agent, area: Held) {
    let file = folder.join("file");
    std::fs::write(&file, "nothing of ours").unwrap();
    holder.ask(&format!("replace {} {}", area.handle, file.display()));
}

#[test]
fn another_holder_of_the_same_memory_is_found() {
    let folder = Folder::new();
    let [mut first, mut second, mut reader, mut early] = std::array::from_fn(|_| Agent::start(&folder));
    let area = first.publish("ring");
    second.clone_as("ring", "ring").unwrap();
    // It has found, and opened, the first one before.
    early.clone_of("ring").unwrap();
    lose(&folder, &mut first, area);
    for reader in [&mut reader, &mut early] {
        assert_eq!(reader.find("ring").unwrap().pid, first.pid(), "nothing is known of it yet");
        assert!(reader.clone_of("ring").is_ok(), "its memory is to be had from the second one");
        assert_eq!(reader.find("ring").unwrap().pid, second.pid());
        assert!(reader.clone_of("ring").is_ok());
        assert_eq!(reader.ask("size ring"), "4096");
        reader.ask("read-only ring");
        assert_eq!(reader.ask("wait ring 100").split(' ').nth(1).unwrap(), second.pid().to_string());
        // Its id is its own, and leads to the same memory.
        assert_eq!(reader.get(area.id.unwrap()).unwrap().pid, first.pid());
        reader.ask(&format!("clone-of-id {}", area.id.unwrap()));
        assert_eq!(reader.list().names(), ["ring", "ring"]);
    }
}

#[test]
fn a_younger_area_of_the_same_name_is_found() {
    let folder = Folder::new();
    let [mut first, mut second, mut reader] = std::array::from_fn(|_| Agent::start(&folder));
    let area = first.publish("ring");
    let other = first.publish("other");
    second.publish("ring");
    lose(&folder, &mut first, area);
    let text = refused(reader.clone_of("ring"), ErrorKind::NoSuchArea);
    assert!(text.contains(&format!("process {} lists it as its descriptor", first.pid())), "{text}");
    assert!(!text.contains("concurrently"), "{text}");
    assert_eq!(reader.find("ring").unwrap().pid, second.pid());
    assert!(reader.clone_of("ring").is_ok());
    // One of the same team, too.
    let third = first.publish("ring");
    refused(reader.try_ask(&format!("clone-of-id {}", area.id.unwrap())), ErrorKind::NoSuchArea);
    drop(second);
    assert_eq!(Some(reader.find("ring").unwrap().id), third.id);
    assert!(reader.clone_of("ring").is_ok());
    assert!(reader.clone_of("other").is_ok());
    first.drop_area(other);
}

#[test]
fn where_there_is_no_other_that_is_said() {
    let folder = Folder::new();
    let [mut holder, mut reader] = std::array::from_fn(|_| Agent::start(&folder));
    let area = holder.publish("ring");
    lose(&folder, &mut holder, area);
    let text = refused(reader.try_ask("size ring"), ErrorKind::NoSuchArea);
    assert!(text.contains("is not the area's memory any more"), "{text}");
    let lists = format!("process {} lists one, whose descriptor is another", holder.pid());
    let text = refused(reader.find("ring"), ErrorKind::NoSuchArea);
    assert!(text.contains(&lists), "{text}");
    let text = refused(reader.try_ask("wait ring 50"), ErrorKind::TimedOut);
    assert!(text.contains(&lists), "{text}");
    // Its holder itself says what has happened.
    let text = refused(holder.clone_of("ring"), ErrorKind::NoSuchArea);
    assert!(text.contains("this process has closed its descriptor"), "{text}");
    // Dropped, it is gone like any.
    holder.drop_area(area);
    let text = refused(reader.find("ring"), ErrorKind::NoSuchArea);
    assert!(!text.contains("lists one"), "{text}");
    holder.publish("ring");
    assert!(reader.clone_of("ring").is_ok());
}

/// By way of a holder that may only read, no process gets the right to write.
#[test]
fn no_holder_gives_more_than_it_has() {
    let folder = Folder::new();
    let [mut first, mut second, mut reader] = std::array::from_fn(|_| Agent::start(&folder));
    let area = first.publish("ring");
    second.ask("clone-for-reading ring mirror");
    lose(&folder, &mut first, area);
    reader.ask("remember ring");
    refused(reader.try_ask("remembered clone"), ErrorKind::NoSuchArea);
    assert_eq!(reader.ask("remembered size"), "4096");
    reader.ask("remembered read-only");
}

#[test]
fn ones_own_areas_are_cloned_after_a_chroot() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::new();
    let root = folder.join("root");
    std::fs::create_dir(&root).unwrap();
    let mut agent = Agent::start(&folder);
    let area = agent.publish("ring");
    agent.ask(&format!("chroot {}", root.display()));
    let clone = agent.clone_of("ring").unwrap();
    agent.ask(&format!("fill {} other", clone.handle));
    assert!(agent.has_bytes_of(area, "other"));
    let text = refused(agent.try_ask("read-only ring"), ErrorKind::System);
    assert!(text.contains("/proc does not show"), "{text}");
}

#[test]
fn holders_are_seen_once_their_leader_has_ended() {
    let folder = Folder::new();
    let [mut holder, mut reader] = std::array::from_fn(|_| Agent::start(&folder));
    holder.publish("ring");
    assert_eq!(reader.ask("holders ring"), "1");
    holder.ask("leave-leader");
    assert_eq!(reader.ask("holders ring"), "1");
}

/// As `find` says it.
#[test]
fn a_wait_in_vain_names_those_that_cannot_be_read() {
    if !is_root(test_name!()) {
        return;
    }
    const USER: u32 = 65534;
    let folder = Folder::of_user(USER);
    let mut holder = Agent::start(&folder);
    holder.become_user(USER, USER, None);
    let mut reader = Agent::start_as(&folder, USER, None);
    holder.publish("ring");
    holder.ask("dumpable no");
    let text = refused(reader.try_ask("wait ring 50"), ErrorKind::TimedOut);
    assert!(text.contains(&format!("1 process holds areas and cannot be read: {}", holder.pid())), "{text}");
}
