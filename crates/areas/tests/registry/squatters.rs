//! Where the registry is without `AREAS_DIR`, on a machine where others may have been first. Each
//! in a mount namespace with an empty `/dev/shm`.

use areas::ErrorKind;

use crate::support::{Agent, Launch, can_run, is_root, refused, test_name};

/// The first agent in such a namespace. Others are forked from it.
fn machine(test: &str) -> Option<Agent> {
    let mount = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"];
    if !is_root(test) || !can_run(test, &mount) {
        return None;
    }
    let mut agent = Launch::by_default().within(&["unshare", "--mount"]).start();
    agent.ask("run mount -t tmpfs -o mode=1777 tmpfs /dev/shm");
    Some(agent)
}

/// Publishes in a process of its own, and says in which folder that was.
fn joins(machine: &mut Agent, name: &str) -> (Agent, String) {
    let mut agent = machine.fork();
    agent.publish(name);
    let path = agent.ask("path");
    let (root, _) = path.rsplit_once("/pid-").expect("a pid namespace's folder");
    (agent, root.to_owned())
}

#[test]
fn it_is_named_after_the_user() {
    let Some(mut machine) = machine(test_name!()) else { return };
    assert!(machine.list().is_empty());
    let (_root, path) = joins(&mut machine, "ring");
    assert_eq!(path, "/dev/shm/areas-0");
    assert_eq!(machine.ask("mode /dev/shm/areas-0"), "700");
    assert_eq!(machine.list().names(), ["ring"]);
    let mut ordinary = machine.fork();
    ordinary.become_user(65534, 65534, None);
    ordinary.publish("ring");
    assert!(ordinary.ask("path").starts_with("/dev/shm/areas-65534/pid-"));
}

#[test]
fn squatters_are_gone_round_and_all_meet() {
    let Some(mut machine) = machine(test_name!()) else { return };
    machine.ask("run mkdir -m 700 /dev/shm/areas-0");
    machine.ask("run chown 65534 /dev/shm/areas-0");
    machine.ask("run touch /dev/shm/areas-0.1");
    machine.ask("run mkdir -m 700 /dev/shm/elsewhere");
    machine.ask("run ln -s /dev/shm/elsewhere /dev/shm/areas-0.2");
    assert!(machine.list().is_empty());
    let (_first, path) = joins(&mut machine, "first");
    assert_eq!(path, "/dev/shm/areas-0.3");
    let (_second, path) = joins(&mut machine, "second");
    assert_eq!(path, "/dev/shm/areas-0.3");
    assert_eq!(machine.list().names(), ["first", "second"]);
    // When the squatter leaves, those who come still meet those who are there.
    machine.ask("run rmdir /dev/shm/areas-0");
    let (_third, path) = joins(&mut machine, "third");
    assert_eq!(path, "/dev/shm/areas-0.3");
    assert_eq!(machine.list().names(), ["first", "second", "third"]);
    // No process wrote where a link led.
    machine.ask("run rmdir /dev/shm/elsewhere");
}

/// Another process has made all names that are tried in `/dev/shm`.
fn all_taken(machine: &mut Agent, user: u32) {
    machine.ask("run mount -t tmpfs -o mode=755 tmpfs /run");
    machine.ask(&format!("run touch /dev/shm/areas-{user}"));
    for i in 1..16 {
        machine.ask(&format!("run touch /dev/shm/areas-{user}.{i}"));
    }
}

