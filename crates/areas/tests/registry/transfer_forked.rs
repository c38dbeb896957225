//! What forked children have of areas that change hands, and what is cleared away of the dead.

use crate::support::{Agent, Folder, is_root, start_time, test_name};
use crate::transfer::{give, holds, make, take, text};

#[test]
fn a_child_takes_nothing_that_was_given_to_its_parent() {
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let area = make(&mut giver, "shared ring 4096 0");
    give(&mut giver, area, &target);
    let mut child = target.fork();
    assert_eq!(child.ask("transferred"), "", "it was given to the parent");
    child.ask("join");
    assert_eq!(child.ask("transferred"), "");
    // To the child alone, then.
    let second = make(&mut giver, "shared second 4096 0");
    give(&mut giver, second, &child);
    assert!(child.ask("transferred").ends_with("second"));
    let came = target.ask("transferred");
    assert!(came.ends_with("ring") && !came.contains("second"), "{came}");
    // What the parent holds, taken or not, a child that is forked now holds too, as all that its
    // parent holds.
    let mut later = target.fork();
    let taken = take(&mut later);
    assert_eq!(text(&mut later, taken, 0, 4), "ring");
    target.kill();
    assert_eq!(giver.find("ring").unwrap().pid, later.pid());
}

#[test]
fn a_child_gives_away_what_it_inherited() {
    let folder = Folder::new();
    let [mut parent, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    let area = make(&mut parent, "shared ring 4096 0");
    let mut child = parent.fork();
    give(&mut child, area, &target);
    assert_eq!((holds(child.pid()), holds(parent.pid())), ((0, 0), (1, 1)), "the parent's is the parent's");
    let taken = take(&mut target);
    target.ask(&format!("put {} 0 RING", taken.handle));
    assert_eq!(text(&mut parent, area, 0, 4), "RING");
    assert_eq!(parent.find("ring").unwrap().pid, parent.pid());
}

#[test]
fn any_umask_will_do() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(65534);
    // Root may write everything: as an ordinary user, the mode counts.
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start_as(&folder, 65534, None));
    giver.ask("join");
    target.ask("umask 777");
    target.ask("join");
    let area = make(&mut giver, "shared ring 4096 0");
    give(&mut giver, area, &target);
    take(&mut target);
}

/// Who is killed while it makes its transfer socket leaves a name. The next one removes it, and
/// only what is proven to be of the dead.
#[test]
fn the_names_of_the_dead_are_cleared_away() {
    let folder = Folder::new();
    let mut living = Agent::start(&folder);
    living.ask("join");
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    let started = start_time(living.pid());
    let name = |pid, started| folder.space().join(format!("door-{pid}.{started}.00000007"));
    let kept = [name(living.pid(), started), folder.space().join("door-of-none")];
    let cleared = [name(dead.id(), started), name(living.pid(), started - 1)];
    dead.wait().unwrap();
    for name in kept.iter().chain(&cleared) {
        std::os::unix::net::UnixDatagram::bind(name).unwrap();
    }
    Agent::start(&folder).ask("join");
    assert_eq!([true; 2], kept.map(|name| name.exists()));
    assert_eq!([false; 2], cleared.map(|name| name.exists()));
}
