//! Transfers that cannot be: the area stays whose it was, or waits in line.

use areas::ErrorKind;

use crate::support::{Agent, Folder, Held, is_root, refused, test_name};
use crate::transfer::{describe, give, holds, make, take, text};

#[test]
fn who_cannot_be_given_anything() {
    let folder = Folder::new();
    let [mut giver, mut stranger] = std::array::from_fn(|_| Agent::start(&folder));
    let area = make(&mut giver, "shared ring 4096 0");
    let before = describe(&mut giver, area);
    let mut refuse = |team: u32, kind, says: &str| {
        let text = refused(giver.try_ask(&format!("transfer {} {team} any", area.handle)), kind);
        assert!(text.contains(&team.to_string()) && text.contains(says), "{text}");
        assert_eq!(describe(&mut giver, area), before, "it comes back as it was");
    };
    for absent in [0, 1 << 30, u32::MAX] {
        refuse(absent, ErrorKind::NoSuchTeam, "no live process");
    }
    refuse(stranger.pid(), ErrorKind::NoSuchTeam, "registry::join");
    let dead = Agent::start(&folder);
    let pid = dead.pid();
    dead.kill();
    refuse(pid, ErrorKind::NoSuchTeam, "no live process");
    let mut gone = Agent::start(&folder);
    gone.publish("briefly");
    refuse(stranger.pid(), ErrorKind::NoSuchTeam, "has not joined the registry");
    let pid = gone.kill();
    refuse(pid, ErrorKind::NoSuchTeam, "no live process");
    // exec ends the team, too.
    stranger.ask("join");
    stranger.exec();
    refuse(stranger.pid(), ErrorKind::NoSuchTeam, "has not joined the registry");
    let unnamed = make(&mut giver, "shared - 4096 0");
    stranger.ask("join");
    let text = refused(
        giver.try_ask(&format!("transfer {} {} any", unnamed.handle, stranger.pid())),
        ErrorKind::InvalidInput,
    );
    assert!(text.contains("not published"), "{text}");
    assert_eq!(holds(giver.pid()), (2, 2));
}

#[test]
fn who_may_not_be_looked_into_is_not_given_anything() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(65534);
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start_as(&folder, 65534, None));
    target.ask("join");
    target.ask("dumpable no");
    let area = make(&mut giver, "shared ring 4096 0");
    let text = refused(
        giver.try_ask(&format!("transfer {} {} any", area.handle, target.pid())),
        ErrorKind::Unreadable,
    );
    assert!(text.contains("not dumpable"), "{text}");
    target.ask("dumpable yes");
    give(&mut giver, area, &target);
    let taken = take(&mut target);
    assert_eq!(text_of_ring(&mut target, taken), "ring");
}

fn text_of_ring(agent: &mut Agent, area: Held) -> String {
    text(agent, area, 0, 4)
}

#[test]
fn a_full_queue_gives_the_area_back() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let mut given = 0;
    let (left, said) = loop {
        let area = make(&mut giver, &format!("shared ring-{given} 4096 0"));
        match giver.try_ask(&format!("transfer {} {} any", area.handle, target.pid())) {
            Ok(_) => given += 1,
            Err(refused) => break (area, refused),
        }
    };
    let said = refused::<()>(Err(said), ErrorKind::Busy);
    assert!(said.contains("max_dgram_qlen") && said.contains(&target.pid().to_string()), "{said}");
    assert!(given > 0);
    assert_eq!(holds(giver.pid()), (1, 1));
    assert_eq!(giver.find(&format!("ring-{given}")).unwrap().id, left.id.unwrap());
    // It calls, and there is room.
    target.ask("keep");
    give(&mut giver, left, &target);
    for i in 0..=given {
        let taken = take(&mut target);
        let name = format!("ring-{i}");
        assert_eq!(text(&mut target, taken, 0, name.len()), name, "in the order in which they were given");
    }
    assert_eq!(target.ask("transferred"), "");
}

#[test]
fn without_a_descriptor_left() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let area = make(&mut giver, "shared ring 4096 0");
    // Known to each other, so that nothing else takes one.
    let other = make(&mut giver, "shared other 4096 0");
    give(&mut giver, other, &target);
    target.ask("keep");
    let before = describe(&mut giver, area);
    for left in [0, 1] {
        giver.ask(&format!("descriptors-left {left}"));
        let said = refused(
            giver.try_ask(&format!("transfer {} {} any", area.handle, target.pid())),
            ErrorKind::Limit,
        );
        assert!(said.contains("RLIMIT_NOFILE"), "{said}");
        giver.ask("limit files none");
        assert_eq!(describe(&mut giver, area), before);
    }
    give(&mut giver, area, &target);
}

