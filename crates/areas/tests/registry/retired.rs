//! Names taken back while the mapping stays, and memory that no process finds any more.

use areas::{ErrorKind, registry};

use crate::support::{Agent, Folder, refused};

#[test]
fn an_unpublished_area_stays_and_can_be_published_again() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = holder.publish("ring");
    let clone = reader.clone_of("ring").unwrap();
    assert_eq!(holder.ask(&format!("unpublish {}", area.handle)), "ring");
    assert_eq!(holder.ask(&format!("unpublish {}", area.handle)), "-");
    assert_eq!(holder.id(area), None);
    for agent in [&mut reader, &mut holder, &mut Agent::start(&folder)] {
        refused(agent.find("ring"), ErrorKind::NoSuchArea);
        refused(agent.get(area.id.unwrap()), ErrorKind::NoSuchArea);
        assert!(agent.list().is_empty());
    }
    assert!(holder.has_bytes_of(area, "ring") && reader.has_bytes_of(clone, "ring"));
    let again: i32 = holder.ask(&format!("publish-again {} ring", area.handle)).parse().unwrap();
    assert_eq!(reader.find("ring").unwrap().id, again);
    assert!(Agent::start(&folder).clone_of("ring").is_ok());
    // A child does not publish what its parent took back.
    holder.ask(&format!("unpublish {}", area.handle));
    let mut child = holder.fork();
    child.keep().unwrap();
    assert!(reader.list().is_empty());
}

#[test]
fn who_has_retired_memory_keeps_it_and_no_other_process_gets_it() {
    let folder = Folder::new();
    let (mut maker, mut holder) = (Agent::start(&folder), Agent::start(&folder));
    let (mut met, mut other) = (Agent::start(&folder), Agent::start(&folder));
    let area = maker.publish("model");
    let clone = holder.clone_as("model", "model").unwrap();
    let has = met.clone_of("model").unwrap();
    met.ask("remember model");
    // Any holder can.
    holder.ask(&format!("retire {}", clone.handle));
    assert_eq!(holder.id(clone), None);
    refused(holder.find("model"), ErrorKind::NoSuchArea);
    // Who comes, and who was there.
    for agent in [&mut Agent::start(&folder), &mut other] {
        let text = refused(agent.clone_of("model"), ErrorKind::NoSuchArea);
        assert!(text.contains("retired"), "{text}");
        let text =
            refused(agent.try_ask(&format!("clone-of-id {}", area.id.unwrap())), ErrorKind::NoSuchArea);
        assert!(text.contains("is retired"), "{text}");
        assert_eq!(agent.ask(&format!("is-retired {}", area.id.unwrap())), "true");
    }
    // Who had found it before is led to it once more at most, and never opens it.
    refused(met.try_ask("remembered clone"), ErrorKind::NoSuchArea);
    refused(met.find("model"), ErrorKind::NoSuchArea);
    // Its maker has not heard of it: it lists it, and finds it no more.
    refused(maker.clone_of("model"), ErrorKind::NoSuchArea);
    refused(maker.find("model"), ErrorKind::NoSuchArea);
    refused(maker.try_ask(&format!("publish-again {} again", area.handle)), ErrorKind::InvalidInput);
    for (agent, held) in [(&mut maker, area), (&mut holder, clone), (&mut met, has)] {
        assert!(agent.has_bytes_of(held, "model"));
    }
    // What takes its place is found at once, though others hold the old one.
    let new = other.publish("model");
    for agent in [&mut maker, &mut holder, &mut met, &mut Agent::start(&folder)] {
        assert_eq!(Some(agent.find("model").unwrap().id), new.id);
        assert!(agent.clone_of("model").is_ok());
    }
}

#[test]
fn the_next_of_the_name_is_found_though_the_oldest_is_retired() {
    let folder = Folder::new();
    let (mut first, mut second) = (Agent::start(&folder), Agent::start(&folder));
    let (old, mut helper) = (first.publish("model"), Agent::start(&folder));
    let new = second.publish("model");
    let clone = helper.clone_of("model").unwrap();
    helper.ask(&format!("retire {}", clone.handle));
    // Which its holder still lists.
    assert_eq!(Agent::start(&folder).list().areas.len(), 2);
    for agent in [&mut Agent::start(&folder), &mut second, &mut first] {
        assert_eq!(Some(agent.find("model").unwrap().id), new.id);
    }
    assert!(first.has_bytes_of(old, "model"));
    // Whoever retires it dies: it stays retired.
    helper.kill();
    assert_eq!(Some(Agent::start(&folder).find("model").unwrap().id), new.id);
}

