//! Whose address is it? What `registry::id_at` costs, with one area and with many, by one thread
//! and by two at once.
//!
//! `cargo run --release --example whose_address [AREAS]`; without a number, as many as there may be
//! open files, 60,000 at most.
#![expect(clippy::print_stdout, reason = "an example talks")]

use std::hint::black_box;
use std::time::Instant;

use areas::{Area, Resizable, registry};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Nanoseconds a look, the median of many rounds: all over the areas, by some threads at once.
fn time(areas: &[Area<Resizable>], threads: usize) -> f64 {
    const ROUNDS: usize = 101;
    const LOOKS: u32 = 10_000;
    let addresses: Vec<usize> =
        (0..LOOKS as usize).map(|i| areas[i * 7_919 % areas.len()].as_ptr().addr() + i % 4096).collect();
    let round = || {
        let start = Instant::now();
        for &address in &addresses {
            black_box(registry::id_at(black_box(address)).expect("it is one of ours"));
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(LOOKS)
    };
    let rounds = || (0..ROUNDS).map(|_| round()).collect::<Vec<f64>>();
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(rounds)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("it looks only")).collect()
    });
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> areas::Result<()> {
    // Root may have more than it has, and leaves it as it was with its end.
    let wanted = Rlimit { current: Some(60_100), maximum: Some(60_100) };
    if getrlimit(Resource::Nofile).maximum.is_some_and(|maximum| maximum < 60_100) {
        let _ = setrlimit(Resource::Nofile, wanted);
    }
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let files = usize::try_from(limit.maximum.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let asked = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let most = asked.unwrap_or_else(|| files.saturating_sub(100).min(60_000));
    let mut areas = Vec::with_capacity(most);
    let mut one = None;
    for count in [1, 1_000, most] {
        while areas.len() < count {
            areas.push(areas::builder(4096).name(format!("one-of-many-{}", areas.len())).resizable(4096)?);
        }
        let (alone, together) = (time(&areas, 1), time(&areas, 2));
        let first = *one.get_or_insert(alone);
        println!(
            "{count:>6} areas: {alone:5.1} ns a look ({:.2} of that with one area); two threads at once: {together:5.1} ns each ({:.2} of one alone)",
            alone / first,
            together / alone,
        );
    }
    Ok(())
}
