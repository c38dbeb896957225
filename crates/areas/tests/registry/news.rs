//! News for a process that has looked and knows that there is none: who waits for a name, and who
//! gives it an area, are noticed all the same.

use std::thread::sleep;
use std::time::Duration;

use crate::support::{Agent, Folder};
use crate::transfer::{give, holds, make, take};

/// Longer than the folder's time may hide a change, and shorter than it is believed that there is
/// no news.
const SETTLED: Duration = Duration::from_millis(200);

/// Has an agent publish, look, and come to know that no process waits and no process gives.
fn settle(agent: &mut Agent) {
    sleep(SETTLED);
    for name in ["one", "two"] {
        let area = agent.publish(name);
        agent.drop_area(area);
    }
}

/// How often those who wait were woken: the count that they sleep on.
fn woken(folder: &Folder) -> u32 {
    let control = std::fs::read(folder.control()).unwrap();
    u32::from_le_bytes(control[8..12].try_into().unwrap())
}

#[test]
fn who_waits_is_woken_by_a_process_that_knew_of_no_process() {
    let folder = Folder::new();
    let (mut holder, mut waiter) = (Agent::start(&folder), Agent::start(&folder));
    let mut kept = vec![holder.publish("joined")];
    for round in 0..3 {
        settle(&mut holder);
        let before = woken(&folder);
        let name = format!("ring-{round}");
        waiter.begin(&format!("wait {name} 60000"));
        sleep(Duration::from_millis(50));
        let area = holder.publish(&name);
        assert!(waiter.end().unwrap().contains(&area.id.unwrap().to_string()));
        assert_ne!(woken(&folder), before, "round {round}: by the publication, not by its own look");
        kept.push(area);
    }
}

#[test]
fn what_is_given_to_a_process_that_knew_of_nothing_is_taken_in_by_its_next_publication_and_search() {
    let folder = Folder::new();
    let (mut giver, mut target) = (Agent::start(&folder), Agent::start(&folder));
    let _joined = target.publish("joined");
    for search in [false, true] {
        settle(&mut target);
        if search {
            assert!(target.find("absent").is_err());
        }
        let before = holds(target.pid());
        let name = format!("given-{search}");
        let area = make(&mut giver, &format!("shared {name} 8192 0 none"));
        let id = give(&mut giver, area, &target);
        assert_eq!(holds(target.pid()), before, "it has made no call yet");
        if search {
            assert!(target.find("absent").is_err());
        } else {
            let area = target.publish("another");
            target.drop_area(area);
        }
        assert_eq!(holds(target.pid()), (before.0 + 1, before.1 + 1), "search: {search}");
        assert_eq!(take(&mut target).id, Some(id));
    }
}
