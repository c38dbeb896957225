//! A team's areas one after the other, in the order of their addresses: one's own and another
//! team's, while areas come and go.

use std::collections::BTreeSet;

use areas::ErrorKind;
use areas_testing::{maps, sysctl};

use crate::support::{Agent, Folder, Held, is_root, refused, skip, test_name};

/// An ordinary user.
const USER: u32 = 65534;

/// Ids and addresses, as a walk has met them.
fn walk(agent: &mut Agent, how: &str, pid: u32) -> Vec<(i32, usize)> {
    let answer = agent.ask(&format!("{how} {pid}"));
    let steps = answer.split('\u{1e}').filter(|step| !step.is_empty());
    let walked: Vec<(i32, usize)> = steps
        .map(|step| step.split_once(' ').unwrap())
        .map(|(id, address)| (id.parse().unwrap(), address.parse().unwrap()))
        .collect();
    assert!(
        walked.is_sorted_by(|one, next| one.1 < next.1),
        "in the order of addresses, none twice: {walked:?}"
    );
    walked
}

fn ids(walked: &[(i32, usize)]) -> BTreeSet<i32> {
    walked.iter().map(|&(id, _)| id).collect()
}

/// The next one's id and address.
fn next(agent: &mut Agent, pid: u32, after: usize) -> Option<(i32, usize)> {
    let answer = agent.ask(&format!("next {pid} {after}"));
    let (id, address) = answer.split_once(' ')?;
    Some((id.parse().unwrap(), address.parse().unwrap()))
}

#[test]
fn own_and_foreign_areas_come_in_the_order_of_addresses() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let held: Vec<Held> = (0..50).map(|i| holder.publish(&format!("area-{i}"))).collect();
    reader.publish("another-teams");
    // Holes in the table, filled again: its order is not that of addresses.
    for &area in held.iter().step_by(3) {
        holder.drop_area(area);
    }
    let mut expected: BTreeSet<i32> =
        held.iter().enumerate().filter(|(i, _)| i % 3 != 0).map(|(_, area)| area.id.unwrap()).collect();
    expected.extend((0..30).map(|i| holder.publish(&format!("later-{i}")).id.unwrap()));
    let pid = holder.pid();
    let foreign = walk(&mut reader, "walk", pid);
    assert_eq!(ids(&foreign), expected, "each once, neighbours too");
    assert_eq!(walk(&mut holder, "walk", pid), foreign, "the owner sees the same");
    // Whoever begins again, or asks out of turn, meets what has come since.
    let new: BTreeSet<i32> = (0..10).map(|i| holder.publish(&format!("new-{i}")).id.unwrap()).collect();
    let again = walk(&mut reader, "walk", pid);
    assert_eq!(ids(&again), expected.union(&new).copied().collect());
    let newest = holder.publish("newest").id.unwrap();
    let place = walk(&mut holder, "walk", pid).iter().find(|(id, _)| *id == newest).unwrap().1;
    assert_eq!(next(&mut reader, pid, place - 1), Some((newest, place)));
    // The addresses are those that the kernel has.
    let maps = maps::of(pid).unwrap();
    for (_, address) in foreign {
        assert!(maps.iter().any(|vma| vma.range().contains(&address) && vma.is_area()));
    }
}

#[test]
fn the_end_is_the_end_again_and_again_and_no_team_is_something_else() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let (own, pid) = (reader.pid(), holder.pid());
    // Before there is a registry: both live, and hold nothing.
    for team in [own, pid] {
        assert_eq!(next(&mut reader, team, 0), None);
    }
    let area = holder.publish("ring");
    let (id, address) = next(&mut reader, pid, 0).unwrap();
    assert_eq!(Some(id), area.id);
    assert_eq!(next(&mut reader, pid, address - 1), Some((id, address)));
    for _ in 0..3 {
        assert_eq!(next(&mut reader, pid, address), None);
        assert_eq!(next(&mut reader, pid, usize::MAX), None);
    }
    // A number that no process has: the highest that there can be, and one.
    let highest = u32::try_from(sysctl::number("kernel/pid_max")).unwrap();
    for absent in [0, highest + 1, u32::MAX] {
        refused(reader.try_ask(&format!("next {absent} 0")), ErrorKind::NoSuchTeam);
    }
    // A team that dies, before and after its status is fetched.
    holder.kill_unreaped();
    refused(reader.try_ask(&format!("next {pid} 0")), ErrorKind::NoSuchTeam);
    holder.kill();
    refused(reader.try_ask(&format!("next {pid} {address}")), ErrorKind::NoSuchTeam);
}

