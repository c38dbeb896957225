//! Lines that `/proc` shows of a process's mappings and open files, taken apart.

use std::ops::Range;

use crate::protection::Protection;
use crate::sys;

/// A line of `maps`, taken apart: `START-END PERMISSIONS OFFSET MAJOR:MINOR INODE PATH`, see
/// proc_pid_maps(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapLine<'a> {
    /// Where it begins and ends.
    pub start: u64,
    /// See `start`.
    pub end: u64,
    /// Four letters: `rw-s`.
    pub permissions: &'a [u8],
    /// Where in its file it begins.
    pub offset: u64,
    /// Which file it is.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Any bytes, as the kernel escapes them: a program chose them.
    pub path: &'a [u8],
}

impl<'a> MapLine<'a> {
    /// Takes a line apart; `None` if it is none of a file.
    #[must_use]
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let mut rest = line;
        let mut next = || {
            rest = rest.trim_ascii_start();
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            let (field, behind) = rest.split_at(end);
            rest = behind;
            std::str::from_utf8(field).ok().filter(|field| !field.is_empty())
        };
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let (range, permissions, offset, device, inode) = (next()?, next()?, next()?, next()?, next()?);
        let (start, end) = range.split_once('-')?;
        let (major, minor) = device.split_once(':')?;
        let inode = inode.parse().ok()?;
        let number = |text| u32::from_str_radix(text, 16).ok();
        let path = rest.trim_ascii_start();
        (permissions.len() == 4 && path.starts_with(b"/")).then_some(())?;
        Some(MapLine {
            start: hex(start)?,
            end: hex(end)?,
            permissions: permissions.as_bytes(),
            offset: hex(offset)?,
            device: sys::file::device(number(major)?, number(minor)?),
            inode,
            path,
        })
    }
}

/// Whether an open file has a record lock on a part of a range, from its `fdinfo`:
/// `lock: 1: OFDLCK ADVISORY READ -1 00:05:7 8388608 8392703`.
pub(in crate::registry) fn has_share(info: &str, range: &Range<u64>) -> bool {
    info.lines().filter_map(|line| line.strip_prefix("lock:")).any(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "OFDLCK", .., start, last] = fields[..] else { return false };
        let last = if last == "EOF" { Ok(u64::MAX) } else { last.parse() };
        let (Ok(start), Ok(last)) = (start.parse::<u64>(), last) else { return false };
        start < range.end && range.start <= last
    })
}

/// What a line of `maps` allows, if it is a shared mapping of a memory object with that inode, or
/// of a part of physical memory.
///
/// Inodes of memory objects are unique on their device, and the path says that it is one. Its end
/// is a name that a program chose, in any encoding.
pub(in crate::registry) fn shared_mapping(
    line: &[u8],
    inode: u64,
    physical: Option<&Range<u64>>,
) -> Option<Protection> {
    let line = MapLine::of(line)?;
    let is_object = match physical {
        None => line.path.starts_with(b"/memfd:"),
        // Where the file was removed since, a word follows.
        Some(range) => fields(line.path).next() == Some(&b"/dev/mem"[..]) && range.contains(&line.offset),
    };
    let is_shared = line.permissions.get(3) == Some(&b's');
    (line.inode == inode && is_object && is_shared).then(|| protection_of(&line.permissions[..3]))
}

/// What the letters of a mapping's permissions allow.
pub(in crate::registry) fn protection_of(letters: &[u8]) -> Protection {
    let flags = [(b'r', Protection::READ), (b'w', Protection::WRITE), (b'x', Protection::EXECUTE)];
    flags
        .into_iter()
        .filter(|(letter, _)| letters.contains(letter))
        .fold(Protection::empty(), |sum, (_, flag)| sum | flag)
}

/// What blanks separate.
pub(in crate::registry) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_lines_of_maps_apart() {
        let line = b"7f0000000000-7f0000002000 rw-s 00001000 00:1a 4711                      /memfd:a \xff b (deleted)";
        let found = MapLine::of(line).unwrap();
        assert_eq!((found.start, found.end, found.offset), (0x7f00_0000_0000, 0x7f00_0000_2000, 0x1000));
        assert_eq!((found.permissions, found.inode), (&b"rw-s"[..], 4711));
        assert_eq!(
            (found.device, found.path),
            (sys::file::device(0, 0x1a), &b"/memfd:a \xff b (deleted)"[..])
        );
        for not_of_a_file in [
            "7f0000000000-7f0000002000 rw-p 00000000 00:00 0",
            "7f0000000000-7f0000002000 rw-p 00000000 00:00 0                  [heap]",
            "7f0000000000-7f0000002000 rw 00000000 00:1a 4711 /x",
            "7f0000000000-7f0000002000 rw-p 00000000 00:1a",
            "nonsense",
            "",
        ] {
            assert_eq!(MapLine::of(not_of_a_file.as_bytes()), None, "{not_of_a_file}");
        }
    }
}
