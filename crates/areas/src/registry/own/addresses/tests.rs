//! Addresses beside a list of them, and beside readers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;

fn entry(start: u64, len: u64) -> Entry {
    let mut entry = [start ^ 0x5555; WORDS];
    (entry[START], entry[END], entry[SURE]) = (start, start + len, start + len / 2);
    entry
}

fn model(entries: &BTreeMap<u64, Entry>, address: u64) -> Option<Entry> {
    let (_, &(mut entry)) = entries.range(..=address).next_back()?;
    if address < entry[SURE] {
        entry[NEAR..].fill(0);
    }
    (address < entry[END]).then_some(entry)
}

/// What searches rely on.
fn is_filled_up(addresses: &Addresses) -> bool {
    let chunks = (0..addresses.used()).map(|i| addresses.chunk(i).unwrap());
    let mut behind = chunks.flat_map(|chunk| &chunk.starts[chunk.len()..]);
    behind.all(|start| start.load(Ordering::Relaxed) == NOWHERE)
}

/// Two neighbours are never so few that one chunk would do: else the pool could run out.
fn is_dense(addresses: &Addresses) -> bool {
    let lens: Vec<usize> = (0..addresses.used()).map(|i| addresses.chunk(i).unwrap().len()).collect();
    lens.windows(2).all(|pair| pair[0] + pair[1] > MERGED) && lens.iter().all(|&len| len > 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_answers_as_a_sorted_map_does(
        steps in prop::collection::vec((0..4_u8, 0..400_u64), 1..1_500),
        looks in prop::collection::vec(0..8_100_u64, 50),
    ) {
        let mut keeper = Keeper::new(Arc::new(Addresses::new()));
        let mut entries = BTreeMap::new();
        for (what, place) in steps {
            let start = place * 20;
            if what == 0 {
                keeper.remove(start);
                entries.remove(&start);
            } else {
                let new = entry(start, u64::from(what) * 6);
                prop_assert!(keeper.put(&new));
                entries.insert(start, new);
            }
            prop_assert!(is_dense(&keeper.shared) && is_filled_up(&keeper.shared));
        }
        for address in looks {
            prop_assert_eq!(keeper.shared.find(address), model(&entries, address));
            let end = address + 1 + address % 50;
            let reaches = (address..end).any(|address| model(&entries, address).is_some());
            prop_assert_eq!(keeper.shared.reach_into(address, end), Some(reaches));
        }
        keeper.clear();
        prop_assert_eq!(keeper.shared.find(20), None);
    }
}

/// As many as a team can have, however they come and go.
#[test]
fn there_is_room_for_all_of_a_team() {
    const ALL: u64 = 1 << 16;
    let mut keeper = Keeper::new(Arc::new(Addresses::new()));
    // Upwards, downwards, all over the place.
    for (round, (all, step)) in
        [(1 << 12, 1), (1 << 12, (1 << 12) - 1), (ALL, 40_503)].into_iter().enumerate()
    {
        for i in 0..all {
            assert!(keeper.put(&entry(i * step % all * 4096, 4096)), "{round}: {i}");
        }
        assert!(
            (0..all).step_by(3).all(|i| keeper.shared.find(i * 4096 + 4095) == Some(entry(i * 4096, 4096)))
        );
        // Few of each chunk stay, and there is room again.
        (0..all).filter(|i| i % 100 != 0).for_each(|i| keeper.remove(i * 4096));
        assert!(is_dense(&keeper.shared) && is_filled_up(&keeper.shared), "{round}");
        assert!(keeper.shared.used() < 20, "{round}: {} chunks", keeper.shared.used());
        (0..all).step_by(100).for_each(|i| keeper.remove(i * 4096));
        assert_eq!((keeper.shared.used(), keeper.free.len()), (0, CHUNKS), "{round}");
    }
}

#[test]
fn readers_beside_the_writer_see_what_is_there() {
    let shared: Arc<Addresses> = Arc::new(Addresses::new());
    let mut keeper = Keeper::new(shared.clone());
    // Every third stays; the others come and go.
    (0..900).step_by(3).for_each(|i| assert!(keeper.put(&entry(i * 10, 10))));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = || {
            let mut seen = 0_u32;
            while !stop.load(Ordering::Relaxed) || seen == 0 {
                for i in 0..900 {
                    match shared.find(i * 10 + 5) {
                        Some(found) => assert_eq!(found, entry(i * 10, 10)),
                        // Not there, or no luck.
                        None => continue,
                    }
                    seen += u32::from(i % 3 == 0);
                }
            }
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        for _ in 0..20 {
            let others = || (0..900).filter(|i| i % 3 != 0);
            others().for_each(|i| assert!(keeper.put(&entry(i * 10, 10))));
            others().for_each(|i| keeper.remove(i * 10));
        }
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}
