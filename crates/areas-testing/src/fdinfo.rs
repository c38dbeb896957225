//! How a process has something open, and which locks it has on it, by `/proc/PID/fdinfo`. (Not by
//! `/proc/locks`, in which lines are missing or twice while others' come and go.)

use std::fs;
use std::io;

use crate::Process;

/// Of one descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Those of `open`: the access, `O_PATH`, `O_CLOEXEC`.
    pub flags: u32,
    /// Locks on the file. Record locks are the process's, and shown at each of its descriptors.
    pub locks: Vec<Lock>,
}

/// A lock on a file, or on a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// `POSIX` a record lock, `OFDLCK` one of the open file, `FLOCK` one of the whole file.
    pub kind: String,
    /// `READ`, `WRITE`
    pub access: String,
}

/// Of what a process has open under a number.
pub fn of(process: impl Into<Process>, number: i32) -> io::Result<Info> {
    process.into().read(&format!("fdinfo/{number}")).map(|text| parse(&text))
}

/// Of all that a process has open; what it closes concurrently is left out. Of one's own process
/// that is the folder as well, which is open to be read.
pub fn all(process: impl Into<Process>) -> io::Result<Vec<Info>> {
    let process = process.into();
    let entries = fs::read_dir(format!("/proc/{process}/fdinfo"))?.flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers.filter_map(|number| of(process, number).ok()).collect())
}

#[track_caller]
fn parse(text: &str) -> Info {
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok());
    let flags = flags.unwrap_or_else(|| panic!("fdinfo has no flags: {text}"));
    Info { flags, locks: text.lines().filter_map(lock).collect() }
}

/// `lock: 1: POSIX  ADVISORY  WRITE 4711 00:01:5 0 EOF`
fn lock(line: &str) -> Option<Lock> {
    let mut words = line.strip_prefix("lock:")?.split_ascii_whitespace().skip(1);
    let kind = words.next()?.to_owned();
    Some(Lock { kind, access: words.nth(1)?.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use rustix::fs::{FlockOperation, MemfdFlags, fcntl_lock, memfd_create};

    use super::*;

    #[test]
    fn lines_are_read() {
        let text = "pos:\t0\nflags:\t02100002\nmnt_id:\t1\nino:\t5\n\
                    lock:\t1: POSIX  ADVISORY  WRITE 4711 00:01:5 0 EOF\n\
                    lock:\t2: FLOCK  ADVISORY  READ  4711 00:01:5 0 EOF\n";
        let lock = |kind: &str, access: &str| Lock { kind: kind.into(), access: access.into() };
        let expected =
            Info { flags: 0o2_100_002, locks: vec![lock("POSIX", "WRITE"), lock("FLOCK", "READ")] };
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn what_is_locked_says_so() {
        let file = memfd_create("testing", MemfdFlags::CLOEXEC).unwrap();
        let number = file.as_raw_fd();
        assert_eq!(of(Process::Own, number).unwrap().locks, []);
        fcntl_lock(&file, FlockOperation::LockExclusive).unwrap();
        let info = of(Process::Own, number).unwrap();
        assert_eq!((info.locks[0].kind.as_str(), info.locks[0].access.as_str()), ("POSIX", "WRITE"));
        assert_eq!(info.flags & 0o3, 0o2, "open for reading and writing");
        assert!(all(Process::Own).unwrap().contains(&info));
        drop(file);
        assert!(of(Process::Own, i32::MAX).is_err());
    }
}
