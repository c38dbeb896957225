//! Sizes that change under several processes: all see every change at once, with no call of theirs;
//! two who resize at once, and a kill in the middle, harm no one.

use areas::ErrorKind;

use crate::support::{Agent, Folder, eventually, refused};

const PAGE: usize = 4096;
const RESERVE: usize = 64 * PAGE;

/// A creator and two who joined, each with its own published clone; all have handle 0.
fn three(folder: &Folder) -> [Agent; 3] {
    let mut agents = [(); 3].map(|()| Agent::start(folder));
    agents[0].ask(&format!("resizable elastic {PAGE} {RESERVE}"));
    agents[1].ask("join elastic elastic-1");
    // A clone of a clone.
    agents[2].ask("join elastic-1 elastic-2");
    agents
}

/// The size, as each sees it and as the registry reports it of each clone; all agree.
#[track_caller]
fn size(agents: &mut [Agent]) -> usize {
    let mut answer = Vec::new();
    for agent in agents.iter_mut() {
        answer.push(agent.ask("extent 0"));
        for name in ["elastic", "elastic-1", "elastic-2"] {
            if agent.find(name).is_ok() {
                answer.push(agent.ask(&format!("known-extent {name}")));
            }
        }
    }
    let sizes: Vec<&str> = answer.iter().map(|answer| answer.split_once(' ').unwrap().0).collect();
    assert!(sizes.iter().all(|size| *size == sizes[0]), "{answer:?}");
    sizes[0].parse().unwrap()
}

#[test]
fn all_see_every_size_at_once() {
    let folder = Folder::new();
    let mut agents = three(&folder);
    assert_eq!(size(&mut agents), PAGE);
    for (who, pages) in [(0, 10), (1, 3), (2, 64), (0, 1), (2, 2)] {
        agents[who].ask(&format!("resize 0 {}", pages * PAGE));
        assert_eq!(size(&mut agents), pages * PAGE);
        let last = pages * PAGE - 1;
        agents[(who + 1) % 3].ask(&format!("put-byte 0 {last} {}", pages + 100));
        assert_eq!(agents[(who + 2) % 3].ask(&format!("peek 0 {last}")), (pages + 100).to_string());
        // Who comes now has the size of now, and the reserve of all.
        let mut newcomer = Agent::start(&folder);
        newcomer.ask("join elastic-2 newcomer");
        assert_eq!(newcomer.ask("extent 0"), format!("{} {RESERVE}", pages * PAGE));
    }
}

#[test]
fn the_tail_faults_for_all_and_comes_back_as_zeros() {
    let folder = Folder::new();
    let mut agents = three(&folder);
    agents[0].ask(&format!("resize 0 {}", 8 * PAGE));
    agents[0].ask(&format!("put-byte 0 {} 77", 7 * PAGE));
    for agent in &mut agents {
        assert_eq!(agent.ask(&format!("peek 0 {}", 7 * PAGE)), "77");
    }
    agents[1].ask(&format!("resize 0 {}", 7 * PAGE));
    let bus_error = format!("signal {}", libc::SIGBUS);
    for agent in &mut agents {
        assert_eq!(agent.ask(&format!("peek 0 {}", 7 * PAGE)), bus_error);
        assert_eq!(agent.ask(&format!("peek 0 {}", RESERVE - 1)), bus_error, "the reserve too");
        refused(agent.try_ask(&format!("get-byte 0 {}", 7 * PAGE)), ErrorKind::OutOfRange);
        assert_eq!(agent.ask(&format!("peek 0 {}", 7 * PAGE - 1)), "0");
    }
    agents[2].ask(&format!("resize 0 {}", 8 * PAGE));
    for agent in &mut agents {
        assert_eq!(agent.ask(&format!("peek 0 {}", 7 * PAGE)), "0");
    }
}

#[test]
fn two_processes_that_resize_at_once() {
    let folder = Folder::new();
    let mut agents = three(&folder);
    for (seed, agent) in agents.iter_mut().enumerate() {
        agent.begin(&format!("resize-storm 0 {seed} 400 64"));
    }
    for agent in &mut agents {
        agent.end().unwrap();
    }
    let size = size(&mut agents);
    assert!(size.is_multiple_of(PAGE) && (PAGE..=RESERVE).contains(&size), "{size}");
    // Whatever the outcome, every byte up to there is there, and none beyond.
    for agent in &mut agents {
        agent.ask(&format!("get-byte 0 {}", size - 1));
        assert_eq!(
            agent.ask(&format!("peek 0 {}", size - 1)),
            agent.ask(&format!("get-byte 0 {}", size - 1))
        );
        if size < RESERVE {
            assert_eq!(agent.ask(&format!("peek 0 {size}")), format!("signal {}", libc::SIGBUS));
        }
    }
}

