//! The registry's folder: made when it is missing, refused when it is not as it must be, full, or
//! not to be written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use areas::ErrorKind;

use crate::support::{Agent, Folder, Launch, can_run, is_root, refused, test_name};

fn mode(path: &std::path::Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn it_is_made_by_the_first_who_joins_for_its_user_alone() {
    let folder = Folder::new();
    // Whatever the umask leaves open.
    let mut holder = Launch::new(&folder).after("umask 000", &[]).start();
    holder.publish("ring");
    for path in [folder.registry(), folder.space(), folder.teams()] {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
    assert_eq!(mode(&folder.control()), 0o600);
    assert_eq!(Agent::start(&folder).ask("path"), folder.space().display().to_string());
}

/// A umask that takes the rights of the owner, too, locks no process out: neither who made the
/// folder, nor who comes later.
#[test]
fn an_odd_umask_is_set_right() {
    if !is_root(test_name!()) {
        return;
    }
    for umask in ["0177", "0777", "0277", "0477"] {
        let folder = Folder::of_user(65534);
        fs::remove_dir(folder.registry()).unwrap();
        fs::set_permissions(folder.registry().parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
        let start = |umask: &str| {
            let mut agent = Launch::new(&folder).after(&format!("umask {umask}"), &[]).start();
            // Root may do anything, whatever the mode is.
            agent.become_user(65534, 65534, None);
            agent
        };
        let mut first = start(umask);
        first.publish("first");
        for path in [folder.registry(), folder.space(), folder.teams()] {
            assert_eq!(mode(&path), 0o700, "{umask}: {}", path.display());
        }
        assert_eq!(mode(&folder.control()), 0o600, "{umask}");
        let mut second = start("022");
        second.publish("second");
        assert_eq!(first.list().names(), ["first", "second"], "{umask}");
        // What an older version of this library has left, or who was killed in between.
        first.kill();
        second.kill();
        for path in [folder.control(), folder.teams(), folder.space(), folder.registry()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
        }
        assert!(start("022").list().is_empty(), "{umask}");
        start(umask).publish("third");
        assert_eq!(mode(&folder.control()), 0o600, "{umask}");
    }
}

/// Rights of the owner alone are set: a folder into which others could reach may hold anything by
/// now.
#[test]
fn one_without_its_owners_rights_that_others_can_reach_into_is_refused() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(65534);
    fs::set_permissions(folder.registry(), fs::Permissions::from_mode(0o070)).unwrap();
    let mut agent = Agent::start_as(&folder, 65534, None);
    let text = refused(agent.try_publish("ring"), ErrorKind::Registry);
    assert!(text.contains("chmod 700"), "{text}");
    assert_eq!(mode(&folder.registry()), 0o070);
}

#[test]
fn readers_make_nothing() {
    let folder = Folder::new();
    let mut reader = Agent::start(&folder);
    assert!(reader.list().is_empty());
    refused(reader.find("ring"), ErrorKind::NoSuchArea);
    refused(reader.get(1), ErrorKind::NoSuchArea);
    reader.keep().unwrap();
    assert_eq!(reader.ask("path"), "-");
    assert!(!folder.registry().exists());
    // Unnamed areas are no process's business either.
    reader.ask("unnamed");
    assert!(!folder.registry().exists());
    // And the reader notices when a process makes it.
    let mut holder = Agent::start(&folder);
    holder.publish("ring");
    assert_eq!(reader.find("ring").unwrap().pid, holder.pid());
}

#[test]
fn the_folder_above_it_must_be_there() {
    let folder = Folder::new();
    let mut holder = Launch::at(folder.join("no/such/folder")).start();
    let text = refused(holder.try_publish("ring"), ErrorKind::Registry);
    assert!(text.contains("ENOENT") && text.contains("make the folder above it"), "{text}");
    assert!(holder.list().is_empty());
    assert!(!folder.join("no").exists());
}

/// No process joins, looks or lists there, and nothing is changed.
#[track_caller]
fn is_refused(folder: &Folder, says: &str) {
    let mut agent = Agent::start(folder);
    for text in [
        refused(agent.try_publish("ring"), ErrorKind::Registry),
        refused(agent.find("ring"), ErrorKind::Registry),
        refused(agent.try_list(), ErrorKind::Registry),
        refused(agent.get(1), ErrorKind::Registry),
    ] {
        assert!(text.contains(says) && text.contains("help:"), "{text}");
        assert!(text.contains(folder.registry().to_str().unwrap()), "it names the path: {text}");
    }
}

#[test]
fn a_file_in_its_place() {
    let folder = Folder::new();
    fs::write(folder.registry(), "precious").unwrap();
    is_refused(&folder, "not a folder");
    assert_eq!(fs::read_to_string(folder.registry()).unwrap(), "precious");
}

#[test]
fn a_fifo_in_its_place() {
    let folder = Folder::new();
    assert!(Command::new("mkfifo").arg(folder.registry()).status().unwrap().success());
    is_refused(&folder, "not a folder");
}

#[test]
fn a_link_in_its_place_is_not_followed() {
    let folder = Folder::new();
    let elsewhere = folder.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(&elsewhere, folder.registry()).unwrap();
    is_refused(&folder, "symbolic link");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    fs::remove_dir(&elsewhere).unwrap();
    is_refused(&folder, "symbolic link");
    assert!(!elsewhere.exists());
}

#[test]
fn one_that_others_can_reach_into() {
    for open in [0o770, 0o707, 0o701, 0o710, 0o1777] {
        let folder = Folder::new();
        fs::create_dir(folder.registry()).unwrap();
        fs::set_permissions(folder.registry(), fs::Permissions::from_mode(open)).unwrap();
        // A folder that is open to all users is not to be closed to all others by who does as we
        // say.
        is_refused(&folder, if open == 0o1777 { "mktemp -d" } else { "chmod 700" });
        assert_eq!(fs::read_dir(folder.registry()).unwrap().count(), 0);
        if open == 0o770 {
            fs::write(folder.registry().join("of another"), "").unwrap();
            is_refused(&folder, "mktemp -d");
            fs::remove_file(folder.registry().join("of another")).unwrap();
        }
        fs::set_permissions(folder.registry(), fs::Permissions::from_mode(0o700)).unwrap();
        Agent::start(&folder).publish("ring");
    }
}

#[test]
fn another_users() {
    if !is_root(test_name!()) {
        return;
    }
    // Even root does not use an ordinary user's: that user could put anything there.
    let folder = Folder::of_user(65534);
    is_refused(&folder, "belongs to user 65534");
    assert_eq!(fs::read_dir(folder.registry()).unwrap().count(), 0);
    // An ordinary user cannot even look into root's.
    let folder = Folder::new();
    Agent::start(&folder).publish("ring");
    let mut ordinary = Agent::start_as(&folder, 65534, None);
    let text = refused(ordinary.try_publish("ring"), ErrorKind::Registry);
    assert!(
        text.contains("it belongs to user 0, and we are user 65534") && text.contains("EACCES"),
        "{text}"
    );
    refused(ordinary.try_list(), ErrorKind::Registry);
}

/// An agent in a mount namespace of its own, with a small file system at the place that is
/// released.
fn on_tmpfs(test: &str, folder: &Folder, options: &str) -> Option<(Agent, String)> {
    let place = folder.join("small");
    fs::create_dir(&place).unwrap();
    let place = place.to_str().unwrap().to_owned();
    if !can_run(test, &["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", &place]) {
        return None;
    }
    let script = "mount -t tmpfs -o \"$1\" tmpfs \"$2\"";
    let agent = Launch::at(format!("{place}/areas"))
        .within(&["unshare", "--mount"])
        .after(script, &[options, &place])
        .start();
    Some((agent, place))
}

#[test]
fn a_full_file_system_is_reported_and_left_usable() {
    let folder = Folder::new();
    let Some((mut agent, place)) = on_tmpfs(test_name!(), &folder, "size=4k,mode=755") else { return };
    agent.ask(&format!("run dd if=/dev/zero of={place}/filler bs=4096 count=1 status=none"));
    let text = refused(agent.try_publish("ring"), ErrorKind::Registry);
    assert!(text.contains("ENOSPC") && text.contains("full"), "{text}");
    assert!(agent.list().is_empty());
    refused(agent.find("ring"), ErrorKind::NoSuchArea);
    agent.ask(&format!("run rm {place}/filler"));
    // Forked while there is nothing to inherit: there is no room here for a second team.
    let mut other = agent.fork();
    agent.publish("ring");
    assert_eq!(other.find("ring").unwrap().pid, agent.pid());
    assert_eq!(agent.list().names(), ["ring"]);
}

#[test]
fn a_file_system_without_inodes_is_reported_and_left_usable() {
    let mut count = 0;
    // The root takes one; the folder, the namespace's, `teams`, `control` and the link one each.
    for inodes in 2..=6 {
        let folder = Folder::new();
        let options = format!("size=1m,mode=755,nr_inodes={inodes}");
        let Some((mut agent, place)) = on_tmpfs(test_name!(), &folder, &options) else { return };
        if let Err(refusal) = agent.try_publish("ring") {
            assert_eq!(refusal.kind, "Registry", "{}", refusal.text);
            assert!(refusal.text.contains("ENOSPC"), "{}", refusal.text);
            count += 1;
            assert!(agent.list().is_empty());
            agent.ask(&format!("run mount -o remount,nr_inodes=100 {place}"));
            agent.publish("ring");
        }
        assert_eq!(agent.fork().find("ring").unwrap().pid, agent.pid());
    }
    assert!(count >= 4, "inodes did run out: {count}");
}

#[test]
fn a_file_system_that_cannot_be_written_can_be_read() {
    let folder = Folder::new();
    let Some((mut holder, place)) = on_tmpfs(test_name!(), &folder, "size=1m,mode=755") else { return };
    holder.publish("ring");
    let mut reader = holder.fork();
    holder.ask("drop-all");
    let mut other = holder.fork();
    other.publish("other");
    // A mount of the same that is read-only, over it: those who come now see that one.
    holder.ask(&format!("run mount --bind {place} {place}"));
    holder.ask(&format!("run mount -o remount,bind,ro {place}"));
    assert_eq!(reader.find("other").unwrap().pid, other.pid());
    assert!(reader.clone_of("other").is_ok());
    let text = refused(reader.try_publish("more"), ErrorKind::Registry);
    assert!(text.contains("EROFS"), "{text}");
    // A dead team that cannot be cleared away is no trouble.
    other.kill();
    assert!(reader.list().is_empty());
    refused(reader.find("other"), ErrorKind::NoSuchArea);
}

#[test]
fn nothing_but_small_files_and_links_lies_there() {
    let folder = Folder::new();
    let mut agents: Vec<Agent> = (0..3).map(|_| Agent::start(&folder)).collect();
    for agent in &mut agents {
        agent.ask("publish-many ring 100");
    }
    for (path, metadata) in folder.remains() {
        let small = metadata.is_dir()
            || metadata.is_symlink()
            || (path == folder.control() && metadata.blocks() * 512 <= 5 * 4096);
        assert!(small, "{} takes {} bytes", path.display(), metadata.blocks() * 512);
    }
}
