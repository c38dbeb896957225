//! pid namespaces, `/proc` and clocks that are not the usual ones.

use std::fs;

use areas::ErrorKind;

use crate::support::{Agent, Folder, Launch, can_run, eventually, refused, test_name};

const NEW_PID: [&str; 5] = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// The pid namespaces' folders.
fn spaces(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.registry()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned()).collect()
}

/// Everything is refused, and the error says what is wrong with /proc.
fn is_refused(agent: &mut Agent, folder: &Folder, says: &str) {
    for text in [
        refused(agent.try_publish("ring"), ErrorKind::Registry),
        refused(agent.find("ring"), ErrorKind::Registry),
        refused(agent.try_list(), ErrorKind::Registry),
    ] {
        assert!(
            text.contains(says) && text.contains("help: mount our own pid namespace's: `mount -t proc"),
            "{text}"
        );
    }
    assert_eq!(folder.links().len(), 1, "only the real team has a link");
}

#[test]
fn the_proc_of_another_pid_namespace_is_refused() {
    let within = ["unshare", "--pid", "--fork", "--kill-child"];
    if !can_run(test_name!(), &[&within[..], &["true"]].concat()) {
        return;
    }
    let folder = Folder::new();
    let mut holder = Agent::start(&folder);
    holder.publish("ring");
    let mut agent = Launch::new(&folder).within(&within).start();
    assert_eq!(agent.pid(), 1);
    is_refused(&mut agent, &folder, "another pid namespace");
    assert_eq!(spaces(&folder).len(), 1);
}

#[test]
fn no_proc_is_refused() {
    if !can_run(test_name!(), &["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/proc"]) {
        return;
    }
    let folder = Folder::new();
    let mut holder = Agent::start(&folder);
    holder.publish("ring");
    let mut agent = Launch::new(&folder).within(&["unshare", "--mount"]).start();
    agent.ask("run mount -t tmpfs tmpfs /proc");
    is_refused(&mut agent, &folder, "there is no /proc/self");
}

#[test]
fn two_pid_namespaces_in_one_folder_do_not_see_each_other() {
    if !can_run(test_name!(), &[&NEW_PID[..], &["true"]].concat()) {
        return;
    }
    let folder = Folder::new();
    let mut inner = Launch::new(&folder).within(&NEW_PID).start();
    inner.publish("ring");
    inner.publish("inner");
    let mut outer = Agent::start(&folder);
    assert!(outer.list().is_empty());
    outer.publish("ring");
    assert_eq!(spaces(&folder).len(), 2, "who lives in another namespace is not cleared away");
    assert_eq!(outer.find("ring").unwrap().pid, outer.pid());
    assert_eq!(inner.find("ring").unwrap().pid, inner.pid());
    assert_eq!(inner.list().names(), ["inner", "ring"]);
    assert_eq!(outer.list().names(), ["ring"]);
    refused(outer.find("inner"), ErrorKind::NoSuchArea);
    // Joining once more does not disturb it either.
    Agent::start(&folder).publish("more");
    assert!(inner.fork().clone_of("inner").is_ok());
}

#[test]
fn a_dead_pid_namespaces_folder_is_cleared_by_the_next_who_joins() {
    if !can_run(test_name!(), &[&NEW_PID[..], &["true"]].concat()) {
        return;
    }
    let folder = Folder::new();
    for _ in 0..3 {
        let mut inner = Launch::new(&folder).within(&NEW_PID).start();
        inner.publish("ring");
        let _child = inner.fork();
    }
    let mut outer = Agent::start(&folder);
    assert!(outer.list().is_empty());
    assert!(!spaces(&folder).is_empty(), "readers change nothing");
    // `unshare` may end a moment before its child has.
    eventually("only our own folder is left", || {
        let mut joiner = Agent::start(&folder);
        joiner.publish("ring");
        spaces(&folder) == [folder.space().file_name().unwrap().to_str().unwrap()]
    });
}

#[test]
fn what_is_not_the_registrys_stays() {
    let folder = Folder::new();
    Agent::start(&folder).publish("ring");
    let (precious, foreign) = (folder.registry().join("precious"), folder.registry().join("pid-1"));
    fs::create_dir(&precious).unwrap();
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("precious"), "here").unwrap();
    Agent::start(&folder).publish("ring");
    assert!(precious.exists());
    assert_eq!(fs::read_to_string(foreign.join("precious")).unwrap(), "here");
}

#[test]
fn a_time_namespace_has_a_registry_of_its_own() {
    let within = ["unshare", "--time", "--boottime", "100000", "--fork", "--kill-child"];
    if !can_run(test_name!(), &[&within[..], &["true"]].concat()) {
        return;
    }
    let folder = Folder::new();
    let mut usual = Agent::start(&folder);
    usual.publish("ring");
    let link = folder.link_of(usual.pid());
    let mut shifted = Launch::new(&folder).within(&within).start();
    // The kernel reports it other start times for the very same processes, and "oldest" would mean
    // nothing.
    assert!(shifted.list().is_empty());
    shifted.publish("shifted");
    let mut shifted_too = shifted.fork();
    assert_eq!(shifted_too.list().names(), ["shifted", "shifted"], "the child holds what it inherited");
    assert!(shifted_too.clone_of("shifted").is_ok());
    assert!(folder.has(&link), "who lives is not taken for dead");
    let mut newcomer = Agent::start(&folder);
    newcomer.publish("other");
    assert_eq!(newcomer.list().names(), ["other", "ring"]);
    assert_eq!(spaces(&folder).len(), 2);
    assert_eq!(shifted.list().names(), ["shifted", "shifted"]);
    // Without its leader, a process is still where it was.
    shifted_too.ask("leave-leader");
    shifted_too.publish("late");
    assert_eq!(shifted.list().names(), ["late", "shifted", "shifted"]);
}

#[test]
fn a_mount_namespace_alone_hides_nothing() {
    let within = ["unshare", "--mount"];
    if !can_run(test_name!(), &["unshare", "--mount", "true"]) {
        return;
    }
    let folder = Folder::new();
    let mut inner = Launch::new(&folder).within(&within).start();
    let mut outer = Agent::start(&folder);
    inner.publish("inner");
    outer.publish("outer");
    for agent in [&mut inner, &mut outer] {
        assert_eq!(agent.list().names(), ["inner", "outer"]);
        assert!(agent.clone_of("inner").is_ok() && agent.clone_of("outer").is_ok());
    }
    // With something else over the folder it is a registry of its own, and no process is taken for
    // dead.
    inner.ask(&format!("run mount -t tmpfs -o mode=700 tmpfs {}", folder.registry().display()));
    let mut hidden = inner.fork();
    hidden.ask("drop-all");
    hidden.publish("hidden");
    assert_eq!(hidden.list().names(), ["hidden"]);
    assert_eq!(outer.list().names(), ["inner", "outer"]);
    assert!(outer.clone_of("inner").is_ok());
}
