//! One process's threads.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use areas::ErrorKind;
use areas::sync::{Locked, Mutex, Owner};
use areas_testing::maps;

use super::support::child::{Stage, test};
use super::support::pool::Filled;
use super::{LONG, SHORT, area, leave_locked, lock};

#[test]
fn one_at_a_time() {
    let area = area();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mutex = Mutex::new(&area, 8).unwrap();
                for _ in 0..5000 {
                    let _guard = lock(&mutex);
                    let count: u64 = area.load(64, Relaxed).unwrap();
                    area.store(64, count + 1, Relaxed).unwrap();
                }
            });
        }
    });
    assert_eq!(area.load::<u64>(64, Relaxed).unwrap(), 20000);
    assert_eq!(area.load::<u64>(8, Relaxed).unwrap(), 0, "it is free, and no thread waits");
}

#[test]
fn whose_it_is() {
    let area = area();
    let mutex = Mutex::new(&area, 0).unwrap();
    assert_eq!(mutex.owner().unwrap(), Owner::Unlocked);
    let guard = mutex.try_lock().unwrap().unwrap().into_guard();
    assert_eq!(mutex.owner().unwrap(), Owner::ThisThread);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mutex = Mutex::new(&area, 0).unwrap();
            assert_eq!(mutex.owner().unwrap(), Owner::Living);
            assert!(mutex.try_lock().unwrap().is_none());
        });
    });
    guard.unlock().unwrap();
    assert_eq!(mutex.owner().unwrap(), Owner::Unlocked);
}

#[test]
fn who_waits_in_vain_is_answered_in_time() {
    let area = area();
    let mutex = Mutex::new(&area, 0).unwrap();
    let _guard = lock(&mutex);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for timeout in [Duration::ZERO, Duration::from_micros(1), SHORT] {
                let begun = Instant::now();
                let error = Mutex::new(&area, 0).unwrap().lock(timeout).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                assert!(begun.elapsed() >= timeout && begun.elapsed() < timeout + Duration::from_secs(5));
            }
        });
    });
}

#[test]
fn who_waits_gets_it_as_soon_as_it_is_free() {
    let area = area();
    let mutex = Mutex::new(&area, 0).unwrap();
    let guard = lock(&mutex);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| drop(lock(&Mutex::new(&area, 0).unwrap())));
        while area.load::<u64>(0, Relaxed).unwrap() & 1 == 0 {
            std::thread::yield_now();
        }
        guard.unlock().unwrap();
        waiter.join().unwrap();
    });
}

#[test]
fn a_thread_does_not_wait_for_itself() {
    let area = area();
    let mutex = Mutex::new(&area, 0).unwrap();
    let _guard = lock(&mutex);
    for error in [mutex.lock(LONG).unwrap_err(), mutex.try_lock().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.to_string().contains("this thread has locked it already"), "{error}");
    }
    // Another one of the same area is another one.
    drop(lock(&Mutex::new(&area, 8).unwrap()));
}

#[test]
fn a_thread_that_ends_with_it_is_reported() {
    let area = area();
    let mutex = Mutex::new(&area, 0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| leave_locked(&mutex));
    });
    // A scope does not wait for the thread's locals.
    while mutex.owner().unwrap() == Owner::Living {
        std::thread::yield_now();
    }
    assert_eq!(mutex.owner().unwrap(), Owner::Dead);
    let Locked::OwnerDied(guard) = mutex.lock(LONG).unwrap() else { panic!("no thread was notified") };
    assert!(!guard.is_consistent().unwrap());
    // Whoever comes next is notified as well, until it is consistent.
    guard.unlock().unwrap();
    let locked = mutex.lock(LONG).unwrap();
    assert!(locked.owner_died());
    let guard = locked.or_repair(|_| Ok::<(), areas::Error>(())).unwrap();
    assert!(guard.is_consistent().unwrap());
    drop(guard);
    drop(lock(&mutex));
}

