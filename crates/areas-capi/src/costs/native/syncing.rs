//! Mutexes, events and sequence locks in areas.

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::time::Duration;

use areas::sync::{Event, Mutex, Owner, SeqLock};
use areas::{Area, Shared};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::super::counting::{Row, Sides, functions};
use super::{attributes, create, done, shared};

functions! {
    fn areas_mutex_lock(area: *const c_void, offset: usize, milliseconds: i64) -> c_int;
    fn areas_mutex_unlock(area: *const c_void, offset: usize) -> c_int;
    fn areas_mutex_consistent(area: *const c_void, offset: usize) -> c_int;
    fn areas_mutex_owner(area: *const c_void, offset: usize) -> c_int;
    fn areas_event_signal(area: *const c_void, offset: usize) -> c_int;
    fn areas_event_count(area: *const c_void, offset: usize, count: *mut u32) -> c_int;
    fn areas_event_wait(
        area: *const c_void,
        offset: usize,
        seen: u32,
        milliseconds: i64,
        count: *mut u32,
    ) -> c_int;
    fn areas_seqlock_writer(area: *const c_void, offset: usize, size: usize) -> *mut c_void;
    fn areas_seqlock_write(writer: *mut c_void, bytes: *const c_void, size: usize) -> c_int;
    fn areas_seqlock_interrupted(writer: *const c_void) -> c_int;
    fn areas_seqlock_end(writer: *mut c_void);
    fn areas_seqlock_read(
        area: *const c_void,
        offset: usize,
        into: *mut c_void,
        size: usize,
        version: *mut u64,
    ) -> c_int;
}

pub(super) const ROWS: &[Row] = &[
    Row::new(&["areas_mutex_lock", "areas_mutex_owner", "areas_mutex_unlock"], lock),
    Row::new(&["areas_mutex_lock", "areas_mutex_consistent", "areas_mutex_unlock"], repair),
    Row::new(&["areas_event_signal", "areas_event_count", "areas_event_wait"], signal),
    Row::new(&["areas_seqlock_writer", "areas_seqlock_end"], become_writer).handle(),
    Row::new(&["areas_seqlock_write", "areas_seqlock_interrupted", "areas_seqlock_read"], write),
];

const SECOND: Duration = Duration::from_secs(1);

fn lock(sides: &mut Sides) {
    let (area, own) = (create(&attributes(0)), shared());
    let edge = &mut || {
        // SAFETY: a handle of this row's.
        done(unsafe { areas_mutex_lock(area, 0, 1000) });
        // SAFETY: a handle of this row's.
        assert_eq!(unsafe { areas_mutex_owner(area, 0) }, 1);
        // SAFETY: a handle of this row's.
        done(unsafe { areas_mutex_unlock(area, 0) });
    };
    sides.count(edge, &mut || {
        let mutex = Mutex::new(&own, 0).unwrap();
        let locked = mutex.lock(SECOND).unwrap();
        assert_eq!(mutex.owner().unwrap(), Owner::ThisThread);
        locked.into_guard().unlock().unwrap();
    });
}

/// A child that dies with the mutex.
fn die_with_it(lock: &dyn Fn()) {
    // SAFETY: the child makes calls of this library, which are made for forked children, and ends.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            lock();
            // SAFETY: ends this process.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            assert!(matches!(waitpid(child, None).unwrap(), WaitStatus::Exited(_, 0)));
        }
    }
}

fn repair(sides: &mut Sides) {
    fn locked(own: &Area<Shared>) {
        let _stays = ManuallyDrop::new(Mutex::new(own, 0).unwrap().lock(SECOND).unwrap());
    }
    let (area, own) = (create(&attributes(0)), shared());
    let edge = &mut || {
        // SAFETY: a handle of this row's.
        die_with_it(&|| done(unsafe { areas_mutex_lock(area, 0, 1000) }));
        // SAFETY: a handle of this row's.
        assert_eq!(unsafe { areas_mutex_lock(area, 0, 1000) }, 1);
        // SAFETY: a handle of this row's.
        done(unsafe { areas_mutex_consistent(area, 0) });
        // SAFETY: a handle of this row's.
        done(unsafe { areas_mutex_unlock(area, 0) });
    };
    sides.count(edge, &mut || {
        die_with_it(&|| locked(&own));
        let mutex = Mutex::new(&own, 0).unwrap();
        let locked = mutex.lock(SECOND).unwrap();
        assert!(locked.owner_died());
        let guard = locked.into_guard();
        guard.mark_consistent().unwrap();
        guard.unlock().unwrap();
    });
}

fn signal(sides: &mut Sides) {
    let (area, own) = (create(&attributes(0)), shared());
    let edge = &mut || {
        let (mut seen, mut now) = (0, 0);
        // SAFETY: a handle of this row's, and a place for a number.
        done(unsafe { areas_event_count(area, 0, &raw mut seen) });
        // SAFETY: a handle of this row's, and room for a number.
        done(unsafe { areas_event_signal(area, 0) });
        // SAFETY: a handle of this row's, and room for a number.
        done(unsafe { areas_event_wait(area, 0, seen, 1000, &raw mut now) });
        assert_eq!(now, seen + 1);
    };
    sides.count(edge, &mut || {
        let event = Event::new(&own, 0).unwrap();
        let seen = event.load().unwrap();
        event.signal().unwrap();
        assert_eq!(event.wait(seen, SECOND).unwrap(), seen + 1);
    });
}

fn become_writer(sides: &mut Sides) {
    let (area, own) = (create(&attributes(0)), shared());
    let edge = &mut || {
        // SAFETY: a handle of this row's.
        let writer = unsafe { areas_seqlock_writer(area, 0, 8) };
        assert!(!writer.is_null());
        // SAFETY: just made, and not used again.
        unsafe { areas_seqlock_end(writer) };
    };
    sides.count(edge, &mut || drop(SeqLock::new(&own, 0, 8).unwrap().writer().unwrap()));
}

fn write(sides: &mut Sides) {
    let (area, own) = (create(&attributes(0)), shared());
    // SAFETY: a handle of this row's.
    let writer = unsafe { areas_seqlock_writer(area, 0, 8) };
    let lock = SeqLock::new(&own, 0, 8).unwrap();
    let mut own_writer = lock.writer().unwrap();
    let (mut bytes, mut again) = ([7_u8; 8], [7_u8; 8]);
    let edge = &mut || {
        // SAFETY: a writer of this row's, and as many bytes.
        done(unsafe { areas_seqlock_write(writer, bytes.as_ptr().cast(), 8) });
        // SAFETY: a writer that was not ended.
        done(unsafe { areas_seqlock_interrupted(writer) });
        let into = bytes.as_mut_ptr().cast();
        // SAFETY: a handle of this row's, and as many bytes.
        done(unsafe { areas_seqlock_read(area, 0, into, 8, std::ptr::null_mut()) });
    };
    sides.count(edge, &mut || {
        own_writer.write(&again).unwrap();
        assert!(!own_writer.is_interrupted());
        assert!(lock.read(&mut again).unwrap() > 0);
    });
}
