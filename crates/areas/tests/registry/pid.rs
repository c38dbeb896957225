//! Process numbers come again: a link means one process, not whoever has its number by now.

use areas::ErrorKind;

use crate::support::{Agent, Folder, Launch, Link, can_run, refused, test_name};

/// More than Linux ever gives out.
const NO_PROCESS: u32 = 1 << 30;

#[test]
fn a_link_to_a_number_that_no_process_has_is_reaped() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("ring");
    let real = folder.link_of(holder.pid());
    folder.plant_link(&Link { pid: NO_PROCESS, slot: (real.slot + 1) % 4096, ..real.clone() });
    assert_eq!(reader.list().names(), ["ring"]);
    assert_eq!(folder.links(), [real]);
}

#[test]
fn a_link_of_another_start_time_is_reaped_and_the_real_one_stays() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("ring");
    let real = folder.link_of(holder.pid());
    // What a former process of that number left, down to the number of its table's descriptor.
    for start_time in [real.start_time - 1, real.start_time + 1, 0, u64::MAX] {
        folder.plant_link(&Link { start_time, ..real.clone() });
        folder.plant_link(&Link { start_time, slot: (real.slot + 7) % 4096, ..real.clone() });
    }
    assert_eq!(folder.links().len(), 9);
    let listed = reader.list();
    assert_eq!(listed.names(), ["ring"]);
    assert_eq!(listed.unreadable, []);
    assert_eq!(folder.links(), [real]);
    assert!(reader.clone_of("ring").is_ok());
}

#[test]
fn a_number_that_came_again_is_another_process() {
    let within = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let script = "echo 200 > /proc/sys/kernel/ns_last_pid";
    if !can_run(test_name!(), &[&within[..], &["sh", "-c", script]].concat()) {
        return;
    }
    let folder = Folder::new();
    let mut init = Launch::new(&folder).within(&within).start();
    let size = init.ask("table-size");
    let mut reader = init.fork();
    let mut first = init.fork_as(500);
    let id = first.publish("ring").id.unwrap();
    assert!(reader.clone_of("ring").is_ok());
    let mut newcomer = init.fork();
    init.ask("kill 500");
    // Start times are counted in hundredths of a second.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mut second = init.fork_as(500);
    // It even has something like a table, where the first one had its own.
    second.ask(&format!("forge noise sealed {size}"));
    for reader in [&mut newcomer, &mut reader, &mut second] {
        refused(reader.find("ring"), ErrorKind::NoSuchArea);
        refused(reader.get(id), ErrorKind::NoSuchArea);
        assert!(reader.list().is_empty());
    }
    second.publish("ring");
    for reader in [&mut newcomer, &mut reader] {
        assert_eq!(reader.find("ring").unwrap().pid, 500);
        assert!(reader.clone_of("ring").is_ok());
        assert_eq!(reader.list().areas.len(), 1);
    }
    drop(first);
}
