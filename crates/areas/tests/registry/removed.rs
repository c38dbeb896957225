//! The registry's folder is removed while teams live (a log-out, a cleaner): they publish again,
//! with the ids that they had.

use std::fs;

use areas::ErrorKind;

use crate::support::{Agent, Folder, Link, refused};

fn comes_back_after(remove: impl Fn(&Folder)) {
    let folder = Folder::new();
    let (mut holder, mut other) = (Agent::start(&folder), Agent::start(&folder));
    let ids: Vec<i32> = ["a", "b", "c"].into_iter().map(|name| holder.publish(name).id.unwrap()).collect();
    let others = other.publish("d").id.unwrap();
    let mut reader = Agent::start(&folder);
    reader.find("a").unwrap();
    remove(&folder);
    assert!(reader.list().is_empty(), "no process has published again yet");
    // A holder that calls nothing but this.
    holder.keep().unwrap();
    let mut newcomer = Agent::start(&folder);
    for reader in [&mut reader, &mut newcomer] {
        assert_eq!(reader.list().names(), ["a", "b", "c"]);
        for (name, id) in ["a", "b", "c"].into_iter().zip(&ids) {
            assert_eq!(reader.find(name).unwrap().id, *id);
            assert_eq!(reader.get(*id).unwrap().name, name);
            assert!(reader.clone_of(name).is_ok());
        }
    }
    // Any call of the other holder does it too.
    other.list();
    assert_eq!(reader.list().names(), ["a", "b", "c", "d"]);
    assert_eq!(reader.get(others).unwrap().pid, other.pid());
    // And it goes on as ever.
    let more = holder.publish("more").id.unwrap();
    assert!(!ids.contains(&more) && more != others);
    holder.kill();
    assert_eq!(reader.list().names(), ["d"]);
    assert_eq!(folder.links().len(), 1);
}

#[test]
fn the_whole_folder() {
    comes_back_after(|folder| fs::remove_dir_all(folder.registry()).unwrap());
}

#[test]
fn the_pid_namespaces_folder() {
    comes_back_after(|folder| fs::remove_dir_all(folder.space()).unwrap());
}

#[test]
fn the_teams_folder_alone() {
    comes_back_after(|folder| fs::remove_dir_all(folder.teams()).unwrap());
}

#[test]
fn the_folder_again_and_again() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = holder.publish("ring");
    for _ in 0..20 {
        fs::remove_dir_all(folder.registry()).unwrap();
        holder.keep().unwrap();
        assert_eq!(Some(reader.find("ring").unwrap().id), area.id);
        assert_eq!(reader.list().areas.len(), 1);
    }
}

/// Between any two steps of a call: who is in the middle of joining, claiming or looking begins
/// once more.
#[test]
fn the_folder_while_teams_come_publish_and_look() {
    let folder = Folder::new();
    let mut agents = [Agent::start(&folder), Agent::start(&folder)];
    let pause = {
        let mut undisturbed = Agent::start(&folder);
        let begun = std::time::Instant::now();
        undisturbed.publish("undisturbed");
        begun.elapsed().max(std::time::Duration::from_millis(1))
    };
    for (i, agent) in agents.iter_mut().enumerate() {
        // Each knows its own names only: what the other has is not findable at all times.
        agent.begin(&format!("churn-while-removed busy-{i} 400"));
    }
    let registry = folder.registry();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for longer in (1..=8).cycle() {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                let _ = fs::remove_dir_all(&registry);
                // No process comes to an end where it is gone before they can: under a sanitizer,
                // or once the machine is busier than it was when the pause was measured. As each
                // begins again at a removal, equal pauses would all be too short then.
                std::thread::sleep(pause * longer);
            }
        });
        let ended: Vec<_> = agents.iter_mut().map(Agent::end).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for ended in ended {
            ended.unwrap();
        }
    });
    for agent in &mut agents {
        // The last time, the folder may have stayed, because a process was just making it again,
        // and lost its links: that is what `keep` looks for.
        agent.keep().unwrap();
        agent.publish("after");
    }
    assert_eq!(Agent::start(&folder).list().names(), ["after", "after"]);
}

