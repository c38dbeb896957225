//! An area moves within a team: at once, to an address of any form.

use areas::ErrorKind;

use crate::support::{Agent, Folder, is_root, refused, test_name};
use crate::transfer::{Described, PAGE, describe, holds, make, text};

#[test]
fn within_a_team_it_moves_at_once() {
    let folder = Folder::new();
    let (mut owner, mut other) = (Agent::start(&folder), Agent::start(&folder));
    for (kind, lock) in [("shared", "full"), ("shared", "lazy"), ("resizable", "none"), ("frozen", "none")] {
        let name = format!("{kind}-{lock}");
        let max = if kind == "resizable" { 4 * PAGE } else { 0 };
        let area = make(&mut owner, &format!("{kind} {name} 8192 {max} {lock}"));
        let before = describe(&mut owner, area);
        assert_eq!(other.find(&name).unwrap().id, before.id);
        let new = owner.ask(&format!("transfer {} {} any", area.handle, owner.pid()));
        let after = describe(&mut owner, area);
        assert_eq!(new, after.id.to_string());
        assert_ne!((before.id, before.address), (after.id, after.address), "a new id, a new address");
        let same = Described { id: before.id, address: before.address, ..after.clone() };
        assert_eq!(before, same, "and all else as it was");
        assert_eq!(after.locked, lock != "none", "by the kernel's word");
        assert_eq!(owner.ask(&format!("kind {}", area.handle)), kind);
        assert_eq!(text(&mut owner, area, 0, name.len()), name);
        // The old id and the old address are no process's; the name is the new one's.
        for agent in [&mut owner, &mut other] {
            refused(agent.get(before.id), ErrorKind::NoSuchArea);
            assert_eq!(agent.find(&name).unwrap().id, after.id);
            assert_eq!(agent.get(after.id).unwrap().name, name);
        }
        let at = format!("area-for {}", before.address);
        refused(owner.try_ask(&at), ErrorKind::NoSuchArea);
        assert_eq!(owner.ask(&format!("area-for {}", after.address + 1)), new);
        assert_eq!(holds(owner.pid()), (1, 1), "the old mapping is gone");
        owner.ask(&format!("release {}", area.handle));
        refused(other.find(&name), ErrorKind::NoSuchArea);
    }
}

#[test]
fn within_a_team_each_form_of_address() {
    let folder = Folder::new();
    let mut owner = Agent::start(&folder);
    let area = make(&mut owner, "shared ring 65536 0");
    let mut transfer = |form: &str| {
        let command = format!("transfer {} {} {form}", area.handle, owner.pid());
        owner.try_ask(&command).map(|_| describe(&mut owner, area))
    };
    let first = transfer("random").unwrap();
    // Over itself: something is there, and nothing changes.
    let text = refused(transfer(&format!("exactly:{}", first.address)), ErrorKind::AddressInUse);
    assert!(text.contains(&format!("{:#x}", first.address)), "{text}");
    refused(transfer(&format!("exactly:{}", first.address + 1)), ErrorKind::InvalidInput);
    refused(transfer("exactly:0"), ErrorKind::InvalidInput);
    assert_eq!(describe(&mut owner, area), first, "refused: as it was");
    let free: usize = owner.ask("free-address 65536").parse().unwrap();
    let mut transfer = |form: &str| {
        owner.ask(&format!("transfer {} {} {form}", area.handle, owner.pid()));
        describe(&mut owner, area)
    };
    assert_eq!(transfer(&format!("exactly:{free}")).address, free);
    let above = transfer(&format!("above:{}", 0x7000_0000_0000_u64)).address;
    assert!(above >= 0x7000_0000_0000, "{above:#x}");
}

#[test]
fn within_a_team_a_lock_needs_no_room_for_two() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(65534);
    let mut owner = Agent::start_as(&folder, 65534, None);
    owner.ask("limit locked 65536");
    let area = make(&mut owner, "shared ring 65536 0 full");
    let before = describe(&mut owner, area);
    owner.ask(&format!("transfer {} {} any", area.handle, owner.pid()));
    let after = describe(&mut owner, area);
    assert_ne!(before.address, after.address);
    assert!(before.locked && after.locked);
    // Nothing that is locked is left behind: there is room for no more, and for no less.
    refused(owner.try_ask("make shared more 4096 0 full"), ErrorKind::Limit);
    owner.ask(&format!("release {}", area.handle));
    make(&mut owner, "shared more 65536 0 full");
}
