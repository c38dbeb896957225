//! Files of `/proc`, read whole, and the names in its folders. The descriptors are none of 0, 1 and 2, which a program may have closed, and
//! which it then prints into.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::io::fcntl_dupfd_cloexec;

/// The lowest number that may be ours.
const FIRST: i32 = 3;

fn opened(path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let given = open(path, flags | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    if given.as_raw_fd() >= FIRST {
        return Ok(given);
    }
    Ok(fcntl_dupfd_cloexec(&given, FIRST)?)
}

/// All bytes of a file.
pub(crate) fn read(path: impl AsRef<str>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::from(opened(path.as_ref(), OFlags::empty())?).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All of a file's text.
pub(crate) fn read_to_string(path: impl AsRef<str>) -> io::Result<String> {
    let mut text = String::new();
    File::from(opened(path.as_ref(), OFlags::empty())?).read_to_string(&mut text)?;
    Ok(text)
}

/// The names in a folder; none where it cannot be read.
pub(crate) fn names_in(path: &str) -> Vec<CString> {
    let entries = opened(path, OFlags::DIRECTORY).map(Dir::new);
    entries.into_iter().flatten().flatten().flatten().map(|entry| entry.file_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_as_the_standard_librarys() {
        let path = "/proc/self/cmdline";
        assert_eq!(read(path).unwrap(), std::fs::read(path).unwrap());
        assert_eq!(read_to_string(path).unwrap(), std::fs::read_to_string(path).unwrap());
        assert!(read("/proc/self/nothing").is_err() && names_in("/proc/self/nothing").is_empty());
        let count = std::fs::read_dir("/sys/kernel/mm").unwrap().count();
        // And `.` and `..`.
        assert_eq!(names_in("/sys/kernel/mm").len(), count + 2);
    }
}
