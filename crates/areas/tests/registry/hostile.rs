//! Links that lead anywhere but to a table: no crash, no hang, nothing believed, and honest teams
//! are found as ever.

use std::fs;
use std::process::Command;

use areas::ErrorKind;

use crate::support::{Agent, Folder, Launch, Link, can_run, is_root, refused, start_time, test_name};

/// A link from a free slot to a descriptor of an agent, as that agent's team would leave it.
/// `opened` is "NUMBER INODE".
fn link_to(agent: &Agent, slot: u32, opened: &str) -> Link {
    let (descriptor, inode) = opened.split_once(' ').unwrap();
    Link {
        slot,
        start_time: start_time(agent.pid()),
        inode: inode.parse().unwrap(),
        pid: agent.pid(),
        descriptor: descriptor.parse().unwrap(),
        empty: false,
    }
}

/// An honest holder of "ring", and a slot that it does not have.
fn honest(folder: &Folder) -> (Agent, u32) {
    let mut holder = Agent::start(folder);
    holder.publish("ring");
    let slot = (folder.link_of(holder.pid()).slot + 1) % 4096;
    (holder, slot)
}

/// The honest holder is found as if nothing was, by one who comes just now.
fn ring_is_found(folder: &Folder, holder: &Agent, slot: u32) {
    let mut reader = Agent::start(folder);
    assert_eq!(reader.find("ring").unwrap().pid, holder.pid());
    assert!(reader.clone_of("ring").is_ok());
    refused(reader.find("other"), ErrorKind::NoSuchArea);
    assert_eq!(reader.list().names(), ["ring"]);
    let id = i32::try_from(slot << 19 | 1).unwrap();
    assert!(reader.get(id).is_err());
    reader.publish("own");
    assert_eq!(reader.list().names(), ["own", "ring"]);
}

fn leads_to(open: &str) {
    let folder = Folder::new();
    let (holder, slot) = honest(&folder);
    let mut hostile = Agent::start(&folder);
    let opened = hostile.ask(open);
    let link = link_to(&hostile, slot, &opened);
    folder.plant_link(&link);
    ring_is_found(&folder, &holder, slot);
    assert!(!folder.has(&link), "what is no table at all is proof that the team is gone");
}

#[test]
fn a_link_to_a_fifo() {
    let folder = Folder::new();
    let fifo = folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    leads_to(&format!("open {}", fifo.display()));
}

#[test]
fn a_link_to_a_terminal() {
    leads_to("open /dev/ptmx");
}

#[test]
fn a_link_to_devices() {
    for device in ["/dev/zero", "/dev/null", "/dev/full"] {
        leads_to(&format!("open {device}"));
    }
}

#[test]
fn a_link_to_a_directory() {
    leads_to("open /");
}

#[test]
fn a_link_to_a_file_with_a_name() {
    let folder = Folder::new();
    let file = folder.join("file");
    fs::write(&file, "nothing").unwrap();
    leads_to(&format!("open {}", file.display()));
}

#[test]
fn a_link_to_memory_of_another_size() {
    leads_to("forge noise sealed 8388608");
    leads_to("forge noise sealed 4294967296");
}

/// Whoever asks such a file system what a file is, waits forever: FUSE without an answer, or a
/// network disk that is gone.
#[test]
fn a_link_to_a_file_system_that_never_answers() {
    if !is_root(test_name!()) || !can_run(test_name!(), &["unshare", "--mount", "test", "-c", "/dev/fuse"]) {
        return;
    }
    let folder = Folder::new();
    let silent = folder.join("silent");
    fs::create_dir(&silent).unwrap();
    let (holder, slot) = honest(&folder);
    // No other process sees the mount; its descriptor can be seen by all.
    let mut hostile = Launch::new(&folder).within(&["unshare", "--mount"]).start();
    let opened = match hostile.try_ask(&format!("open-silent {}", silent.display())) {
        Ok(opened) => opened,
        Err(refused) => panic!("{refused:?}"),
    };
    let link = link_to(&hostile, slot, &opened);
    folder.plant_link(&link);
    ring_is_found(&folder, &holder, slot);
    assert!(!folder.has(&link));
    let mut reader = Agent::start(&folder);
    assert_eq!(reader.ask("holders ring"), "1", "nor is it asked who holds what");
    hostile.kill();
}

/// As large as a table, and none: its owner lives, and is said to be one that cannot be read.
fn looks_like_a_table(kind: &str, seals: &str) {
    let folder = Folder::new();
    let (mut holder, slot) = honest(&folder);
    let size = holder.ask("table-size");
    let mut hostile = Agent::start(&folder);
    let opened = hostile.ask(&format!("forge {kind} {seals} {size}"));
    let link = link_to(&hostile, slot, &opened);
    folder.plant_link(&link);
    ring_is_found(&folder, &holder, slot);
    let mut reader = Agent::start(&folder);
    let unreadable: Vec<u32> = reader.list().unreadable.iter().map(|(pid, _)| *pid).collect();
    assert_eq!(unreadable, [hostile.pid()]);
    hostile.kill();
    assert_eq!(reader.list().unreadable, []);
    assert!(!folder.has(&link));
}

