//! The ways in which a team ends: whichever it is, its ids are gone for all observers before
//! anybody has cleaned up.

use std::os::unix::process::ExitStatusExt;

use areas::ErrorKind;
use areas_testing::{maps, processes};

use crate::support::{Agent, Folder, eventually, refused};

/// Has a holder end by that command; a reader that knew it and a newcomer look before its status is
/// fetched and after.
fn ends_by(command: &str) -> std::process::ExitStatus {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = holder.publish("ring");
    let kept = reader.clone_of("ring").unwrap();
    reader.ask("remember ring");
    let mut newcomer = Agent::start(&folder);
    holder.begin(command);
    holder.wait_unreaped();
    let pid = holder.pid();
    let mut look = || {
        for observer in [&mut reader, &mut newcomer] {
            refused(observer.find("ring"), ErrorKind::NoSuchArea);
            refused(observer.get(area.id.unwrap()), ErrorKind::NoSuchArea);
            refused(observer.try_ask(&format!("next {pid} 0")), ErrorKind::NoSuchTeam);
            assert!(observer.list().is_empty());
        }
        refused(reader.try_ask("remembered size"), ErrorKind::NoSuchArea);
        assert!(reader.has_bytes_of(kept, "ring"), "its clone is not disturbed");
    };
    look();
    let status = holder.wait();
    look();
    assert_eq!(folder.links(), [], "the link is cleared away by who came across it");
    status
}

#[test]
fn an_exit_ends_all_ids_at_once() {
    assert_eq!(ends_by("exit").code(), Some(7));
}

#[test]
fn an_abort_ends_all_ids_at_once() {
    assert_eq!(ends_by("abort").signal(), Some(libc::SIGABRT));
}

#[test]
fn memory_goes_with_the_last_holder_whoever_that_is() {
    let folder = Folder::new();
    let mut creator = Agent::start(&folder);
    let mut others: Vec<Agent> = (0..3).map(|_| Agent::start(&folder)).collect();
    creator.publish("ring");
    let mut name = "ring".to_owned();
    for (i, other) in others.iter_mut().enumerate() {
        // Each clones the clone of the one before.
        let own = format!("ring-{i}");
        let clone = other.clone_as(&name, &own).unwrap();
        other.ask(&format!("fill {} {own}", clone.handle));
        name = own;
    }
    let inode = inode_of(creator.pid());
    assert!(inode.is_some());
    creator.kill();
    for left in (0..others.len()).rev() {
        let pids: Vec<u32> = others.iter().map(Agent::pid).collect();
        assert!(pids.iter().all(|&pid| inode_of(pid) == inode), "still the same memory");
        assert_eq!(others[left].list().areas.len(), left + 1);
        let last = others.remove(0);
        last.kill();
    }
    eventually("no process has it any more", || {
        !processes().into_iter().any(|pid| inode.is_some() && inode_of(pid) == inode)
    });
}

/// The inode of the first area that a process has mapped.
fn inode_of(pid: u32) -> Option<u64> {
    maps::of(pid).ok()?.iter().find(|vma| vma.is_area()).map(|vma| vma.inode)
}