#[test]
fn a_thread_is_no_team() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("ring");
    holder.ask("busy 1");
    let threads = std::fs::read_dir(format!("/proc/{}/task", holder.pid())).unwrap().flatten();
    let thread = threads
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|&thread| thread != holder.pid())
        .unwrap();
    refused(reader.try_ask(&format!("next {thread} 0")), ErrorKind::NoSuchTeam);
    holder.ask("idle");
}

#[test]
fn what_may_not_be_read_is_said() {
    // Root may read everything: an ordinary user's process may not read one that hides.
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(USER);
    let (mut hidden, mut other) =
        (Agent::start_as(&folder, USER, None), Agent::start_as(&folder, USER, None));
    hidden.publish("hidden");
    hidden.ask("dumpable no");
    let why = refused(other.try_ask(&format!("next {} 0", hidden.pid())), ErrorKind::Unreadable);
    assert!(why.contains("cannot be read"), "{why}");
    hidden.ask("dumpable yes");
    assert!(next(&mut other, hidden.pid(), 0).is_some());
}

#[test]
fn what_stays_is_met_once_while_others_come_and_go() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let stable: BTreeSet<i32> =
        (0..200).map(|i| holder.publish(&format!("stable-{i}")).id.unwrap()).collect();
    // One that stays, whose record moves under the reader's eyes; and threads that publish and drop
    // all the while.
    let room = holder.ask("resizable elastic 4096 1048576");
    holder.ask("busy 2");
    for round in 0..20 {
        holder.ask(&format!("resize {room} {}", 4096 * (1 + round % 7)));
        let walked = ids(&walk(&mut reader, "walk", holder.pid()));
        assert!(walked.is_superset(&stable), "{:?} were skipped", stable.difference(&walked));
    }
    // So it is for the owner.
    let pid = holder.pid();
    for how in ["walk", "walk-restless"] {
        let walked = ids(&walk(&mut holder, how, pid));
        assert!(walked.is_superset(&stable), "{:?} were skipped", stable.difference(&walked));
    }
    holder.ask("idle");
}

#[test]
fn removing_what_was_just_met_skips_nothing() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let held: Vec<Held> = (0..40).map(|i| holder.publish(&format!("area-{i}"))).collect();
    let (mut after, mut met) = (0, Vec::new());
    while let Some((id, address)) = next(&mut reader, holder.pid(), after) {
        met.push(id);
        let area = held.iter().find(|area| area.id == Some(id)).unwrap();
        holder.drop_area(*area);
        after = address;
    }
    let mut expected: Vec<i32> = held.iter().map(|area| area.id.unwrap()).collect();
    met.sort_unstable();
    expected.sort_unstable();
    assert_eq!(met, expected);
    assert_eq!(next(&mut reader, holder.pid(), 0), None);
}

#[test]
fn a_forked_child_has_a_walk_of_its_own() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    for name in ["one", "two", "three"] {
        parent.publish(name);
    }
    let of_parent = walk(&mut reader, "walk", parent.pid());
    let mut child = parent.fork();
    let addresses = |walked: &[(i32, usize)]| walked.iter().map(|step| step.1).collect::<Vec<_>>();
    let pid = child.pid();
    let of_child = walk(&mut child, "walk", pid);
    assert_eq!(addresses(&of_child), addresses(&of_parent), "the same addresses");
    assert!(ids(&of_child).is_disjoint(&ids(&of_parent)), "ids of its own");
    assert_eq!(walk(&mut reader, "walk", pid), of_child);
    assert_eq!(walk(&mut reader, "walk", parent.pid()), of_parent);
}

#[test]
fn ten_thousand_areas_of_another_team() {
    const WANTED: u32 = 10_000;
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let limit: u32 = holder.ask("open-files 10200").parse().unwrap();
    let count = WANTED.min(limit - 200);
    if count < WANTED {
        skip(test_name!(), &format!("{count} areas only: RLIMIT_NOFILE can be raised to {limit}"));
    }
    holder.ask(&format!("publish-many ring {count}"));
    let pid = holder.pid();
    for agent in [&mut reader, &mut holder] {
        assert_eq!(walk(agent, "walk", pid).len(), count as usize);
    }
    // Where the table changes all the time, an order cannot be kept.
    holder.ask("busy 1");
    assert!(walk(&mut reader, "walk", pid).len() >= count as usize);
    holder.ask("idle");
}
