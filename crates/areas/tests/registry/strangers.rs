//! What an area's number leads to in its holder may be any file by now: looking neither opens that
//! file nor closes it. To close it would drop the looker's own record locks on it, and wait for its
//! file system, which may never answer.

use areas::ErrorKind;

use crate::support::{Agent, Folder, Held, Launch, can_run, is_root, refused, test_name};

/// Everything that looks at an area, or would open it.
fn look_at_everything(looker: &mut Agent, name: &str) {
    refused(looker.clone_of(name), ErrorKind::NoSuchArea);
    refused(looker.try_ask(&format!("read-only {name}")), ErrorKind::NoSuchArea);
    refused(looker.try_ask(&format!("size {name}")), ErrorKind::NoSuchArea);
    looker.list();
}

fn descriptors(agent: &mut Agent) -> usize {
    agent.ask("descriptors").parse().unwrap()
}

/// Has cloned it, more than once: from the second time on it is taken by its number.
fn knows(looker: &mut Agent, name: &str) {
    for _ in 0..3 {
        let clone = looker.clone_of(name).unwrap();
        looker.drop_area(clone);
    }
}

fn replace(holder: &mut Agent, area: Held, path: &std::path::Path) {
    holder.ask(&format!("replace {} {}", area.handle, path.display()));
}

/// A database, say.
#[test]
fn a_lookers_record_lock_on_the_file_stays() {
    for known in [false, true] {
        let folder = Folder::new();
        let file = folder.join("database");
        let [mut holder, mut looker, mut other] = std::array::from_fn(|_| Agent::start(&folder));
        let area = holder.publish("ring");
        looker.ask(&format!("lock-file {}", file.display()));
        if known {
            knows(&mut looker, "ring");
        }
        replace(&mut holder, area, &file);
        let is_locked = format!("is-locked {}", file.display());
        assert_eq!(other.ask(&is_locked), "true");
        looker.list();
        let before = descriptors(&mut looker);
        for _ in 0..5 {
            look_at_everything(&mut looker, "ring");
            assert_eq!(other.ask(&is_locked), "true", "known before: {known}");
        }
        // What was taken is kept, once.
        let kept = descriptors(&mut looker) - before;
        assert!(kept <= usize::from(known), "{kept} descriptors are kept");
    }
}

/// No process can use up a looker's descriptors so, and other teams are cloned from as ever.
#[test]
fn no_more_than_a_few_descriptors_are_kept() {
    const TEAMS: usize = 12;
    const KEPT: usize = 8;
    let folder = Folder::new();
    let file = folder.join("database");
    let mut looker = Agent::start(&folder);
    looker.ask(&format!("lock-file {}", file.display()));
    let mut holders: Vec<(Agent, Held)> = (0..TEAMS)
        .map(|team| {
            let mut holder = Agent::start(&folder);
            let area = holder.publish(&format!("ring-{team}"));
            knows(&mut looker, &format!("ring-{team}"));
            (holder, area)
        })
        .collect();
    let mut well = Agent::start(&folder);
    well.publish("well");
    knows(&mut looker, "well");
    let before = descriptors(&mut looker);
    for (team, (holder, area)) in holders.iter_mut().enumerate() {
        replace(holder, *area, &file);
        look_at_everything(&mut looker, &format!("ring-{team}"));
    }
    let kept = descriptors(&mut looker) - before;
    assert!((1..=KEPT).contains(&kept), "{kept} descriptors are kept");
    assert_eq!(well.ask(&format!("is-locked {}", file.display())), "true");
    knows(&mut looker, "well");
}

/// A number that is free again because the area went is used by whoever opens something next:
/// nothing is wrong with that holder, and what was remembered of the area is held against its table
/// first.
#[test]
fn of_an_area_that_went_nothing_is_taken() {
    let folder = Folder::new();
    let file = folder.join("database");
    let [mut holder, mut looker, mut other] = std::array::from_fn(|_| Agent::start(&folder));
    let area = holder.publish("ring");
    looker.ask(&format!("lock-file {}", file.display()));
    knows(&mut looker, "ring");
    looker.ask("remember ring");
    holder.drop_area(area);
    // Among them is the number that the area had.
    for _ in 0..4 {
        holder.ask(&format!("open {}", file.display()));
    }
    let before = descriptors(&mut looker);
    refused(looker.try_ask("remembered clone"), ErrorKind::NoSuchArea);
    assert_eq!(descriptors(&mut looker), before);
    assert_eq!(other.ask(&format!("is-locked {}", file.display())), "true");
}

/// Whoever closed it would wait forever, and could not be killed.
#[test]
fn a_file_that_is_never_flushed_holds_no_process() {
    if !is_root(test_name!()) || !can_run(test_name!(), &["unshare", "--mount", "test", "-c", "/dev/fuse"]) {
        return;
    }
    let folder = Folder::new();
    let mount = folder.join("mute");
    std::fs::create_dir(&mount).unwrap();
    let mut looker = Agent::start(&folder);
    // Ended first, where the test fails: with it the file system goes, and who waits for it goes
    // on.
    let (mut hostile, mut server);
    server = Launch::new(&folder).within(&["unshare", "--mount"]).start();
    server.ask(&format!("serve-mute {}", mount.display()));
    let namespace = format!("--mount=/proc/{}/ns/mnt", server.pid());
    hostile = Launch::new(&folder).within(&["nsenter", &namespace]).start();
    let (ring, known) = (hostile.publish("ring"), hostile.publish("known"));
    knows(&mut looker, "known");
    for area in [ring, known] {
        replace(&mut hostile, area, &mount.join("file"));
    }
    look_at_everything(&mut looker, "ring");
    look_at_everything(&mut looker, "known");
    assert_eq!(server.ask("flushes"), "0");
    // What the looker has kept is closed as it ends, and that waits for the file system: it goes
    // first, as it does for the hostile.
    server.kill();
    hostile.kill();
    assert!(looker.list().is_empty());
}
