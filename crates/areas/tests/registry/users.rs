//! Two users of one machine: neither sees nor disturbs the other.

use areas::ErrorKind;
use areas_testing::status;

use crate::support::{Agent, Folder, Launch, can_run, is_root, refused, test_name};

const USERS: [u32; 2] = [65533, 65534];

#[test]
fn neither_sees_the_other() {
    let mount = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"];
    if !is_root(test_name!()) || !can_run(test_name!(), &mount) {
        return;
    }
    let mut machine = Launch::by_default().within(&["unshare", "--mount"]).start();
    machine.ask("run mount -t tmpfs -o mode=1777 tmpfs /dev/shm");
    // All of them are forked while there is nothing yet that a child could inherit.
    let mut of_each_user = || {
        USERS.map(|user| {
            let mut agent = machine.fork();
            agent.become_user(user, user, None);
            agent
        })
    };
    let (mut users, readers) = (of_each_user(), of_each_user());
    let ids = users.each_mut().map(|agent| agent.publish("ring").id.unwrap());
    machine.publish("roots");
    for (i, mut reader) in readers.into_iter().enumerate() {
        for agent in [&mut reader, &mut users[i]] {
            let listed = agent.list();
            assert_eq!(listed.names(), ["ring"]);
            assert_eq!(listed.unreadable, []);
            refused(agent.find("roots"), ErrorKind::NoSuchArea);
        }
        assert_eq!(reader.find("ring").unwrap().pid, users[i].pid());
        assert_eq!(reader.get(ids[i]).unwrap().pid, users[i].pid());
        refused(reader.get(ids[1 - i]), ErrorKind::NoSuchArea);
        assert!(reader.clone_of("ring").is_ok());
    }
    assert_eq!(machine.list().names(), ["roots"], "root's registry is root's");
    // What becomes of one concerns the other nothing.
    let [first, mut second] = users;
    let pid = second.pid();
    first.kill();
    assert_eq!(second.list().names(), ["ring"]);
    assert_eq!(second.find("ring").unwrap().pid, pid);
}

#[test]
fn neither_disturbs_the_other() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(USERS[0]);
    let mut owner = Agent::start_as(&folder, USERS[0], None);
    let area = owner.publish("ring");
    let link = folder.link_of(owner.pid());
    // The other one knows where it is, and may do what such a user can.
    let mut other = Agent::start_as(&folder, USERS[1], None);
    refused(other.try_publish("ring"), ErrorKind::Registry);
    refused(other.find("ring"), ErrorKind::Registry);
    refused(other.get(area.id.unwrap()), ErrorKind::Registry);
    refused(other.try_list(), ErrorKind::Registry);
    let teams = folder.teams();
    for attempt in [
        format!("ls {}", teams.display()),
        format!("rm -rf {}", teams.display()),
        format!("ln -s /proc/1/fd/0 {}/1.1.1", teams.display()),
        format!("cat {}", link.target()),
        format!("cat /proc/{}/maps", owner.pid()),
        format!("kill -9 {}", owner.pid()),
    ] {
        assert_eq!(other.ask(&format!("fails {attempt}")), "true", "{attempt}");
    }
    assert!(folder.has(&link));
    let mut reader = Agent::start_as(&folder, USERS[0], None);
    assert_eq!(reader.find("ring").unwrap().pid, owner.pid());
    assert!(reader.clone_of("ring").is_ok());
}

/// An agent of root's on a machine of its own, with nothing in `/dev/shm`.
fn machine(test: &str) -> Option<Agent> {
    let mount = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"];
    if !is_root(test) || !can_run(test, &mount) {
        return None;
    }
    let mut machine = Launch::by_default().within(&["unshare", "--mount"]).start();
    machine.ask("run mount -t tmpfs -o mode=1777 tmpfs /dev/shm");
    Some(machine)
}

/// Who changes users is a new team in the new user's registry, with all that it holds.
#[test]
fn after_a_change_of_user_areas_are_the_new_users() {
    for notices_by in ["publish", "find", "list", "keep"] {
        let Some(mut machine) = machine(test_name!()) else { return };
        let (mut daemon, mut of_root, mut of_user) = (machine.fork(), machine.fork(), machine.fork());
        of_user.become_user(USERS[0], USERS[0], None);
        let before = daemon.publish("before");
        assert_eq!(of_root.list().names(), ["before"]);
        daemon.become_user(USERS[0], USERS[0], None);
        match notices_by {
            "publish" => drop(daemon.publish("after")),
            // Never looked for before: what it remembers of a name, it finds without asking the
            // kernel where.
            "find" => assert_eq!(daemon.find("before").unwrap().pid, daemon.pid()),
            "list" => assert_eq!(daemon.list().names(), ["before"]),
            _ => daemon.keep().unwrap(),
        }
        assert!(daemon.ask("path").starts_with("/dev/shm/areas-65533/pid-"), "{notices_by}");
        let names: &[&str] = if notices_by == "publish" { &["after", "before"] } else { &["before"] };
        for agent in [&mut daemon, &mut of_user] {
            assert_eq!(agent.list().names(), names, "{notices_by}");
            assert_eq!(agent.list().unreadable, [], "{notices_by}");
        }
        let id = daemon.id(before).unwrap();
        assert_eq!(of_user.get(id).unwrap().pid, daemon.pid());
        assert_eq!(daemon.ask(&format!("at {}", before.handle)), id.to_string());
        // What root has made can be had as its holder has it, and not be reopened for reading only.
        assert!(of_user.clone_of("before").is_ok());
        let text = refused(of_user.try_ask("read-only before"), ErrorKind::Unreadable);
        assert!(text.contains("it is user 0's, and we are user 65533"), "{text}");
        // Its maker as well: by a copy of its descriptor.
        let own = daemon.clone_of("before").unwrap();
        daemon.ask(&format!("fill {} own", own.handle));
        assert!(daemon.has_bytes_of(before, "own"));
        let text = refused(daemon.try_ask("read-only before"), ErrorKind::Unreadable);
        assert!(text.contains("it is user 0's, and we are user 65533"), "{text}");
        // The old team is gone for root's processes: not unreadable, not alive.
        let listed = of_root.list();
        assert!(listed.is_empty() && listed.unreadable.is_empty(), "{notices_by}: {listed:?}");
        refused(of_root.find("before"), ErrorKind::NoSuchArea);
        if notices_by == "publish" {
            assert_eq!(of_user.find("after").unwrap().pid, daemon.pid());
            assert!(of_user.clone_of("after").is_ok());
        }
        daemon.ask("drop-all");
        assert!(of_user.list().is_empty());
    }
}

