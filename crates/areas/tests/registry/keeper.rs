//! Holders that make no calls: what is published stays so where they asked for a thread that sees
//! to it.

use std::fs;

use areas::ErrorKind;

use crate::support::{Agent, Folder, eventually, refused};

#[test]
fn after_a_log_out_areas_are_found_without_a_call_of_their_holder() {
    let folder = Folder::new();
    let (mut holder, mut other) = (Agent::start(&folder), Agent::start(&folder));
    let area = holder.publish("ring");
    other.publish("unkept");
    holder.ask("keeper 50");
    assert_eq!(holder.ask("threads"), "2");
    for _ in 0..3 {
        fs::remove_dir_all(folder.registry()).unwrap();
        eventually("it is published again", || Agent::start(&folder).find("ring").is_ok());
        assert_eq!(Agent::start(&folder).find("ring").unwrap().id, area.id.unwrap());
    }
    refused(Agent::start(&folder).find("unkept"), ErrorKind::NoSuchArea);
    assert_eq!(holder.ask("keeper trouble"), "-");
    // It ends with its value, and the folder is as before.
    holder.ask("keeper end");
    assert_eq!(holder.ask("threads"), "1");
    fs::remove_dir_all(folder.registry()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    refused(Agent::start(&folder).find("ring"), ErrorKind::NoSuchArea);
}

/// A double fork, and a daemon that calls nothing from then on.
#[test]
fn a_daemon_that_keeps_is_found_at_once() {
    for how in ["keep", "keeper 60000"] {
        let folder = Folder::new();
        let mut starter = Agent::start(&folder);
        let area = starter.publish("ring");
        starter.ask("keeper 60000");
        let mut between = starter.fork();
        let mut daemon = between.fork();
        // Its parent's keeper is none of its own.
        assert!(daemon.ask("keeper trouble").contains("start a keeper here"));
        daemon.ask(how);
        between.kill();
        starter.kill();
        let mut reader = Agent::start(&folder);
        assert_eq!(reader.find("ring").unwrap().pid, daemon.pid(), "{how}");
        assert!(reader.clone_of("ring").is_ok());
        assert!(daemon.has_bytes_of(area, "ring"));
    }
}

#[test]
fn what_goes_wrong_is_reported() {
    let folder = Folder::new();
    let mut holder = Agent::start(&folder);
    refused(holder.try_ask("keeper 0"), ErrorKind::InvalidInput);
    holder.publish("ring");
    holder.ask("keeper 20");
    fs::remove_dir_all(folder.registry()).unwrap();
    fs::write(folder.registry(), "in its place").unwrap();
    let mut trouble = String::new();
    eventually("it fails", || {
        let _ = fs::remove_dir_all(folder.registry());
        let _ = fs::write(folder.registry(), "in its place");
        trouble = holder.ask("keeper trouble");
        trouble.contains("not a folder")
    });
    fs::remove_file(folder.registry()).unwrap();
    eventually("it goes on", || holder.ask("keeper trouble") == "-");
    assert_eq!(Agent::start(&folder).find("ring").unwrap().pid, holder.pid());
}
