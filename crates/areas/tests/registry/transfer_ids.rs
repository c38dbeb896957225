//! The id that an area has where it was given: its giver knows it at once, no other process gets
//! it, whoever dies, and no process has it that has not claimed it.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use areas::ErrorKind;
use rustix::process::Signal;

use crate::support::{Agent, Folder, Link, eventually, lock_bytes, locked_byte, refused, skip, test_name};
use crate::transfer::{PAGE, give, make, take, text};
use crate::transfer_hostile::{intercept_all, send, transfer_socket};

/// Where in the control file the byte of id 0 is.
const BYTES_AT: i64 = 1 << 32;
/// The ids of a slot, and the first that is for what others give.
const SEQUENCES: i32 = 1 << 19;
const FIRST_GIVEN: i32 = SEQUENCES / 4 * 3;

fn control(folder: &Folder) -> OwnedFd {
    File::options().read(true).write(true).open(folder.control()).unwrap().into()
}

/// An id that is claimed in that folder, by the kernel's word; `None` if there is none.
fn claimed(folder: &Folder) -> Option<i32> {
    let found = locked_byte(&control(folder), BYTES_AT..BYTES_AT + (1 << 31)).unwrap();
    found.map(|at| i32::try_from(at - BYTES_AT).unwrap())
}

#[test]
fn the_giver_knows_it_at_once_and_it_works_there_at_the_next_call() {
    let folder = Folder::new();
    let [mut giver, mut target, mut third] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let mut seen = HashSet::new();
    for kind in ["shared", "resizable", "frozen"] {
        let area =
            make(&mut giver, &format!("{kind} {kind} 4096 {}", if kind == "resizable" { 65536 } else { 0 }));
        let given_id = give(&mut giver, area, &target);
        assert!(seen.insert(given_id) && given_id != area.id.unwrap());
        assert_eq!(claimed(&folder), Some(given_id), "by the kernel's word");
        for agent in [&mut giver, &mut third] {
            refused(agent.get(given_id), ErrorKind::NoSuchArea);
        }
        // A look by that very id is a call that accepts it.
        let found = target.get(given_id).unwrap();
        assert_eq!((found.pid, found.name.as_str()), (target.pid(), kind));
        for agent in [&mut giver, &mut third] {
            assert_eq!(agent.get(given_id).unwrap().pid, target.pid());
        }
        assert_eq!(claimed(&folder), None, "the table has it");
        let taken = take(&mut target);
        assert_eq!(taken.id, Some(given_id));
        assert_eq!(text(&mut target, taken, 0, kind.len()), kind);
        target.ask(&format!("release {}", taken.handle));
        for agent in [&mut giver, &mut target, &mut third] {
            refused(agent.get(given_id), ErrorKind::NoSuchArea);
        }
    }
}

#[test]
fn no_two_givers_get_the_same() {
    const GIVERS: usize = 4;
    let folder = Folder::new();
    let mut target = Agent::start(&folder);
    target.ask("join");
    target.signal(Signal::STOP);
    let mut givers: Vec<Agent> = (0..GIVERS).map(|_| Agent::start(&folder)).collect();
    let mut reported = Vec::new();
    // Until the queue is full: what was not sent is claimed no more.
    'full: for round in 0.. {
        for (number, giver) in givers.iter_mut().enumerate() {
            let area = make(giver, &format!("shared gift-{number}-{round} 4096 0"));
            match giver.try_ask(&format!("transfer {} {} any", area.handle, target.pid())) {
                Ok(said) => reported.push((
                    said.strip_prefix("given ").unwrap().parse::<i32>().unwrap(),
                    number,
                    round,
                )),
                said => {
                    refused(said, ErrorKind::Busy);
                    break 'full;
                }
            }
        }
    }
    assert!(reported.len() > GIVERS, "{reported:?}");
    let ids: HashSet<i32> = reported.iter().map(|(id, ..)| *id).collect();
    assert_eq!(ids.len(), reported.len(), "{reported:?}");
    // Half of the givers are killed; who comes in their slots gives as they did.
    for giver in givers.drain(..GIVERS / 2) {
        giver.kill();
    }
    target.signal(Signal::CONT);
    // What it makes itself in between has ids of its own.
    for i in 0..20 {
        let own = target.publish(&format!("own-{i}")).id.unwrap();
        assert!(own % SEQUENCES < FIRST_GIVEN && !ids.contains(&own));
    }
    for (id, number, round) in reported {
        let name = format!("gift-{number}-{round}");
        assert_eq!(target.get(id).unwrap().name, name);
        let taken = take(&mut target);
        assert_eq!((taken.id, text(&mut target, taken, 0, name.len())), (Some(id), name));
    }
    assert_eq!(claimed(&folder), None);
}

