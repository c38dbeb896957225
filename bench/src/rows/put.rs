//! The command that puts a file into an area, until others can find it, against `cp` into /dev/shm;
//! and the one that gives it out again, against `cat`.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::bytes;
use crate::bench::{Bench, Contest, LONG};
use crate::measure::{Plan, Side, nanoseconds};

pub fn run(bench: &mut Bench) -> Result<()> {
    crate::machine::pin(false);
    for (size, target) in [(150_000_000, 1.0), (2 << 30, 0.9)] {
        put(bench, size, target, LONG)?;
    }
    get(bench, 2 << 30, LONG)
}

/// A file of that many bytes, which is in the page cache then.
fn write_file(file: &Path, size: usize) -> Result<()> {
    let piece: Vec<u8> = (0..1_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut to = fs::File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    for at in (0..size).step_by(piece.len()) {
        io::Write::write_all(&mut to, &piece[..piece.len().min(size - at)])?;
    }
    Ok(())
}

/// A file of that many bytes into an area, until others can find it.
pub fn put(bench: &mut Bench, size: usize, target: f64, plan: Plan) -> Result<()> {
    let case = format!(
        "{}, in the page cache",
        if size < 1 << 30 { format!("{} MB", size / 1_000_000) } else { bytes(size) }
    );
    let size = bench.or_smoke(size, 1_000_000);
    let file = bench.out.join("put.bin");
    write_file(&file, size)?;
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
    let done = bench.contest(Contest::new(case, plan, ours).against(cp, target));
    let _ = fs::remove_file(&copy);
    fs::remove_file(&file)?;
    done
}

/// An area's bytes into a new file in /dev/shm, by all processors.
pub fn get(bench: &mut Bench, size: usize, plan: Plan) -> Result<()> {
    let size: usize = bench.or_smoke(size, 1 << 20);
    let name = format!("areas-bench-{}-get", std::process::id());
    let (from, to) = (format!("/dev/shm/{name}-from"), format!("/dev/shm/{name}-to"));
    let done = (|| {
        write_file(Path::new(&from), size)?;
        let mut area = areas::builder(size).name(&name).shared()?;
        area.fill_from(fs::File::open(&from)?, &mut |_| {})?;
        // What is there before makes neither slower.
        let ours = shell("areas get", format!("{} get {name} {to} && rm {to}", bench.command.display()));
        let peer = shell("cp", format!("cp {from} {to} && rm {to}"));
        let case = format!("{} from an area into a file in /dev/shm", bytes(size));
        bench.contest(Contest::new(case, plan, ours).against(peer, 1.0))
    })();
    let _ = (fs::remove_file(&from), fs::remove_file(&to));
    done
}

/// An area's bytes to /dev/null, and into a pipe that another process reads, against `cat` of a
/// file in /dev/shm.
pub fn cat(bench: &mut Bench) -> Result<()> {
    crate::machine::pin(false);
    let size: usize = bench.or_smoke(2 << 30, 1 << 20);
    let name = format!("areas-bench-{}-cat", std::process::id());
    let file = format!("/dev/shm/{name}");
    let mut area = areas::builder(size).name(&name).shared()?;
    let done = (|| {
        write_file(Path::new(&file), size)?;
        area.fill_from(fs::File::open(&file)?, &mut |_| {})?;
        let mut frozen = areas::builder(size).shared()?;
        frozen.fill_from(fs::File::open(&file)?, &mut |_| {})?;
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
