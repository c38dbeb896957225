//! exec keeps the process number and the start time, and takes everything else: the areas are gone
//! at once.

use areas::ErrorKind;

use crate::support::{Agent, Folder, refused, start_time};

#[test]
fn what_was_before_exec_is_gone_at_once() {
    let folder = Folder::new();
    let mut holder = Agent::start(&folder);
    let id = holder.publish("ring").id.unwrap();
    let link = folder.link_of(holder.pid());
    let mut reader = Agent::start(&folder);
    reader.find("ring").unwrap();
    let mut newcomer = Agent::start(&folder);
    holder.exec();
    assert_eq!(start_time(holder.pid()), link.start_time);
    for reader in [&mut newcomer, &mut reader, &mut holder] {
        refused(reader.find("ring"), ErrorKind::NoSuchArea);
        refused(reader.get(id), ErrorKind::NoSuchArea);
        assert!(reader.list().is_empty());
    }
    assert!(!folder.has(&link));
}

#[test]
fn the_new_program_is_a_team_of_its_own() {
    let folder = Folder::new();
    let mut holder = Agent::start(&folder);
    holder.publish("before");
    let mut reader = Agent::start(&folder);
    reader.find("before").unwrap();
    holder.exec();
    // Before anybody has looked: the old link is there still, with the same process and start time.
    holder.publish("after");
    assert_eq!(reader.list().names(), ["after"]);
    assert_eq!(reader.find("after").unwrap().pid, holder.pid());
    refused(reader.find("before"), ErrorKind::NoSuchArea);
    holder.kill();
    assert!(reader.list().is_empty());
    assert_eq!(folder.links(), []);
}
