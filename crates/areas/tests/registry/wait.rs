//! Waiting for a name that is not there yet.

use areas::ErrorKind;

use crate::support::{Agent, Folder, refused};

#[test]
fn a_name_that_is_there_is_found_at_once() {
    let folder = Folder::new();
    let (mut holder, mut waiter) = (Agent::start(&folder), Agent::start(&folder));
    let area = holder.publish("ring");
    let found = waiter.ask("wait ring 60000");
    assert!(found.contains(&area.id.unwrap().to_string()), "{found}");
}

#[test]
fn many_wait_and_all_are_woken() {
    let folder = Folder::new();
    let mut holder = Agent::start(&folder);
    holder.publish("other");
    let mut waiters: Vec<Agent> = (0..4).map(|_| Agent::start(&folder)).collect();
    for waiter in &mut waiters {
        waiter.begin("wait ring 60000");
    }
    let begun = std::time::Instant::now();
    std::thread::sleep(std::time::Duration::from_millis(100));
    let id = holder.publish("ring").id.unwrap().to_string();
    for waiter in &mut waiters {
        assert!(waiter.end().unwrap().contains(&id));
    }
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(30),
        "they were woken, and did not wait for the end"
    );
}

#[test]
fn it_begins_before_there_is_a_registry() {
    let folder = Folder::new();
    let (mut holder, mut waiter) = (Agent::start(&folder), Agent::start(&folder));
    waiter.begin("wait ring 60000");
    let id = holder.publish("ring").id.unwrap().to_string();
    assert!(waiter.end().unwrap().contains(&id));
}

#[test]
fn it_ends_with_its_time() {
    let folder = Folder::new();
    let (mut holder, mut waiter) = (Agent::start(&folder), Agent::start(&folder));
    refused(waiter.try_ask("wait ring 50"), ErrorKind::TimedOut);
    holder.publish("other");
    refused(waiter.try_ask("wait ring 50"), ErrorKind::TimedOut);
    refused(waiter.try_ask("wait ring 0"), ErrorKind::TimedOut);
}

#[test]
fn a_control_file_that_is_cut_or_filled_with_noise_delays_no_process_for_long() {
    let folder = Folder::new();
    let (mut holder, mut waiter) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("other");
    let control = folder.control();
    for content in [Vec::new(), vec![0xff; 20_000]] {
        waiter.begin("wait ring 60000");
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&control, content).unwrap();
        let area = holder.publish("ring");
        assert!(waiter.end().unwrap().contains(&area.id.unwrap().to_string()));
        holder.drop_area(area);
    }
}

/// A FIFO cannot be mapped to sleep on; what is waited for is found without.
#[test]
fn a_control_file_that_is_a_fifo_delays_no_process_for_long() {
    let folder = Folder::new();
    let (mut holder, mut waiter) = (Agent::start(&folder), Agent::start(&folder));
    let here = holder.publish("here");
    std::fs::remove_file(folder.control()).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.control()).status().unwrap().success());
    assert!(waiter.ask("wait here 60000").contains(&here.id.unwrap().to_string()));
    waiter.begin("wait ring 60000");
    std::thread::sleep(std::time::Duration::from_millis(50));
    let id = holder.publish("ring").id.unwrap().to_string();
    assert!(waiter.end().unwrap().contains(&id));
    refused(waiter.try_ask("wait nothing 50"), ErrorKind::TimedOut);
}