#[test]
fn a_claim_lasts_as_long_as_the_offer_whoever_dies() {
    let folder = Folder::new();
    let mut giver = Agent::start(&folder);
    for dies in ["giver", "both"] {
        let mut target = Agent::start(&folder);
        target.ask("join");
        let area = make(&mut giver, "shared ring 4096 0");
        let given_id = give(&mut giver, area, &target);
        giver.kill();
        giver = Agent::start(&folder);
        assert_eq!(claimed(&folder), Some(given_id), "the giver is dead");
        if dies == "both" {
            target.kill();
            eventually("no process claims it", || claimed(&folder).is_none());
            refused(giver.get(given_id), ErrorKind::NoSuchArea);
        } else {
            assert_eq!(target.get(given_id).unwrap().name, "ring");
            assert_eq!(claimed(&folder), None);
        }
    }
}

#[test]
fn what_was_refused_or_could_not_be_accepted_is_claimed_no_longer_than_that() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let big = make(&mut giver, &format!("shared big 4096 {}", 1_usize << 40));
    target.ask(&format!("limit addresses {}", 1_usize << 39));
    let given_id = give(&mut giver, big, &target);
    refused(target.try_ask("transferred"), ErrorKind::Limit);
    refused(target.get(given_id), ErrorKind::NoSuchArea);
    assert_eq!(claimed(&folder), Some(given_id), "it is tried again");
    target.ask("limit addresses none");
    assert_eq!(target.get(given_id).unwrap().name, "big");
    assert_eq!(claimed(&folder), None);
    let big = make(&mut giver, &format!("shared more 4096 {}", 1_usize << 40));
    target.ask(&format!("limit addresses {}", 1_usize << 39));
    give(&mut giver, big, &target);
    refused(
        target.try_ask("keep").and(target.try_ask("make shared over 4096 1099511627776")),
        ErrorKind::Limit,
    );
    assert_eq!(target.ask("refuse"), "true");
    assert_eq!(claimed(&folder), None);
}

/// An offer that was taken out of the target's queue: to be sent again, changed.
struct Intercepted {
    giver: Agent,
    target: Agent,
    target_socket: OwnedFd,
    /// The id that the giver got.
    given_id: i32,
    message: Vec<u8>,
    memory: OwnedFd,
}

impl Intercepted {
    /// With it, the giver's claim on the id. `None` where that cannot be done to another process.
    fn new(folder: &Folder) -> Option<(Self, OwnedFd)> {
        let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(folder));
        target.ask("join");
        let mut stage = |name: &str| {
            let area = make(&mut giver, &format!("shared {name} 4096 0"));
            let given_id = give(&mut giver, area, &target);
            intercept_all(&target).map(|(message, came)| (given_id, message, came))
        };
        let (given_id, message, mut came) = stage("first")?;
        let (other, ..) = stage("second")?;
        assert_ne!(given_id, other);
        let target_socket = transfer_socket(folder, &target);
        let claim = came.pop().unwrap();
        let memory = came.pop().unwrap();
        Some((Intercepted { giver, target, target_socket, given_id, message, memory }, claim))
    }

    /// The message, with another id.
    fn with_id(&self, id: i32) -> Vec<u8> {
        let mut message = self.message.clone();
        message[24..28].copy_from_slice(&id.to_le_bytes());
        message
    }

    /// Sends a message with a claim, and has it taken: the id that it got.
    fn arrives(&mut self, message: &[u8], claim: Option<&OwnedFd>) -> i32 {
        let descriptors = |agent: &mut Agent| agent.ask("descriptors").parse::<usize>().unwrap();
        let before = descriptors(&mut self.target);
        let mut sent = vec![self.memory.as_fd()];
        sent.extend(claim.map(AsFd::as_fd));
        send(&self.target_socket, message, &sent);
        let taken = take(&mut self.target);
        self.target.ask(&format!("release {}", taken.handle));
        assert_eq!(descriptors(&mut self.target), before, "nothing stays open");
        taken.id.unwrap()
    }
}

/// Whether it is one that the target gave itself.
fn is_own(id: i32) -> bool {
    id % SEQUENCES < FIRST_GIVEN
}

