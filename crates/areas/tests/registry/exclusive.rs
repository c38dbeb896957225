//! Names for one area alone: of many who want one at once, one gets it, whoever is killed or stopped.

use std::time::{Duration, Instant};

use areas::{EXCLUSIVE_PATIENCE, Kind, registry};
use rustix::process::Signal;

use crate::support::{Agent, Folder, Held, now, refused};

/// Ahead, so that all have begun to wait for it.
fn soon() -> u64 {
    now() + 1_000_000
}

#[test]
fn a_name_that_somebody_has_is_refused_and_says_who_has_it() {
    let folder = Folder::new();
    let (mut first, mut second) = (Agent::start(&folder), Agent::start(&folder));
    let area = Held::parse(&first.tell("exclusive create ring"));
    for agent in [&mut second, &mut first] {
        let text = refused(agent.try_tell("exclusive create ring"), Kind::NameTaken);
        assert!(text.contains(&format!("process {}", area_pid(&folder))), "{text}");
        assert!(text.contains(&format!("id {}", area.id.unwrap())), "{text}");
    }
    // One that is there already, too; and one that was published by who did not ask.
    let unnamed = Held::parse(&second.tell("unnamed"));
    refused(second.try_tell(&format!("exclusive publish {} ring", unnamed.handle)), Kind::NameTaken);
    let plain = second.publish("plain");
    refused(first.try_tell("exclusive create plain"), Kind::NameTaken);
    second.drop_area(plain);
    assert!(first.try_tell("exclusive create plain").is_ok());
    // Free again when it goes, by whatever way.
    first.drop_area(area);
    second.tell(&format!("exclusive publish {} ring", unnamed.handle));
    assert_eq!(first.find("ring").unwrap().pid, second.pid());
    second.kill();
    assert!(first.try_tell("exclusive create ring").is_ok());
    assert_eq!(Agent::start(&folder).list().names(), ["plain", "ring"], "nothing was left behind");
}

fn area_pid(folder: &Folder) -> u32 {
    Agent::start(folder).find("ring").unwrap().pid
}

/// The race that find-then-create lost in 17 of 60 rounds.
#[test]
fn of_many_who_want_a_name_at_once_one_gets_it() {
    const AGENTS: usize = 8;
    const ROUNDS: usize = 100;
    let folder = Folder::new();
    let mut agents: Vec<Agent> = (0..AGENTS).map(|_| Agent::start(&folder)).collect();
    let mut reader = Agent::start(&folder);
    for round in 0..ROUNDS {
        // Some of them have published nothing yet, or come anew.
        if round % 10 == 9 {
            agents[round % AGENTS] = Agent::start(&folder);
        }
        let at = soon();
        agents.iter_mut().for_each(|agent| agent.begin(&format!("exclusive create ring {at}")));
        let ends: Vec<_> = agents.iter_mut().map(Agent::end).collect();
        let winners: Vec<usize> = (0..AGENTS).filter(|&agent| ends[agent].is_ok()).collect();
        assert_eq!(winners.len(), 1, "round {round}: {ends:?}");
        for lost in ends.iter().filter(|end| end.is_err()) {
            refused(lost.clone(), Kind::NameTaken);
        }
        let found = reader.find("ring").unwrap();
        assert_eq!(found.pid, agents[winners[0]].pid());
        assert_eq!(reader.list().areas.len(), 1, "who lost has left nothing");
        agents[winners[0]].tell("drop-all");
    }
}

/// That the race is one: the way it was done before lets several win. (Which rounds do is chance: some of so many.)
#[test]
fn without_it_several_get_it() {
    let folder = Folder::new();
    let mut agents: Vec<Agent> = (0..8).map(|_| Agent::start(&folder)).collect();
    agents.iter_mut().for_each(|agent| {
        agent.publish("something");
    });
    let several = (0..500).any(|_| {
        let at = soon();
        agents.iter_mut().for_each(|agent| agent.begin(&format!("exclusive find-then-create ring {at}")));
        let winners = agents.iter_mut().map(Agent::end).filter(Result::is_ok).count();
        agents.iter_mut().for_each(|agent| drop(agent.tell("drop-all")));
        winners > 1
    });
    assert!(several, "in none of 500 rounds did two of eight processes win");
}

#[test]
fn threads_of_one_process_too() {
    let name = format!("exclusive-threads-{}", std::process::id());
    for round in 0..50 {
        let barrier = std::sync::Barrier::new(4);
        let winners: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        areas::builder(4096).name(&name).exclusive().shared()
                    })
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect()
        });
        assert_eq!(winners.len(), 1, "round {round}");
    }
    assert_eq!(registry::find(&name).unwrap_err().kind(), Kind::NoSuchArea);
}

#[test]
fn of_many_who_create_or_open_one_creates_and_all_have_the_same() {
    let folder = Folder::new();
    let mut agents: Vec<Agent> = (0..6).map(|_| Agent::start(&folder)).collect();
    for round in 0..60 {
        let at = soon();
        agents.iter_mut().for_each(|agent| agent.begin(&format!("exclusive either ring {at}")));
        let ends: Vec<String> = agents.iter_mut().map(|agent| agent.end().unwrap()).collect();
        let made = ends.iter().filter(|end| end.starts_with("made ")).count();
        assert_eq!(made, 1, "round {round}: {ends:?}");
        let object = |end: &String| end.split_once(' ').unwrap().1.to_owned();
        assert!(ends.iter().all(|end| object(end) == object(&ends[0])), "round {round}: {ends:?}");
        // It goes on whoever of them goes.
        assert_eq!(agents[0].list().areas.len(), agents.len());
        agents.iter_mut().for_each(|agent| drop(agent.tell("drop-all")));
    }
}

