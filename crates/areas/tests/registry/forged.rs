//! Tables that lie: made by a process that knows the format, and changing under the reader's eyes.

use std::time::{Duration, Instant};

use areas::ErrorKind;

use crate::support::{Agent, Folder, Link, refused, start_time};

/// Leaves the link of a forged table in the slot that the original has.
fn plant(folder: &Folder, forger: &Agent, original: &Link, opened: &str) -> Link {
    let (descriptor, inode) = opened.split_once(' ').unwrap();
    let link = Link {
        slot: original.slot,
        start_time: start_time(forger.pid()),
        inode: inode.parse().unwrap(),
        pid: forger.pid(),
        descriptor: descriptor.parse().unwrap(),
        empty: false,
    };
    folder.plant_link(&link);
    link
}

#[test]
fn a_copied_table_leads_to_no_memory() {
    let folder = Folder::new();
    let (mut holder, mut forger) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("ring");
    let original = folder.link_of(holder.pid());
    let opened = forger.ask(&format!("copy {} sealed", original.target()));
    // Whatever descriptor the record names, there is something as large, and it is something else.
    for _ in 0..50 {
        forger.ask("forge zeros unsealed 4096");
    }
    let mut reader = Agent::start(&folder);
    plant(&folder, &forger, &original, &opened);
    // It is believed to list areas of the forger (so the forgery is a good one) ...
    let mut pids: Vec<u32> = reader.list().areas.iter().map(|area| area.pid).collect();
    pids.sort_unstable();
    let mut expected = [holder.pid(), forger.pid()];
    expected.sort_unstable();
    assert_eq!(pids, expected);
    // ... but there is no such object in the forger.
    holder.kill();
    assert_eq!(reader.find("ring").unwrap().pid, forger.pid());
    refused(reader.clone_of("ring"), ErrorKind::NoSuchArea);
    refused(reader.try_ask("size ring"), ErrorKind::NoSuchArea);
    forger.kill();
    assert!(reader.list().is_empty());
}

/// Its team was linked with another library: it lives, and says why it cannot be read.
#[test]
fn a_table_of_another_format_is_reported_as_that() {
    for version in [0, 1, 2, 3, 5, u32::MAX] {
        let folder = Folder::new();
        let (mut holder, mut forger) = (Agent::start(&folder), Agent::start(&folder));
        holder.publish("ring");
        let original = folder.link_of(holder.pid());
        let opened = forger.ask(&format!("copy {} version-{version}", original.target()));
        let link = plant(&folder, &forger, &original, &opened);
        let mut reader = Agent::start(&folder);
        for _ in 0..2 {
            let listed = reader.list();
            assert_eq!(listed.names(), ["ring"]);
            assert_eq!(listed.unreadable.len(), 1, "{listed:?}");
            let (pid, why) = &listed.unreadable[0];
            assert_eq!(*pid, forger.pid());
            assert!(why.contains(&format!("format {version}, and this library reads format 4")), "{why}");
            assert_eq!(reader.find("ring").unwrap().pid, holder.pid());
            assert!(folder.has(&link), "who is not proven dead is never reaped");
        }
        forger.kill();
        assert_eq!(reader.list().unreadable, []);
        assert!(!folder.has(&link));
    }
}

/// What every library of any format goes by before it looks at the format. (545 times the largest
/// base page.)
#[test]
fn a_table_has_the_size_that_it_has_in_every_format() {
    let folder = Folder::new();
    assert_eq!(Agent::start(&folder).ask("table-size"), "35717120");
}

#[test]
fn a_copied_table_that_others_could_write_is_not_believed() {
    let folder = Folder::new();
    let (mut holder, mut forger) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("ring");
    let original = folder.link_of(holder.pid());
    let opened = forger.ask(&format!("copy {} unsealed", original.target()));
    let link = plant(&folder, &forger, &original, &opened);
    let listed = Agent::start(&folder).list();
    assert_eq!(listed.areas.len(), 1);
    assert_eq!(listed.areas[0].pid, holder.pid());
    assert_eq!(listed.unreadable.len(), 1);
    assert_eq!(listed.unreadable[0].0, forger.pid());
    assert!(folder.has(&link), "nor is its owner taken for dead");
}

/// Between a look at its size and one at its seals: what was large enough to be a table then, is
/// empty behind the seals.
#[test]
fn a_table_that_is_cut_and_then_sealed_kills_no_process() {
    let folder = Folder::new();
    let [mut holder, mut reader, mut forger] = std::array::from_fn(|_| Agent::start(&folder));
    holder.publish("ring");
    forger.ask("table-size");
    forger.begin(&format!("shrink-tables {} 3000", folder.teams().display()));
    reader.ask("list-while 4000");
    forger.end().unwrap();
    assert_eq!(reader.list().names(), ["ring"]);
    assert!(reader.clone_of("ring").is_ok());
}

#[test]
fn a_table_that_changes_all_the_time_does_no_harm() {
    let folder = Folder::new();
    let (mut bait, mut holder) = (Agent::start(&folder), Agent::start(&folder));
    bait.ask("publish-many bait 50");
    holder.ask("publish-many ring 50");
    let original = folder.link_of(bait.pid());
    let mut forger = Agent::start(&folder);
    let opened = forger.ask(&format!("copy {} scribbled", original.target()));
    plant(&folder, &forger, &original, &opened);
    let mut reader = Agent::start(&folder);
    let mut foreign = 0;
    let end = Instant::now() + Duration::from_secs(3);
    let mut rounds = 0;
    while Instant::now() < end || rounds < 3 {
        reader.ask("find-all ring 50");
        assert!(reader.clone_of(&format!("ring-{}", rounds % 50)).is_ok());
        let listed = reader.list();
        assert_eq!(listed.areas.iter().filter(|area| area.pid == holder.pid()).count(), 50);
        assert_eq!(listed.areas.iter().filter(|area| area.pid == bait.pid()).count(), 50);
        foreign += listed.areas.iter().filter(|area| area.pid == forger.pid()).count();
        // What comes of these is the forger's doing; that it ends is ours.
        let _ = reader.find("bait-7");
        let _ = reader.clone_of("bait-8");
        let _ = reader.find("nothing");
        rounds += 1;
    }
    assert!(foreign > 0, "the forged table was looked into");
    forger.kill();
    assert_eq!(reader.list().areas.len(), 100);
}
