//! The command that puts a file into an area, until others can find it, against `cp` into /dev/shm.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

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