#[test]
fn who_claims_nothing_gets_nothing() {
    let folder = Folder::new();
    let Some((mut offer, claim)) = Intercepted::new(&folder) else {
        skip(test_name!(), "needs pidfd_getfd of another process");
        return;
    };
    let (given_id, good) = (offer.given_id, offer.message.clone());
    // The id is another giver's: claimed by an open file that is not the one that came.
    assert!(is_own(offer.arrives(&good, None)), "no claim");
    assert!(is_own(offer.arrives(&good, Some(&control(&folder)))), "the file, and no record lock");
    // With it, it is had. The holder of the open file has the claim.
    assert_eq!(offer.arrives(&good, Some(&claim)), given_id);
    // One that no process has claimed is had by who claims it, of those that are given, in that
    // slot.
    let hostile = control(&folder);
    let all = BYTES_AT..BYTES_AT + (1 << 31);
    assert!(!lock_bytes(&hostile, all.clone()), "the honest one has its byte");
    drop(claim);
    assert!(lock_bytes(&hostile, all), "all of them");
    assert_eq!(offer.arrives(&good, Some(&hostile)), given_id);
    for not_given in [
        given_id % SEQUENCES + (given_id / SEQUENCES + 1) % 4096 * SEQUENCES,
        given_id - FIRST_GIVEN,
        given_id - SEQUENCES / 2,
    ] {
        if not_given > 0 && not_given % SEQUENCES != 0 {
            let message = offer.with_id(not_given);
            assert!(is_own(offer.arrives(&message, Some(&hostile))), "{not_given}");
        }
    }
}

/// As long as all ids are claimed by one process no other can give anything: it says so. What has
/// an id keeps it.
#[test]
fn who_claims_all_ids_is_noticed_and_changes_none() {
    let folder = Folder::new();
    let Some((offer, claim)) = Intercepted::new(&folder) else {
        skip(test_name!(), "needs pidfd_getfd of another process");
        return;
    };
    let Intercepted { mut giver, mut target, target_socket, message, memory, .. } = offer;
    drop(claim);
    let hostile = control(&folder);
    assert!(lock_bytes(&hostile, BYTES_AT..BYTES_AT + (1 << 31)), "all of them");
    let area = make(&mut giver, "shared third 4096 0");
    let said =
        refused(giver.try_ask(&format!("transfer {} {} any", area.handle, target.pid())), ErrorKind::Busy);
    assert!(said.contains("claimed by other givers"), "{said}");
    drop(hostile);
    let given_id = give(&mut giver, area, &target);
    let taken = take(&mut target);
    assert_eq!(taken.id, Some(given_id));
    let again = control(&folder);
    let at = BYTES_AT + i64::from(given_id);
    assert!(lock_bytes(&again, at..at + 1));
    let mut forged = message;
    forged[24..28].copy_from_slice(&given_id.to_le_bytes());
    send(&target_socket, &forged, &[memory.as_fd(), again.as_fd()]);
    assert!(is_own(take(&mut target).id.unwrap()));
    assert_eq!(target.get(given_id).unwrap().name, "third");
}

#[test]
fn a_claim_that_is_another_file_costs_no_process_the_area() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let area = make(&mut giver, "shared ring 4096 0");
    give(&mut giver, area, &target);
    let Some((good, came)) = intercept_all(&target) else {
        skip(test_name!(), "needs pidfd_getfd of another process");
        return;
    };
    let target_socket = transfer_socket(&folder, &target);
    let path = folder.join("file");
    let file = File::create(&path).unwrap();
    let before: usize = target.ask("descriptors").parse().unwrap();
    send(&target_socket, &good, &[came[0].as_fd(), file.as_fd()]);
    let taken = take(&mut target);
    assert!(taken.id.unwrap() % SEQUENCES < FIRST_GIVEN);
    assert_eq!(text(&mut target, taken, 0, 4), "ring");
    target.ask(&format!("release {}", taken.handle));
    assert_eq!(target.ask("descriptors"), (before + 1).to_string(), "to close a file is an act on it");
    // What no claim can be makes no offer.
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    send(&target_socket, &good, &[came[0].as_fd(), socket.as_fd()]);
    assert_eq!(target.ask("transferred"), "");
    assert_eq!(target.ask("descriptors"), (before + 1).to_string());
}

#[test]
fn a_folder_that_is_made_again_loses_nothing() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    // Before it is given: both come to the new folder, and claim there.
    for name in ["first", "second"] {
        std::fs::remove_dir_all(folder.registry()).unwrap();
        if name == "second" {
            target.ask("keep");
        }
        let area = make(&mut giver, &format!("shared {name} {PAGE} 0"));
        if name == "first" {
            target.ask("keep");
        }
        let given_id = give(&mut giver, area, &target);
        let found = target.get(given_id).unwrap();
        assert_eq!(found.name, name);
        take(&mut target);
    }
    // On its way: it comes, and is found by its name, if not by that id.
    let area = make(&mut giver, "shared third 4096 0");
    give(&mut giver, area, &target);
    std::fs::remove_dir_all(folder.registry()).unwrap();
    let came = target.ask("transferred");
    assert!(came.ends_with("third"), "{came}");
    let taken = take(&mut target);
    assert_eq!(text(&mut target, taken, 0, 5), "third");
    assert_eq!(giver.find("third").unwrap().id, taken.id.unwrap());
}

