//! Several who populate at once, of whom each would fit, but not all.

use std::sync::Barrier;

use areas::ErrorKind;

use super::MIB;
use super::group::{Group, enter};
use super::support::child::{Stage, hear, reply, test};

/// Threads of one process: as many as fit are admitted, and the others are refused before they take
/// a page.
#[test]
pub(crate) fn threads_of_one_process() {
    let this = test!("threads_of_one_process");
    if this.role().is_some() {
        enter(hear());
        let barrier = Barrier::new(4);
        let ended = std::thread::scope(|scope| {
            let populate = || {
                let mut area = areas::builder(36 * MIB).shared().unwrap();
                barrier.wait();
                let ended = area.populate();
                // Held until all have tried.
                barrier.wait();
                let resident = area.residency().unwrap().resident();
                match ended {
                    Ok(()) => assert_eq!(resident, 36 << 20),
                    Err(_) => assert_eq!(resident, 0, "refused, and yet it took something"),
                }
                ended
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(populate)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let refused: Vec<_> = ended.iter().filter_map(|ended| ended.as_ref().err()).collect();
        assert!(refused.iter().all(|error| error.kind() == ErrorKind::NoMemory), "{refused:?}");
        // All over: what was promised is free again.
        let mut area = areas::builder(64 * MIB).shared().unwrap();
        area.populate().unwrap();
        let texts: Vec<_> = refused.iter().map(ToString::to_string).collect();
        return reply(&format!("{} {}", ended.len() - refused.len(), texts.join("\n")));
    }
    let Some(group) = Group::new("memory", this.name()) else { return };
    group.limit(96 * MIB);
    for _ in 0..5 {
        let mut peer = this.spawn(&mut Stage::here(), "threads");
        peer.send(&group.folder().display().to_string());
        let reported = peer.hear();
        assert!(peer.end().success());
        assert!(reported.starts_with("2 "), "two of four fit: {reported}");
    }
    assert_eq!(group.kills(), 0);
}

/// Processes know nothing of each other: they look again along the way, and stop before the limit.
#[test]
pub(crate) fn several_processes() {
    let this = test!("several_processes");
    if this.role().is_some() {
        enter(hear());
        loop {
            let mut area = areas::builder(60 * MIB).shared().unwrap();
            reply("ready");
            if hear() != "go" {
                return;
            }
            let ended = area.populate();
            if let Err(error) = &ended {
                assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
                assert!(error.to_string().contains("control group "), "{error:#}");
            }
            reply(&ended.map_or_else(|error| error.to_string(), |()| "populated".to_owned()));
            hear();
            drop(area);
        }
    }
    let Some(group) = Group::new("memory", this.name()) else { return };
    group.limit(100 * MIB);
    let mut peers = [(); 2].map(|()| this.spawn(&mut Stage::here(), "process"));
    for peer in &mut peers {
        peer.send(&group.folder().display().to_string());
    }
    let mut along_the_way = 0;
    for round in 0..20 {
        for peer in &mut peers {
            assert_eq!(peer.hear(), "ready", "round {round}");
        }
        for peer in &mut peers {
            peer.send("go");
        }
        let reported = peers.each_mut().map(|peer| peer.hear());
        assert!(
            reported.iter().filter(|reported| *reported == "populated").count() < 2,
            "both of 60 MiB in 100: {reported:?}"
        );
        along_the_way +=
            reported.iter().filter(|reported| reported.contains("others have taken it since")).count();
        for peer in &mut peers {
            peer.send("next");
        }
    }
    for peer in &mut peers {
        assert_eq!(peer.hear(), "ready");
        peer.send("stop");
        assert!(peer.end().success());
    }
    assert_eq!(group.kills(), 0);
    assert!(along_the_way > 0, "in no round did one see the other on its way");
}
