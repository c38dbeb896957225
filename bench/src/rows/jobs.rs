//! Whole jobs, from the first call to the last byte: 4 GiB put and got, 1 GiB to eight readers, a
//! ring of frames between two processes. Beside each is how near it is to what the machine's memory
//! does at all, measured in the same run.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::put;
use crate::agent::Agent;
use crate::bench::{Bench, Contest, LONG};
use crate::jobs::{self, FRAME, Posix};
use crate::machine::Bandwidth;
use crate::measure::{Plan, Side, nanoseconds};
use crate::statistics::Spread;

/// For work of a second and more.
const LONGEST: Plan = Plan { rounds: 5, budget: Duration::ZERO, ..LONG };
/// Processes that read one block.
const READERS: usize = 8;
/// What is written at once.
const PIECE: usize = 1 << 20;

pub fn run(bench: &mut Bench) -> Result<()> {
    crate::machine::pin(false);
    let bandwidth = Bandwidth::measure(bench.or_smoke(512 << 20, 1 << 20));
    bench.number("memory copied, by one thread", Spread::exactly(bandwidth.copy_one), "GB/s", None);
    bench.number("memory copied, by a thread a CPU", Spread::exactly(bandwidth.copy_all), "GB/s", None);
    bench.number("memory read, by a thread a CPU", Spread::exactly(bandwidth.read_all), "GB/s", None);
    put::put(bench, 4 << 30, 1.0, LONGEST)?;
    of_memory(bench, "4 GiB put", bench.or_smoke(4 << 30, 1 << 20), bandwidth.copy_all);
    put::get(bench, 4 << 30, LONGEST)?;
    of_memory(bench, "4 GiB got", bench.or_smoke(4 << 30, 1 << 20), bandwidth.copy_all);
    readers(bench, &bandwidth)?;
    ring(bench, &bandwidth)
}

/// How many bytes a second the last of ours moved, as a part of what memory does.
fn of_memory(bench: &mut Bench, case: &str, bytes: u64, memory: f64) {
    let Some(time) = bench.last_time() else { return };
    let part = time.map(|nanoseconds| bytes as f64 / nanoseconds / memory);
    // The quickest was first.
    let part = Spread { low: part.high, high: part.low, ..part };
    bench.number(format!("{case}, of what memory does"), part, "", None);
}

/// One process writes 1 GiB, and eight read all of it.
fn readers(bench: &mut Bench, bandwidth: &Bandwidth) -> Result<()> {
    let size: usize = bench.or_smoke(1 << 30, 1 << 20);
    let piece: Vec<u8> = (0..PIECE as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let expected = jobs::sum(&piece).wrapping_mul((size / PIECE) as u64);
    let name = format!("areas-bench-{}-readers", std::process::id());
    let shm = format!("/{name}");
    let agents = || (0..READERS).map(|_| Agent::start(None)).collect::<Result<Vec<_>>>();
    let all_read = |agents: &mut [Agent], who: &str, name: &str| -> Result<()> {
        for agent in agents.iter_mut() {
            agent.say(&format!("read {who} {name} {size}"))?;
        }
        for agent in agents.iter_mut() {
            ensure!(agent.answer()? == expected, "a reader read something else");
        }
        Ok(())
    };
    let (mut with_areas, mut with_posix, mut with_copies) = (agents()?, agents()?, agents()?);
    let ours = Side::each("written, frozen, read", || {
        let mut area = areas::builder(size).shared()?;
        area.populate()?;
        for at in (0..size).step_by(PIECE) {
            area.write_at(at, &piece)?;
        }
        let mut frozen = area
            .freeze_within(Duration::from_secs(60))
            .map_err(|rejected| anyhow::anyhow!("{rejected:?}"))?;
        frozen.publish(&name)?;
        all_read(&mut with_areas, "areas", &name)
    });
    let posix = |agents: &mut [Agent], who: &str| -> Result<()> {
        let mapped = Posix::new(&shm, size, true)?;
        let done = (|| {
            for at in (0..size).step_by(PIECE) {
                // SAFETY: a part of the mapping, which no process reads yet.
                unsafe {
                    std::ptr::copy_nonoverlapping(piece.as_ptr(), mapped.start.cast::<u8>().add(at), PIECE);
                }
            }
            all_read(agents, who, &shm)
        })();
        Posix::unlink(&shm)?;
        done
    };
    let case = format!("{} written by one process, read by {READERS}", super::bytes(size));
    let copied = Side::each("POSIX shm: written, copied, read", || posix(&mut with_copies, "posix-copied"));
    let in_place = Side::each("POSIX shm, read while it may be written", || posix(&mut with_posix, "posix"));
    bench.contest(Contest::new(&case, LONGEST, ours).against(copied, 1.0).against(in_place, None))?;
    of_memory(bench, &case, (size * READERS) as u64, bandwidth.read_all);
    Ok(())
}

/// Frames of 8 MiB from one process to another.
fn ring(bench: &mut Bench, bandwidth: &Bandwidth) -> Result<()> {
    let frames: u64 = bench.or_smoke(256, 4);
    let case = format!("{frames} frames of {}, from process to process", super::bytes(FRAME));
    let mut ours = passed("areas", frames)?;
    if cfg!(feature = "iceoryx2") {
        let peer = passed("iceoryx2", frames)?;
        bench.contest(Contest::new(&case, LONG, ours).against(peer, 1.0))?;
        of_memory(bench, &case, frames * FRAME as u64, bandwidth.copy_one);
        return Ok(());
    }
    let time = bench.time(LONG, &mut ours)?;
    bench.number(case, time.map(|nanoseconds| nanoseconds / 1e6), "ms", None);
    bench.skip("iceoryx2", "short runs are built without it");
    Ok(())
}

/// A ring of two processes, which pass so many frames at a time.
fn passed<'a>(who: &'static str, frames: u64) -> Result<Side<'a>> {
    let name = format!("areas-bench-{}-ring-{who}", std::process::id());
    let (mut writer, mut reader) = (Agent::start(None)?, Agent::start(None)?);
    writer.ask(&format!("ring {who} out {name}"))?;
    reader.ask(&format!("ring {who} in {name}"))?;
    let expected = jobs::sum_of_frames(frames);
    Ok(Side::new(who, move |times| {
        let mut took = 0;
        for _ in 0..times {
            let start = Instant::now();
            writer.say(&format!("pass {frames}"))?;
            reader.say(&format!("pass {frames}"))?;
            writer.answer()?;
            let sum = reader.answer()?;
            took += nanoseconds(start.elapsed());
            ensure!(sum == expected, "the frames that came are not those that were sent");
        }
        Ok(took)
    }))
}
