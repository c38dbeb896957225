//! The memory of a ring or a log that grows under its reader: what one side grows is there for the
//! other at once, with no call of its own and at the same address.
//!
//! `cargo run --example growable_ring`

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::sync::atomic::Ordering;

use areas::{Area, Shared, registry};

/// Bytes that were written so far, at offset 0; records follow.
const HEAD: usize = 0;
const FIRST: usize = 64;
const RECORD: usize = 64;

fn main() -> areas::Result<()> {
    let name = format!("example-{}", std::process::id());
    // 4 KiB now; addresses for 1 MiB. Addresses are no memory: they cost nothing.
    let log = areas::builder(4096).growable(1 << 20).name(&name).shared()?;
    // The reader could be another process: it finds the log by its name, and may only read.
    let reader = registry::find(&name)?.open_read_only()?;
    println!("size {} of at most {}", log.size(), log.reserve());

    let address = reader.as_ptr();
    for number in 0..200 {
        append(&log, &format!("record {number}"))?;
    }
    println!("size {}, the reader's too: {}", log.size(), reader.size());
    println!("the reader's address is the same: {}", reader.as_ptr() == address);

    let (count, last) = read(&reader)?;
    println!("it reads {count} records; the last is {last:?}");
    println!("memory taken: {}", log.residency()?);

    // Beyond its maximum it cannot grow, and it never shrinks.
    if let Err(error) = log.grow((1 << 20) + 1) {
        println!("{error:#}");
    }
    Ok(())
}

fn append(log: &Area<Shared>, text: &str) -> areas::Result<()> {
    // This side alone stores it.
    let used: u64 = log.load(HEAD, Ordering::Relaxed)?;
    let at = FIRST + usize::try_from(used).unwrap_or(usize::MAX);
    if at + RECORD > log.size() {
        // Whole pages are added; if another process grows it at the same time, the larger size
        // counts.
        log.grow(at + RECORD)?;
    }
    log.write_at(at, text.as_bytes())?;
    // The count is stored last: who acquires it sees the record. (Two who append at once would need
    // `atomic_u64` and its `fetch_add`.)
    log.store(HEAD, used + RECORD as u64, Ordering::Release)
}

fn read(log: &Area<Shared>) -> areas::Result<(usize, String)> {
    let used = usize::try_from(log.load::<u64>(HEAD, Ordering::Acquire)?).unwrap_or(usize::MAX);
    // What comes from another process is checked, never believed: `read_at` refuses what is not
    // inside.
    let mut last = [0; RECORD];
    log.read_at(FIRST + used.saturating_sub(RECORD), &mut last)?;
    let text = String::from_utf8_lossy(&last);
    Ok((used / RECORD, text.trim_end_matches('\0').to_owned()))
}
