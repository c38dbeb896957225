//! Two users of one machine: neither sees nor disturbs the other.

use areas::Kind;

use crate::support::{Agent, Folder, Launch, can_run, is_root, refused, test_name};

const USERS: [u32; 2] = [65533, 65534];

#[test]
fn neither_sees_the_other() {
    let mount = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"];
    if !is_root(test_name!()) || !can_run(test_name!(), &mount) {
        return;
    }
    let mut machine = Launch::by_default().within(&["unshare", "--mount"]).start();
    machine.tell("run mount -t tmpfs -o mode=1777 tmpfs /dev/shm");
    // All of them are forked while there is nothing yet that a child could inherit.
    let mut somebody = || {
        USERS.map(|user| {
            let mut agent = machine.fork();
            agent.become_user(user, user, None);
            agent
        })
    };
    let (mut users, readers) = (somebody(), somebody());
    let ids = users.each_mut().map(|agent| agent.publish("ring").id.unwrap());
    machine.publish("roots");
    for (i, mut reader) in readers.into_iter().enumerate() {
        for agent in [&mut reader, &mut users[i]] {
            let listed = agent.list();
            assert_eq!(listed.names(), ["ring"]);
            assert_eq!(listed.unreadable, []);
            refused(agent.find("roots"), Kind::NoSuchArea);
        }
        assert_eq!(reader.find("ring").unwrap().pid, users[i].pid());
        assert_eq!(reader.get(ids[i]).unwrap().pid, users[i].pid());
        refused(reader.get(ids[1 - i]), Kind::NoSuchArea);
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
    refused(other.try_publish("ring"), Kind::Registry);
    refused(other.find("ring"), Kind::Registry);
    refused(other.get(area.id.unwrap()), Kind::Registry);
    refused(other.try_list(), Kind::Registry);
    let teams = folder.teams();
    for attempt in [
        format!("ls {}", teams.display()),
        format!("rm -rf {}", teams.display()),
        format!("ln -s /proc/1/fd/0 {}/1.1.1", teams.display()),
        format!("cat {}", link.target()),
        format!("cat /proc/{}/maps", owner.pid()),
        format!("kill -9 {}", owner.pid()),
    ] {
        assert_eq!(other.tell(&format!("fails {attempt}")), "true", "{attempt}");
    }
    assert!(folder.has(&link));
    let mut reader = Agent::start_as(&folder, USERS[0], None);
    assert_eq!(reader.find("ring").unwrap().pid, owner.pid());
    assert!(reader.clone_of("ring").is_ok());
}
