//! Many: areas in one process, teams in one registry, names looked up by one reader.

use areas::ErrorKind;
use areas_testing::sysctl;

use crate::support::{Agent, Folder, Seen, refused, skip, test_name};

#[test]
fn twenty_thousand_areas_in_one_process() {
    const WANTED: u32 = 20_000;
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    // One descriptor an area, and some for the rest.
    let limit: u32 = holder.ask("open-files 20100").parse().unwrap();
    let count = WANTED.min(limit - 100);
    if count < WANTED {
        skip(test_name!(), &format!("{count} areas only: RLIMIT_NOFILE can be raised to {limit}"));
    }
    let answer = holder.ask(&format!("publish-many ring {count}"));
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
    reader.ask("find-all ring 6000");
    // Half of them go, and those that stay are found.
    holder.ask("drop-every-other");
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

/// What `publish-most` says: how many, and the error.
#[track_caller]
fn most(holder: &mut Agent, prefix: &str) -> (usize, String) {
    let answer = holder.ask(&format!("publish-most {prefix}"));
    let (count, refusal) = answer.split_once(' ').unwrap();
    let text = refusal.strip_prefix("Limit ").unwrap_or_else(|| panic!("{answer}"));
    (count.parse().unwrap(), text.to_owned())
}

/// One that has as many areas as it can: the rest of it lives on, what it has is found, and the
/// room of one dropped is room for one.
fn at_the_limit(holder: &mut Agent, reader: &mut Agent, limit: &str) -> usize {
    let (count, text) = most(holder, "ring");
    assert!(text.contains(limit), "{text}");
    let names = |reader: &mut Agent| {
        let listed = reader.list();
        assert_eq!(listed.unreadable, []);
        let mut names: Vec<String> = listed.areas.into_iter().map(|area| area.name).collect();
        names.sort_unstable();
        names
    };
    let mut expected: Vec<String> = (0..count).map(|i| format!("ring-{i}")).collect();
    expected.sort_unstable();
    assert!(names(reader) == expected, "a refusal loses nothing, and leaves nothing behind");
    // A refusal does not use anything up.
    assert_eq!(most(holder, "more").0, 0);
    holder.ask("drop 7");
    assert_eq!(most(holder, "more").0, 1, "the room of one is room for one");
    holder.ask("breathe");
    let others = expected.into_iter().filter(|name| name != "ring-7");
    let expected: Vec<String> = ["more-0".to_owned()].into_iter().chain(others).collect();
    assert!(names(reader) == expected, "all but the one that was dropped");
    // Each can be had, up to the last one.
    for name in ["ring-0".to_owned(), format!("ring-{}", count - 1), "more-0".to_owned()] {
        assert!(reader.clone_of(&name).is_ok());
    }
    count
}

#[test]
fn as_many_areas_as_descriptors() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    holder.ask("open-files 4000");
    let count = at_the_limit(&mut holder, &mut reader, "RLIMIT_NOFILE is 4000, all of them open");
    assert!((3_900..4_000).contains(&count), "one descriptor an area: {count}");
}

#[test]
fn machine_as_many_areas_as_mappings() {
    let limit = sysctl::number("vm/max_map_count");
    if limit > 300_000 {
        return skip(test_name!(), &format!("vm.max_map_count is {limit}: too many to use them up"));
    }
    let left = limit / 16;
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    // Where there are not so many descriptors (or more than a team publishes), mappings without one
    // come first.
    let files: usize = holder.ask(&format!("open-files {limit}")).parse().unwrap();
    let published = (files - 1_000).min(limit - left - 1_000).min(65_000);
    holder.ask(&format!("use-mappings {}", limit - left - published));
    let count = at_the_limit(&mut holder, &mut reader, &format!("vm.max_map_count is {limit}, "));
    let expected = published - 500..published + 500;
    assert!(expected.contains(&count), "{count}, not {expected:?}");
    let (_, text) = most(&mut holder, "none");
    let (reported, help) = (format!("1 wanted; {left} are left"), "sysctl vm.max_map_count=");
    assert!(text.contains(&reported) && text.contains(help), "{text}");
}