#[test]
fn where_all_names_are_taken_the_error_says_what_to_do() {
    let Some(mut machine) = machine(test_name!()) else { return };
    all_taken(&mut machine, 65534);
    let mut agent = machine.fork();
    agent.become_user(65534, 65534, None);
    let text = refused(agent.try_publish("ring"), ErrorKind::Registry);
    for word in [
        "AREAS_DIR",
        "all 16 names",
        "/dev/shm/areas-65534: ",
        "/run/user/65534/areas: it cannot be made (ENOENT)",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // To look, there is nothing: no error.
    assert!(agent.list().is_empty());
    machine.ask("run rm /dev/shm/areas-65534.7");
    agent.publish("ring");
    assert!(agent.ask("path").starts_with("/dev/shm/areas-65534.7/pid-"));
}

#[test]
fn where_all_names_are_taken_there_is_one_that_only_the_user_can_make() {
    let Some(mut machine) = machine(test_name!()) else { return };
    all_taken(&mut machine, 65534);
    machine.ask("run mkdir -p -m 755 /run/user");
    machine.ask("run mkdir -m 700 /run/user/65534");
    machine.ask("run chown 65534 /run/user/65534");
    let mut agents: Vec<Agent> = (0..3).map(|_| machine.fork()).collect();
    for (i, agent) in agents.iter_mut().enumerate() {
        agent.become_user(65534, 65534, None);
        agent.publish(&format!("area-{i}"));
        assert!(agent.ask("path").starts_with("/run/user/65534/areas/pid-"), "{}", agent.ask("path"));
        let why = agent.ask("remark");
        assert!(why.starts_with("/dev/shm/areas-65534 and 15 other names cannot be used: "), "{why}");
    }
    assert_eq!(agents[0].list().names(), ["area-0", "area-1", "area-2"]);
    // Names that are free by now do not part those who come from those who are there.
    machine.ask("run rm /dev/shm/areas-65534");
    let mut late = machine.fork();
    late.become_user(65534, 65534, None);
    assert_eq!(late.list().names().len(), 3);
    late.publish("late");
    assert_eq!(agents[0].list().names(), ["area-0", "area-1", "area-2", "late"]);
    // Root has one where there is no logind.
    all_taken(&mut machine, 0);
    let (mut root, path) = joins(&mut machine, "ring");
    assert_eq!(path, "/run/areas-0");
    assert_eq!(root.list().names(), ["ring"]);
}

#[test]
fn where_dev_shm_takes_no_names_there_is_one_that_only_the_user_can_make() {
    for (options, why) in [("remount,ro", "EROFS"), ("remount,nr_inodes=1", "ENOSPC")] {
        let Some(mut machine) = machine(test_name!()) else { return };
        machine.ask("run mount -t tmpfs -o mode=755 tmpfs /run");
        machine.ask(&format!("run mount -o {options} /dev/shm"));
        assert!(machine.list().is_empty());
        let (mut first, path) = joins(&mut machine, "first");
        assert_eq!(path, "/run/areas-0");
        let remark = first.ask("remark");
        assert!(remark.contains("/dev/shm/areas-0 and 16 other names cannot be used: "), "{remark}");
        assert!(remark.contains(why), "{remark}");
        // When it takes names again, those who come still meet those who are there.
        machine.ask("run mount -o remount,rw,nr_inodes=0 /dev/shm");
        let (mut second, path) = joins(&mut machine, "second");
        assert_eq!(path, "/run/areas-0");
        assert_eq!(second.list().names(), ["first", "second"]);
        let mut ordinary = machine.fork();
        machine.ask("run mount -o remount,ro /dev/shm");
        ordinary.become_user(65534, 65534, None);
        let text = refused(ordinary.try_publish("ring"), ErrorKind::Registry);
        assert!(
            text.contains("/dev/shm/areas-65534: it cannot be made (EROFS") && text.contains("AREAS_DIR"),
            "{text}"
        );
    }
}

/// Two folders, in each of which there are processes of ours, can only be left from former times:
/// all come to the same one.
#[test]
fn of_several_folders_all_choose_the_one_in_use() {
    let Some(mut machine) = machine(test_name!()) else { return };
    let (first, path) = joins(&mut machine, "first");
    assert_eq!(path, "/dev/shm/areas-0");
    machine.ask("run cp -a /dev/shm/areas-0 /dev/shm/areas-0.1");
    first.kill();
    // No process is in either of them; a reader sees that, too.
    let mut reader = machine.fork();
    assert!(reader.list().is_empty());
    let (_second, path) = joins(&mut machine, "second");
    assert_eq!(path, "/dev/shm/areas-0");
    machine.ask("run mv /dev/shm/areas-0 /dev/shm/areas-0.2");
    let (_third, path) = joins(&mut machine, "third");
    assert_eq!(path, "/dev/shm/areas-0.2", "where the second one is");
    assert_eq!(reader.list().names(), ["second", "third"]);
}

/// Processes that join at once, while a process makes and removes the first name all the time, come
/// to one folder.
#[test]
fn those_who_come_at_once_meet_beside_a_squatter_who_comes_and_goes() {
    const ROUNDS: usize = 25;
    let Some(mut machine) = machine(test_name!()) else { return };
    let script = "while :; do mkdir /dev/shm/areas-0; rmdir /dev/shm/areas-0; done 2>/dev/null";
    let target = machine.pid().to_string();
    let enter = ["-t", &target, "--mount", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    if !can_run(test_name!(), &[&["nsenter"][..], &enter, &["true"]].concat()) {
        return;
    }
    let mut squatter =
        std::process::Command::new("nsenter").args(enter).args(["sh", "-c", script]).spawn().unwrap();
    let mut places = std::collections::BTreeMap::<String, usize>::new();
    let mut parted = None;
    for round in 0..ROUNDS {
        let mut agents: Vec<Agent> = (0..6).map(|_| machine.fork()).collect();
        for (i, agent) in agents.iter_mut().enumerate() {
            agent.begin(&format!("publish area-{i} 4096"));
        }
        for agent in &mut agents {
            agent.end().unwrap();
        }
        let mut paths: Vec<String> = agents.iter_mut().map(|agent| agent.ask("path")).collect();
        paths.sort_unstable();
        paths.dedup();
        let seen = machine.fork().list().names().len();
        if paths.len() != 1 || seen != 6 {
            parted = Some((round, paths, seen));
            break;
        }
        *places.entry(paths.remove(0)).or_default() += 1;
        for agent in agents {
            let _ = agent.kill();
        }
        // Words are parted at spaces.
        machine.ask("run sh -c rm${IFS}-rf${IFS}/dev/shm/areas-0*");
    }
    squatter.kill().unwrap();
    squatter.wait().unwrap();
    assert_eq!(parted, None);
    println!("{places:?}");
}

#[test]
fn an_empty_variable_is_none() {
    let Some(mut machine) = machine(test_name!()) else { return };
    machine.ask("run mkdir -m 700 /dev/shm/areas-0");
    let mut agent = Launch::at("").within(&["unshare", "--mount"]).start();
    agent.ask("run mount -t tmpfs -o mode=1777 tmpfs /dev/shm");
    agent.publish("ring");
    assert!(agent.ask("path").starts_with("/dev/shm/areas-0/pid-"));
}

#[test]
fn without_dev_shm_it_is_in_tmp() {
    let Some(mut machine) = machine(test_name!()) else { return };
    machine.ask("run mount -t tmpfs -o mode=1777 tmpfs /tmp");
    machine.ask("run mount -t tmpfs tmpfs /dev");
    let (agent, path) = joins(&mut machine, "ring");
    assert_eq!(path, "/tmp/areas-0");
    assert_eq!(machine.find("ring").unwrap().pid, agent.pid());
    assert!(machine.clone_of("ring").is_ok());
}
