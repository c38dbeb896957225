//! What the tour measures of the machine and its processes, and the file that it takes if no
//! process names one.

use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use areas::{Error, ErrorKind};

use crate::failure::io_error;
use crate::kilobytes::in_bytes;

/// The machine's shared memory in use, in bytes: `Shmem` of `/proc/meminfo` (all memory objects and
/// tmpfs files).
pub(super) fn shared_memory() -> areas::Result<u64> {
    kilobytes("/proc/meminfo", "Shmem:")
}

/// The memory of this process's own that is in RAM (`Anonymous`, counted page by page): what it
/// shares does not count.
pub(super) fn own_memory() -> areas::Result<u64> {
    kilobytes("/proc/self/smaps_rollup", "Anonymous:")
}

/// The shared memory that this process has mapped pages of (`RssShmem`).
pub(super) fn touched_shared_memory() -> areas::Result<u64> {
    kilobytes("/proc/self/status", "RssShmem:")
}

/// A line `Label:  123 kB` of a file, in bytes.
fn kilobytes(path: &str, label: &str) -> areas::Result<u64> {
    let text = std::fs::read_to_string(path).map_err(|error| io_error(format!("read {path}"), error))?;
    in_bytes(&text, label).ok_or_else(|| {
        Error::new(ErrorKind::Io, format!("read {path}")).with_facts(format!("it has no line {label}"))
    })
}

/// Waits until something is so, until the timeout; gives whether it is, and the time
/// that it took.
///
/// What the kernel tears down takes a moment, and the rest of the machine does not stand still.
pub(super) fn becomes(
    timeout: Duration,
    mut so: impl FnMut() -> areas::Result<bool>,
) -> areas::Result<(bool, Duration)> {
    let start = Instant::now();
    loop {
        if so()? {
            return Ok((true, start.elapsed()));
        }
        if start.elapsed() > timeout {
            return Ok((false, start.elapsed()));
        }
        sleep(Duration::from_millis(2));
    }
}

/// A large file that is surely there: the Rust compiler's own library, else the program that runs.
pub(super) fn some_file() -> areas::Result<PathBuf> {
    match compiler_library() {
        Some(path) => Ok(path),
        None => std::env::current_exe().map_err(|error| io_error("find the program that runs", error)),
    }
}

fn compiler_library() -> Option<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
    let sysroot = said.status.success().then(|| String::from_utf8(said.stdout).ok())??;
    let mut found: Vec<PathBuf> = std::fs::read_dir(PathBuf::from(sysroot.trim_end()).join("lib"))
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("librustc_driver-") && name.ends_with(".so")
        })
        .collect();
    found.sort();
    found.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_become_bytes() {
        let text =
            "MemTotal:  10 kB\nShmem:             12 kB\nShmemHugePages:   9 kB\nHugePages_Total:   5\n";
        assert_eq!(in_bytes(text, "Shmem:"), Some(12 << 10));
        assert_eq!(in_bytes(text, "HugePages_Total:"), None);
        assert_eq!(in_bytes(text, "Swap:"), None);
        assert!(shared_memory().is_ok() && own_memory().unwrap() > 0);
    }

    #[test]
    fn a_timeout_ends() {
        let (so, took) = becomes(Duration::from_millis(10), || Ok(false)).unwrap();
        assert!(!so && took >= Duration::from_millis(10));
        assert!(becomes(Duration::ZERO, || Ok(true)).unwrap().0);
    }
}
