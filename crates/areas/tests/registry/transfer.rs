//! An area changes hands: within a team at once, to another team at its next call; the giver keeps
//! nothing, and whoever dies, the kernel has what no process holds.

use std::fs;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use areas::ErrorKind;
use areas_testing::{descriptors, maps, meminfo};
use rustix::process::Signal;

use crate::support::{Agent, Folder, Held, eventually, refused};

pub(crate) const PAGE: usize = 4096;

/// What an agent reports of an area of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) id: i32,
    pub(crate) address: usize,
    pub(crate) size: usize,
    pub(crate) span: usize,
    pub(crate) protection: String,
    pub(crate) lock: String,
    pub(crate) locked: bool,
    pub(crate) fallbacks: usize,
}

#[track_caller]
pub(crate) fn make(agent: &mut Agent, what: &str) -> Held {
    Held::parse(&agent.ask(&format!("make {what}")))
}

#[track_caller]
pub(crate) fn describe(agent: &mut Agent, area: Held) -> Described {
    let answer = agent.ask(&format!("describe {}", area.handle));
    let mut words = answer.split(' ');
    let mut next = || words.next().unwrap();
    Described {
        id: next().parse().unwrap(),
        address: next().parse().unwrap(),
        size: next().parse().unwrap(),
        span: next().parse().unwrap(),
        protection: next().to_owned(),
        lock: next().to_owned(),
        locked: next().parse().unwrap(),
        fallbacks: next().parse().unwrap(),
    }
}

pub(crate) fn text(agent: &mut Agent, area: Held, at: usize, len: usize) -> String {
    agent.ask(&format!("text {} {at} {len}", area.handle))
}

/// Gives an area of an agent to another one: the id that it will have there.
#[track_caller]
pub(crate) fn give(from: &mut Agent, area: Held, to: &Agent) -> i32 {
    let said = from.ask(&format!("transfer {} {} any", area.handle, to.pid()));
    said.strip_prefix("given ").unwrap_or_else(|| panic!("{said}")).parse().unwrap()
}

#[track_caller]
pub(crate) fn take(agent: &mut Agent) -> Held {
    Held::parse(&agent.ask("take"))
}

/// How many mappings and descriptors a process has of the memory of areas. (Those made by `make`
/// have no name in `/proc`.)
pub(crate) fn holds(pid: u32) -> (usize, usize) {
    let mappings = maps::of(pid).unwrap().iter().filter(|vma| vma.is_area()).count();
    let descriptors = descriptors::of(pid).unwrap().iter().filter(|one| one.is_area()).count();
    (mappings, descriptors)
}

#[test]
fn another_team_has_it_at_its_next_call_and_the_giver_keeps_nothing() {
    let folder = Folder::new();
    let [mut giver, mut target, mut reader] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    for (kind, max) in [("shared", 0), ("shared", 8 * PAGE), ("resizable", 8 * PAGE), ("frozen", 0)] {
        let name = format!("{kind}-{max}");
        let area = make(&mut giver, &format!("{kind} {name} 8192 {max}"));
        let before = describe(&mut giver, area);
        let given_id = give(&mut giver, area, &target);
        assert_eq!(holds(giver.pid()), (0, 0), "no mapping, no descriptor");
        // On its way it is no process's: neither by name nor by id.
        for agent in [&mut giver, &mut reader] {
            refused(agent.find(&name), ErrorKind::NoSuchArea);
            refused(agent.get(before.id), ErrorKind::NoSuchArea);
        }
        assert_eq!(holds(target.pid()), (0, 0), "the target has not called yet");
        let came = target.ask("transferred");
        let id = came.split(' ').next().unwrap().to_owned();
        assert_eq!(came, format!("{id} {} {} {name}", giver.pid(), before.id));
        assert_eq!(id, given_id.to_string(), "the giver knows");
        assert_ne!(id, before.id.to_string());
        // Not taken by the program yet, and the team's already.
        assert_eq!(reader.find(&name).unwrap().pid, target.pid());
        assert_eq!(holds(target.pid()), (1, 1));
        let taken = take(&mut target);
        assert_eq!(taken.id.map(|id| id.to_string()), Some(id));
        assert_eq!(target.ask(&format!("kind {}", taken.handle)), kind);
        let after = describe(&mut target, taken);
        assert_eq!(Described { id: before.id, address: before.address, ..after }, before);
        assert_eq!(text(&mut target, taken, 0, name.len()), name);
        assert_eq!(target.ask("transferred"), "");
        target.ask(&format!("release {}", taken.handle));
        refused(reader.find(&name), ErrorKind::NoSuchArea);
        assert_eq!(holds(target.pid()), (0, 0));
    }
}

