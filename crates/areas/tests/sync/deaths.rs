//! Owners that are killed, call exec, crash, or are stopped.

use std::os::unix::process::CommandExt as _;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use areas::ErrorKind;
use areas::sync::{Mutex, Owner};
use rustix::process::{Pid, Signal, kill_process};

use super::support::child::{Peer, Stage, Test, hear, reply, test};
use super::{LONG, SHORT, found, lock};

/// In a process of its own: locks the mutex of an area, and does with it what it is asked.
fn owner(how: &str) -> String {
    let area = found("guarded");
    let guard = lock(&Mutex::new(&area, 0).unwrap());
    area.store(64, 1_u64, Relaxed).unwrap();
    reply("locked");
    match hear().as_str() {
        "exec" => panic!("{}", std::process::Command::new("sleep").arg("60").exec()),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(0),
        "unlock" => drop(guard),
        other => unreachable!("{how}: {other:?}: it is killed before"),
    }
    reply("unlocked");
    hear()
}

/// An area, and a process that has locked the mutex in it.
fn held(me: Test) -> (areas::Area<areas::Shared>, Peer) {
    let area = areas::builder(4096).name("guarded").shared().unwrap();
    let mut owner = me.spawn(&mut Stage::here(), "owner");
    assert_eq!(owner.hear(), "locked");
    (area, owner)
}

#[test]
fn the_next_owner_is_notified_once() {
    let me = test!("the_next_owner_is_notified_once");
    let answer = match me.role() {
        Some(role) if role == "owner" => owner(&role),
        _ => me.alone(Stage::default(), || {
            let (area, mut owner) = held(me);
            let mutex = Mutex::new(&area, 0).unwrap();
            assert_eq!(mutex.owner().unwrap(), Owner::Living);
            assert!(mutex.try_lock().unwrap().is_none());
            owner.kill();
            assert_eq!(mutex.owner().unwrap(), Owner::Dead);
            // Without waiting, in both ways.
            assert!(mutex.lock(Duration::ZERO).unwrap().owner_died());
            let locked = mutex.try_lock().unwrap().unwrap();
            assert!(locked.owner_died());
            let guard = locked.or_repair(|_| area.store(64, 0_u64, Relaxed)).unwrap();
            guard.unlock().unwrap();
            drop(lock(&mutex));
            "done".to_owned()
        }),
    };
    assert_eq!(answer, "done");
}

#[test]
fn whoever_waits_is_woken_soon() {
    let me = test!("whoever_waits_is_woken_soon");
    let answer = match me.role() {
        Some(role) if role == "owner" => owner(&role),
        _ => me.alone(Stage::default(), || {
            let (area, mut owner) = held(me);
            std::thread::scope(|scope| {
                let waiters: Vec<_> = (0..3)
                    .map(|_| {
                        scope.spawn(|| {
                            let mutex = Mutex::new(&area, 0).unwrap();
                            let locked = mutex.lock(LONG).unwrap();
                            let died = locked.owner_died();
                            locked.or_repair(|_| Ok::<(), areas::Error>(())).unwrap().unlock().unwrap();
                            died
                        })
                    })
                    .collect();
                std::thread::sleep(SHORT);
                let killed = Instant::now();
                owner.kill();
                let answer: Vec<bool> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
                assert_eq!(answer.iter().filter(|&&died| died).count(), 1, "{answer:?}");
                assert!(killed.elapsed() < LONG / 4);
            });
            "done".to_owned()
        }),
    };
    assert_eq!(answer, "done");
}

#[test]
fn every_way_to_end_is_a_death() {
    let me = test!("every_way_to_end_is_a_death");
    let answer = match me.role() {
        Some(role) if role == "owner" => owner(&role),
        _ => me.alone(Stage::default(), || {
            let area = areas::builder(4096).name("guarded").shared().unwrap();
            let mutex = Mutex::new(&area, 0).unwrap();
            for how in ["exec", "abort", "exit"] {
                let mut owner = me.spawn(&mut Stage::here(), "owner");
                assert_eq!(owner.hear(), "locked");
                owner.send(how);
                let locked = mutex.lock(LONG).unwrap();
                assert!(locked.owner_died(), "{how}");
                locked.or_repair(|_| Ok::<(), areas::Error>(())).unwrap().unlock().unwrap();
            }
            "done".to_owned()
        }),
    };
    assert_eq!(answer, "done");
}

#[test]
fn a_stopped_owner_is_alive() {
    let me = test!("a_stopped_owner_is_alive");
    let answer = match me.role() {
        Some(role) if role == "owner" => owner(&role),
        _ => me.alone(Stage::default(), || {
            let (area, mut owner) = held(me);
            let pid = Pid::from_raw(i32::try_from(owner.pid()).unwrap()).unwrap();
            kill_process(pid, Signal::STOP).unwrap();
            let mutex = Mutex::new(&area, 0).unwrap();
            let begun = Instant::now();
            assert_eq!(mutex.lock(SHORT * 5).unwrap_err().kind(), ErrorKind::TimedOut);
            assert!(begun.elapsed() < LONG / 4);
            kill_process(pid, Signal::CONT).unwrap();
            owner.send("unlock");
            drop(lock(&mutex));
            "done".to_owned()
        }),
    };
    assert_eq!(answer, "done");
}

#[test]
fn in_another_pid_namespace_it_is_the_same() {
    let me = test!("in_another_pid_namespace_it_is_the_same");
    let answer = match me.role().as_deref() {
        Some("owner") => {
            // No registry is shared with another pid namespace: the area comes as a descriptor.
            let path = hear();
            let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
            let area = match areas::AnyArea::from_descriptor(file).unwrap() {
                areas::AnyArea::Shared(area) => area,
                other => panic!("{other:?}"),
            };
            let _guard = lock(&Mutex::new(&area, 0).unwrap());
            reply("locked");
            hear();
            unreachable!("it is killed before");
        }
        _ => me.alone(Stage::default(), || {
            if !super::support::is_root() {
                super::support::skip("in_another_pid_namespace_it_is_the_same", "unshare --pid needs root");
                return "done".to_owned();
            }
            let area = super::area();
            let descriptor = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&area));
            let through = ["unshare", "--pid", "--fork", "--kill-child"];
            let mut owner = me.spawn(&mut Stage::through(&through), "owner");
            // The folder of processes is the outer one's, and so is the number in it.
            owner.send(&format!("/proc/{}/fd/{descriptor}", std::process::id()));
            assert_eq!(owner.hear(), "locked");
            let mutex = Mutex::new(&area, 0).unwrap();
            assert_eq!(mutex.owner().unwrap(), Owner::Living);
            owner.kill();
            assert!(mutex.lock(LONG).unwrap().owner_died());
            "done".to_owned()
        }),
    };
    assert_eq!(answer, "done");
}
