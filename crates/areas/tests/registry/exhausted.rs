//! Nothing left: a full file system, a limit on files that was lowered later, no addresses, no
//! mappings. Errors that say so, and all is well once there is something again.

use areas::ErrorKind;

use crate::support::{Agent, Folder, Launch, can_run, is_root, refused, test_name};

#[test]
fn a_full_file_system() {
    let mount =
        ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=9", "tmpfs", "/dev/shm"];
    if !is_root(test_name!()) || !can_run(test_name!(), &mount) {
        return;
    }
    let mut holder = Launch::by_default().within(&["unshare", "--mount"]).start();
    holder.ask("run mount -t tmpfs -o mode=1777,size=64k,nr_inodes=9 tmpfs /dev/shm");
    // Forked before it holds anything.
    let (mut late, mut reader) = (holder.fork(), holder.fork());
    // The mount's root, the folder, the pid namespace's, teams, control, one link, one transfer
    // socket: two more are left.
    let area = holder.publish("ring");
    holder.ask("run touch /dev/shm/full /dev/shm/fuller");
    let text = refused(late.try_publish("late"), ErrorKind::Registry);
    assert!(text.contains("the file system is full"), "{text}");
    // Who is there goes on, and memory is not a file of it.
    let big = holder.ask(&format!("publish big {}", 1 << 20));
    assert!(holder.has_bytes_of(area, "ring"), "{big}");
    assert_eq!(reader.list().names(), ["big", "ring"]);
    assert!(reader.clone_of("ring").is_ok());
    holder.ask("run rm /dev/shm/full /dev/shm/fuller");
    late.publish("late");
    assert_eq!(reader.list().names(), ["big", "late", "ring"]);
    // Full before the first one comes, and full of bytes instead of names.
    holder.ask("run mount -t tmpfs -o mode=1777,size=4k,nr_inodes=100 tmpfs /dev/shm");
    let mut first = holder.fork();
    holder.ask("fails dd if=/dev/zero of=/dev/shm/full bs=1k count=100");
    match first.try_publish("first") {
        Ok(_) => assert!(first.clone_of("first").is_ok(), "a control file of holes does"),
        Err(error) => assert!(error.text.contains("the file system is full"), "{}", error.text),
    }
}

#[test]
fn a_file_size_limit_that_was_lowered_later_is_an_error_and_no_signal() {
    for limit in [0_u64, 10, 100, 4096] {
        let folder = Folder::new();
        let (mut holder, mut other) = (Agent::start(&folder), Agent::start(&folder));
        holder.publish("ring");
        other.publish("others");
        holder.ask(&format!("limit file-size {limit}"));
        // A process waits, which a publication notices by writing to the control file; and so does
        // waiting.
        other.begin("wait mine 30000");
        refused(holder.try_ask("wait absent 100"), ErrorKind::TimedOut);
        holder.clone_as("others", "mine").unwrap();
        assert!(other.end().unwrap().ends_with("mine"));
        // More ids than were leased at once: clones are no new files, but the lease is written.
        let mut reported = None;
        for _ in 0..1100 {
            match holder.clone_as("others", "again") {
                Ok(clone) => holder.drop_area(clone),
                Err(refused) => {
                    reported = Some(refused);
                    break;
                }
            }
        }
        // Slots with a high number have their lease further behind.
        if let Some(reported) = reported {
            assert_eq!(reported.kind, "Registry", "{reported:?}");
            assert!(reported.text.contains("RLIMIT_FSIZE"), "{reported:?}");
        } else {
            // Of the control file: behind its header a word for each slot.
            let lease = 64 + 4 * u64::from(folder.link_of(holder.pid()).slot);
            assert!(limit >= lease + 4, "the lease lies at {lease}, beyond {limit} bytes");
        }
        if limit < 4096 {
            let text = refused(holder.try_publish("more"), ErrorKind::Limit);
            assert!(text.contains("RLIMIT_FSIZE"), "{text}");
        }
        assert_eq!(other.find("ring").unwrap().pid, holder.pid());
    }
}

#[test]
fn no_mapping_is_left_for_others_tables() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("ring");
    let area = reader.publish("own");
    reader.ask("fill-mappings");
    // Who cannot be looked into is said to be there, with the reason.
    let listed = reader.try_list();
    if let Ok(listed) = &listed {
        assert!(!listed.names().contains(&"ring"), "{listed:?}");
        assert_eq!(listed.unreadable.len(), 1, "{listed:?}");
        assert!(listed.unreadable[0].1.contains("mappings in use"), "{listed:?}");
    }
    assert!(folder.links().iter().any(|link| link.pid == holder.pid()), "nor is it taken for dead");
    assert!(reader.try_publish("more").is_err());
    assert!(reader.has_bytes_of(area, "own"));
    reader.ask("free-mappings");
    assert_eq!(reader.find("ring").unwrap().pid, holder.pid());
    assert!(reader.clone_of("ring").is_ok());
    reader.publish("more");
    assert_eq!(reader.list().names(), ["more", "own", "ring"], "what was refused left nothing");
}

#[test]
fn no_addresses_are_left_for_tables() {
    let folder = Folder::new();
    let [mut holder, mut reader, mut late] = std::array::from_fn(|_| Agent::start(&folder));
    holder.publish("ring");
    let area = reader.publish("own");
    for agent in [&mut reader, &mut late] {
        // Less than a table takes, and enough for all else.
        agent.ask("limit addresses +8388608");
    }
    let listed = reader.list();
    assert_eq!(listed.names(), ["own"]);
    assert!(listed.unreadable[0].1.contains("RLIMIT_AS"), "{listed:?}");
    // Whether there is such an area is not known.
    let text = refused(reader.find("ring"), ErrorKind::Limit);
    assert!(text.contains("RLIMIT_AS"), "{text}");
    let text = refused(late.try_publish("late"), ErrorKind::Limit);
    assert!(text.contains("RLIMIT_AS"), "{text}");
    assert!(!folder.links().iter().any(|link| link.pid == late.pid()), "it has not joined");
    // What it has is there, and found by those who can.
    assert!(reader.has_bytes_of(area, "own"));
    assert_eq!(holder.list().names(), ["own", "ring"]);
    for agent in [&mut reader, &mut late] {
        agent.ask("limit addresses none");
    }
    late.publish("late");
    assert_eq!(reader.list().names(), ["late", "own", "ring"]);
    assert!(reader.clone_of("ring").is_ok());
}