/// Each call that asks the kernel anyway accepts what was transferred.
#[test]
fn any_such_call_is_the_next_one() {
    let folder = Folder::new();
    let [mut giver, mut reader] = std::array::from_fn(|_| Agent::start(&folder));
    for call in [
        "find ring",
        "get 1",
        "list",
        "keep",
        "publish other 4096",
        "wait ring 60000",
        "area-for 4096",
        "path",
        "size ring",
    ] {
        let mut target = Agent::start(&folder);
        target.ask("join");
        let area = make(&mut giver, "shared ring 4096 0");
        give(&mut giver, area, &target);
        // Its answer is its own: there is no area 1, and none at that address.
        let _ = target.try_ask(call);
        assert_eq!(reader.find("ring").unwrap().pid, target.pid(), "{call}");
    }
}

#[test]
fn a_known_name_and_a_known_address_cost_no_look() {
    let folder = Folder::new();
    let [mut giver, mut target, mut reader] = std::array::from_fn(|_| Agent::start(&folder));
    let own = make(&mut target, "shared own 4096 0");
    let address = describe(&mut target, own).address;
    target.find("own").unwrap();
    let area = make(&mut giver, "shared ring 4096 0");
    give(&mut giver, area, &target);
    target.find("own").unwrap();
    target.ask(&format!("area-for {address}"));
    refused(reader.find("ring"), ErrorKind::NoSuchArea);
    // What it does not know yet, it looks for.
    assert_eq!(target.find("ring").unwrap().pid, target.pid());
}

#[test]
fn the_giver_may_be_killed_at_once() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let area = make(&mut giver, "shared ring 1048576 0");
    giver.ask(&format!("put {} 1048570 ending", area.handle));
    giver.begin(&format!("transfer-and-die {} {}", area.handle, target.pid()));
    eventually("it has killed itself", || {
        !std::path::Path::new(&format!("/proc/{}/exe", giver.pid())).exists()
    });
    let pid = giver.kill();
    let came = target.ask("transferred");
    assert!(came.contains(&format!(" {pid} ")), "{came}");
    let taken = take(&mut target);
    assert_eq!(text(&mut target, taken, 1_048_570, 6), "ending");
}

#[test]
fn a_stopped_target_has_it_when_it_goes_on() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    target.signal(Signal::STOP);
    let area = make(&mut giver, "shared ring 4096 0");
    give(&mut giver, area, &target);
    giver.kill();
    target.signal(Signal::CONT);
    let taken = take(&mut target);
    assert_eq!(text(&mut target, taken, 0, 4), "ring");
}

/// Shared memory of the whole machine, in MiB.
pub(crate) fn shared_memory() -> u64 {
    meminfo::bytes("Shmem") >> 20
}

#[test]
fn machine_memory_on_its_way_goes_with_the_target() {
    const SIZE: u64 = 256;
    const NOISE: u64 = 100;
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let before = shared_memory();
    let area = make(&mut giver, &format!("shared big {} 0", SIZE << 20));
    giver.ask(&format!("populate-any {}", area.handle));
    give(&mut giver, area, &target);
    giver.kill();
    assert!(shared_memory() + NOISE >= before + SIZE, "on its way, it is there");
    // A child that is forked now, and lives on, has nothing of it once it has called.
    let mut child = target.fork();
    child.ask("keep");
    target.kill();
    eventually("the memory is back", || shared_memory() < before + NOISE);
    child.ask("keep");
    // Nothing else is left either: no name of a transfer socket, one dangling link a team at most.
    for (path, metadata) in folder.remains() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(metadata.is_dir() || metadata.is_symlink() || name == "control", "{}", path.display());
    }
}