/// Killed at any moment, one that wants a name leaves nothing that is in the way of the next one.
#[test]
fn who_is_killed_leaves_the_name_free() {
    let folder = Folder::new();
    let mut last = Agent::start(&folder);
    for round in 0..40_u64 {
        let mut others: Vec<Agent> = (0..2).map(|_| Agent::start(&folder)).collect();
        others.iter_mut().for_each(|agent| agent.begin("exclusive again ring 10000"));
        std::thread::sleep(Duration::from_micros(3000 + round * 211 % 5000));
        others.into_iter().for_each(|agent| {
            agent.kill();
        });
        let begun = Instant::now();
        let area = Held::parse(&last.tell("exclusive create ring"));
        assert!(begun.elapsed() < EXCLUSIVE_PATIENCE, "round {round}: nobody was there to wait for");
        last.drop_area(area);
    }
    assert!(last.list().is_empty());
}

/// Stopped at any moment, it is waited for as long as patience lasts, and named; it does not get what somebody has got meanwhile.
#[test]
fn who_is_stopped_gets_nothing_that_another_has() {
    let folder = Folder::new();
    let (mut one, mut other) = (Agent::start(&folder), Agent::start(&folder));
    let mut stuck = 0;
    for round in 0..30_u64 {
        one.begin(&format!("exclusive create ring {}", soon()));
        std::thread::sleep(Duration::from_micros(900 + round * 37));
        one.signal(Signal::STOP);
        let begun = Instant::now();
        let mine = other.try_tell("exclusive create ring");
        assert!(begun.elapsed() < 3 * EXCLUSIVE_PATIENCE, "{:?}", begun.elapsed());
        one.signal(Signal::CONT);
        let ones = one.end();
        match (&mine, &ones) {
            (Ok(_), Ok(_)) => panic!("round {round}: two winners"),
            (Err(refusal), _) if refusal.kind == "Busy" => {
                assert!(refusal.text.contains(&format!("process {}", one.pid())), "{refusal:?}");
                stuck += 1;
            }
            (Err(_), Ok(_)) | (Ok(_), Err(_)) => {}
            (Err(mine), Err(ones)) => panic!("round {round}: nobody won: {mine:?} {ones:?}"),
        }
        one.tell("drop-all");
        other.tell("drop-all");
    }
    eprintln!("{stuck} of 30 were stopped in the middle of taking the name");
    assert!(one.list().is_empty());
}

/// One that claims a name and never goes on, by mistake or on purpose, is named; nobody finds what it claims, and it is gone as it ends.
#[test]
fn a_claim_that_stays_is_told_and_found_by_nobody() {
    let folder = Folder::new();
    let (mut hostile, mut one) = (Agent::start(&folder), Agent::start(&folder));
    let area = hostile.publish("ring");
    hostile.tell("exclusive unsettle");
    refused(one.find("ring"), Kind::NoSuchArea);
    refused(one.get(area.id.unwrap()), Kind::NoSuchArea);
    assert!(one.list().is_empty());
    for _ in 0..2 {
        let begun = Instant::now();
        let text = refused(one.try_tell("exclusive create ring"), Kind::Busy);
        assert!(text.contains(&format!("process {}", hostile.pid())), "{text}");
        let waited = begun.elapsed();
        assert!(waited >= EXCLUSIVE_PATIENCE && waited < 3 * EXCLUSIVE_PATIENCE, "{waited:?}");
    }
    // Who does not ask is not kept from it, and another name is free.
    let plain = one.publish("ring");
    assert_eq!(Some(one.find("ring").unwrap().id), plain.id);
    assert!(one.try_tell("exclusive create other").is_ok());
    one.drop_area(plain);
    hostile.kill();
    assert!(one.try_tell("exclusive create ring").is_ok());
}

/// Record locks on all of the control file, which anybody of the user can take, are in nobody's way.
#[test]
fn no_record_lock_is_in_the_way() {
    let folder = Folder::new();
    let (mut one, mut other) = (Agent::start(&folder), Agent::start(&folder));
    one.publish("something");
    let file = std::fs::File::options().read(true).write(true).open(folder.control()).unwrap();
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert!(other.try_tell("exclusive create ring").is_ok());
    refused(one.try_tell("exclusive create ring"), Kind::NameTaken);
}

#[test]
fn a_retired_area_has_no_name() {
    let name = format!("exclusive-retired-{}", std::process::id());
    let mut area = areas::builder(4096).name(&name).exclusive().shared().unwrap();
    area.retire().unwrap();
    let next = areas::builder(4096).name(&name).exclusive().shared().unwrap();
    assert_eq!(areas::builder(1).exclusive().shared().unwrap_err().kind(), Kind::InvalidInput);
    let resizable = areas::builder(4096).name(&name).exclusive().resizable(8192);
    assert_eq!(resizable.unwrap_err().kind(), Kind::NameTaken);
    drop(next);
    let mut resizable = areas::builder(4096).name(&name).exclusive().resizable(8192).unwrap();
    resizable.resize(8192).unwrap();
    let opened = areas::builder(1).name(&name).create_or_open().unwrap();
    assert!(matches!(
        opened,
        areas::CreatedOrOpened::Opened(areas::Received::Resizable(area)) if area.size() == 8192
    ));
}
