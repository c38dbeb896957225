//! A program may close all descriptors that it does not know, ours among them, and soon has other
//! files under these numbers. Then what can be put right is, the rest is reported, and no other
//! process's file is closed, written, or cut.

use areas::ErrorKind;

use crate::support::{Agent, Folder, Link, refused};

#[test]
fn a_holder_whose_table_was_closed_begins_a_new_one() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = holder.publish("ring");
    let before = folder.link_of(holder.pid());
    holder.ask("close-table");
    // No process can get at its table any more ...
    refused(reader.find("ring"), ErrorKind::NoSuchArea);
    // ... until it looks after its publication, or publishes.
    holder.keep().unwrap();
    assert_eq!(reader.find("ring").unwrap().pid, holder.pid());
    assert!(reader.clone_of("ring").is_ok());
    assert_ne!(folder.link_of(holder.pid()).inode, before.inode);
    holder.ask("close-table");
    holder.publish("more");
    assert_eq!(reader.list().names(), ["more", "ring"]);
    assert!(holder.has_bytes_of(area, "ring"));
    holder.drop_area(area);
    assert_eq!(reader.list().names(), ["more"]);
    holder.keep().unwrap();
    holder.kill();
    assert!(reader.list().is_empty());
}

/// What it remembers of its own names is of the table that is gone: in the new one, the same record
/// is another area's.
#[test]
fn a_holder_with_a_new_table_finds_its_own_areas_again() {
    let folder = Folder::new();
    let mut holder = Agent::start(&folder);
    let first = holder.publish("first");
    let ring = holder.publish("ring");
    assert_eq!(Some(holder.find("ring").unwrap().id), ring.id);
    holder.drop_area(first);
    holder.ask("close-table");
    // Now the only one, it has the first record of the new table, and this one the second.
    holder.publish("more");
    let found = holder.find("ring").unwrap();
    assert!(found.name == "ring" && holder.list().areas.contains(&found), "{found:?}");
    assert!(holder.clone_of("ring").is_ok());
}

#[test]
fn everything_is_closed_and_the_numbers_are_of_other_files() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = holder.publish("ring");
    let growing = holder.ask("growable growing");
    let growing = growing.split(' ').next().unwrap();
    // What it knows of others goes with it.
    let mut other = Agent::start(&folder);
    other.publish("others");
    let clone = holder.clone_of("others").unwrap();
    holder.ask("close-all");
    holder.ask(&format!("bystanders {} 40", folder.join("bystander").display()));
    refused(reader.find("ring"), ErrorKind::NoSuchArea);
    // Mapped memory is there; what needs the descriptor says that it is gone.
    assert!(holder.has_bytes_of(area, "ring"));
    assert!(holder.has_bytes_of(clone, "others"));
    let text = refused(holder.try_ask(&format!("grow {growing} 65536")), ErrorKind::System);
    assert!(text.contains("closed"), "{text}");
    let text = refused(holder.try_ask(&format!("freeze {growing}")), ErrorKind::System);
    assert!(text.contains("closed"), "{text}");
    holder.ask("bystanders-are-well");
    let text = refused(holder.keep(), ErrorKind::Registry);
    assert!(text.contains("descriptors of 2"), "{text}");
    // That it is its own, and why no process finds it any more, is said by name and by address.
    for look in ["find ring".to_owned(), format!("at {}", area.handle)] {
        let text = refused(holder.try_ask(&look), ErrorKind::NoSuchArea);
        assert!(
            text.contains("area \"ring\" is not published any more")
                && text.contains("descriptor was closed"),
            "{look}: {text}"
        );
    }
    // Looking and publishing go on, in a new table.
    assert_eq!(holder.find("others").unwrap().pid, other.pid());
    assert!(holder.clone_of("others").is_ok());
    reader.begin("wait more 30000");
    holder.publish("more");
    assert!(reader.end().unwrap().ends_with("more"));
    assert!(reader.clone_of("more").is_ok());
    assert_eq!(reader.list().names(), ["more", "others"]);
    holder.ask("bystanders-are-well");
    holder.ask("drop-all");
    holder.ask("bystanders-are-well");
    assert_eq!(reader.list().names(), ["others"]);
    holder.keep().unwrap();
    assert_eq!(folder.links().len(), 2);
}

/// At its transfer socket others could offer it areas: it makes another one, in the table that it
/// has.
#[test]
fn a_door_that_was_closed_is_made_again() {
    let folder = Folder::new();
    let (mut giver, mut target) = (Agent::start(&folder), Agent::start(&folder));
    target.publish("own");
    let before = folder.link_of(target.pid());
    for look in ["keep", "join"] {
        let area = giver.ask(&format!("make shared {look} 4096 0"));
        let transfer = format!("transfer {} {} any", area.split(' ').next().unwrap(), target.pid());
        target.ask("close-transfer-socket");
        refused(giver.try_ask(&transfer), ErrorKind::NoSuchTeam);
        assert_eq!(target.ask("transferred"), "");
        target.ask(look);
        giver.ask(&transfer);
        assert!(target.ask("transferred").contains(look));
        target.ask("take");
    }
    assert_eq!(folder.link_of(target.pid()), before);
    // With all else, too: a table that starts over has a transfer socket.
    target.ask("close-all");
    target.ask(&format!("bystanders {} 20", folder.join("bystander").display()));
    target.publish("another");
    let area = giver.ask("make shared last 4096 0");
    giver.ask(&format!("transfer {} {} any", area.split(' ').next().unwrap(), target.pid()));
    assert!(target.ask("transferred").contains("last"));
    target.ask("bystanders-are-well");
}

#[test]
fn everything_is_closed_before_anything_was_published() {
    let folder = Folder::new();
    let (mut other, mut agent) = (Agent::start(&folder), Agent::start(&folder));
    other.publish("ring");
    assert!(agent.clone_of("ring").is_ok());
    agent.ask("close-all");
    agent.ask(&format!("bystanders {} 20", folder.join("bystander").display()));
    assert_eq!(agent.find("ring").unwrap().pid, other.pid());
    assert!(agent.clone_of("ring").is_ok());
    agent.publish("own");
    assert_eq!(other.list().names(), ["own", "ring"]);
    agent.ask("drop-all");
    agent.ask("bystanders-are-well");
}

#[test]
fn a_child_that_closes_what_it_inherited_publishes_nothing_of_it() {
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    parent.publish("ring");
    let mut child = parent.fork();
    child.ask("close-all");
    child.ask(&format!("bystanders {} 20", folder.join("bystander").display()));
    child.publish("child");
    let listed = reader.list();
    assert_eq!(listed.names(), ["child", "ring"]);
    assert_eq!(reader.find("ring").unwrap().pid, parent.pid());
    assert!(reader.clone_of("ring").is_ok() && reader.clone_of("child").is_ok());
    child.ask("drop-all");
    child.ask("bystanders-are-well");
    parent.keep().unwrap();
    assert_eq!(reader.list().names(), ["ring"]);
}

#[test]
fn links_to_our_own_table_take_no_descriptors() {
    let folder = Folder::new();
    let mut holder = Agent::start(&folder);
    holder.publish("ring");
    let real = folder.link_of(holder.pid());
    for slot in (0..4096).filter(|&slot| slot != real.slot).take(50) {
        folder.plant_link(&Link { slot, ..real.clone() });
    }
    holder.list();
    let before = holder.ask("descriptors");
    for _ in 0..20 {
        assert_eq!(holder.list().names(), ["ring"]);
        refused(holder.find("nothing"), ErrorKind::NoSuchArea);
    }
    assert_eq!(holder.ask("descriptors"), before);
}