#[test]
fn ones_own_that_was_found_before_is_passed_over_once_it_was_refused() {
    let folder = Folder::new();
    let (mut maker, mut helper) = (Agent::start(&folder), Agent::start(&folder));
    let area = maker.publish("model");
    let clone = helper.clone_of("model").unwrap();
    assert_eq!(Some(maker.find("model").unwrap().id), area.id);
    helper.ask(&format!("retire {}", clone.handle));
    let text = refused(maker.clone_of("model"), ErrorKind::NoSuchArea);
    assert!(text.contains("is retired"), "{text}");
    refused(maker.find("model"), ErrorKind::NoSuchArea);
    let new = helper.publish("model");
    assert_eq!(Some(maker.find("model").unwrap().id), new.id);
    assert!(maker.clone_of("model").is_ok() && maker.has_bytes_of(area, "model"));
}

#[test]
fn a_retired_area_that_was_found_before_leaves_its_name_free() {
    let folder = Folder::new();
    let (mut maker, mut helper, mut met) =
        (Agent::start(&folder), Agent::start(&folder), Agent::start(&folder));
    maker.publish("model");
    let clone = helper.clone_of("model").unwrap();
    for agent in [&mut met, &mut maker] {
        agent.find("model").unwrap();
    }
    helper.ask(&format!("retire {}", clone.handle));
    met.ask("exclusive create model");
    let new = Agent::start(&folder).find("model").unwrap();
    assert_eq!(met.find("model").unwrap().id, new.id);
}

#[test]
fn it_stays_retired_whatever_is_done_to_it() {
    let name = format!("retired-{}", std::process::id());
    let mut area = areas::builder(4096).name(&name).shared().unwrap();
    let mut again = registry::find(&name).unwrap().cloning().name("retired too").open().unwrap();
    let other = area.transfer(std::process::id(), areas::Address::Any).unwrap();
    let areas::Transfer::Own(other) = other else { panic!("it is this process's own") };
    area = other;
    again.retire().unwrap();
    again.retire().unwrap();
    assert_eq!(
        (area.id(), again.id(), again.name()),
        (None, None, None),
        "all that this process had published"
    );
    let moved = area.transfer(std::process::id(), areas::Address::Any).unwrap_err();
    let mut area = moved.value;
    drop(again);
    // Sent for reading, written, grown, frozen: none of that takes the mark away.
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    area.send_read_only(&ours).unwrap();
    area.write_at(0, b"still ours").unwrap();
    assert_eq!(area.publish(&name).unwrap_err().kind(), ErrorKind::InvalidInput);
    let mut frozen = area.freeze().unwrap();
    assert_eq!(&frozen[..10], b"still ours");
    assert_eq!(frozen.publish(&name).unwrap_err().kind(), ErrorKind::InvalidInput);
    let mut resizable = areas::builder(4096).name(&name).resizable(8192).unwrap();
    resizable.retire().unwrap();
    resizable.widen_reserve(1 << 20).unwrap();
    resizable.trim_reserve(4096);
    resizable.resize(8192).unwrap();
    assert_eq!(resizable.publish(&name).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(registry::find(&name).unwrap_err().kind(), ErrorKind::NoSuchArea);
}

/// A frozen one, by a holder that has it for reading only.
#[test]
fn a_frozen_area_can_be_retired() {
    let name = format!("retired-frozen-{}", std::process::id());
    let area = areas::builder(4096).name(&name).shared().unwrap().freeze().unwrap();
    let mut clone = registry::find(&name).unwrap().open_frozen().unwrap();
    clone.retire().unwrap();
    assert_eq!(registry::find(&name).unwrap_err().kind(), ErrorKind::NoSuchArea);
    assert_eq!((&area[..], area.id()), (&[0; 4096][..], None));
}