#[test]
fn growth_goes_on_after_it() {
    let folder = Folder::new();
    let [mut giver, mut target, mut third] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let area = make(&mut giver, "shared ring 4096 65536");
    let clone = Held::parse(&third.ask("adopt ring"));
    give(&mut giver, area, &target);
    let taken = take(&mut target);
    target.ask(&format!("resize-taken {} 65536", taken.handle));
    target.ask(&format!("put {} 65530 grown!", taken.handle));
    assert_eq!(
        text(&mut third, clone, 65530, 6),
        "grown!",
        "the clone of before sees it, with no call of its own"
    );
    let area = make(&mut giver, "resizable heap 4096 65536");
    // Where there is room behind its reserve.
    let free = target.ask("free-address 1048576");
    giver.ask(&format!("transfer {} {} exactly:{free}", area.handle, target.pid()));
    let taken = take(&mut target);
    for size in [65536, 4096, 131_072] {
        target.ask(&format!("resize-taken {} {size}", taken.handle));
        assert_eq!(third.ask("size heap"), size.to_string());
    }
}

#[test]
fn locks_and_rights_come_along() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    for lock in ["lazy", "full"] {
        let area = make(&mut giver, &format!("shared locked 8192 0 {lock}"));
        giver.ask(&format!("protect {} r", area.handle));
        give(&mut giver, area, &target);
        let taken = take(&mut target);
        let described = describe(&mut target, taken);
        assert_eq!((described.lock.as_str(), described.locked), (lock, true), "by the kernel's word");
        assert_eq!(described.protection, "r--");
        refused(target.try_ask(&format!("put {} 0 x", taken.handle)), ErrorKind::ReadOnly);
    }
}

#[test]
fn what_is_frozen_on_its_way_comes_frozen() {
    let folder = Folder::new();
    let [mut giver, mut target, mut third] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let area = make(&mut giver, "shared ring 4096 0");
    let clone = Held::parse(&third.ask("adopt ring"));
    give(&mut giver, area, &target);
    third.ask(&format!("freeze-any {}", clone.handle));
    let taken = take(&mut target);
    assert_eq!(target.ask(&format!("kind {}", taken.handle)), "frozen");
    assert_eq!(describe(&mut target, taken).protection, "r--");
    assert_eq!(text(&mut target, taken, 0, 4), "ring");
}

/// It came in while it could still change its size, and is taken when it no longer can: what is
/// lent is what is there now.
#[test]
fn what_shrank_or_grew_and_was_frozen_before_it_was_taken() {
    let folder = Folder::new();
    for (number, size) in [PAGE, 32 * PAGE].into_iter().enumerate() {
        let [mut maker, mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
        target.ask("join");
        let heap = make(&mut maker, &format!("resizable heap{number} {} {}", 16 * PAGE, 16 * PAGE));
        // It has it for reading only, from a descriptor for reading only: that does not keep
        // anybody from freezing it.
        let shown = Held::parse(&giver.ask(&format!("adopt-to-read heap{number} shown{number}")));
        give(&mut giver, shown, &target);
        assert!(target.ask("transferred").contains("shown"), "it came in");
        if size > 16 * PAGE {
            // Whoever has the object may make it larger than the addresses of those that it does
            // not know.
            let file = fs::File::options().write(true).open(descriptor_of(maker.pid())).unwrap();
            file.set_len(size as u64).unwrap();
        } else {
            maker.ask(&format!("resize-taken {} {size}", heap.handle));
        }
        // (What has no more addresses behind it cannot have it all, and says so; it is frozen all
        // the same.)
        let frozen = maker.try_ask(&format!("freeze-any {}", heap.handle));
        assert!(frozen.is_ok() || size > 16 * PAGE, "{frozen:?}");
        let taken = match target.try_ask("take") {
            Ok(taken) => Held::parse(&taken),
            Err(error) => {
                assert!(
                    size > 16 * PAGE && error.text.contains("made larger than its addresses"),
                    "{error:?}"
                );
                continue;
            }
        };
        let lent = target.ask(&format!("lent {}", taken.handle));
        assert!(lent.starts_with(&format!("{size} Some(")), "{lent}");
    }
}

/// Where in `/proc` the object of the only area of a process is.
fn descriptor_of(pid: u32) -> std::path::PathBuf {
    let mut open = descriptors::of(pid).unwrap().into_iter();
    open.rfind(descriptors::Descriptor::is_area).unwrap().path
}

#[test]
fn from_hand_to_hand() {
    let folder = Folder::new();
    let mut agents: Vec<Agent> = (0..5).map(|_| Agent::start(&folder)).collect();
    let mut area = make(&mut agents[0], "resizable ring 4096 65536");
    let mut former = area.id.unwrap();
    for i in 1..agents.len() {
        let (before, behind) = agents.split_at_mut(i);
        let (from, to) = (&mut before[i - 1], &mut behind[0]);
        to.ask("join");
        give(from, area, to);
        let came = to.ask("transferred");
        assert!(came.ends_with(&format!(" {} {former} ring", from.pid())), "{came}");
        area = take(to);
        former = area.id.unwrap();
        assert_eq!(text(to, area, 0, 4), "ring");
        to.ask(&format!("put {} 100 hand-{i}", area.handle));
    }
    let last = agents.len() - 1;
    assert_eq!(text(&mut agents[last], area, 100, 6), format!("hand-{last}"));
    assert_eq!(agents.iter().map(|agent| holds(agent.pid()).0).collect::<Vec<_>>(), [0, 0, 0, 0, 1]);
}

#[test]
fn addresses_in_the_other_team() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    let own = make(&mut target, "shared own 65536 0");
    let taken_already = describe(&mut target, own).address;
    let area = make(&mut giver, "shared ring 65536 0");
    let before = describe(&mut giver, area);
    let mut transfer =
        |form: &str| giver.try_ask(&format!("transfer {} {} {form}", area.handle, target.pid()));
    let text = refused(transfer(&format!("exactly:{taken_already}")), ErrorKind::AddressInUse);
    assert!(text.contains(&target.pid().to_string()), "{text}");
    refused(transfer("exactly:4097"), ErrorKind::InvalidInput);
    refused(transfer(&format!("exactly:{}", usize::MAX - 0xffff)), ErrorKind::AddressInUse);
    assert_eq!(describe(&mut giver, area), before, "refused: as it was");
    assert_eq!(giver.find("ring").unwrap().id, before.id);
    let free: usize = target.ask("free-address 65536").parse().unwrap();
    giver.ask(&format!("transfer {} {} exactly:{free}", area.handle, target.pid()));
    // The first call of all may be the one that asks what is there.
    let id = target.ask(&format!("area-for {}", free + 65535));
    let taken = take(&mut target);
    let described = describe(&mut target, taken);
    assert_eq!((described.id.to_string(), described.address, described.fallbacks), (id, free, 0));
    target.ask(&format!("release {}", taken.handle));
    // Free when it was offered, and taken when it is accepted: elsewhere, and that is reported.
    let area = make(&mut giver, "shared again 65536 0");
    giver.ask(&format!("transfer {} {} exactly:{free}", area.handle, target.pid()));
    target.ask(&format!("occupy {free}"));
    let taken = take(&mut target);
    let described = describe(&mut target, taken);
    assert_ne!(described.address, free);
    assert_eq!(described.fallbacks, 1);
}

