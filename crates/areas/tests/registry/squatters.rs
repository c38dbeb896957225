//! Where the registry is without `AREAS_DIR`, on a machine where others may have been first. Each in a mount namespace with an
//! empty `/dev/shm`.

use areas::Kind;

use crate::support::{Agent, Launch, can_run, is_root, refused, test_name};

/// The first agent in such a namespace. Others are forked from it.
fn machine(test: &str) -> Option<Agent> {
    let mount = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"];
    if !is_root(test) || !can_run(test, &mount) {
        return None;
    }
    let mut agent = Launch::by_default().within(&["unshare", "--mount"]).start();
    agent.tell("run mount -t tmpfs -o mode=1777 tmpfs /dev/shm");
    Some(agent)
}

/// Publishes in a process of its own, and says in which folder that was.
fn joins(machine: &mut Agent, name: &str) -> (Agent, String) {
    let mut agent = machine.fork();
    agent.publish(name);
    let path = agent.tell("path");
    let (root, _) = path.rsplit_once("/pid-").expect("a pid namespace's folder");
    (agent, root.to_owned())
}

#[test]
fn it_is_named_after_the_user() {
    let Some(mut machine) = machine(test_name!()) else { return };
    assert!(machine.list().is_empty());
    let (_root, path) = joins(&mut machine, "ring");
    assert_eq!(path, "/dev/shm/areas-0");
    assert_eq!(machine.tell("mode /dev/shm/areas-0"), "700");
    assert_eq!(machine.list().names(), ["ring"]);
    let mut ordinary = machine.fork();
    ordinary.become_user(65534, 65534, None);
    ordinary.publish("ring");
    assert!(ordinary.tell("path").starts_with("/dev/shm/areas-65534/pid-"));
}

#[test]
fn squatters_are_gone_round_and_all_meet() {
    let Some(mut machine) = machine(test_name!()) else { return };
    machine.tell("run mkdir -m 700 /dev/shm/areas-0");
    machine.tell("run chown 65534 /dev/shm/areas-0");
    machine.tell("run touch /dev/shm/areas-0.1");
    machine.tell("run mkdir -m 700 /dev/shm/elsewhere");
    machine.tell("run ln -s /dev/shm/elsewhere /dev/shm/areas-0.2");
    assert!(machine.list().is_empty());
    let (_first, path) = joins(&mut machine, "first");
    assert_eq!(path, "/dev/shm/areas-0.3");
    let (_second, path) = joins(&mut machine, "second");
    assert_eq!(path, "/dev/shm/areas-0.3");
    assert_eq!(machine.list().names(), ["first", "second"]);
    // When the squatter leaves, those who come still meet those who are there.
    machine.tell("run rmdir /dev/shm/areas-0");
    let (_third, path) = joins(&mut machine, "third");
    assert_eq!(path, "/dev/shm/areas-0.3");
    assert_eq!(machine.list().names(), ["first", "second", "third"]);
    // Nobody wrote where a link led.
    machine.tell("run rmdir /dev/shm/elsewhere");
}

#[test]
fn where_all_names_are_taken_the_error_says_what_to_do() {
    let Some(mut machine) = machine(test_name!()) else { return };
    machine.tell("run touch /dev/shm/areas-0");
    for i in 1..16 {
        machine.tell(&format!("run touch /dev/shm/areas-0.{i}"));
    }
    let mut agent = machine.fork();
    let text = refused(agent.try_publish("ring"), Kind::Registry);
    assert!(text.contains("AREAS_DIR") && text.contains("taken"), "{text}");
    // To look, there is nothing: no error.
    assert!(agent.list().is_empty());
    machine.tell("run rm /dev/shm/areas-0.7");
    let (_agent, path) = joins(&mut machine, "ring");
    assert_eq!(path, "/dev/shm/areas-0.7");
}

#[test]
fn an_empty_variable_is_none() {
    let Some(mut machine) = machine(test_name!()) else { return };
    machine.tell("run mkdir -m 700 /dev/shm/areas-0");
    let mut agent = Launch::at("").within(&["unshare", "--mount"]).start();
    agent.tell("run mount -t tmpfs -o mode=1777 tmpfs /dev/shm");
    agent.publish("ring");
    assert!(agent.tell("path").starts_with("/dev/shm/areas-0/pid-"));
}

#[test]
fn without_dev_shm_it_is_in_tmp() {
    let Some(mut machine) = machine(test_name!()) else { return };
    machine.tell("run mount -t tmpfs -o mode=1777 tmpfs /tmp");
    machine.tell("run mount -t tmpfs tmpfs /dev");
    let (agent, path) = joins(&mut machine, "ring");
    assert_eq!(path, "/tmp/areas-0");
    assert_eq!(machine.find("ring").unwrap().pid, agent.pid());
    assert!(machine.clone_of("ring").is_ok());
}
