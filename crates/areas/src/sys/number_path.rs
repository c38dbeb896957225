//! The path of what is open under a number, in a folder of `/proc` that shows descriptors: made
//! without an allocation, as each look at another process's area takes one.

use std::ffi::CStr;

use rustix::path::DecInt;

use super::Errno;

/// `/proc/4194304/task/4194304/fd` and `/2147483647`, which are the longest, and a NUL.
const LONGEST: usize = 48;

/// A folder's path, and a number below it.
pub(crate) struct NumberPath {
    bytes: [u8; LONGEST],
    /// Behind the NUL.
    end: usize,
}

impl NumberPath {
    /// # Errors
    /// ENAMETOOLONG for folders whose paths are longer than those of descriptors.
    pub(crate) fn new(folder: &str, number: i32) -> Result<Self, Errno> {
        let mut path = NumberPath { bytes: [0; LONGEST], end: 1 };
        for part in [folder.as_bytes(), b"/", DecInt::new(number).as_bytes()] {
            let from = path.end - 1;
            path.end += part.len();
            // The NUL behind it is there from the start.
            path.bytes.get_mut(from..path.end - 1).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(part);
        }
        if path.end <= LONGEST { Ok(path) } else { Err(Errno::NAMETOOLONG) }
    }

    /// # Errors
    /// EINVAL for a folder's path with a NUL in it.
    pub(crate) fn as_c_str(&self) -> Result<&CStr, Errno> {
        CStr::from_bytes_with_nul(&self.bytes[..self.end]).map_err(|_| Errno::INVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_and_number() {
        let longest = "/proc/4194304/task/4194304/fd";
        for (folder, number) in
            [("/proc/1/fd", 0), ("/proc/thread-self/fd", 17), (longest, i32::MAX), ("", -1)]
        {
            let path = NumberPath::new(folder, number).unwrap();
            assert_eq!(path.as_c_str().unwrap().to_str().unwrap(), format!("{folder}/{number}"));
        }
    }

    #[test]
    fn too_long_or_no_path() {
        for len in 0..LONGEST + 10 {
            let folder = "x".repeat(len);
            let fits = len + "/123\0".len() <= LONGEST;
            assert_eq!(NumberPath::new(&folder, 123).is_ok(), fits, "{len}");
        }
        assert_eq!(NumberPath::new("a\0b", 1).unwrap().as_c_str(), Err(Errno::INVAL));
    }
}