/// The kernel does not let other processes look into one that has changed its user: it is listed as
/// that, with what to do about it.
#[test]
fn after_a_change_of_user_a_process_is_not_dumpable() {
    let Some(mut machine) = machine(test_name!()) else { return };
    let (mut daemon, mut of_user) = (machine.fork(), machine.fork());
    of_user.become_user(USERS[0], USERS[0], None);
    daemon.publish("before");
    daemon.become_user(USERS[0], USERS[0], None);
    daemon.ask("dumpable no");
    daemon.publish("after");
    assert_eq!(daemon.list().names(), ["after", "before"]);
    assert_eq!(daemon.find("after").unwrap().pid, daemon.pid());
    let text = refused(of_user.find("after"), ErrorKind::NoSuchArea);
    assert!(text.contains("PR_SET_DUMPABLE"), "{text}");
    let listed = of_user.list();
    assert_eq!(listed.unreadable.len(), 1, "{listed:?}");
    daemon.ask("dumpable yes");
    assert_eq!(of_user.find("after").unwrap().pid, daemon.pid());
}

/// There and back, and where the new user may not look at all.
#[test]
fn back_and_forth_between_two_users() {
    let Some(mut machine) = machine(test_name!()) else { return };
    let (mut daemon, mut of_root) = (machine.fork(), machine.fork());
    daemon.publish("ring");
    let places = [
        (USERS[0], "/dev/shm/areas-65533/pid-"),
        (0, "/dev/shm/areas-0/pid-"),
        (USERS[1], "/dev/shm/areas-65534/pid-"),
        (0, "/dev/shm/areas-0/pid-"),
    ];
    for (user, path) in places {
        daemon.ask(&format!("effective-user {user}"));
        daemon.keep().unwrap();
        let now = daemon.ask("path");
        assert!(now.starts_with(path), "{user}: {now}");
        assert_eq!(daemon.list().names(), ["ring"], "{user}");
    }
    assert_eq!(of_root.list().names(), ["ring"]);
    assert_eq!(of_root.find("ring").unwrap().pid, daemon.pid());
    // A child of one that has changed users begins where it is.
    daemon.ask(&format!("effective-user {}", USERS[0]));
    let mut child = daemon.fork();
    assert_eq!(child.list().names(), ["ring"]);
    assert!(child.ask("path").starts_with("/dev/shm/areas-65533/pid-"));
}

#[test]
fn a_new_user_without_a_folder_gets_an_error() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::new();
    let mut daemon = Agent::start(&folder);
    let area = daemon.publish("ring");
    daemon.become_user(USERS[0], USERS[0], None);
    let text = refused(daemon.try_publish("more"), ErrorKind::Registry);
    assert!(text.contains("belongs to user 0") || text.contains("may not be opened"), "{text}");
    assert!(text.contains("AREAS_DIR"), "{text}");
    // What it has is usable all the same.
    assert!(daemon.has_bytes_of(area, "ring"));
    daemon.drop_area(area);
}

/// Who starts a set-uid program chooses its environment, and not where it looks.
#[test]
fn a_set_uid_program_goes_where_its_user_goes() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let Some(_) = machine(test_name!()) else { return };
    let folder = Folder::new();
    let program = folder.join("set-uid");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    chown(&program, Some(USERS[0]), Some(USERS[0])).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let named = folder.join("named");
    std::fs::create_dir(&named).unwrap();
    std::fs::set_permissions(&named, std::fs::Permissions::from_mode(0o700)).unwrap();
    chown(&named, Some(USERS[0]), None).unwrap();
    let script = "mount -t tmpfs -o mode=1777 tmpfs /dev/shm";
    let mut agent =
        Launch::at(&named).within(&["unshare", "--mount"]).after(script, &[]).program(program).start();
    let status = status::of(agent.pid()).unwrap();
    let users = status.field("Uid").unwrap();
    assert!(users.contains("65533"), "the temporary folder is mounted nosuid: {users}");
    agent.publish("ring");
    let path = agent.ask("path");
    assert!(path.starts_with("/dev/shm/areas-65533/pid-"), "{path}");
    assert_eq!(std::fs::read_dir(&named).unwrap().count(), 0);
}
