//! One run of `mpirun`: what it says, its ranks, its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::process;

/// Over TCP alone, also between ranks of one host. One-sided calls over TCP are `pt2pt`'s, which
/// Debian's settings leave out. More ranks than processors leave them to each other.
pub(super) const OPTIONS: [&str; 11] = [
    "--allow-run-as-root",
    "--oversubscribe",
    "--mca",
    "btl",
    "tcp,self",
    "--mca",
    "pml",
    "ob1",
    "--mca",
    "mpi_yield_when_idle",
    "1",
];

/// Nothing here takes that long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// A job that runs.
pub(super) struct Job {
    child: Child,
    log: PathBuf,
    shown: String,
}

impl Job {
    pub(super) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let shown = process::shown(command);
        eprintln!("$ {shown}");
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot run {shown}"))?;
        Ok(Self { child, log: log.to_owned(), shown })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until it has said `words`.
    pub(super) fn until(&mut self, words: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            if self.said().contains(words) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                ensure!(
                    self.said().contains(words),
                    "{} ended ({status}), and did not say {words:?}:\n{}",
                    self.shown,
                    self.said()
                );
                return Ok(());
            }
            ensure!(
                start.elapsed() < LIMIT,
                "{} did not say {words:?} in {LIMIT:?}:\n{}",
                self.shown,
                self.said()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for its end.
    pub(super) fn end(&mut self) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > LIMIT {
                bail!("{} was still running after {LIMIT:?}:\n{}", self.shown, self.said());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// It fails, and says each of `words`.
    pub(super) fn fails(&mut self, words: &[&str]) -> Result<()> {
        let status = self.end()?;
        let said = self.said();
        ensure!(!status.success(), "{} succeeded:\n{said}", self.shown);
        for word in words {
            ensure!(said.contains(word), "{} does not say {word:?}:\n{said}", self.shown);
        }
        Ok(())
    }

    /// It ends well.
    pub(super) fn succeeds(&mut self) -> Result<()> {
        let status = self.end()?;
        ensure!(status.success(), "{} failed ({status}):\n{}", self.shown, self.said());
        Ok(())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // One that ended is nothing to kill. `mpirun` ends its ranks when it gets TERM, not when it
        // is killed.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            signal(self.pid(), "TERM");
            for _ in 0..250 {
                if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sends a signal to a process; one that has ended gets none.
pub(super) fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Waits until something is so.
pub(super) fn eventually(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < LIMIT, "not so after {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