#[test]
fn a_target_without_a_descriptor_left_loses_nothing() {
    let folder = Folder::new();
    let [mut giver, mut target, mut third] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let area = make(&mut giver, "shared ring 4096 0");
    let clone = Held::parse(&third.ask("adopt ring"));
    target.ask("descriptors-left 0");
    give(&mut giver, area, &target);
    giver.kill();
    for _ in 0..2 {
        let said = refused(target.try_ask("transferred"), ErrorKind::Limit);
        assert!(said.contains("RLIMIT_NOFILE"), "{said}");
    }
    // One is enough for it, and not for what freezing it on its way asks for besides.
    third.ask(&format!("freeze-any {}", clone.handle));
    target.ask("descriptors-left 1");
    refused(target.try_ask("transferred"), ErrorKind::Limit);
    target.ask("limit files none");
    let taken = take(&mut target);
    assert_eq!(target.ask(&format!("kind {}", taken.handle)), "frozen");
    assert_eq!(text(&mut target, taken, 0, 4), "ring");
}

#[test]
fn what_cannot_be_accepted_stays_in_line() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let big = make(&mut giver, &format!("shared big 4096 {}", 1_usize << 40));
    let small = make(&mut giver, "shared small 4096 0");
    target.ask(&format!("limit addresses {}", 1_usize << 39));
    give(&mut giver, big, &target);
    give(&mut giver, small, &target);
    for _ in 0..2 {
        let said = refused(target.try_ask("transferred"), ErrorKind::Limit);
        assert!(said.contains("RLIMIT_AS") && said.contains(&giver.pid().to_string()), "{said}");
    }
    // All else works.
    assert_eq!(target.list().names(), [""; 0]);
    target.ask("limit addresses none");
    let came = target.ask("transferred");
    assert!(came.contains("big") && came.contains("small"), "{came}");
    let taken = take(&mut target);
    assert_eq!(text(&mut target, taken, 0, 3), "big");
    // Or it is refused, and the next one comes.
    let big = make(&mut giver, &format!("shared big 4096 {}", 1_usize << 40));
    let small = make(&mut giver, "shared less 4096 0");
    target.ask(&format!("release {}", taken.handle));
    target.ask(&format!("limit addresses {}", 1_usize << 39));
    give(&mut giver, big, &target);
    give(&mut giver, small, &target);
    take(&mut target);
    refused(target.try_ask("transferred"), ErrorKind::Limit);
    assert_eq!(target.ask("refuse"), "true");
    assert!(target.ask("transferred").ends_with("less"));
    assert_eq!(target.ask("refuse"), "false");
}

#[test]
fn what_the_kernel_does_not_explain_stays_in_line() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    // What takes them in is a process that must not ask what they are.
    target.ask("refuse-fstatfs");
    for name in ["first", "second"] {
        let area = make(&mut giver, &format!("shared {name} 4096 0"));
        give(&mut giver, area, &target);
    }
    giver.kill();
    for line in ["first", "second"] {
        for _ in 0..2 {
            let said = refused(target.try_ask("transferred"), ErrorKind::System);
            assert!(said.contains("fstatfs: EPERM") && said.contains("refuse_transfer"), "{line}: {said}");
        }
        assert_eq!(target.ask("refuse"), "true", "{line} was in line");
    }
    assert_eq!(target.ask("transferred"), "");
    assert_eq!(target.ask("refuse"), "false");
}

#[test]
fn who_has_no_door_is_not_given_anything_and_has_all_the_rest() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("refuse-sockets");
    // What it publishes is found.
    target.publish("its-own");
    giver.find("its-own").unwrap();
    let area = make(&mut giver, "shared ring 4096 0");
    let before = describe(&mut giver, area);
    let said = refused(
        giver.try_ask(&format!("transfer {} {} any", area.handle, target.pid())),
        ErrorKind::Unsupported,
    );
    assert!(said.contains("has no socket for transfers") && said.contains("registry::join"), "{said}");
    assert_eq!(describe(&mut giver, area), before);
    // There the reason is reported.
    let said = refused(target.try_ask("join"), ErrorKind::NotPermitted);
    assert!(said.contains("socket(AF_UNIX, SOCK_DGRAM): EPERM"), "{said}");
}
