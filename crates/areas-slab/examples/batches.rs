//! A producer and its consumers: batches go through a slab, each by a handle of 40 bytes.
//!
//! `cargo run -p areas-slab --example batches`: starts itself three times as a consumer, kills one
//! of them half way, and has all of the slab back in the end.

use std::alloc::Layout;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use areas_slab::{Handle, Slab, take};

const BATCHES: u64 = 60;
const NUMBERS: usize = 10_000;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Takes batches as their handles come, and says each one's sum.
fn consume() -> Outcome {
    let mut bytes = [0; Handle::BYTES];
    while std::io::stdin().read_exact(&mut bytes).is_ok() {
        let batch = take(&Handle::from_bytes(&bytes)?)?;
        let numbers = batch.to_vec()?;
        let sum: u64 = numbers
            .chunks_exact(8)
            .map(|number| u64::from_le_bytes(number.try_into().unwrap_or_default()))
            .sum();
        // The block is the producer's again as the lease is dropped.
        drop(batch);
        writeln!(std::io::stdout(), "{sum}")?;
    }
    Ok(())
}

fn start() -> Outcome<Child> {
    let program = std::env::current_exe()?;
    Ok(Command::new(program).arg("consume").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

/// Puts a batch, gives it to a consumer, and keeps nothing of it.
fn hand_over(slab: &Slab, number: u64, consumer: &mut Child) -> Outcome {
    // Where the consumers have not released enough yet, it waits for them.
    let batch = slab.alloc_within(Layout::array::<u64>(NUMBERS)?, Duration::from_secs(10))?;
    batch.write_at(0, &number.to_le_bytes().repeat(NUMBERS))?;
    let handle = batch.give()?;
    consumer.stdin.as_mut().ok_or("it has one")?.write_all(&handle.to_bytes())?;
    Ok(())
}

fn main() -> Outcome {
    if std::env::args().nth(1).as_deref() == Some("consume") {
        return consume();
    }
    // Room for some ten batches.
    let slab = Slab::create("example: batches", 1 << 20)?;
    let mut consumers = [start()?, start()?, start()?];
    let mut answers = Vec::new();
    for consumer in &mut consumers {
        answers.push(BufReader::new(consumer.stdout.take().ok_or("it has one")?));
    }
    let mut out = std::io::stdout();
    for number in 0..BATCHES {
        let whose = usize::try_from(number % 3)?;
        if number == BATCHES / 2 {
            hand_over(&slab, number, &mut consumers[0])?;
            consumers[0].kill()?;
            consumers[0].wait()?;
            writeln!(out, "killed one of the consumers; taken back: {}", slab.take_back(Duration::ZERO)?)?;
        }
        if number >= BATCHES / 2 && whose == 0 {
            continue;
        }
        hand_over(&slab, number, &mut consumers[whose])?;
        let mut line = String::new();
        answers[whose].read_line(&mut line)?;
        assert_eq!(line.trim_end().parse::<u64>()?, number * NUMBERS as u64);
    }
    for consumer in &mut consumers[1..] {
        drop(consumer.stdin.take());
        consumer.wait()?;
    }
    slab.reclaim()?;
    let usage = slab.usage()?;
    assert_eq!(usage.free, usage.capacity);
    writeln!(out, "all of it is free again: {}", areas::Bytes::from(usage.free))?;
    Ok(())
}
