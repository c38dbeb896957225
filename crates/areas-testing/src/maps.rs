//! Mappings, by `/proc/PID/maps`: where, with which rights, and what of.

use std::io;
use std::ops::Range;

use crate::Process;

/// One mapping, as the kernel has it: neighbours that are alike may be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vma {
    /// Its first address.
    pub start: usize,
    /// The one behind its last.
    pub end: usize,
    /// `rw-s`
    pub permissions: String,
    /// Where in the file or object it begins, in bytes.
    pub offset: u64,
    /// The device of the file or object, as `stat` has it; 0 where there is none.
    pub device: u64,
    /// Of the file or object; 0 where there is none.
    pub inode: u64,
    /// The file's path, or a memory object's name (`/memfd:area:NAME (deleted)`), or what the
    /// kernel calls it (`[heap]`); empty where there is none.
    pub path: String,
}

impl Vma {
    /// One line of the file.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16));
        let permissions = words.next()?.to_owned();
        let offset = u64::from_str_radix(words.next()?, 16).ok()?;
        let (major, minor) = words.next()?.split_once(':')?;
        let [major, minor] = [major, minor].map(|hex| u32::from_str_radix(hex, 16));
        let device = rustix::fs::makedev(major.ok()?, minor.ok()?);
        let inode = words.next()?.parse().ok()?;
        let path = words.next().unwrap_or_default().trim_start().to_owned();
        Some(Self { start: start.ok()?, end: end.ok()?, permissions, offset, device, inode, path })
    }

    /// Its addresses.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Whether it is of an area's memory: not of the table that each process has of its areas.
    pub fn is_area(&self) -> bool {
        is_area(&self.path)
    }
}

/// Whether an object of this name is an area's memory, and no team's table.
pub(crate) fn is_area(name: &str) -> bool {
    name.starts_with("/memfd:area") && !name.starts_with("/memfd:areas table")
}

/// All mappings of a process.
pub fn of(process: impl Into<Process>) -> io::Result<Vec<Vma>> {
    let text = process.into().read("maps")?;
    Ok(all(&text).collect())
}

/// All mappings of this process.
#[track_caller]
pub fn own() -> Vec<Vma> {
    of(Process::Own).unwrap_or_else(|error| panic!("/proc/self/maps: {error}"))
}

/// How many a process has, without a list of them: at the limit there may be no memory for one.
pub fn count(process: impl Into<Process>) -> io::Result<usize> {
    process.into().read("maps").map(|text| text.lines().count())
}

/// The mapping of this process that has an address; `None` where nothing is mapped.
#[track_caller]
pub fn at(address: usize) -> Option<Vma> {
    let text = Process::Own.read("maps").unwrap_or_else(|error| panic!("/proc/self/maps: {error}"));
    all(&text).find(|vma| vma.range().contains(&address))
}

#[track_caller]
fn all(text: &str) -> impl Iterator<Item = Vma> {
    text.lines().map(|line| Vma::parse(line).unwrap_or_else(|| panic!("no mapping: {line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let text = "7f00-7f10 rw-s 00002000 00:1f 4711       /memfd:area:a b (deleted)\n\
                    7f10-7f20 ---p 00000000 00:00 0 \n7f20-7f21 r-xp 00000000 00:00 0          [vdso]\n";
        let [area, reserved, vdso] = all(text).collect::<Vec<_>>().try_into().unwrap();
        let expected = Vma {
            start: 0x7f00,
            end: 0x7f10,
            permissions: "rw-s".into(),
            offset: 0x2000,
            device: rustix::fs::makedev(0, 0x1f),
            inode: 4711,
            path: "/memfd:area:a b (deleted)".into(),
        };
        assert_eq!(area, expected);
        assert_eq!((reserved.permissions.as_str(), reserved.path.as_str()), ("---p", ""));
        assert_eq!((reserved.device, reserved.inode), (0, 0));
        assert_eq!(vdso.path, "[vdso]");
        assert!(area.is_area() && !vdso.is_area() && !is_area("/memfd:areas table (deleted)"));
        assert_eq!(Vma::parse("no mapping"), None);
    }

    #[test]
    fn an_address_has_its_mapping() {
        let number = Box::new(1_u8);
        let vma = at((&raw const *number).addr()).unwrap();
        assert_eq!(&vma.permissions[..2], "rw");
        assert_eq!(at(1), None);
        assert!(own().iter().any(|vma| vma.path == "[stack]"));
        assert!(count(Process::Own).unwrap() > 4);
    }
}