#[test]
fn a_table_of_noise() {
    looks_like_a_table("noise", "sealed");
}

#[test]
fn a_table_of_zeros() {
    looks_like_a_table("zeros", "sealed");
}

#[test]
fn a_table_that_may_still_shrink() {
    looks_like_a_table("noise", "unsealed");
}

#[test]
fn a_file_as_large_as_a_table() {
    looks_like_a_table("file", "unsealed");
}

#[test]
fn what_is_no_teams_link_is_left_alone() {
    let folder = Folder::new();
    let (holder, slot) = honest(&folder);
    let real = folder.link_of(holder.pid());
    let fifo = folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let itself = format!("{slot}.1.1");
    let planted = [
        (itself.as_str(), itself.as_str()),
        ("1.1.1", "/dev/zero"),
        ("2.1.1", fifo.to_str().unwrap()),
        ("3.1.1", "/"),
        ("4.1.1", "nowhere"),
        ("5.1.1", "/proc/self/fd/0"),
        ("6.1.1", "/proc/1/fd/../../2/fd/0"),
        ("7.1.1", "/proc/0/fd/0"),
        ("garbage", real.target().leak()),
        ("-1.1.1", "/proc/1/fd/0"),
        ("4096.1.1", "/proc/1/fd/0"),
        ("08.1.1", "/proc/1/fd/0"),
        ("99999999999999999999.1.1", "/proc/1/fd/0"),
        ("name with\nnewline", "/proc/1/fd/0"),
    ];
    for (name, target) in planted {
        folder.plant(name, target);
    }
    // What is not a link at all.
    fs::create_dir(folder.teams().join("9.1.1")).unwrap();
    fs::write(folder.teams().join("10.1.1"), real.target()).unwrap();
    assert!(Command::new("mkfifo").arg(folder.teams().join("11.1.1")).status().unwrap().success());
    ring_is_found(&folder, &holder, slot);
    for name in planted.iter().map(|(name, _)| *name).chain(["9.1.1", "10.1.1", "11.1.1"]) {
        assert!(fs::symlink_metadata(folder.teams().join(name)).is_ok(), "{name} is not ours to remove");
    }
    assert_eq!(Agent::start(&folder).list().unreadable, []);
}

#[test]
fn a_second_link_to_an_honest_table_adds_nothing() {
    let folder = Folder::new();
    let (holder, slot) = honest(&folder);
    let real = folder.link_of(holder.pid());
    folder.plant_link(&Link { slot, ..real.clone() });
    ring_is_found(&folder, &holder, slot);
    assert!(folder.has(&real));
}

#[test]
fn thousands_of_dead_links_are_cleared_away() {
    let folder = Folder::new();
    let (holder, slot) = honest(&folder);
    for i in 0..4000 {
        folder.plant(&format!("{i}.4711.{i}"), "/proc/1073741824/fd/3");
        folder.plant(&format!("nothing {i}"), "/proc/1073741824/fd/3");
    }
    ring_is_found(&folder, &holder, slot);
    assert!(folder.links().iter().all(|link| link.start_time != 4711));
    assert!(folder.teams().join("nothing 7").symlink_metadata().is_ok());
}

#[test]
fn more_names_than_there_can_be_teams_are_an_error() {
    let folder = Folder::new();
    let (_holder, _) = honest(&folder);
    for i in 0..100_000 {
        folder.plant(&format!("nothing {i}"), "/");
    }
    let mut reader = Agent::start(&folder);
    let text = refused(reader.find("ring"), ErrorKind::Registry);
    assert!(text.contains("more entries than there can be teams"), "{text}");
    refused(reader.try_list(), ErrorKind::Registry);
}

/// Whoever may write a folder may set its time; readers go by the one that no process can set.
#[test]
fn a_folder_whose_time_is_set_back_hides_no_team() {
    let folder = Folder::new();
    let (_holder, _) = honest(&folder);
    let set_back = || {
        let done = Command::new("touch").args(["-d", "@1000000000"]).arg(folder.teams()).status();
        assert!(done.unwrap().success());
    };
    set_back();
    let mut reader = Agent::start(&folder);
    // Long enough ago for readers to rely on it.
    std::thread::sleep(std::time::Duration::from_millis(300));
    refused(reader.find("late"), ErrorKind::NoSuchArea);
    refused(reader.find("late"), ErrorKind::NoSuchArea);
    let mut late = Agent::start(&folder);
    late.publish("late");
    set_back();
    assert_eq!(reader.find("late").unwrap().pid, late.pid());
}
