//! One mapping, as a line of `/proc/PID/maps` or an answer of `PROCMAP_QUERY` says it.

use linux_raw_sys::general::{procmap_query, procmap_query_flags as flag};

use super::file::Identity;

/// A range of addresses that the kernel has as one mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, as the kernel reports them")]
pub(crate) struct Region {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) executable: bool,
    /// Whether what is written there is seen by others who map the same.
    pub(crate) shared: bool,
    /// Which byte of its file is at `start`.
    pub(crate) offset: u64,
    /// Its file; all 0 for private memory without one.
    pub(crate) file: Identity,
}

impl Region {
    /// A line of a `maps` file, and what stands behind its numbers; `None` for what no kernel
    /// writes.
    pub(super) fn parse(line: &str) -> Option<(Self, &str)> {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        let (rights, rest) = rest.split_once(' ')?;
        let [read, write, execute, shared] = rights.as_bytes() else { return None };
        let (offset, rest) = rest.split_once(' ')?;
        let (device, rest) = rest.split_once(' ')?;
        let (major, minor) = device.split_once(':')?;
        let (inode, name) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = |text| u32::from_str_radix(text, 16).ok();
        let region = Region {
            start,
            end,
            readable: *read == b'r',
            writable: *write == b'w',
            executable: *execute == b'x',
            shared: *shared == b's',
            offset: u64::from_str_radix(offset, 16).ok()?,
            file: Identity {
                device: super::file::device(number(major)?, number(minor)?),
                inode: inode.parse().ok()?,
            },
        };
        (start < end).then_some((region, name.trim_start()))
    }

    /// What the kernel answered to a question; `None` for what makes no sense.
    #[inline]
    pub(super) fn of(reported: &procmap_query) -> Option<Self> {
        let has = |bit: flag| reported.vma_flags & bit as u64 != 0;
        let region = Region {
            start: usize::try_from(reported.vma_start).ok()?,
            end: usize::try_from(reported.vma_end).ok()?,
            readable: has(flag::PROCMAP_QUERY_VMA_READABLE),
            writable: has(flag::PROCMAP_QUERY_VMA_WRITABLE),
            executable: has(flag::PROCMAP_QUERY_VMA_EXECUTABLE),
            shared: has(flag::PROCMAP_QUERY_VMA_SHARED),
            offset: reported.vma_offset,
            file: Identity {
                device: super::file::device(reported.dev_major, reported.dev_minor),
                inode: reported.inode,
            },
        };
        (region.start < region.end).then_some(region)
    }
}

/// The mappings that the text of a `maps` file lists, in its order, each with its name. Lines that
/// no kernel writes are passed over.
pub(crate) fn named(maps: &str) -> impl Iterator<Item = (Region, &str)> {
    maps.lines().filter_map(Region::parse)
}

/// The same without their names.
pub(crate) fn listed(maps: &str) -> impl Iterator<Item = Region> + '_ {
    named(maps).map(|(region, _)| region)
}
