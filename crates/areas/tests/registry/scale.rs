//! Many: areas in one process, teams in one registry, names looked up by one reader.

use crate::support::{Agent, Folder, skip, test_name};

#[test]
fn twenty_thousand_areas_in_one_process() {
    const WANTED: u32 = 20_000;
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    // One descriptor an area, and some for the rest.
    let limit: u32 = holder.tell("open-files 20100").parse().unwrap();
    let count = WANTED.min(limit - 100);
    if count < WANTED {
        skip(test_name!(), &format!("{count} areas only: RLIMIT_NOFILE can be raised to {limit}"));
    }
    let answer = holder.tell(&format!("publish-many ring {count}"));
    let (first, last) = answer.split_once(' ').unwrap();
    let last_name = format!("ring-{}", count - 1);
    assert_eq!(reader.find("ring-0").unwrap().id.to_string(), first);
    assert_eq!(reader.find(&last_name).unwrap().id.to_string(), last);
    assert!(reader.clone_of("ring-0").is_ok() && reader.clone_of(&last_name).is_ok());
    let listed = reader.list();
    let mut names = listed.names();
    names.dedup();
    assert_eq!(names.len(), count as usize, "each once");
    // More names than a reader remembers.
    reader.tell("find-all ring 6000");
    // Half of them go, and those that stay are found.
    holder.tell("drop-every-other");
    assert_eq!(reader.list().areas.len(), count as usize / 2);
    assert_eq!(reader.find(&last_name).unwrap().id.to_string(), last);
    assert!(reader.find("ring-0").is_err());
    holder.kill();
    assert!(reader.list().is_empty());
}

#[test]
fn sixty_four_teams_of_a_hundred_areas() {
    let folder = Folder::new();
    let mut teams: Vec<Agent> = (0..64).map(|_| Agent::start(&folder)).collect();
    for (i, team) in teams.iter_mut().enumerate() {
        team.begin(&format!("publish-many team{i} 100"));
    }
    for team in &mut teams {
        team.end().unwrap();
    }
    let mut reader = Agent::start(&folder);
    for (i, team) in teams.iter().enumerate() {
        for name in [format!("team{i}-0"), format!("team{i}-99")] {
            assert_eq!(reader.find(&name).unwrap().pid, team.pid());
        }
        assert!(reader.clone_of(&format!("team{i}-50")).is_ok());
    }
    let listed = reader.list();
    assert_eq!(listed.unreadable, []);
    let mut ids: Vec<i32> = listed.areas.iter().map(|area| area.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6400, "each once, each with an id of its own");
    for team in &teams {
        assert_eq!(listed.areas.iter().filter(|area| area.pid == team.pid()).count(), 100);
    }
    for team in teams.drain(..32) {
        team.kill();
    }
    assert_eq!(reader.list().areas.len(), 3200);
    assert_eq!(folder.links().len(), 32);
}
