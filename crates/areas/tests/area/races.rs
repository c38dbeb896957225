//! Threads of one process that access the same bytes at once: in safe code, and so no data race.
//! `cargo xtask soundness thread` runs these under ThreadSanitizer, which reports each that is one.

use std::sync::Barrier;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

use areas::{Area, ErrorKind, PageSize, Pages, Shared, Word};

use super::huge::Filled;
use super::support::skip;

const ROUNDS: u32 = 2_000;

/// Runs all at once.
fn at_once(threads: &[&(dyn Fn() + Sync)]) {
    let begin = Barrier::new(threads.len());
    std::thread::scope(|scope| {
        for run in threads {
            let begin = &begin;
            scope.spawn(move || {
                begin.wait();
                run();
            });
        }
    });
}

/// One thread stores `values` into a word again and again, the other one sees nothing else.
fn stored_and_loaded<T: Word + PartialEq + std::fmt::Debug>(
    area: &Area<Shared>,
    seen_by: &Area<Shared>,
    values: [T; 2],
    (store, load): (Ordering, Ordering),
) {
    area.store(64, values[0], Relaxed).unwrap();
    let stores = || {
        for round in 0..ROUNDS {
            area.store(64, values[(round % 2) as usize], store).unwrap();
        }
    };
    let loads = || {
        for _ in 0..ROUNDS {
            let seen = seen_by.load::<T>(64, load).unwrap();
            assert!(values.contains(&seen), "{seen:?}: a part of one and a part of the other");
        }
    };
    at_once(&[&stores, &stores, &loads]);
}

#[test]
fn two_threads_load_and_store_one_word() {
    let area = areas::builder(4096).name("races").shared().unwrap();
    for orders in [(Relaxed, Relaxed), (Release, Acquire), (SeqCst, SeqCst)] {
        stored_and_loaded(&area, &area, [0, u8::MAX], orders);
        stored_and_loaded(&area, &area, [0, u16::MAX], orders);
        stored_and_loaded(&area, &area, [0, u32::MAX], orders);
        stored_and_loaded(&area, &area, [0, u64::MAX], orders);
        stored_and_loaded(&area, &area, [0, usize::MAX], orders);
        stored_and_loaded(&area, &area, [0, -1_i8], orders);
        stored_and_loaded(&area, &area, [0, -1_i16], orders);
        stored_and_loaded(&area, &area, [0, -1_i32], orders);
        stored_and_loaded(&area, &area, [0, -1_i64], orders);
        stored_and_loaded(&area, &area, [0, -1_isize], orders);
    }
}

#[test]
fn a_read_only_view_loads_in_every_order() {
    let mut shown = areas::builder(4096).shared().unwrap();
    let area = areas::builder(4096).shared().unwrap();
    area.store(64, 7_u64, Relaxed).unwrap();
    area.copy_to(0, &shown, 0, 128).unwrap();
    shown.protect(areas::Protection::READ).unwrap();
    for order in [Relaxed, Acquire, SeqCst] {
        assert_eq!(shown.load::<u64>(64, order).unwrap(), 7, "{order:?}");
        assert_eq!(shown.slice(64, 8).unwrap().load::<u64>(0, order).unwrap(), 7, "{order:?}");
        let refused = shown.store(64, 8_u64, order).unwrap_err();
        assert!(
            matches!(refused.kind(), ErrorKind::ReadOnly | ErrorKind::InvalidInput),
            "{order:?}: {refused:?}"
        );
    }
}

#[test]
fn what_was_written_before_a_release_is_seen_behind_an_acquire() {
    const MESSAGE: usize = 300;
    let area = areas::builder(8192).shared().unwrap();
    let writes = || {
        for round in 1..=ROUNDS {
            // The last one was read.
            while area.load::<u32>(4, Acquire).unwrap() != round - 1 {
                std::hint::spin_loop();
            }
            area.write_at(100, &[round.to_le_bytes()[0]; MESSAGE]).unwrap();
            area.store(0, round, Release).unwrap();
        }
    };
    let reads = || {
        for round in 1..=ROUNDS {
            while area.load::<u32>(0, Acquire).unwrap() != round {
                std::hint::spin_loop();
            }
            let mut message = [0; MESSAGE];
            area.read_at(100, &mut message).unwrap();
            assert_eq!(message, [round.to_le_bytes()[0]; MESSAGE]);
            area.store(4, round, Release).unwrap();
        }
    };
    at_once(&[&writes, &reads]);
}

/// Of bytes that are copied at once, each is old or new.
#[test]
fn threads_copy_at_once() {
    for len in [1, 7, 64, 256, 4096, 20_000] {
        let area = areas::builder(32 << 10).shared().unwrap();
        let other = areas::builder(32 << 10).shared().unwrap();
        let writes = |byte: u8| {
            let bytes = vec![byte; len];
            for round in 0..ROUNDS / 10 {
                match round % 3 {
                    0 => area.write_at(8, &bytes).unwrap(),
                    1 => area.slice(8, len).unwrap().write_at(0, &bytes).unwrap(),
                    _ => area.store(8, byte, Relaxed).unwrap(),
                }
            }
        };
        let reads = || {
            let mut bytes = vec![0; len];
            for round in 0..ROUNDS / 10 {
                match round % 3 {
                    0 => area.read_at(8, &mut bytes).unwrap(),
                    1 => area.slice(8, len).unwrap().read_at(0, &mut bytes).unwrap(),
                    _ => {
                        area.copy_to(8, &other, 8, len).unwrap();
                        other.read_at(8, &mut bytes).unwrap();
                    }
                }
                assert!(bytes.iter().all(|byte| [0, 1, 2].contains(byte)));
            }
        };
        at_once(&[&|| writes(1), &|| writes(2), &reads]);
    }
}

#[test]
fn an_order_that_makes_no_sense_is_an_error() {
    let area = areas::builder(64).shared().unwrap();
    for order in [Release, AcqRel] {
        let error = area.load::<u64>(0, order).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{order:?}");
        assert!(error.to_string().contains(&format!("with order {order:?}")), "{error}");
    }
    for order in [Acquire, AcqRel] {
        assert_eq!(area.store(0, 1_u64, order).unwrap_err().kind(), ErrorKind::InvalidInput, "{order:?}");
    }
    assert_eq!(area.load::<u64>(0, SeqCst).unwrap(), 0, "what was refused was not stored");
}

/// There the kernel copies: hugetlb pages may be taken away at any moment.
#[test]
fn machine_words_in_pages_of_the_pool() {
    let Some(_filled) = Filled::with(1, "area::races::machine_words_in_pages_of_the_pool") else { return };
    let builder = areas::builder(4096).pages(Pages::Pool(PageSize::HUGE_2M));
    let Ok(area) = builder.shared() else {
        return skip("area::races::machine_words_in_pages_of_the_pool", "others took the pool's pages");
    };
    for orders in [(Relaxed, Relaxed), (Release, Acquire), (SeqCst, SeqCst)] {
        stored_and_loaded(&area, &area, [0, u8::MAX], orders);
        stored_and_loaded(&area, &area, [0, u16::MAX], orders);
        stored_and_loaded(&area, &area, [0, u32::MAX], orders);
        stored_and_loaded(&area, &area, [0, u64::MAX], orders);
    }
}