/// Two look, one of whom has areas, at the very moment in which it goes: earlier or later within
/// the call in each round. A look ends, shows what is there or nothing, and never half of it.
#[test]
fn the_folder_at_the_moment_of_a_look() {
    const ROUNDS: u32 = 20;
    let folder = Folder::new();
    let [mut holder, mut onlooker, mut team] = std::array::from_fn(|_| Agent::start(&folder));
    let ring = holder.publish("ring");
    let own = team.publish("own");
    let looks = [
        "list".to_owned(),
        "find ring".to_owned(),
        format!("get {}", ring.id.unwrap()),
        format!("next {} 0", holder.pid()),
        "clone ring".to_owned(),
        "wait ring 50000".to_owned(),
    ];
    for (round, look) in (0..ROUNDS).flat_map(|round| looks.iter().map(move |look| (round, look))) {
        for looker in [&mut onlooker, &mut team] {
            looker.begin(look);
        }
        let moment = std::time::Instant::now();
        while moment.elapsed() < std::time::Duration::from_micros(20) * round {
            std::hint::spin_loop();
        }
        // Not all of it goes, if it is made again concurrently.
        let _ = fs::remove_dir_all(folder.registry());
        holder.keep().unwrap();
        for looker in [&mut onlooker, &mut team] {
            match (look.split(' ').next().unwrap(), looker.end()) {
                ("list", Ok(listed)) => {
                    // Entries of teams that could not be read begin so.
                    assert!(
                        !listed.split('\u{1e}').any(|entry| entry.starts_with('-')),
                        "round {round}: {listed}"
                    );
                }
                // What is waited for comes again.
                ("find" | "get" | "next" | "clone" | "wait", Ok(_)) => {}
                ("find" | "get" | "clone", Err(error)) => {
                    assert_eq!(error.kind, "NoSuchArea", "round {round}: {error:?}")
                }
                ("next", Err(error)) => assert_eq!(error.kind, "NoSuchTeam", "round {round}: {error:?}"),
                (look, ended) => panic!("round {round}: {look}: {ended:?}"),
            }
        }
        assert_eq!(
            team.find("own").unwrap().pid,
            team.pid(),
            "round {round}: one's own is there at any moment"
        );
    }
    holder.keep().unwrap();
    team.keep().unwrap();
    for looker in [&mut onlooker, &mut team] {
        assert_eq!(looker.list().names(), ["own", "ring"]);
    }
    assert_eq!((holder.id(ring), team.id(own)), (ring.id, own.id), "under the ids that they had");
}

#[test]
fn a_publication_brings_the_older_areas_back() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let old = holder.publish("old");
    fs::remove_dir_all(folder.registry()).unwrap();
    holder.publish("new");
    assert_eq!(reader.list().names(), ["new", "old"]);
    assert_eq!(holder.id(old), old.id);
}

#[test]
fn a_teams_link_alone() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = holder.publish("ring");
    for rejoin in ["keep", "list"] {
        reader.find("ring").unwrap();
        let link = folder.link_of(holder.pid());
        fs::remove_file(folder.teams().join(link.name())).unwrap();
        assert!(reader.list().is_empty());
        holder.ask(rejoin);
        assert_eq!(folder.links(), [link], "by {rejoin}");
        assert_eq!(Some(reader.find("ring").unwrap().id), area.id);
        assert!(reader.clone_of("ring").is_ok());
    }
}

#[test]
fn ids_change_where_the_slot_went_to_another_team() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let areas = [holder.publish("a"), holder.publish("b")];
    let before = folder.link_of(holder.pid());
    // Another came first: it stands for itself, and its slot is taken.
    let mut other = Agent::start(&folder);
    fs::remove_dir_all(folder.registry()).unwrap();
    let foreign = other.publish("other");
    folder.plant_link(&Link { slot: before.slot, ..folder.link_of(other.pid()) });
    holder.keep().unwrap();
    let after = folder.link_of(holder.pid());
    assert_ne!(after.slot, before.slot);
    for (area, name) in areas.into_iter().zip(["a", "b"]) {
        let id = holder.id(area).unwrap();
        assert_ne!(Some(id), area.id);
        assert_eq!(reader.get(id).unwrap().name, name);
        assert_eq!(reader.find(name).unwrap().id, id);
        assert_eq!(holder.ask(&format!("at {}", area.handle)), id.to_string());
        assert!(reader.clone_of(name).is_ok());
        assert!(reader.get(area.id.unwrap()).is_err(), "the old id is no area's");
    }
    assert_eq!(reader.list().names(), ["a", "b", "other"]);
    assert_eq!(reader.get(foreign.id.unwrap()).unwrap().name, "other");
    // Withdrawn as ever.
    holder.drop_area(areas[0]);
    assert_eq!(reader.list().names(), ["b", "other"]);
}

#[test]
fn what_cannot_be_made_again_is_reported_until_it_can() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = holder.publish("ring");
    fs::remove_dir_all(folder.registry()).unwrap();
    fs::write(folder.registry(), "in the way").unwrap();
    refused(holder.keep(), ErrorKind::Registry);
    refused(holder.try_publish("more"), ErrorKind::Registry);
    assert!(holder.has_bytes_of(area, "ring"));
    fs::remove_file(folder.registry()).unwrap();
    holder.keep().unwrap();
    assert_eq!(Some(reader.find("ring").unwrap().id), area.id);
    assert_eq!(reader.list().names(), ["ring"], "what was refused is not there");
}