#[test]
fn a_thousand_teams() {
    const TEAMS: usize = 1_000;
    let folder = Folder::new();
    let (mut parent, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    // A reader has one descriptor a team.
    let limit: usize = reader.ask("open-files 4096").parse().unwrap();
    let count = TEAMS.min(limit - 100);
    if count < TEAMS {
        skip(test_name!(), &format!("{count} teams only: RLIMIT_NOFILE can be raised to {limit}"));
    }
    // Each joins the more slowly the more there are: all at once.
    let mut teams: Vec<Agent> = (0..count).map(|_| parent.fork()).collect();
    for (i, team) in teams.iter_mut().enumerate() {
        team.begin(&format!("publish team-{i} 4096"));
    }
    for team in &mut teams {
        team.end().unwrap();
    }
    let listed = reader.list();
    assert_eq!((listed.areas.len(), &listed.unreadable), (count, &Vec::new()));
    let mut slots: Vec<u32> = folder.links().iter().map(|link| link.slot).collect();
    slots.sort_unstable();
    slots.dedup();
    assert_eq!(slots.len(), count, "each in a slot of its own");
    for (i, team) in teams.iter().enumerate() {
        let found = reader.find(&format!("team-{i}")).unwrap();
        assert_eq!(found.pid, team.pid());
        assert_eq!(reader.get(found.id).unwrap().name, format!("team-{i}"));
        let next = reader.ask(&format!("next {} 0", team.pid()));
        let (id, address) = next.split_once(' ').unwrap();
        assert_eq!(id, found.id.to_string());
        assert_eq!(reader.ask(&format!("next {} {address}", team.pid())), "end");
    }
    assert!(reader.clone_of("team-0").is_ok() && reader.clone_of(&format!("team-{}", count - 1)).is_ok());
    refused(reader.find("absent"), ErrorKind::NoSuchArea);
    // Half of them die, and then all.
    for team in teams.drain(..count / 2) {
        parent.ask(&format!("kill {}", team.pid()));
    }
    assert_eq!(reader.list().areas.len(), count - count / 2);
    assert_eq!(folder.links().len(), count - count / 2);
    refused(reader.find("team-0"), ErrorKind::NoSuchArea);
    for team in teams {
        parent.ask(&format!("kill {}", team.pid()));
    }
    refused(reader.find(&format!("team-{}", count - 1)), ErrorKind::NoSuchArea);
    assert!(reader.list().is_empty());
    assert_eq!(folder.links(), []);
    // As if no process had ever been here.
    let mut next = Agent::start(&folder);
    next.publish("team-0");
    assert_eq!(reader.find("team-0").unwrap().pid, next.pid());
}

/// Who may not open so many descriptors sees some teams, learns of the others, and takes no
/// process for dead.
#[test]
fn more_teams_than_a_reader_can_open() {
    let folder = Folder::new();
    let mut parent = Agent::start(&folder);
    let mut teams: Vec<Agent> = (0..100).map(|_| parent.fork()).collect();
    for (i, team) in teams.iter_mut().enumerate() {
        team.publish(&format!("team-{i}"));
    }
    let mut reader = Agent::start(&folder);
    reader.ask("limit files 64");
    let listed = reader.list();
    assert_eq!(listed.areas.len() + listed.unreadable.len(), 100);
    assert!((20..64).contains(&listed.areas.len()), "{}", listed.areas.len());
    assert!(
        listed.unreadable.iter().all(|(_, why)| why.contains("os error 24") || why.contains("EMFILE")),
        "{listed:?}"
    );
    assert_eq!(folder.links().len(), 100, "no process was taken for dead");
    // What it can see, it finds; of the rest it says that there is more.
    assert_eq!(reader.find(&listed.areas[0].name).unwrap().pid, listed.areas[0].pid);
    let hidden = teams.iter().position(|team| team.pid() == listed.unreadable[0].0).unwrap();
    let answer = refused(reader.find(&format!("team-{hidden}")), ErrorKind::Limit);
    assert!(answer.contains("cannot be read"), "{answer}");
    reader.ask("limit files none");
    assert_eq!(reader.list().areas.len(), 100, "and all, once it may");
}

#[test]
fn machine_a_hundred_thousand_areas() {
    const TEAMS: usize = 8;
    const EACH: usize = 12_500;
    let folder = Folder::new();
    let mut teams: Vec<Agent> = (0..TEAMS).map(|_| Agent::start(&folder)).collect();
    for team in &mut teams {
        let limit: usize = team.ask(&format!("open-files {}", EACH + 100)).parse().unwrap();
        if limit < EACH + 100 {
            return skip(
                test_name!(),
                &format!("RLIMIT_NOFILE can be raised to {limit}, not to {}", EACH + 100),
            );
        }
    }
    for (i, team) in teams.iter_mut().enumerate() {
        team.begin(&format!("publish-many team{i} {EACH}"));
    }
    for team in &mut teams {
        team.end().unwrap();
    }
    let mut reader = Agent::start(&folder);
    for (i, team) in teams.iter().enumerate() {
        for n in (0..EACH).step_by(1_249) {
            let name = format!("team{i}-{n}");
            let found = reader.find(&name).unwrap();
            assert_eq!(found.pid, team.pid());
            assert_eq!(reader.get(found.id).unwrap(), found);
            assert_eq!(reader.ask(&format!("size {name}")), "4096");
        }
        assert!(reader.clone_of(&format!("team{i}-{}", EACH - 1)).is_ok());
        refused(reader.find(&format!("team{i}-{EACH}")), ErrorKind::NoSuchArea);
    }
    let listed = reader.list();
    assert_eq!(listed.unreadable, []);
    let mut ids: Vec<i32> = listed.areas.iter().map(|area| area.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), TEAMS * EACH, "each once, each with an id of its own");
    for (i, team) in teams.iter().enumerate() {
        let prefix = format!("team{i}-");
        let own = |area: &&Seen| area.pid == team.pid() && area.name.starts_with(&prefix);
        assert_eq!(listed.areas.iter().filter(own).count(), EACH);
    }
    for team in teams {
        team.kill();
    }
    assert!(reader.list().is_empty());
    assert_eq!(folder.links(), []);
}
