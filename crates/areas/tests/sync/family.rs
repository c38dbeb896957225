//! Forked children: none owns what its parent has locked.

#![expect(unsafe_code, reason = "forks; each block has its proof")]

use std::sync::atomic::Ordering::Relaxed;

use areas::ErrorKind;
use areas::sync::{Mutex, Owner, SeqLock};
use areas_testing::{Process, descriptors};

use super::support::child::{Stage, test};
use super::{LONG, SHORT, area, leave_locked, lock};

/// What `body` says in a forked child.
fn in_child(body: impl FnOnce() -> bool) -> bool {
    let child = start_child(body);
    let mut status = 0;
    // SAFETY: a number that outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status == 0
}

fn start_child(body: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the child uses this library, whose mutexes are whole, and the allocator, which the C
    // library keeps whole; it ends by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = i32::from(!body());
        // SAFETY: it ends, and runs nothing of the parent's.
        unsafe { libc::_exit(code) };
    }
    assert!(child > 0);
    child
}

#[test]
fn a_child_does_not_own_what_its_parent_has() {
    let me = test!("a_child_does_not_own_what_its_parent_has");
    let answer = me.alone(Stage::default(), || {
        let area = area();
        let (mutex, other) = (Mutex::new(&area, 0).unwrap(), Mutex::new(&area, 8).unwrap());
        let guard = lock(&mutex);
        let mut guard = Some(guard);
        assert!(in_child(|| {
            let inherited = guard.take().unwrap();
            let refused = inherited.unlock().is_err_and(|error| error.kind() == ErrorKind::NotPermitted);
            let forgotten =
                mutex.unlock_forgotten().is_err_and(|error| error.kind() == ErrorKind::NotPermitted);
            let parents = mutex.owner().is_ok_and(|owner| owner == Owner::Living);
            let waits = mutex.lock(SHORT).is_err_and(|error| error.kind() == ErrorKind::TimedOut);
            // It locks for itself.
            let own = other.lock(LONG).unwrap().into_guard();
            let owns = other.owner().is_ok_and(|owner| owner == Owner::ThisThread);
            refused && forgotten && parents && waits && owns && own.unlock().is_ok()
        }));
        assert_eq!(mutex.owner().unwrap(), Owner::ThisThread);
        guard.take().unwrap().unlock().unwrap();
        assert_eq!(area.load::<u64>(0, Relaxed).unwrap(), 0);
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

#[test]
fn a_child_that_lives_does_not_keep_its_parents_locks_alive() {
    let me = test!("a_child_that_lives_does_not_keep_its_parents_locks_alive");
    let answer = me.alone(Stage::default(), || {
        let area = area();
        let mutex = Mutex::new(&area, 0).unwrap();
        let event = areas::sync::Event::new(&area, 64).unwrap();
        // A child that locks, forks, and ends; its own child lives on.
        let middle = start_child(|| {
            leave_locked(&Mutex::new(&area, 0).unwrap());
            start_child(|| event.wait(0, LONG).is_ok());
            true
        });
        let mut status = 0;
        // SAFETY: a number that outlives the call.
        assert_eq!(unsafe { libc::waitpid(middle, &raw mut status, 0) }, middle);
        assert_eq!(mutex.owner().unwrap(), Owner::Dead);
        assert!(mutex.lock(LONG).unwrap().owner_died());
        event.signal().unwrap();
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

#[test]
fn a_childs_end_takes_no_mark_of_its_parents() {
    let me = test!("a_childs_end_takes_no_mark_of_its_parents");
    let answer = me.alone(Stage::default(), || {
        let first = area();
        drop(lock(&Mutex::new(&first, 0).unwrap()));
        let second = area();
        let guard = lock(&Mutex::new(&second, 0).unwrap());
        let mut areas = Some((first, ()));
        // Dropping an inherited area unmaps no addresses but its own: those of the mark are another
        // mapping's in the child.
        assert!(in_child(|| {
            let blocks: Vec<_> = (0..64).map(|_| areas::builder(4096).private().unwrap()).collect();
            drop(areas.take());
            blocks.iter().all(|block| block.iter().all(|&byte| byte == 0))
        }));
        assert_eq!(Mutex::new(&second, 0).unwrap().owner().unwrap(), Owner::ThisThread);
        guard.unlock().unwrap();
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

#[test]
fn a_child_is_not_its_parents_writer() {
    let me = test!("a_child_is_not_its_parents_writer");
    let answer = me.alone(Stage::default(), || {
        let area = area();
        let value = SeqLock::new(&area, 0, 8).unwrap();
        let mut writer = Some(value.writer().unwrap());
        writer.as_mut().unwrap().write(b"parent's").unwrap();
        assert!(in_child(|| {
            let mut writer = writer.take().unwrap();
            let refused =
                writer.write(b"child's!").is_err_and(|error| error.kind() == ErrorKind::NotPermitted);
            drop(writer);
            let busy = value.writer().is_err_and(|error| error.kind() == ErrorKind::Busy);
            let mut bytes = [0; 8];
            refused && busy && value.read(&mut bytes).is_ok() && &bytes == b"parent's"
        }));
        writer.as_mut().unwrap().write(b"parents'").unwrap();
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

#[test]
fn threads_that_lock_for_the_first_time_while_others_fork() {
    let me = test!("threads_that_lock_for_the_first_time_while_others_fork");
    let answer = me.alone(Stage::default(), || {
        let area = area();
        for _ in 0..40 {
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| drop(lock(&Mutex::new(&area, 0).unwrap())));
                }
                // The child inherits no descriptor of a mark, nor a mutex that no process opens.
                assert!(in_child(|| {
                    let own = Mutex::new(&area, 8).unwrap().lock(LONG).is_ok();
                    let open = descriptors::of(Process::Own).unwrap();
                    own && open.iter().filter(|one| one.target.contains("/memfd:")).count() <= 2
                }));
            });
        }
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}
