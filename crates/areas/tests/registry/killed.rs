//! Holders that die, in every way: at once no process finds their areas, and what they leave is
//! cleared away.

use areas::ErrorKind;
use areas_testing::maps;
use rustix::process::Signal;

use crate::support::{Agent, Folder, Launch, is_root, refused, test_name};

#[test]
fn a_live_holder_is_found_listed_and_cloned() {
    let folder = Folder::new();
    let mut holder = Agent::start(&folder);
    let area = holder.publish("ring");
    let id = area.id.unwrap();
    let mut reader = Agent::start(&folder);
    let seen = reader.find("ring").unwrap();
    assert_eq!((seen.id, seen.pid, seen.name.as_str()), (id, holder.pid(), "ring"));
    assert_eq!(reader.get(id).unwrap(), seen);
    assert_eq!(reader.list().areas, [seen]);
    assert_eq!(reader.ask("size ring"), "4096");
    let clone = reader.clone_of("ring").unwrap();
    // The same memory, not a copy.
    reader.ask(&format!("fill {} other", clone.handle));
    assert!(holder.has_bytes_of(area, "other"));
}

/// What a reader remembers of a name must not keep the table of its dead holder in memory.
#[test]
fn a_reader_lets_go_of_the_tables_of_the_dead() {
    let folder = Folder::new();
    let mut reader = Agent::start(&folder);
    let tables = |reader: &Agent| {
        let maps = maps::of(reader.pid()).unwrap();
        maps.iter().filter(|vma| vma.path.starts_with("/memfd:areas table")).count()
    };
    for i in 0..3 {
        let mut holder = Agent::start(&folder);
        // No name is ever looked for again.
        holder.publish(&format!("ring-{i}"));
        reader.find(&format!("ring-{i}")).unwrap();
        assert_eq!(tables(&reader), 1);
        holder.kill();
        assert!(reader.list().is_empty());
        assert_eq!(tables(&reader), 0);
    }
    // And by a search alone, as soon as another process comes.
    for i in 3..6 {
        let mut holder = Agent::start(&folder);
        holder.publish(&format!("ring-{i}"));
        reader.find(&format!("ring-{i}")).unwrap();
        assert_eq!(tables(&reader), 1, "ring-{i}");
        holder.kill();
    }
    assert!(reader.list().is_empty());
    // The same where another process has cleared the link away.
    let mut holder = Agent::start(&folder);
    holder.publish("ring");
    reader.find("ring").unwrap();
    holder.kill();
    assert!(Agent::start(&folder).list().is_empty());
    assert!(reader.list().is_empty());
    assert_eq!(tables(&reader), 0);
}

/// A process that ends has no descriptors to look at from one moment on, and keeps its record lock
/// until the kernel has closed all that came before its table: here, as much as may be open.
#[test]
fn a_holder_that_takes_long_to_end_is_passed_over() {
    /// The moment is met in some of them.
    const ROUNDS: usize = 20;
    let folder = Folder::new();
    let mut reader = Agent::start(&folder);
    for _ in 0..ROUNDS {
        let mut holder = Agent::start(&folder);
        holder.ask("open-many 200000");
        holder.publish("ring");
        let mut other = Agent::start(&folder);
        other.publish("ring");
        assert_eq!(reader.find("ring").unwrap().pid, holder.pid(), "the oldest");
        holder.signal(Signal::KILL);
        let mut failures = 0;
        while reader.find("ring").unwrap().pid != other.pid() {
            match reader.clone_of("ring") {
                Ok(clone) => reader.drop_area(clone),
                Err(why) => {
                    assert_eq!(why.kind, "NoSuchArea", "{why:?}");
                    failures += 1;
                }
            }
        }
        assert!(failures <= 1, "an ending process was found again, {failures} times");
    }
}

#[test]
fn a_dropped_area_is_gone_and_its_team_stays() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = holder.publish("ring");
    reader.find("ring").unwrap();
    holder.drop_area(area);
    refused(reader.find("ring"), ErrorKind::NoSuchArea);
    refused(reader.get(area.id.unwrap()), ErrorKind::NoSuchArea);
    assert!(reader.list().is_empty());
    assert!(folder.has(&folder.link_of(holder.pid())));
}

#[test]
fn after_kill_no_process_finds_it_and_the_link_is_reaped() {
    let folder = Folder::new();
    let mut holder = Agent::start(&folder);
    let id = holder.publish("ring").id.unwrap();
    let link = folder.link_of(holder.pid());
    // One reader knows the area, one has only just come.
    let mut reader = Agent::start(&folder);
    reader.find("ring").unwrap();
    let mut newcomer = Agent::start(&folder);
    holder.kill();
    assert!(folder.has(&link), "no process has looked yet");
    for reader in [&mut newcomer, &mut reader] {
        refused(reader.find("ring"), ErrorKind::NoSuchArea);
        refused(reader.get(id), ErrorKind::NoSuchArea);
        assert!(reader.list().is_empty());
        assert!(!folder.has(&link), "a dead team's link is cleared away");
    }
    let mut next = Agent::start(&folder);
    next.publish("ring");
    assert_eq!(reader.find("ring").unwrap().pid, next.pid());
}

