//! A ring of frames between two processes: one writes frames and signals, the other waits and
//! reads. The reader may only read, so that it can disturb no other process; who is slow skips
//! frames, and notices.
//!
//! `cargo run --example frame_ring`

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::process::{Child, Command};
use std::time::Duration;

use areas::sync::{Event, SeqLock, Writer};
use areas::{Area, ErrorKind, Shared, registry};

/// The event counts frames; behind it is the ring: in each slot one frame, which begins with its
/// number.
const EVENT: usize = 0;
const RING: usize = 64;
const SLOTS: u32 = 8;
const FRAME: usize = 64 * 1024;
const FRAMES: u32 = 200;
/// Longer than any frame takes to come.
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> areas::Result<()> {
    // This program starts itself again, with the name of the area as its argument.
    match std::env::args().nth(1) {
        Some(name) => show(&name),
        None => produce(),
    }
}

/// The slot that a frame is in.
fn slot(ring: &Area<Shared>, number: u32) -> areas::Result<SeqLock<'_>> {
    SeqLock::new(ring, RING + (number % SLOTS) as usize * (SeqLock::HEADER + FRAME), FRAME)
}

fn produce() -> areas::Result<()> {
    let name = format!("example-{}", std::process::id());
    let size = RING + SLOTS as usize * (SeqLock::HEADER + FRAME);
    // All is zero: the event and the slots are as they begin.
    let ring = areas::builder(size).name(&name).shared()?;
    let mut writers: Vec<Writer<'_>> =
        (0..SLOTS).map(|number| slot(&ring, number)?.writer()).collect::<areas::Result<_>>()?;
    let event = Event::new(&ring, EVENT)?;
    let mut reader = start(&name)?;

    let mut frame = vec![0; FRAME];
    for number in 0..FRAMES {
        frame.fill(number.to_le_bytes()[0]);
        frame[..4].copy_from_slice(&number.to_le_bytes());
        writers[(number % SLOTS) as usize].write(&frame)?;
        // Counted and announced in one system call; what was written before it is seen by who
        // wakes.
        event.signal()?;
        std::thread::sleep(Duration::from_micros(500));
    }
    let status = reader.wait().map_err(failed("wait for the reader"))?;
    if !status.success() {
        return Err(areas::Error::new(ErrorKind::Io, "run the reader").with_facts(status.to_string()));
    }
    println!("{FRAMES} frames written");
    Ok(())
}

fn show(name: &str) -> areas::Result<()> {
    let ring = registry::find(name)?.open_read_only()?;
    let event = Event::new(&ring, EVENT)?;
    let (mut frame, mut next, mut shown, mut skipped) = (vec![0; FRAME], 0, 0, 0);
    while next < FRAMES {
        // How many frames there are: it does not sleep if one has come since.
        let written = event.wait(next, TIMEOUT)?;
        // Older ones were written over, or are about to be.
        let oldest = written.saturating_sub(SLOTS - 1).max(next);
        skipped += oldest - next;
        for number in oldest..written {
            match slot(&ring, number)?.read(&mut frame) {
                Ok(_) if frame[..4] == number.to_le_bytes() => {
                    let byte = number.to_le_bytes()[0];
                    if frame[4..].iter().any(|&found| found != byte) {
                        return Err(areas::Error::new(ErrorKind::Io, "show a frame").with_facts("it is torn"));
                    }
                    shown += 1;
                }
                // A newer one is there, or is being written.
                Ok(_) => skipped += 1,
                Err(error) if error.kind() == ErrorKind::Busy => skipped += 1,
                Err(error) => return Err(error),
            }
        }
        next = written;
    }
    println!("{shown} frames shown, {skipped} skipped");
    Ok(())
}

fn start(name: &str) -> areas::Result<Child> {
    let program = std::env::current_exe().map_err(failed("find this program"))?;
    Command::new(program).arg(name).spawn().map_err(failed("start this program again"))
}

fn failed(what: &'static str) -> impl Fn(std::io::Error) -> areas::Error {
    move |error| areas::Error::new(ErrorKind::Io, what).caused_by(error)
}
