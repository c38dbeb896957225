//! A producer that puts batches and consumers that read and release them, some of which are killed
//! at any moment: no batch is ever seen in part or as another one, nothing leaks, and the producer
//! never waits for a dead one.

use std::alloc::Layout;
use std::time::Duration;

use areas::ErrorKind;
use areas_slab::{Lease, Slab, take};

use super::support::child::{Peer, Stage, hear, reply, test};
use super::{handle, line};

const BATCHES: u32 = 600;
const CONSUMERS: usize = 3;

/// Takes batches as they come, looks at each twice, and holds a few of them for a while.
fn consume() -> ! {
    let mut random = fastrand::Rng::with_seed(u64::from(std::process::id()));
    let mut held: Vec<(u32, Lease)> = Vec::new();
    let check = |number: u32, lease: &Lease| {
        let bytes = lease.to_vec().unwrap();
        assert!(
            bytes.chunks_exact(4).all(|word| word == number.to_le_bytes()),
            "batch {number} is not whole"
        );
    };
    loop {
        let answer = hear();
        let Some((number, given)) = answer.split_once(' ') else { std::process::exit(0) };
        let number = number.parse().unwrap();
        match take(&handle(given)) {
            Ok(lease) => {
                check(number, &lease);
                held.push((number, lease));
            }
            // It was taken back while this one slept.
            Err(error) => assert_eq!(error.kind(), ErrorKind::NoSuchArea, "{error}"),
        }
        while held.len() > random.usize(1..4) {
            let (number, lease) = held.swap_remove(random.usize(..held.len()));
            check(number, &lease);
        }
        reply(&number.to_string());
    }
}

#[test]
fn consumers_are_killed_at_any_moment() {
    let me = test!("consumers_are_killed_at_any_moment");
    let answer = match me.role().as_deref() {
        Some("consumer") => consume(),
        _ => me.alone(Stage::default(), || {
            let slab = Slab::create("pipeline", 1 << 20).unwrap();
            let start = || me.spawn(&mut Stage::here(), "consumer");
            let mut consumers: Vec<Peer> = (0..CONSUMERS).map(|_| start()).collect();
            let mut random = fastrand::Rng::with_seed(11);
            let mut killed = 0;
            for number in 0..BATCHES {
                // No more than a few fit, so that blocks are reused all the time.
                let layout = Layout::from_size_align(4 * random.usize(1..16_000), 64).unwrap();
                let slice = slab.alloc_within(layout, Duration::from_secs(20)).unwrap();
                slice.write_at(0, &number.to_le_bytes().repeat(layout.size() / 4)).unwrap();
                let consumer = random.usize(..CONSUMERS);
                consumers[consumer].send(&format!("{number} {}", line(&slice.give().unwrap())));
                drop(slice);
                if random.u8(..) < 30 {
                    // With batches taken, or on their way to it.
                    consumers[consumer].kill();
                    consumers[consumer] = start();
                    killed += 1;
                    slab.take_back(Duration::ZERO).unwrap();
                } else {
                    assert_eq!(consumers[consumer].hear(), number.to_string());
                }
            }
            assert!(killed > 20, "{killed}");
            for consumer in &mut consumers {
                assert!(consumer.end().success());
            }
            slab.take_back(Duration::ZERO).unwrap();
            let usage = slab.usage().unwrap();
            assert_eq!((usage.blocks, usage.free), (0, usage.capacity));
            "done".to_owned()
        }),
    };
    assert_eq!(answer, "done");
}