#[test]
fn who_waits_is_woken() {
    let folder = Folder::new();
    let [mut giver, mut target, mut by_name] = std::array::from_fn(|_| Agent::start(&folder));
    refused(target.try_ask("wait-transferred 30"), ErrorKind::TimedOut);
    by_name.ask("join");
    target.begin("wait-transferred 60000");
    by_name.begin("wait token 60000");
    let begun = Instant::now();
    let area = make(&mut giver, "shared ring 4096 0");
    eventually("it has joined", || {
        giver.try_ask(&format!("transfer {} {} any", area.handle, target.pid())).is_ok()
    });
    assert!(target.end().unwrap().ends_with("ring"));
    // Not by the look that it takes once a second: who gives, wakes. The word that counts that is
    // in the control file.
    let word = |at: u64| {
        let mut bytes = [0; 4];
        fs::File::open(folder.control()).unwrap().read_exact_at(&mut bytes, at).unwrap();
        u32::from_le_bytes(bytes)
    };
    take(&mut target);
    let area = make(&mut giver, "shared second 4096 0");
    target.begin("wait-transferred 60000");
    eventually("it says that it waits", || word(12) == 1);
    target.signal(Signal::STOP);
    let before = word(8);
    give(&mut giver, area, &target);
    assert_ne!(word(8), before, "it is notified");
    target.signal(Signal::CONT);
    assert!(target.end().unwrap().ends_with("second"));
    // A process that waits for a name accepts what is not of that name, and waits on.
    let coin = make(&mut giver, "shared coin 4096 0");
    give(&mut giver, coin, &by_name);
    eventually("it is accepted", || target.find("coin").is_ok_and(|seen| seen.pid == by_name.pid()));
    giver.publish("token");
    assert!(by_name.end().unwrap().ends_with("token"));
    assert!(begun.elapsed() < Duration::from_secs(30), "they were woken, and did not wait for the end");
}
