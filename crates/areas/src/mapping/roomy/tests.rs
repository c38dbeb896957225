//! Where arenas lie, and who gets which slot: over lists of mappings, and slots of the tests' own.

use super::*;

const GIB: u64 = 1 << 30;

/// As `maps` has it.
fn maps(mapped: &[(usize, usize, &str)]) -> String {
    mapped.iter().map(|(start, end, what)| format!("{start:x}-{end:x} rw-p 0 00:00 0  {what}\n")).collect()
}

/// A program that lies anywhere, one that lies at a fixed address, one in a layout that grows
/// upwards, one under a thread sanitizer, which takes all addresses but some; and machines with
/// fewer addresses.
fn layouts() -> Vec<(&'static str, String, Range<usize>)> {
    let stack = (0x7ffd_3ad3_a000, 0x7ffd_3ad5_b000, "[stack]");
    vec![
        (
            "anywhere",
            maps(&[
                (0x5628_7412_0000, 0x5628_7412_5000, "/bin/x"),
                (0x5628_b10a_2000, 0x5628_b10c_3000, "[heap]"),
                (0x7f8a_e020_e000, 0x7f8a_e2d0_3000, "libc"),
                stack,
            ]),
            LOWEST..0x5628_7412_0000,
        ),
        (
            "fixed",
            maps(&[
                (0x40_0000, 0x40_5000, "/bin/x"),
                (0x1713_f000, 0x1716_0000, "[heap]"),
                (0x7fb1_7360_e000, 0x7fb1_7582_0000, "libc"),
                stack,
            ]),
            0x1716_0000..0x7fb1_7360_e000,
        ),
        (
            "upwards",
            maps(&[
                (0x14df_8a20_e000, 0x14df_8c72_0000, "libc"),
                (0x5628_7412_0000, 0x5628_b10c_3000, "[heap]"),
                stack,
            ]),
            0x14df_8c72_0000..0x5628_7412_0000,
        ),
        (
            "sanitized",
            maps(&[
                (0x1000, 0x5500_0000_0000, "shadow"),
                (0x5555_5555_4000, 0x5555_5556_0000, "/bin/x"),
                (0x5680_0000_0000, 0x7e80_0000_0000, "shadow"),
                (0x7fff_f000_0000, 0x7fff_f7ff_f000, "libc"),
                (0x7fff_ffff_e000, 0x7fff_ffff_f000, "[stack]"),
            ]),
            0x7e80_0000_0000..0x7fff_f000_0000,
        ),
        (
            "39 bits",
            maps(&[
                (0x55_5555_4000, 0x55_5556_0000, "/bin/x"),
                (0x7f_b000_0000, 0x7f_b800_0000, "libc"),
                (0x7f_fff0_0000, 0x7f_fff2_0000, "[stack]"),
            ]),
            LOWEST..0x55_5555_4000,
        ),
        (
            "48 bits",
            maps(&[
                (0xaaaa_c000_0000, 0xaaaa_c001_0000, "/bin/x"),
                (0xffff_b000_0000, 0xffff_b800_0000, "libc"),
            ]),
            LOWEST..HIGHEST,
        ),
    ]
}

#[test]
fn an_arena_lies_inside_of_the_largest_gap() {
    for (what, maps, gap) in layouts() {
        for memory in [0, GIB / 2, 23 * GIB, 128 * GIB, 1023 * GIB, 12_000 * GIB] {
            let arena = Arena::within(&maps, memory).unwrap_or_else(|| panic!("{what}"));
            let end = arena.dense.start + arena.dense.unit * arena.dense.slots;
            assert!(gap.start + gap.len() / 8 < arena.wide.start && end < gap.end, "{what}: {arena:x?}");
            assert_eq!(arena.wide.start + arena.wide.unit * arena.wide.slots, arena.dense.start);
            assert!((MIN_WIDE..=MAX_WIDE).contains(&arena.wide.slots), "{what}: {arena:x?}");
            assert!(arena.dense.slots <= MAX_DENSE && arena.dense.unit >= MIN_UNIT, "{what}: {arena:x?}");
            assert!(arena.wide.slots.is_power_of_two() && arena.dense.slots.is_power_of_two());
            // As much as there is memory, twice, where so many addresses can be had for each of 64.
            let addresses = arena.wide.unit * arena.wide.slots;
            let room = usize::try_from(memory).unwrap();
            assert!(arena.wide.unit >= (2 * room).min(addresses / MIN_WIDE), "{what}: {arena:x?}");
            assert_eq!(Arena::within(&maps, memory), Some(arena), "where nothing is by chance");
        }
    }
    let (_, usual, _) = layouts().remove(0);
    let moved = usual.replace("5628", "55f1");
    assert_ne!(
        Arena::within(&usual, GIB).map(|arena| arena.wide.start),
        Arena::within(&moved, GIB).map(|arena| arena.wide.start),
        "as unforeseeable as the program itself"
    );
}

#[test]
fn where_there_are_few_addresses_there_is_no_arena() {
    let narrow = maps(&[(0x1000, 0x1000_0000, "a"), (0x1_1000_0000, 0x2_0000_0000, "b")]);
    for maps in ["", "junk\n\n-\nzz-yy rw-p\n", "70000000-60000000 rw-p\n", &narrow] {
        assert_eq!(Arena::within(maps, GIB), None, "{maps:?}");
    }
}