#[test]
fn a_resize_and_a_kill_at_the_same_time() {
    let folder = Folder::new();
    let mut agents = three(&folder).map(Some);
    for victim in [0, 1] {
        let storming = agents[victim].as_mut().unwrap();
        storming.begin(&format!("resize-storm 0 {victim} 100000000 64"));
        // It is in the middle of it when others see the size move.
        let observer = agents[2].as_mut().unwrap();
        let before = observer.ask("extent 0");
        eventually("the size moves", || observer.ask("extent 0") != before);
        agents[victim].take().unwrap().kill();
        let mut left: Vec<Agent> =
            agents.iter_mut().skip(victim + 1).map(|agent| agent.take().unwrap()).collect();
        let now = size(&mut left);
        assert!(now.is_multiple_of(PAGE) && (PAGE..=RESERVE).contains(&now), "{now}");
        // The others go on as if nothing had been.
        for (i, agent) in left.iter_mut().enumerate() {
            agent.ask(&format!("resize 0 {}", (20 + i) * PAGE));
            agent.ask(&format!("put-byte 0 {} 5", (20 + i) * PAGE - 1));
        }
        assert_eq!(size(&mut left), (19 + left.len()) * PAGE);
        assert_eq!(left[0].list().areas.len(), left.len());
        for (agent, slot) in left.into_iter().zip(&mut agents[victim + 1..]) {
            *slot = Some(agent);
        }
    }
}

#[test]
fn beyond_the_reserve_a_clone_of_another_team_stands_in_the_way() {
    let folder = Folder::new();
    let mut agents = three(&folder);
    let beyond = format!("resize 0 {}", 2 * RESERVE);
    let why = refused(agents[0].try_ask(&beyond), ErrorKind::AddressInUse);
    for agent in &agents[1..] {
        assert!(why.contains(&format!("process {}", agent.pid())), "{why}");
    }
    assert_eq!(size(&mut agents), PAGE, "nothing has changed");
    for agent in &mut agents {
        assert_eq!(agent.ask("extent 0"), format!("{PAGE} {RESERVE}"));
    }
    // Memory that the machine does not have is another error, and final.
    refused(agents[0].try_ask("resize 0 1125899906842624"), ErrorKind::NoMemory);
    let [mut creator, second, third] = agents;
    // Who is gone stands in no one's way. (There is room behind: it was asked for.)
    second.kill();
    refused(creator.try_ask(&beyond), ErrorKind::AddressInUse);
    third.kill();
    match creator.try_ask(&beyond) {
        Ok(_) => assert_eq!(creator.ask("known-extent elastic"), format!("{} {}", 2 * RESERVE, 2 * RESERVE)),
        // What the kernel put behind it is our own: no clone is named.
        Err(refused) => assert!(!refused.text.contains("clones"), "{}", refused.text),
    }
}

#[test]
fn who_may_only_read_resizes_nothing() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    holder.ask(&format!("resizable elastic {PAGE} {RESERVE}"));
    reader.ask("join-to-read elastic");
    refused(reader.try_ask(&format!("resize 0 {}", 2 * PAGE)), ErrorKind::ReadOnly);
    refused(reader.try_ask("put-byte 0 0 1"), ErrorKind::ReadOnly);
    assert_eq!(holder.ask("extent 0"), format!("{PAGE} {RESERVE}"));
    // It sees what those do who may.
    holder.ask(&format!("resize 0 {}", 3 * PAGE));
    holder.ask(&format!("put-byte 0 {} 9", 2 * PAGE));
    assert_eq!(reader.ask(&format!("peek 0 {}", 2 * PAGE)), "9");
}

#[test]
fn a_client_in_a_reserved_range_uses_what_its_server_grows() {
    let folder = Folder::new();
    let (mut server, mut client) = (Agent::start(&folder), Agent::start(&folder));
    server.ask(&format!("resizable heap {PAGE} {RESERVE}"));
    // Cloned once, into addresses that were reserved in advance; from then on it only looks through
    // its pointer.
    client.ask(&format!("join-inside heap view {}", 4 * RESERVE));
    for pages in [2, 17, 64] {
        server.ask(&format!("resize 0 {}", pages * PAGE));
        server.ask(&format!("put-byte 0 {} {pages}", pages * PAGE - 1));
        assert_eq!(client.ask(&format!("peek 0 {}", pages * PAGE - 1)), pages.to_string());
    }
    server.ask(&format!("resize 0 {PAGE}"));
    assert_eq!(client.ask(&format!("peek 0 {PAGE}")), format!("signal {}", libc::SIGBUS));
    // Behind the clone are reserved addresses still, which no other process gets: not the object's
    // end, nothing at all.
    assert_eq!(client.ask(&format!("peek 0 {RESERVE}")), format!("signal {}", libc::SIGSEGV));
}