#[test]
fn a_repair_that_fails_leaves_it_to_the_next_one() {
    let area = area();
    let ended = std::thread::spawn(move || {
        leave_locked(&Mutex::new(&area, 0).unwrap());
        area
    });
    let area = ended.join().unwrap();
    let mutex = Mutex::new(&area, 0).unwrap();
    let failed = mutex.lock(LONG).unwrap().or_repair(|_| area.store(4096, 0_u8, Relaxed));
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(mutex.owner().unwrap(), Owner::Unlocked, "it was unlocked");
    assert!(mutex.try_lock().unwrap().unwrap().owner_died());
}

#[test]
fn clones_of_one_memory_have_the_same_owner() {
    let me = test!("clones_of_one_memory_have_the_same_owner");
    let answer = me.alone(Stage::default(), || {
        let area = areas::builder(4096).name("twice").shared().unwrap();
        let clone = areas::registry::find("twice").unwrap().open().unwrap();
        let (mutex, same) = (Mutex::new(&area, 0).unwrap(), Mutex::new(&clone, 0).unwrap());
        let guard = lock(&mutex);
        assert_eq!(same.owner().unwrap(), Owner::ThisThread);
        assert_eq!(same.lock(LONG).unwrap_err().kind(), ErrorKind::Busy);
        same.unlock_forgotten().unwrap();
        assert_eq!(guard.unlock().unwrap_err().kind(), ErrorKind::NotPermitted);
        // The marks stay with either.
        let guard = lock(&same);
        drop(area);
        assert_eq!(same.owner().unwrap(), Owner::ThisThread);
        guard.unlock().unwrap();
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

#[test]
fn marks_go_with_their_area_and_their_thread() {
    let me = test!("marks_go_with_their_area_and_their_thread");
    let answer = me.alone(Stage::default(), || {
        let marks = || {
            let maps = maps::own();
            maps.iter().filter(|vma| vma.permissions == "---s" && vma.path.contains("/memfd:")).count()
        };
        let (area, other) = (area(), area());
        let before = marks();
        drop(lock(&Mutex::new(&area, 0).unwrap()));
        drop(lock(&Mutex::new(&area, 8).unwrap()));
        drop(lock(&Mutex::new(&other, 0).unwrap()));
        assert_eq!(marks(), before + 2, "one for each thread and area");
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                drop(lock(&Mutex::new(&area, 0).unwrap()));
                marks()
            });
            assert_eq!(thread.join().unwrap(), before + 3);
        });
        while marks() != before + 2 {
            std::thread::yield_now();
        }
        // No mark is a reason for which an area could not be frozen, and none keeps memory.
        let frozen = area.freeze().unwrap();
        assert_eq!(marks(), before + 1);
        drop((frozen, other));
        assert_eq!(marks(), before);
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

#[test]
fn where_it_cannot_be() {
    let me = test!("where_it_cannot_be");
    let answer = me.alone(Stage::default(), || {
        let area = areas::builder(4096).name("read only").shared().unwrap();
        let refused = |offset| Mutex::new(&area, offset).unwrap_err().kind();
        assert_eq!(refused(4), ErrorKind::InvalidInput);
        assert_eq!([refused(4096), refused(usize::MAX - 7)], [ErrorKind::OutOfRange; 2]);
        let clone = areas::registry::find("read only").unwrap().open_read_only().unwrap();
        let error = Mutex::new(&clone, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnly);
        assert!(error.remedy().unwrap().contains("open the area for writing"), "{error:#}");
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

#[test]
fn machine_pages_of_the_pool_are_refused() {
    let Some(_filled) = Filled::with(1, "machine_pages_of_the_pool_are_refused") else { return };
    let pages = areas::Pages::Pool(areas::PageSize::HUGE_2M);
    let area = areas::builder(2 << 20).pages(pages).shared().unwrap();
    let error = Mutex::new(&area, 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.remedy().unwrap().contains("base pages"), "{error:#}");
    // Events do.
    let event = areas::sync::Event::new(&area, 64).unwrap();
    event.signal().unwrap();
    assert_eq!(event.wait(0, LONG).unwrap(), 1);
}