fn arena() -> Arena {
    Arena::within(&layouts().remove(0).1, 24 * GIB).unwrap()
}

#[test]
fn slots_are_used_as_far_apart_as_can_be() {
    let part = Part { start: 0x1000, unit: 16, slots: 8, scattered: true };
    let starts: Vec<_> = (0..8).map(|number| (part.slot(number) - 0x1000) / 16).collect();
    assert_eq!(starts, [0, 4, 2, 6, 1, 5, 3, 7]);
    assert_eq!(Part { slots: 1, ..part }.slot(0), 0x1000);
    let side_by_side = Part { scattered: false, ..part };
    assert!((0..8).all(|number| side_by_side.slot(number) == 0x1000 + 16 * number));
    // What is wide enough needs no more room.
    let (_, maps, _) = layouts().remove(0);
    let scattered =
        [24 * GIB, 12_000 * GIB].map(|memory| Arena::within(&maps, memory).unwrap().wide.scattered);
    assert_eq!(scattered, [false, true]);
}

#[test]
fn what_is_mapped_in_a_slot_leaves_the_others_alone() {
    let arena = arena();
    let page = PageSize::base().bytes();
    let wide = [0, 1, 63, arena.wide.slots - 1].map(|slot| (slot, arena.room(true)));
    let dense = [0, 77, arena.dense.slots - 1].map(|slot| (slot + MAX_WIDE, arena.room(false)));
    for (slot, span) in wide.into_iter().chain(dense) {
        let slot = Slot(u32::try_from(slot).unwrap());
        let (part, number) = arena.part(slot);
        let whole = part.slot(number)..part.slot(number) + part.unit;
        for (size, align) in [(page, page), (64 << 10, page), (page, 2 << 20), (32 << 20, page)] {
            for random in [None, Some(0), Some(1), Some(usize::MAX), Some(0x1234_5678_9abc_def0)] {
                let start = arena.start(slot, size, span, align, random);
                assert!(start.is_multiple_of(align), "{start:#x}");
                assert!(size < 2 << 20 || start.is_multiple_of(2 << 20), "{start:#x}");
                assert!(whole.start <= start && start + span < whole.end, "{start:#x} in {whole:x?}");
                // Behind it there is room for as much as the machine has.
                assert!(number + MAX_WIDE == slot.0 as usize || whole.end - start >= 24 << 30);
            }
        }
    }
}

#[test]
fn the_first_free_slot_is_taken_and_given_back() {
    let (slots, arena) = (Box::new(Slots::new()), arena());
    let all = arena.wide.slots + arena.dense.slots;
    assert!(slots.has_wide(&arena));
    let taken: Vec<_> = (0..all).map(|_| slots.choose(&arena, None).unwrap()).collect();
    let wide = arena.wide.slots;
    assert_eq!((taken[0], taken[wide - 1]), (Slot(0), Slot(u32::try_from(wide - 1).unwrap())));
    assert_eq!(taken[wide], Slot(u32::try_from(MAX_WIDE).unwrap()));
    assert_eq!(slots.choose(&arena, None), None);
    assert!(!slots.has_wide(&arena));
    for number in [all - 1, wide + 70, wide, wide - 1, 65, 0] {
        slots.give_back(taken[number]);
        assert_eq!(slots.has_wide(&arena), number < wide);
        assert_eq!(slots.choose(&arena, None), Some(taken[number]));
        assert_eq!(slots.choose(&arena, None), None);
    }
    // By chance: any of the wide ones, and none that is in use.
    for number in [3, 5, 64] {
        slots.give_back(taken[number]);
    }
    let mut found = [7, wide + 3, 64].map(|random| slots.choose(&arena, Some(random)).unwrap().0);
    found.sort_unstable();
    assert_eq!(found, [3, 5, 64]);
}

#[test]
fn what_is_blocked_is_passed_over_and_looked_at_again() {
    let (slots, arena) = (Box::new(Slots::new()), arena());
    for expected in 0..MAX_BLOCKED {
        let slot = slots.choose(&arena, None).unwrap();
        assert_eq!(slot.0 as usize, expected);
        slots.block(slot);
    }
    let slot = slots.choose(&arena, None).unwrap();
    assert_eq!(slot.0 as usize, MAX_BLOCKED);
    slots.block(slot);
    assert_eq!(slots.choose(&arena, None), Some(Slot(0)), "it may be free by now");
    assert_eq!(slots.choose(&arena, None), Some(Slot(1)));
}

#[test]
fn threads_have_different_slots() {
    let (slots, arena) = (Box::new(Slots::new()), arena());
    let mut all: Vec<u32> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut kept = Vec::new();
                    for round in 0..2000 {
                        let slot = slots.choose(&arena, None).unwrap();
                        match round % 4 {
                            0 => kept.push(slot.0),
                            _ => slots.give_back(slot),
                        }
                    }
                    kept
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_unstable();
    let many = all.len();
    all.dedup();
    assert_eq!((all.len(), many), (2000, 2000));
    assert_eq!(slots.used_slots.load(Ordering::Relaxed), 2000);
}
