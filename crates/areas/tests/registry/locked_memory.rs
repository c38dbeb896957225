//! Programs that lock all that they map (`mlockall`): of others' tables they have in RAM what they
//! look at, and no more.

use areas::ErrorKind;
use areas_testing::status;

use crate::support::{Agent, Folder, is_root, refused, test_name};

const TEAMS: usize = 5;
/// Far less than a table, and far more than one with an area or two needs.
const LITTLE: u64 = 256 << 10;

fn in_memory(agent: &mut Agent) -> u64 {
    agent.ask("table-in-memory").parse().unwrap()
}

#[test]
fn tables_of_others_do_not_come_into_memory_as_a_whole() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::new();
    let mut holders: Vec<Agent> = (0..TEAMS).map(|_| Agent::start(&folder)).collect();
    for (team, holder) in holders.iter_mut().enumerate() {
        holder.publish(&format!("ring-{team}"));
    }
    let mut reader = Agent::start(&folder);
    reader.ask("lock-everything");
    for team in 0..TEAMS {
        assert!(reader.clone_of(&format!("ring-{team}")).is_ok());
    }
    assert_eq!(reader.list().areas.len(), TEAMS);
    for holder in &mut holders {
        let bytes = in_memory(holder);
        assert!(bytes < LITTLE, "{bytes} bytes of a table with one area are in memory");
    }
    // Nor does its own.
    reader.publish("own");
    assert!(in_memory(&mut reader) < LITTLE);
    assert!(holders[0].clone_of("own").is_ok());
}

/// It is held against the limit as little as it is locked.
#[test]
fn a_low_limit_of_locked_memory_does_for_looking() {
    const USER: u32 = 65534;
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(USER);
    let [mut holder, mut reader] = std::array::from_fn(|_| Agent::start_as(&folder, USER, None));
    holder.publish("ring");
    let locked = |agent: &Agent| status::of(agent.pid()).unwrap().bytes("VmLck").unwrap();
    reader.ask("lock-everything future");
    reader.ask(&format!("limit locked {}", locked(&reader) + (4 << 20)));
    assert_eq!(reader.find("ring").unwrap().pid, holder.pid());
    assert!(reader.clone_of("ring").is_ok());
    reader.publish("own");
    assert!(holder.clone_of("own").is_ok());
}

/// It is not known whether there is such an area: "there is none" would be a lie.
#[test]
fn a_limit_of_locked_memory_that_is_in_the_way_is_reported_as_that() {
    const USER: u32 = 65534;
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(USER);
    let [mut holder, mut reader] = std::array::from_fn(|_| Agent::start_as(&folder, USER, None));
    let id = holder.publish("ring").id.unwrap();
    // What it takes to say so is there already.
    refused(reader.find("nothing"), ErrorKind::NoSuchArea);
    let mut late = Agent::start_as(&folder, USER, None);
    let late_id = late.publish("late").id.unwrap();
    reader.ask("lock-everything future");
    reader.ask("limit locked 1");
    for text in
        [refused(reader.find("late"), ErrorKind::Limit), refused(reader.get(late_id), ErrorKind::Limit)]
    {
        assert!(text.contains("RLIMIT_MEMLOCK"), "{text}");
    }
    assert_eq!(reader.find("ring").unwrap().id, id);
    reader.ask("limit locked none");
    assert_eq!(reader.find("late").unwrap().pid, late.pid());
}
