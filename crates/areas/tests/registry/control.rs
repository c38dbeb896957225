//! The control file is a hint where the ids of a slot go on: whatever is in it, nothing breaks.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use areas::ErrorKind;

use crate::support::{Agent, Folder, refused};

/// Teams from before and after something happened to the control file do what they always do.
fn survives(happens: impl Fn(&Folder)) {
    let folder = Folder::new();
    let mut before = Agent::start(&folder);
    let first = before.publish("first").id.unwrap();
    happens(&folder);
    let mut after = Agent::start(&folder);
    let second = after.publish("second").id.unwrap();
    // More than one block of ids each.
    for agent in [&mut before, &mut after] {
        let answer = agent.ask("churn third 1100");
        let ids: Vec<i32> = answer.split(' ').map(|id| id.parse().unwrap()).collect();
        assert!(ids.iter().all(|&id| id > 0 && id != first && id != second));
    }
    for agent in [&mut before, &mut after] {
        assert_eq!(agent.list().names(), ["first", "second"]);
        assert_eq!(agent.get(first).unwrap().name, "first");
        assert_eq!(agent.get(second).unwrap().name, "second");
        assert!(agent.clone_of("first").is_ok() && agent.clone_of("second").is_ok());
    }
}

#[test]
fn garbage_in_it() {
    for byte in [0xff, 0x80, 0x01] {
        survives(|folder| fs::write(folder.control(), vec![byte; 20_000]).unwrap());
    }
}

#[test]
fn it_is_cut_off() {
    survives(|folder| fs::write(folder.control(), "").unwrap());
    survives(|folder| fs::write(folder.control(), vec![7; 65]).unwrap());
}

#[test]
fn it_is_deleted() {
    survives(|folder| fs::remove_file(folder.control()).unwrap());
}

/// Where it is not a file, no other process can join, and those who are there, and readers, go on.
fn refuses_newcomers(put: impl Fn(&Folder)) {
    let folder = Folder::new();
    let mut before = Agent::start(&folder);
    before.publish("first");
    fs::remove_file(folder.control()).unwrap();
    put(&folder);
    let mut newcomer = Agent::start(&folder);
    let text = refused(newcomer.try_publish("second"), ErrorKind::Registry);
    assert!(text.contains("control"), "{text}");
    assert!(newcomer.clone_of("first").is_ok());
    before.publish("third");
    assert_eq!(newcomer.list().names(), ["first", "third"]);
}

#[test]
fn it_is_a_folder() {
    refuses_newcomers(|folder| fs::create_dir(folder.control()).unwrap());
}

#[test]
fn it_is_a_link() {
    refuses_newcomers(|folder| {
        let elsewhere = folder.join("elsewhere");
        fs::write(&elsewhere, "precious").unwrap();
        symlink(&elsewhere, folder.control()).unwrap();
    });
}

#[test]
fn it_is_a_fifo() {
    refuses_newcomers(|folder| {
        assert!(Command::new("mkfifo").arg(folder.control()).status().unwrap().success());
    });
}

#[test]
fn it_is_cut_and_spoilt_at_any_moment() {
    let folder = Folder::new();
    let (mut publisher, mut waiter) = (Agent::start(&folder), Agent::start(&folder));
    publisher.publish("first");
    let control = folder.control();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = fs::File::options().write(true).open(&control).unwrap();
            let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let _ = file.set_len(seed % 20_000);
                let _ =
                    std::os::unix::fs::FileExt::write_all_at(&file, &seed.to_le_bytes(), seed >> 32 & 0x3fff);
                let _ = file.set_len(seed >> 16 & 0xf);
            }
        });
        for round in 0..20 {
            // Mapped and slept on by one, leased from and woken through by the other.
            waiter.begin(&format!("wait ring-{round} 30000"));
            publisher.ask("churn other 200");
            let area = publisher.publish(&format!("ring-{round}"));
            assert!(waiter.end().unwrap().ends_with(&format!("ring-{round}")));
            publisher.drop_area(area);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(waiter.list().names(), ["first"]);
}
