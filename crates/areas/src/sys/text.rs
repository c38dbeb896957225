//! Files of `/proc` and `/sys`, read whole, and the names in their folders: what `std::fs` has,
//! with descriptors that are none of 0, 1 and 2.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::file::{self, CWD, OFlags};

/// Opens a file for reading, in a way that never waits for another process.
pub(crate) fn open(path: impl AsRef<Path>) -> io::Result<File> {
    Ok(opened(path.as_ref(), OFlags::NONBLOCK)?.into())
}

fn opened(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    Ok(file::open_at(CWD, &path, OFlags::RDONLY | flags, 0)?)
}

/// All bytes of a file.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All of a file's text.
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// All of a file's text. What is not UTF-8, such as a path in another encoding, is replaced.
pub(crate) fn read_lossy(path: impl AsRef<Path>) -> io::Result<String> {
    let text = String::from_utf8(read(path)?);
    Ok(text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The names in a folder, as many as `most` at most.
pub fn names_in(path: impl AsRef<Path>, most: usize) -> io::Result<Vec<OsString>> {
    let folder = opened(path.as_ref(), OFlags::DIRECTORY)?;
    let names = file::names_of(folder, most)?;
    Ok(names.into_iter().map(|name| OsString::from_vec(name.into_bytes())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_as_the_standard_librarys() {
        let path = "/proc/self/cmdline";
        assert_eq!(read(path).unwrap(), std::fs::read(path).unwrap());
        let path = "/proc/sys/vm/max_map_count";
        assert_eq!(read_to_string(path).unwrap(), std::fs::read_to_string(path).unwrap());
        let mut names = names_in("/sys/kernel/mm", usize::MAX).unwrap();
        let mut expected: Vec<OsString> =
            std::fs::read_dir("/sys/kernel/mm").unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        expected.sort();
        assert_eq!(names, expected);
        for missing in ["/proc/self/nothing", "/proc/\0self"] {
            assert_eq!(
                read(missing).map_err(|error| error.kind()),
                std::fs::read(missing).map_err(|error| error.kind())
            );
            assert_eq!(
                names_in(missing, 1).map_err(|error| error.kind()),
                std::fs::read_dir(missing).map(|_| Vec::new()).map_err(|error| error.kind())
            );
        }
    }
}
