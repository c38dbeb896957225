//! What a process has open, by `/proc/PID/fd`.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::Process;
use crate::maps;

/// One descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its number.
    pub number: i32,
    /// Where in `/proc` it is: opening that opens the same object.
    pub path: PathBuf,
    /// A file's path, or a memory object's name (`/memfd:area:NAME (deleted)`), or what the kernel
    /// calls it (`socket:[NUMBER]`).
    pub target: String,
}

impl Descriptor {
    /// Whether it is of an area's memory: not of the table that each process has of its areas.
    pub fn is_area(&self) -> bool {
        maps::is_area(&self.target)
    }
}

/// All that a process has open; what it closes concurrently is left out. Of one's own process that
/// is the folder as well, which is open to be read.
pub fn of(process: impl Into<Process>) -> io::Result<Vec<Descriptor>> {
    let entries = fs::read_dir(format!("/proc/{}/fd", process.into()))?.flatten();
    let descriptor = |entry: fs::DirEntry| {
        let path = entry.path();
        let target = fs::read_link(&path).ok()?.to_string_lossy().into_owned();
        Some(Descriptor { number: entry.file_name().to_str()?.parse().ok()?, path, target })
    };
    Ok(entries.filter_map(descriptor).collect())
}

/// How many a process has open; of one's own process one more, for the folder that is read.
pub fn count(process: impl Into<Process>) -> io::Result<usize> {
    fs::read_dir(format!("/proc/{}/fd", process.into())).map(Iterator::count)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn what_is_open_is_found() {
        let file = fs::File::open("/dev/null").unwrap();
        let all = of(Process::Own).unwrap();
        let found = all.iter().find(|one| one.number == file.as_raw_fd()).unwrap();
        assert_eq!((found.target.as_str(), found.is_area()), ("/dev/null", false));
        assert!(fs::File::open(&found.path).is_ok());
        assert!(count(Process::Thread).unwrap() > 1);
    }
}
