//! A neighbour who writes over everything in the area: what is in the blocks is lost, and which of
//! them are reused; but no block overlaps another, no access leaves the area, and nothing panics.

use std::alloc::Layout;
use std::time::{Duration, Instant};

use areas::registry;
use areas_slab::{Handle, Reader, Slab, Slice};

use super::support::child::{Stage, reply, test};

/// Writes noise over all of an area, again and again, until it is killed.
fn spoil() -> ! {
    let area = registry::find("hostile").unwrap().open().unwrap();
    let mut random = fastrand::Rng::with_seed(u64::from(std::process::id()));
    reply("spoiling");
    let mut noise = [0; 4096];
    loop {
        random.fill(&mut noise);
        if random.u8(..) < 64 {
            noise.fill(if random.bool() { 0 } else { 0xff });
        }
        // Mostly the table, which is what is believed, if anything is.
        let most = if random.u8(..) < 200 { area.size() / 8 } else { area.size() };
        let at = random.usize(..most - noise.len());
        area.write_at(at, &noise[..random.usize(1..noise.len())]).unwrap();
    }
}

/// Takes, drops, gives and opens at random, and holds what is taken against what is known here.
fn work(slab: &Slab, reader: &Reader, until: Instant) -> usize {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut held, mut handles, mut rounds): (Vec<Slice>, Vec<Handle>, usize) = (Vec::new(), Vec::new(), 0);
    let mut leases = Vec::new();
    while Instant::now() < until {
        rounds += 1;
        match random.u8(..10) {
            0..4 => {
                let layout = Layout::from_size_align(random.usize(..20_000), 1 << random.u8(..13)).unwrap();
                let Ok(slice) = slab.alloc(layout) else {
                    held.clear();
                    continue;
                };
                let (start, end) = (slice.offset(), slice.offset() + slice.len());
                assert!(end <= slab.area().size() && start % layout.align() == 0);
                let apart = |other: &Slice| end <= other.offset() || other.offset() + other.len() <= start;
                assert!(held.iter().all(apart), "two blocks overlap");
                slice.write_at(0, &vec![1; slice.len()]).unwrap();
                held.push(slice);
            }
            4..6 if !held.is_empty() => drop(held.swap_remove(random.usize(..held.len()))),
            6 if !held.is_empty() => handles.extend(held[random.usize(..held.len())].give()),
            7 if !held.is_empty() => handles.push(held[random.usize(..held.len())].handle()),
            8 if !handles.is_empty() => {
                let handle = handles.swap_remove(random.usize(..handles.len()));
                let opened = if random.bool() { reader.open(&handle) } else { reader.take(&handle) };
                if let Ok(lease) = opened {
                    assert!(lease.offset() + lease.len() <= slab.area().size());
                    lease.to_vec().unwrap();
                    leases.push(lease);
                }
            }
            _ => {
                leases.truncate(random.usize(..10));
                slab.reclaim().unwrap();
                slab.take_back(Duration::from_millis(1)).unwrap();
                let usage = slab.usage().unwrap();
                assert_eq!(usage.owned + usage.given + usage.read + usage.free, usage.capacity);
            }
        }
        // New ones see a slab, or none.
        if rounds.is_multiple_of(500) {
            let _ = Reader::attach(registry::find("hostile").unwrap().open().unwrap());
        }
    }
    rounds
}

#[test]
fn a_neighbour_who_writes_over_everything_is_survived() {
    let me = test!("a_neighbour_who_writes_over_everything_is_survived");
    let answer = match me.role().as_deref() {
        Some("neighbour") => spoil(),
        _ => me.alone(Stage::default(), || {
            let slab = Slab::create("hostile", 1 << 20).unwrap();
            let reader = Reader::attach(registry::find("hostile").unwrap().open().unwrap()).unwrap();
            let mut neighbours: Vec<_> = (0..2).map(|_| me.spawn(&mut Stage::here(), "neighbour")).collect();
            for neighbour in &mut neighbours {
                assert_eq!(neighbour.hear(), "spoiling");
            }
            let rounds = work(&slab, &reader, Instant::now() + Duration::from_secs(2));
            assert!(rounds > 100, "{rounds}");
            for neighbour in &mut neighbours {
                neighbour.kill();
            }
            // Once the neighbour and all readers are gone, all of it can be had again.
            drop(reader);
            slab.take_back(Duration::ZERO).unwrap();
            let usage = slab.usage().unwrap();
            assert_eq!((usage.blocks, usage.free), (0, usage.capacity));
            "done".to_owned()
        }),
    };
    assert_eq!(answer, "done");
}