#[test]
fn who_has_joined_to_look_can_be_given_something() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    let area = make(&mut giver, "shared ring 4096 0");
    refused(target.find("absent"), ErrorKind::NoSuchArea);
    let said = giver.try_ask(&format!("transfer {} {} any", area.handle, target.pid()));
    refused(said, ErrorKind::NoSuchTeam);
    // Twice is as once; and a forked child of it is a team when it says so itself.
    target.ask("join-once");
    target.ask("join-once");
    let mut child = target.fork();
    let given_id = give(&mut giver, area, &target);
    assert_eq!(target.get(given_id).unwrap().name, "ring");
    let second = make(&mut giver, "shared second 4096 0");
    let said = giver.try_ask(&format!("transfer {} {} any", second.handle, child.pid()));
    refused(said, ErrorKind::NoSuchTeam);
    child.ask("join-once");
    let given_id = give(&mut giver, second, &child);
    assert_eq!(child.get(given_id).unwrap().pid, child.pid());
    // It came with its first area that it is looked into by all.
    assert!(!folder.link_of(target.pid()).empty && !folder.link_of(child.pid()).empty);
    child.kill();
    let (pid, left) = (target.kill(), folder.links().len());
    giver.list();
    assert!(folder.links().iter().all(|link| link.pid != pid) && folder.links().len() == left - 2);
}

/// Who only looks is known to no process: others do not look into it, have no descriptor more for
/// it, and clear away what it leaves.
#[test]
fn who_only_looks_costs_others_nothing() {
    const LOOKERS: usize = 20;
    let folder = Folder::new();
    let [mut holder, mut reader] = std::array::from_fn(|_| Agent::start(&folder));
    holder.publish("ring");
    reader.list();
    let descriptors = |agent: &mut Agent| agent.ask("descriptors").parse::<usize>().unwrap();
    let before = descriptors(&mut reader);
    let mut lookers: Vec<Agent> = (0..LOOKERS).map(|_| Agent::start(&folder)).collect();
    for looker in &mut lookers {
        looker.ask("join-once");
        looker.find("ring").unwrap();
    }
    let slots: HashSet<u32> = folder.links().iter().map(|link| link.slot).collect();
    assert_eq!(slots.len(), 1 + LOOKERS, "each has a slot of its own");
    assert_eq!(folder.links().iter().filter(|link| link.empty).count(), LOOKERS);
    refused(reader.find("absent"), ErrorKind::NoSuchArea);
    assert_eq!(reader.list().names(), ["ring"]);
    assert_eq!(descriptors(&mut reader), before, "nothing of them is open here");
    // One that publishes is seen at once, under its slot; and stays seen when it has nothing any
    // more.
    let [one, two, ..] = &mut lookers[..] else { unreachable!() };
    let slot = folder.link_of(one.pid()).slot;
    let area = one.publish("its-own");
    assert_eq!(area.id.unwrap().cast_unsigned() >> 19, slot);
    assert_eq!(reader.find("its-own").unwrap().pid, one.pid());
    assert!(!folder.link_of(one.pid()).empty, "one link");
    // Its link went, and another team came in its slot: it gets another one as it publishes.
    let before = folder.link_of(two.pid());
    std::fs::remove_file(folder.teams().join(before.name())).unwrap();
    folder.plant_link(&Link { pid: holder.pid(), ..before.clone() });
    let id = two.publish("another").id.unwrap();
    assert_ne!(id.cast_unsigned() >> 19, before.slot);
    assert_eq!(reader.find("another").unwrap().id, id);
    // All of them are killed. Whoever joins clears some away, whoever lists clears all.
    let pids: Vec<u32> = lookers.into_iter().map(Agent::kill).collect();
    let left = || folder.links().iter().filter(|link| pids.contains(&link.pid)).count();
    assert_eq!(left(), LOOKERS);
    Agent::start(&folder).ask("join-once");
    assert!(left() < LOOKERS && left() > 0, "{}", left());
    reader.list();
    assert_eq!(left(), 0);
}

/// Killed between its two links, or with its link gone: never two teams in a slot.
#[test]
fn a_team_that_joins_again_keeps_its_slot_if_it_can() {
    let folder = Folder::new();
    let [mut looker, mut giver] = std::array::from_fn(|_| Agent::start(&folder));
    looker.ask("join-once");
    let slot = folder.link_of(looker.pid()).slot;
    // The folder is removed: it is there again at its next call that asks, as for a process
    // without areas.
    std::fs::remove_dir_all(folder.registry()).unwrap();
    looker.ask("keep");
    let link = folder.link_of(looker.pid());
    assert!(link.empty && link.slot == slot);
    let area = make(&mut giver, "shared ring 4096 0");
    let given_id = give(&mut giver, area, &looker);
    assert_eq!(looker.get(given_id).unwrap().name, "ring");
    assert_eq!(given_id.cast_unsigned() >> 19, slot);
    assert!(!folder.link_of(looker.pid()).empty);
}
