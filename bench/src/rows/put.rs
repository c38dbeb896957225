//! The command that puts a file into an area, until others can find it, against `cp` into /dev/shm; and the one that gives it out again, against `cat`.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::bytes;
use crate::bench::{Bench, Contest, LONG};
use crate::measure::{Side, nanoseconds};

pub fn run(bench: &mut Bench) -> Result<()> {
    crate::machine::pin(false);
    let size = bench.or_smoke(150_000_000, 1_000_000);
    let file = bench.out.join("put.bin");
    let contents: Vec<u8> = (0..size).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(&file, contents).with_context(|| format!("cannot write {}", file.display()))?;
    let copy = format!("/dev/shm/areas-bench-{}-put", std::process::id());
    let areas = bench.command.clone();
    let from = file.clone();
    let ours = Side::new("areas put, until it can be found", move |times| {
        let mut took = 0;
        for _ in 0..times {
            let start = Instant::now();
            let mut put = Command::new(&areas)
                .args(["put", "--name", "bench: put"])
                .arg(&from)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?;
            let mut ready = String::new();
            let read = BufReader::new(put.stdout.take().context("the pipe that was asked for")?)
                .read_line(&mut ready);
            took += nanoseconds(start.elapsed());
            put.kill()?;
            put.wait()?;
            read?;
            ensure!(ready.contains("bench: put"), "areas put said {ready:?}");
        }
        Ok(took)
    });
    let (from, to) = (file.clone(), copy.clone());
    let cp = Side::new("cp to /dev/shm", move |times| {
        let mut took = 0;
        for _ in 0..times {
            let start = Instant::now();
            let status = Command::new("cp").arg(&from).arg(&to).status()?;
            took += nanoseconds(start.elapsed());
            ensure!(status.success(), "cp: {status}");
            fs::remove_file(&to)?;
        }
        Ok(took)
    });
    let done = bench.contest(Contest::new("150 MB, in the page cache", LONG, ours).against(cp, 1.0));
    let _ = fs::remove_file(&copy);
    fs::remove_file(&file)?;
    done
}

/// An area's bytes to /dev/null, and into a pipe that another process reads, against `cat` of a file in /dev/shm.
pub fn cat(bench: &mut Bench) -> Result<()> {
    crate::machine::pin(false);
    let size: usize = bench.or_smoke(2 << 30, 1 << 20);
    let name = format!("areas-bench-{}-cat", std::process::id());
    let file = format!("/dev/shm/{name}");
    let area = areas::builder(size).name(&name).shared()?;
    let piece: Vec<u8> = (0..1_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for at in (0..size).step_by(piece.len()) {
        area.write_at(at, &piece)?;
    }
    let done = (|| {
        let mut copy = fs::File::create(&file).with_context(|| file.clone())?;
        (0..size).step_by(piece.len()).try_for_each(|_| io::Write::write_all(&mut copy, &piece))?;
        drop(copy);
        let frozen = areas::builder(size).shared()?;
        for at in (0..size).step_by(piece.len()) {
            frozen.write_at(at, &piece)?;
        }
        let mut frozen = frozen
            .freeze_within(std::time::Duration::from_secs(60))
            .map_err(|rejected| anyhow::anyhow!("{rejected:?}"))?;
        let frozen_name = format!("{name}-frozen");
        frozen.publish(&frozen_name)?;
        for (case, to) in [("to /dev/null", "> /dev/null"), ("into a pipe", "| cat > /dev/null")] {
            let size = bytes(size);
            for (whose, name) in [("", &name), ("frozen, ", &frozen_name)] {
                let ours = shell("areas cat", format!("{} cat {name} {to}", bench.command.display()));
                let peer = shell("cat of a file in /dev/shm", format!("cat {file} {to}"));
                bench
                    .contest(Contest::new(format!("{size}, {whose}{case}"), LONG, ours).against(peer, 1.0))?;
            }
        }
        Ok(())
    })();
    let _ = fs::remove_file(&file);
    done
}

/// A line of the shell, timed from its start to its end.
fn shell(who: &'static str, line: String) -> Side<'static> {
    Side::each(who, move || {
        let status = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).status()?;
        ensure!(status.success(), "{line}: {status}");
        Ok(())
    })
}
