//! Running other programs: where they are, where cargo puts things, and output that is shown and
//! kept at once.

use std::io::{self, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

pub(crate) use areas_ctest::folders::{cargo, target as target_folder, without_our_package, workspace};
pub(crate) use areas_guest::programs::{shown, which};

/// Does `work` with all `items`, by so many threads at once, each of which gets its number. The
/// results, in the order of the items.
pub(crate) fn at_once<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(usize, &T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for number in 0..threads {
            let (next, done, work) = (&next, &done, &work);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = work(number, item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// How a program ended and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    /// Its standard output and error, the one after the other.
    pub(crate) output: String,
    pub(crate) timed_out: bool,
}

/// Runs `command` without input, passes its output on as it comes, and keeps a copy. With a `limit`
/// it is killed then.
pub(crate) fn tee(command: &mut Command, limit: Option<Duration>) -> Result<Ran> {
    run(command, limit, io::stdout, io::stderr)
}

/// The same without passing its output on: for what runs beside other things.
pub(crate) fn keep(command: &mut Command, limit: Option<Duration>) -> Result<Ran> {
    run(command, limit, io::sink, io::sink)
}

fn run<O: Write + 'static, E: Write + 'static>(
    command: &mut Command,
    limit: Option<Duration>,
    out: fn() -> O,
    err: fn() -> E,
) -> Result<Ran> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    let stdout = child.stdout.take().context("the pipe that was asked for")?;
    let stderr = child.stderr.take().context("the pipe that was asked for")?;
    let stdout = thread::spawn(move || copy(stdout, out()));
    let stderr = thread::spawn(move || copy(stderr, err()));
    let start = Instant::now();
    let mut timed_out = false;
    let status = loop {
        let Some(limit) = limit else { break child.wait()? };
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > limit {
            timed_out = true;
            child.kill()?;
            break child.wait()?;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let mut output = stdout.join().unwrap_or_default();
    output += &stderr.join().unwrap_or_default();
    Ok(Ran { status, output, timed_out })
}

fn copy(mut from: impl Read, mut to: impl Write) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        // Whoever reads our output may have gone away; the program's own end is still worth
        // knowing.
        let _ = to.write_all(&buffer[..n]).and_then(|()| to.flush());
        kept.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_kept_and_time_limited() {
        let ran = tee(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]), None).unwrap();
        assert_eq!((ran.output.as_str(), ran.status.code(), ran.timed_out), ("one\ntwo\n", Some(3), false));
        for run in [tee, keep] {
            let ran = run(Command::new("sleep").arg("60"), Some(Duration::from_millis(50))).unwrap();
            assert!(ran.timed_out);
        }
        let ran = keep(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]), None).unwrap();
        assert_eq!((ran.output.as_str(), ran.status.code()), ("one\ntwo\n", Some(3)));
    }
}
