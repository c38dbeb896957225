//! Single words, and atomics between threads and processes that trust each other.

#![expect(unsafe_code, reason = "atomics are the caller's promise; each use has its proof")]

use std::sync::atomic::Ordering;

use areas::{ErrorKind, Protection};

use super::support::child::{Stage, hear, reply, test};

#[test]
fn words_of_every_size_in_the_machines_order() {
    let area = areas::builder(64).shared().unwrap();
    area.store(8, 0x0807_0605_0403_0201_u64, Ordering::Relaxed).unwrap();
    assert_eq!(area.load::<u8>(8, Ordering::Relaxed).unwrap(), 1);
    assert_eq!(area.load::<u16>(10, Ordering::Relaxed).unwrap(), 0x0403);
    assert_eq!(area.load::<u32>(12, Ordering::Relaxed).unwrap(), 0x0807_0605);
    area.store(16, i64::MIN, Ordering::Relaxed).unwrap();
    area.store(24, -2_i32, Ordering::Relaxed).unwrap();
    area.store(28, -3_i16, Ordering::Relaxed).unwrap();
    area.store(30, -4_i8, Ordering::Relaxed).unwrap();
    assert_eq!(
        (
            area.load::<i64>(16, Ordering::Relaxed).unwrap(),
            area.load::<i32>(24, Ordering::Relaxed).unwrap(),
            area.load::<i16>(28, Ordering::Relaxed).unwrap(),
            area.load::<i8>(30, Ordering::Relaxed).unwrap()
        ),
        (i64::MIN, -2, -3, -4)
    );
}

#[test]
fn words_must_be_aligned_and_inside() {
    let area = areas::builder(61).shared().unwrap();
    // The last word would begin inside and end beyond.
    let cases = [
        (0, None),
        (52, Some(ErrorKind::InvalidInput)),
        (48, None),
        (56, Some(ErrorKind::OutOfRange)),
        (61, Some(ErrorKind::OutOfRange)),
        (64, Some(ErrorKind::OutOfRange)),
        (usize::MAX, Some(ErrorKind::OutOfRange)),
        (usize::MAX - 7, Some(ErrorKind::OutOfRange)),
    ];
    for (offset, expected) in cases {
        assert_eq!(
            area.load::<u64>(offset, Ordering::Relaxed).err().map(|error| error.kind()),
            expected,
            "load at {offset}"
        );
        assert_eq!(
            area.store(offset, 1_u64, Ordering::Relaxed).err().map(|error| error.kind()),
            expected,
            "store at {offset}"
        );
        // SAFETY: no other process has the area.
        let atomic = unsafe { area.atomic_u64(offset) };
        assert_eq!(atomic.err().map(|error| error.kind()), expected, "atomic at {offset}");
    }
    for offset in 0..61 {
        assert_eq!(
            area.load::<u8>(offset, Ordering::Relaxed).unwrap(),
            u8::from(offset == 0 || offset == 48),
            "{offset}"
        );
    }
}

#[test]
fn atomics_need_both_rights() {
    for protection in [Protection::READ, Protection::WRITE, Protection::empty()] {
        let area = areas::builder(64).protection(protection).shared().unwrap();
        // SAFETY: no other process has the area.
        let refused = unsafe { area.atomic_u32(0) }.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ReadOnly, "{protection}");
    }
}

#[test]
fn two_processes_count_with_one_atomic() {
    const ROUNDS: u64 = 20_000;
    let this = test!("two_processes_count_with_one_atomic");
    let count = |area: &areas::Area<areas::Shared>| {
        // SAFETY: both processes access these bytes by this function alone, with this size.
        let counter = unsafe { area.atomic_u64(8) }.unwrap();
        // SAFETY: no process accesses the other words in any other way.
        let [small, half, word] = [
            unsafe { area.atomic_u8(0) }.is_ok(),
            unsafe { area.atomic_u16(2) }.is_ok(),
            unsafe { area.atomic_u32(4) }.is_ok(),
        ];
        assert!(small && half && word);
        for _ in 0..ROUNDS {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    };
    if this.role().as_deref() == Some("other") {
        let area = areas::registry::find("counter").unwrap().open().unwrap();
        reply("ready");
        hear();
        count(&area);
        return reply("done");
    }
    let answer = this.alone(Stage::default(), || {
        let area = areas::builder(16).name("counter").shared().unwrap();
        let mut other = this.spawn(&mut Stage::here(), "other");
        other.hear();
        other.send("go");
        count(&area);
        other.hear();
        area.load::<u64>(8, Ordering::Relaxed).unwrap().to_string()
    });
    assert_eq!(answer, (2 * ROUNDS).to_string());
}
