use std::sync::mpsc::channel;
use std::thread;

use super::*;
use crate::forking::alone;

#[test]
fn who_forks_takes_all_once_and_uses_them() {
    let _alone = alone();
    let (one, other) = (Table::new(1), Table::new("two"));
    lock_for_fork();
    lock_for_fork();
    one.with(|one| {
        *one += 1;
        other.with(|other| *other = "three");
    });
    let made_concurrently = Table::new(7);
    made_concurrently.with(|made| *made += 1);
    drop(other);
    thread::scope(|scope| {
        let (asked, asks) = channel();
        let (sender, receiver) = channel();
        let (one, sender) = (&one, sender);
        scope.spawn(move || {
            asked.send(()).unwrap();
            sender.send(one.with(|one| *one)).unwrap();
        });
        asks.recv().unwrap();
        one.with(|one| *one += 1);
        assert!(receiver.try_recv().is_err(), "another thread got in");
        unlock_after_fork();
        assert_eq!(receiver.recv().unwrap(), 3);
    });
    unlock_after_fork();
    assert_eq!(made_concurrently.with(|made| *made), 8);
}

#[test]
fn one_that_stands_on_another_is_waited_for() {
    let _alone = alone();
    let (upper, lower) = (Table::new(0_u32), Table::new(0_u32));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    upper.with(|upper| {
                        *upper += 1;
                        lower.with(|lower| *lower += 1);
                    });
                }
            });
        }
        for _ in 0..200 {
            lock_for_fork();
            let (upper, lower) = (upper.with(|upper| *upper), lower.with(|lower| *lower));
            unlock_after_fork();
            assert_eq!(upper, lower, "half changed");
        }
    });
    assert_eq!((upper.with(|all| *all), lower.with(|all| *all)), (6000, 6000));
}

#[test]
fn who_has_one_takes_none() {
    let _alone = alone();
    let table = Table::new(0);
    let other = Table::new(0);
    table.with(|_| {
        lock_for_fork();
        thread::scope(|scope| scope.spawn(|| other.with(|other| *other += 1)).join().unwrap());
        unlock_after_fork();
        assert!(!forks() && !Turnstile::is_closed());
    });
    assert_eq!(other.with(|other| *other), 1);
}

/// Forks, and waits until the child has done something, and ended well.
fn fork(does: impl FnOnce()) {
    end(start(), does);
}

/// Forks; 0 in the child.
fn start() -> libc::pid_t {
    // SAFETY: the child does what a child may that has one thread, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    child
}

/// Does something in the child, and ends it; in the parent, waits until it has ended well.
fn end(child: libc::pid_t, does: impl FnOnce()) {
    if child == 0 {
        // SAFETY: where it hangs, it ends.
        unsafe { libc::alarm(30) };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(does));
        // SAFETY: it ends the child here, without handlers of any kind.
        unsafe { libc::_exit(i32::from(done.is_err())) }
    }
    let mut status = 0;
    // SAFETY: `status` is there for as long as the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child's wait status");
}

/// Whether the C library runs handlers of forks without a lock of its own: before 2.36 a fork
/// waits for another one whose handlers are under way, and so for a table.
fn forks_run_side_by_side() -> bool {
    // SAFETY: it takes nothing.
    let version = unsafe { libc::gnu_get_libc_version() };
    // SAFETY: the text is the C library's own, ends with a zero, and stays.
    let version = unsafe { std::ffi::CStr::from_ptr(version) };
    let mut parts = version.to_str().unwrap().split('.').map(|part| part.parse::<u32>().unwrap());
    (parts.next().unwrap(), parts.next().unwrap()) >= (2, 36)
}

#[test]
fn a_fork_with_one_while_another_thread_waits_for_it_to_fork() {
    let _alone = alone();
    if !forks_run_side_by_side() {
        let why = "glibc before 2.36 has forks wait for each other";
        return areas_testing::skipped("aml::tables::a_fork_with_one", why);
    }
    assert_eq!(ready(), 0);
    let (table, other, busy) = (Table::new(0), Table::new(0), Table::new(0));
    thread::scope(|scope| {
        let (has_it, waits) = channel();
        let (is_busy, is_had) = channel();
        let (done, ends) = channel::<()>();
        let (table, other, busy) = (&table, &other, &busy);
        // It has a table all the while, which the child of the other one has lost.
        scope.spawn(move || {
            busy.with(|_| {
                is_busy.send(()).unwrap();
                ends.recv().unwrap();
            });
        });
        is_had.recv().unwrap();
        scope.spawn(move || {
            let child = table.with(|_| {
                has_it.send(()).unwrap();
                while !Turnstile::is_closed() {
                    thread::yield_now();
                }
                start()
            });
            // In the child the turnstile is open, whoever had closed it; and the child forks
            // again, without the table that another thread had.
            end(child, || {
                table.with(|table| *table += 1);
                drop(Table::new(0));
                fork(|| other.with(|other| *other += 1));
            });
            done.send(()).unwrap();
        });
        waits.recv().unwrap();
        fork(|| table.with(|table| *table += 1));
    });
    assert_eq!((table.with(|table| *table), other.with(|other| *other)), (0, 0));
}
