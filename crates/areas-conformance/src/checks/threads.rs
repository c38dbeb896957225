//! Four threads at a time: each gets what it asked for, and no other process's.

use super::{Bench, Check, broken, bytes_of, write_pattern};
use crate::notes::Notes;

pub(super) const THREADS: Check = Check {
    name: "threads",
    expected: "four threads that map, write and unmap at once get each what they asked for, to themselves",
    run: threads,
};

const THREADS_AT_ONCE: usize = 4;
const ROUNDS: usize = 25;

fn threads(bench: &Bench<'_>, notes: &mut Notes) {
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..THREADS_AT_ONCE).map(|number| scope.spawn(move || worker(bench, number))).collect();
        for worker in workers {
            match worker.join() {
                Ok(wrong) => notes.append(wrong),
                Err(_) => notes.wrong("a thread panicked in it"),
            }
        }
    });
    notes.seen(format!("{ROUNDS} rounds each"));
}

fn worker(bench: &Bench<'_>, number: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    for round in 0..ROUNDS {
        // Another size for each thread, none larger than the small one.
        let size = bench.small().saturating_sub(number).max(1);
        let mut mapping = match bench.map(&bench.request(size)) {
            Ok(mapping) => mapping,
            Err(error) => {
                wrong.push(format!("round {round}: {error}"));
                continue;
            }
        };
        if mapping.size() != size {
            wrong.push(format!("asked for {size} B while others asked, got {} B", mapping.size()));
        }
        let salt = number * ROUNDS + round;
        if let Err(error) = write_pattern(&mut mapping, salt) {
            wrong.push(format!("writing: {error}"));
        }
        std::thread::yield_now();
        match bytes_of(&mapping) {
            Ok(bytes) if broken(&bytes, salt).is_none() => {}
            Ok(_) => wrong.push("another thread's bytes are in it".to_owned()),
            Err(error) => wrong.push(format!("reading: {error}")),
        }
        if let Err(rejected) = bench.provider.unmap(mapping) {
            wrong.push(format!("unmapping: {rejected}"));
        }
    }
    wrong
}