#[test]
fn the_memory_of_a_clone_outlives_the_killed_source() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("ring");
    let clone = reader.clone_of("ring").unwrap();
    holder.kill();
    assert!(reader.has_bytes_of(clone, "ring"));
    refused(reader.clone_of("ring"), ErrorKind::NoSuchArea);
}

#[test]
fn a_holder_that_dies_between_find_and_clone() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("ring");
    reader.ask("remember ring");
    holder.kill();
    for command in ["remembered clone", "remembered size"] {
        let text = refused(reader.try_ask(command), ErrorKind::NoSuchArea);
        assert!(text.contains("it was released concurrently"), "{text}");
    }
}

#[test]
fn an_area_that_went_is_not_mistaken_for_the_next() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = holder.publish("ring");
    reader.ask("remember ring");
    assert_eq!(reader.ask("remembered size"), "4096");
    holder.drop_area(area);
    // The same name, size, record, address and descriptor: another area.
    holder.publish("ring");
    refused(reader.try_ask("remembered clone"), ErrorKind::NoSuchArea);
    refused(reader.try_ask("remembered size"), ErrorKind::NoSuchArea);
}

#[test]
fn after_the_kill_of_a_process_group_nothing_is_left() {
    let folder = Folder::new();
    let mut holder = Launch::new(&folder).own_group().start();
    holder.publish("parent");
    let mut child = holder.fork();
    child.publish("child");
    let mut reader = Agent::start(&folder);
    assert_eq!(reader.list().names(), ["child", "parent", "parent"], "the child holds what it inherited");
    holder.kill_group();
    // The child is init's to reap; it holds nothing as soon as it has ended.
    crate::support::eventually("the whole group is gone", || reader.list().is_empty());
    assert_eq!(folder.links(), []);
    drop(child);
}

#[test]
fn a_zombie_is_dead_at_once() {
    let folder = Folder::new();
    let mut holder = Agent::start(&folder);
    holder.publish("ring");
    let mut reader = Agent::start(&folder);
    reader.find("ring").unwrap();
    let mut newcomer = Agent::start(&folder);
    holder.kill_unreaped();
    refused(newcomer.find("ring"), ErrorKind::NoSuchArea);
    refused(reader.find("ring"), ErrorKind::NoSuchArea);
    assert!(reader.list().is_empty());
    assert_eq!(folder.links(), []);
}

#[test]
fn a_zombie_is_dead_to_an_ordinary_user_too() {
    if !is_root(test_name!()) {
        return;
    }
    // The kernel shows a zombie's descriptors to root alone.
    let folder = Folder::of_user(65534);
    let ordinary = || Agent::start_as(&folder, 65534, None);
    let (mut holder, mut reader, mut newcomer) = (ordinary(), ordinary(), ordinary());
    holder.publish("ring");
    assert!(reader.clone_of("ring").is_ok());
    holder.kill_unreaped();
    for reader in [&mut newcomer, &mut reader] {
        refused(reader.find("ring"), ErrorKind::NoSuchArea);
        assert!(reader.list().is_empty());
    }
    assert_eq!(folder.links(), []);
}

#[test]
fn a_stopped_holder_is_found_and_cloned() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("ring");
    holder.signal(Signal::STOP);
    let mut newcomer = Agent::start(&folder);
    for reader in [&mut reader, &mut newcomer] {
        assert_eq!(reader.find("ring").unwrap().pid, holder.pid());
        assert!(reader.clone_of("ring").is_ok());
        assert_eq!(reader.list().names(), ["ring"]);
    }
    // Nor does it keep others from coming, or from dying.
    newcomer.publish("other");
    assert_eq!(reader.list().names(), ["other", "ring"]);
    newcomer.kill();
    assert_eq!(reader.list().names(), ["ring"]);
}

#[test]
fn without_its_record_lock_a_team_lives_by_its_link() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("ring");
    reader.find("ring").unwrap();
    let inode = folder.link_of(holder.pid()).inode.to_string();
    let locked = || {
        let locks = std::fs::read_to_string("/proc/locks").expect("the kernel's record locks");
        locks.lines().any(|line| {
            line.contains("POSIX")
                && line.split_whitespace().any(|word| word.rsplit(':').next() == Some(inode.as_str()))
        })
    };
    assert!(locked());
    holder.ask("lose-record-lock");
    assert!(!locked());
    let mut newcomer = Agent::start(&folder);
    for reader in [&mut reader, &mut newcomer] {
        assert_eq!(reader.find("ring").unwrap().pid, holder.pid());
        assert!(reader.clone_of("ring").is_ok());
        assert_eq!(reader.list().names(), ["ring"]);
    }
    holder.publish("more");
    assert_eq!(reader.find("more").unwrap().pid, holder.pid());
    holder.kill();
    for reader in [&mut reader, &mut newcomer] {
        refused(reader.find("ring"), ErrorKind::NoSuchArea);
        assert!(reader.list().is_empty());
    }
}
