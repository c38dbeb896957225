//! Areas announced over something that is none: a table that names, truthfully, a FIFO, a device,
//! or memory that may shrink. Nothing of the kind is opened, waited for, or mapped.

use std::process::Command;

use areas::ErrorKind;
use areas_testing::maps;

use crate::support::{Agent, Folder, Link, refused, skip, start_time, test_name};

/// Announces it, and looks at what comes of cloning.
fn announced(path: &str, seals: &str, kinds: &[ErrorKind]) {
    refuses(path, seals, &["clone announced-1", "read-only announced-1", "clone announced-1 again"], kinds);
}

fn refuses(path: &str, seals: &str, commands: &[&str], kinds: &[ErrorKind]) {
    let folder = Folder::new();
    let (mut honest, mut hostile) = (Agent::start(&folder), Agent::start(&folder));
    honest.publish("announced-1");
    let original = folder.link_of(honest.pid());
    let opened = hostile.ask(&format!("announce {} {path} {seals}", original.target()));
    let (descriptor, inode) = opened.split_once(' ').unwrap();
    folder.plant_link(&Link {
        slot: (original.slot + 1) % 4096,
        start_time: start_time(hostile.pid()),
        inode: inode.parse().unwrap(),
        pid: hostile.pid(),
        descriptor: descriptor.parse().unwrap(),
        empty: false,
    });
    // The header still names the original's slot: not believed. In that slot, it is.
    let mut reader = Agent::start(&folder);
    assert_eq!(reader.list().unreadable.len(), 1);
    assert!(reader.clone_of("announced-1").is_ok());
    folder.plant_link(&Link {
        pid: hostile.pid(),
        start_time: start_time(hostile.pid()),
        inode: inode.parse().unwrap(),
        descriptor: descriptor.parse().unwrap(),
        ..original
    });
    honest.kill();
    assert_eq!(reader.find("announced-1").unwrap().pid, hostile.pid(), "the forgery is a good one");
    // One handle of the other process is kept from the second attempt on.
    for _ in 0..2 {
        let _ = reader.try_ask(commands[0]);
    }
    let before = reader.ask("descriptors");
    for command in commands {
        match reader.try_ask(command) {
            Err(refused) => {
                assert!(
                    kinds.iter().any(|kind| refused.kind == format!("{kind:?}")),
                    "{command}: {refused:?}"
                );
            }
            Ok(_) => panic!("{command}: {path} is no area"),
        }
    }
    let _ = reader.try_ask("size announced-1");
    assert_eq!(reader.ask("descriptors"), before, "nothing stays open");
    let maps = maps::of(reader.pid()).unwrap();
    let stays = |vma: &maps::Vma| vma.path.contains("/memfd:announced") || vma.path.contains("/dev/mem");
    assert!(!maps.iter().any(stays), "nothing stays mapped: {maps:?}");
    assert!(!folder.links().iter().any(|link| link.pid == reader.pid()), "nothing was published");
    reader.publish("own");
    assert!(reader.clone_of("own").is_ok());
    hostile.kill();
    refused(reader.find("announced-1"), ErrorKind::NoSuchArea);
}

#[test]
fn a_fifo() {
    let folder = Folder::new();
    let fifo = folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    announced(fifo.to_str().unwrap(), "-", &[ErrorKind::NoSuchArea, ErrorKind::InvalidInput]);
}

#[test]
fn devices_and_terminals() {
    for path in ["/dev/zero", "/dev/null", "/dev/ptmx"] {
        announced(path, "-", &[ErrorKind::NoSuchArea, ErrorKind::InvalidInput]);
    }
}

#[test]
fn a_folder_and_a_file() {
    let folder = Folder::new();
    let file = folder.join("file");
    std::fs::write(&file, [7; 4096]).unwrap();
    announced(file.to_str().unwrap(), "-", &[ErrorKind::NoSuchArea, ErrorKind::InvalidInput]);
    announced("/", "-", &[ErrorKind::NoSuchArea, ErrorKind::InvalidInput]);
}

#[test]
fn memory_that_may_shrink() {
    announced("memory:4096", "none", &[ErrorKind::InvalidInput]);
}

#[test]
fn memory_that_is_larger_than_all_addresses() {
    announced(
        "memory:9223372036854771712",
        "fixed",
        &[ErrorKind::NoMemory, ErrorKind::Limit, ErrorKind::InvalidInput],
    );
}

/// A table that claims physical memory: over what is none, and of parts that no process reserved.
#[test]
fn low_memory_that_is_none() {
    announced("memory:4096", "low-8388608", &[ErrorKind::NoSuchArea]);
    announced("/dev/zero", "low-8388608", &[ErrorKind::NoSuchArea]);
}

#[test]
fn low_memory_that_is_the_kernels() {
    // The kernel's own code, and the end of all addresses.
    for address in ["low-16777216", "low-18446744073709543424"] {
        if std::fs::File::options().read(true).write(true).open("/dev/mem").is_err() {
            skip(test_name!(), "needs a /dev/mem that we may open");
            return;
        }
        announced("/dev/mem", address, &[ErrorKind::Registry, ErrorKind::NoMemory, ErrorKind::NotPermitted]);
    }
}

#[test]
fn memory_with_a_lease_on_it() {
    // It is an area like any other, but that whoever opens it would wait for its owner to give the
    // lease back.
    refuses("memory:4096", "leased", &["read-only announced-1", "read-only announced-1"], &[ErrorKind::Busy]);
}
