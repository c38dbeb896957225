//! A peer that writes anything at any moment: no call hangs, faults or panics.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use areas::ErrorKind;
use areas::sync::{Event, Mutex, Owner, SeqLock};

use super::{SHORT, area, lock};

#[test]
fn words_that_are_not_a_mutexs_are_errors_or_dead_owners() {
    let area = area();
    let mutex = Mutex::new(&area, 0).unwrap();
    for word in [4_u64, 8, 12, u64::MAX, 0xffff_ffff_0000_0000, 1 << 32, 1 << 63] {
        area.store(0, word, Relaxed).unwrap();
        for error in
            [mutex.lock(SHORT).unwrap_err(), mutex.try_lock().unwrap_err(), mutex.owner().unwrap_err()]
        {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{word:#x}");
            assert!(error.to_string().contains(&format!("{word:#x}")), "{error}");
        }
    }
    for word in [16_u64, 17, 18, 0x1234_5678_9abc_def0, u64::MAX << 4] {
        area.store(0, word, Relaxed).unwrap();
        assert_eq!(mutex.owner().unwrap(), Owner::Dead, "{word:#x}");
        let locked = mutex.lock(SHORT).unwrap();
        assert!(locked.owner_died(), "{word:#x}");
        locked.or_repair(|_| Ok::<(), areas::Error>(())).unwrap().unlock().unwrap();
    }
    // Free, with bits that mean something.
    for (word, died) in [(1_u64, false), (2, true), (3, true)] {
        area.store(0, word, Relaxed).unwrap();
        assert_eq!(mutex.lock(SHORT).unwrap().owner_died(), died);
    }
}

#[test]
fn what_was_taken_away_is_reported_and_left_alone() {
    let area = area();
    let mutex = Mutex::new(&area, 0).unwrap();
    for word in [0_u64, 16, u64::MAX] {
        area.store(0, 0_u64, Relaxed).unwrap();
        let guard = lock(&mutex);
        area.store(0, word, Relaxed).unwrap();
        assert_eq!(guard.mark_consistent().unwrap_err().kind(), ErrorKind::NotPermitted);
        assert_eq!(guard.unlock().unwrap_err().kind(), ErrorKind::NotPermitted);
        assert_eq!(area.load::<u64>(0, Relaxed).unwrap(), word);
    }
}

#[test]
fn nothing_hangs_while_another_process_scribbles() {
    let area = area();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 1..3 {
            let (area, over) = (&area, &over);
            scope.spawn(move || {
                let mut word = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed);
                while !over.load(Relaxed) {
                    word ^= word << 13;
                    word ^= word >> 7;
                    word ^= word << 17;
                    // Often what makes sense, or nearly.
                    let written = if word & 7 < 5 { word & !0b1100 } else { word };
                    area.store((word >> 40) as usize % 8 * 8, written, Relaxed).unwrap();
                }
            });
        }
        let end = Instant::now() + Duration::from_secs(2);
        let (mut locked, mut errors) = (0, 0);
        while Instant::now() < end {
            let begun = Instant::now();
            let (mutex, event) = (Mutex::new(&area, 0).unwrap(), Event::new(&area, 16).unwrap());
            let value = SeqLock::new(&area, 32, 16).unwrap();
            match mutex.lock(Duration::from_millis(20)) {
                Ok(guard) => {
                    locked += 1;
                    drop(guard);
                }
                Err(_) => errors += 1,
            }
            let _ = event.signal().and_then(|()| event.wait(0, Duration::from_millis(5)));
            let _ = value.read(&mut [0; 16]);
            if let Ok(mut writer) = value.writer() {
                let _ = writer.write(&[1; 16]);
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "a call hung");
        }
        over.store(true, Relaxed);
        assert!(locked > 0 && errors > 0, "{locked} locked, {errors} errors");
    });
}

#[test]
fn a_count_that_is_odd_without_a_writer_is_reported() {
    let area = area();
    let value = SeqLock::new(&area, 0, 16).unwrap();
    area.store(0, 7_u64, Relaxed).unwrap();
    let begun = Instant::now();
    assert_eq!(value.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::OwnerDied);
    assert!(begun.elapsed() < Duration::from_secs(10));
    area.store(8, 4_u64, Relaxed).unwrap();
    assert_eq!(value.writer().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(value.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::OwnerDied);
    area.store(8, 0_u64, Relaxed).unwrap();
    let mut writer = value.writer().unwrap();
    assert!(writer.is_interrupted());
    writer.write(&[3; 16]).unwrap();
    assert!(!writer.is_interrupted());
    assert_eq!(value.read(&mut [0; 16]).unwrap(), 4);
    // Its word written over: it writes no more.
    area.store(8, 16_u64, Relaxed).unwrap();
    assert_eq!(writer.write(&[4; 16]).unwrap_err().kind(), ErrorKind::NotPermitted);
}
