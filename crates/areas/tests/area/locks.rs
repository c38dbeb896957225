//! Locks, as smaps shows them: bytes that are in RAM, and the flags that the kernel keeps for each
//! mapping.

use std::sync::atomic::Ordering;

use areas::{Lock, Protection};
use areas_testing::{maps, smaps, status};

use super::support::child::{Stage, hear, reply, test};
use super::support::kernel;

const SIZE: usize = 256 << 10;

/// Resident bytes, and whether pages that come later will be locked too ("lo"), at their first
/// touch only ("lf").
fn locked(address: *const u8) -> (usize, bool, bool) {
    let vma = smaps::at(address.addr()).unwrap();
    // What smaps calls "Locked" is divided by the number of mappings of each page.
    assert_eq!(vma.bytes("Locked") > 0, vma.has("lo") && vma.bytes("Rss") > 0, "{vma:?}");
    (vma.bytes("Rss"), vma.has("lo"), vma.has("lf"))
}

#[test]
fn none_lazy_and_full() {
    // Alone: limits count what a whole process has locked.
    test!("none_lazy_and_full").alone(Stage::default(), || {
        for (lock, expected) in [
            (Lock::None, (0, false, false)),
            (Lock::Lazy, (0, true, true)),
            (Lock::Full, (SIZE, true, false)),
        ] {
            let mut private = areas::builder(SIZE).lock(lock).private().unwrap();
            let shared = areas::builder(SIZE).lock(lock).shared().unwrap();
            assert_eq!((private.lock(), shared.lock()), (lock, lock));
            // Neighbouring mappings of the same kind may be one to the kernel, so at least is what
            // can be said.
            let (bytes, lo, lf) = locked(private.as_ptr());
            assert!(
                bytes >= expected.0 && (lo, lf) == (expected.1, expected.2),
                "private {lock}: {bytes} {lo} {lf}"
            );
            assert_eq!(locked(shared.as_ptr()), expected, "shared {lock}");
            assert_eq!(shared.residency().unwrap().resident(), expected.0 as u64);
            // The touch of a lazily locked page locks it.
            shared.store(5000, 1_u8, Ordering::Relaxed).unwrap();
            private[5000] = 1;
            let touched = if lock == Lock::Full { expected.0 } else { super::page() };
            assert_eq!(locked(shared.as_ptr()).0, touched, "{lock} after a touch");
        }
        String::new()
    });
}

#[test]
fn clones_inherit_the_lock() {
    let this = test!("clones_inherit_the_lock");
    let look = || {
        ["none", "lazy", "full"]
            .map(|name| {
                let source = areas::registry::find(name).unwrap();
                let clone = source.open().unwrap();
                let reader = source.open_read_only().unwrap();
                assert_eq!(clone.lock().name(), name);
                let seen = locked(clone.as_ptr());
                assert_eq!(locked(reader.as_ptr()), seen, "the read-only one too");
                format!("{seen:?}")
            })
            .join(" ")
    };
    if this.role().as_deref() == Some("other") {
        return reply(&look());
    }
    let answer = this.alone(Stage::default(), || {
        let _all: Vec<_> = [Lock::None, Lock::Lazy, Lock::Full]
            .map(|lock| areas::builder(SIZE).name(lock.name()).lock(lock).shared().unwrap())
            .into();
        assert_eq!(look(), this.spawn(&mut Stage::here(), "other").hear());
        look()
    });
    assert_eq!(answer, format!("(0, false, false) (0, true, true) ({SIZE}, true, false)"));
}

#[test]
fn what_is_locked_is_given_back() {
    test!("what_is_locked_is_given_back").alone(Stage::ordinary(), || {
        // Eight times the usual limit in turn: nothing may stay locked.
        for _ in 0..64 {
            drop(areas::builder(1 << 20).lock(Lock::Full).shared().unwrap());
            drop(areas::builder(1 << 20).lock(Lock::Full).private().unwrap());
        }
        assert_eq!(status::own().bytes("VmLck"), Some(0));
        String::new()
    });
}

#[test]
fn a_program_that_is_started_has_neither_memory_nor_lock() {
    let this = test!("a_program_that_is_started_has_neither_memory_nor_lock");
    if this.role().as_deref() == Some("exec") {
        // The other side of exec: nothing is left, descriptors neither.
        let held = maps::own().iter().any(|vma| vma.path.starts_with("/memfd:area"));
        reply(&held.to_string());
        hear();
        return;
    }
    let answer = this.alone(Stage::default(), || {
        let area = areas::builder(SIZE).lock(Lock::Full).name("kept").shared().unwrap();
        let answer = this.spawn(&mut Stage::here(), "exec").hear();
        assert_eq!(locked(area.as_ptr()).0, SIZE);
        answer
    });
    assert_eq!(answer, "false");
}

#[test]
fn a_lock_needs_no_right_to_write() {
    test!("a_lock_needs_no_right_to_write").alone(Stage::default(), || {
        let area = areas::builder(SIZE).lock(Lock::Full).protection(Protection::READ).shared().unwrap();
        assert_eq!(locked(area.as_ptr()), (SIZE, true, false));
        assert_eq!(kernel::allocated(&area), SIZE as u64);
        String::new()
    });
}
