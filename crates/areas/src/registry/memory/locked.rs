//! How much of an area its lock keeps in RAM: not what was asked, but what its holder's mappings
//! say now.
//!
//! A program can undo a lock by itself (`munlock`, `munlockall`), and a forked child inherits none.
//! `smaps` shows which mappings are locked (`lo` among their flags), and how much of each is there.
//! It is expensive: the kernel walks the page tables of the whole process. So only a process that
//! has an area with a lock is asked, and each once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::lock::Lock;
use crate::registry::process::Shown;
use crate::registry::source::Info;
use crate::sys;

/// What an area's lock does now: [`Info::locked`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Locked {
    /// Bytes that it keeps in RAM.
    pub bytes: u64,
    /// Bytes of the area that it does not hold any more, in RAM or not: their pages come and go as
    /// the kernel sees fit.
    pub lost: u64,
}

impl Locked {
    /// Whether all of the area is as it was locked.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost == 0
    }
}

/// What the mappings of processes say of locks: each process is asked once, however many areas it
/// holds.
#[derive(Debug, Default)]
pub struct Locks(BTreeMap<u32, std::result::Result<Vec<Part>, String>>);

impl Info {
    /// Measures what its lock does now. [`lock`](Info::lock) is what was asked; its holder may have
    /// undone that.
    ///
    /// Of an area without a lock nothing is asked: no byte is locked by it, whatever else the
    /// holder has locked (`mlockall`).
    ///
    /// # Errors
    /// [`ErrorKind::Unreadable`] if the holder's mappings cannot be read.
    pub fn locked(&self) -> Result<Locked> {
        Locks::default().of(self)
    }
}

impl Locks {
    /// The same for one of many: see [`Info::locked`].
    ///
    /// # Errors
    /// As [`Info::locked`].
    pub fn of(&mut self, area: &Info) -> Result<Locked> {
        if area.lock == Lock::None || area.size == 0 {
            return Ok(Locked::default());
        }
        let parts = self.0.entry(area.pid).or_insert_with(|| parts_of(area.pid));
        match parts {
            Ok(parts) => Ok(held(parts, area)),
            Err(why) => {
                Err(Error::new(ErrorKind::Unreadable, format!("see what of area {} is locked", area.id))
                    .with_facts(why.clone()))
            }
        }
    }
}

/// A shared mapping of a memory object, or of physical memory.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    addresses: Range<usize>,
    inode: u64,
    physical: bool,
    /// Bytes in RAM, as far as this process has them mapped.
    resident: u64,
    /// Whether they stay there.
    stays: bool,
}

fn parts_of(pid: u32) -> std::result::Result<Vec<Part>, String> {
    let folder =
        if pid == sys::process::pid() { "/proc/thread-self".to_owned() } else { format!("/proc/{pid}") };
    let read = |folder: &str| {
        let path = format!("{folder}/smaps");
        let parsed = sys::text::open(&path).and_then(|file| parse(BufReader::new(file)));
        parsed.map_err(|error| format!("{path} cannot be read ({})", crate::error::in_words(&error)))
    };
    if let Some(parts) = read(&folder)? {
        return Ok(parts);
    }
    // Its leader has ended, and other threads have not.
    let shown = Shown::of(pid).folder;
    read(&shown)?.ok_or_else(|| format!("{shown}/smaps is empty"))
}

/// From the text of `smaps`: what can be of areas. `None` of an empty one: a process that lives has
/// mappings.
fn parse(mut smaps: impl BufRead) -> std::io::Result<Option<Vec<Part>>> {
    if smaps.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut parts = Vec::new();
    let mut part = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        if smaps.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let Some(first) = words.next() else { continue };
        let Some(Part { addresses, resident, stays, physical, .. }) = &mut part else {
            part = begin(first, words);
            continue;
        };
        match first {
            // In hugetlb pages nothing counts as resident.
            b"Rss:" | b"Shared_Hugetlb:" | b"Private_Hugetlb:" => {
                *resident += words.next().and_then(number).unwrap_or(0) * 1024
            }
            // The last line of each.
            b"VmFlags:" => {
                // Hugetlb pages are never swapped out, and not locked; of physical memory nothing
                // counts as resident.
                *stays = words.any(|flag| flag == b"lo" || flag == b"ht") || *physical;
                if *physical {
                    *resident = addresses.len() as u64;
                }
                parts.extend(part.take());
            }
            _ => {}
        }
    }
    Ok(Some(parts))
}

/// The line that begins a mapping: `ADDRESSES PERMISSIONS OFFSET DEVICE INODE PATH`.
fn begin<'a>(addresses: &[u8], mut rest: impl Iterator<Item = &'a [u8]>) -> Option<Part> {
    let (start, end) = std::str::from_utf8(addresses).ok()?.split_once('-')?;
    let [start, end] = [start, end].map(|text| usize::from_str_radix(text, 16).ok());
    let shared = rest.next()?.get(3) == Some(&b's');
    let inode = number(rest.nth(2)?)?;
    let path = rest.next()?;
    let physical = path == b"/dev/mem";
    let is_object = shared && (physical || path.starts_with(b"/memfd:"));
    is_object.then_some(Part { addresses: start?..end?, inode, physical, resident: 0, stays: false })
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// What of an area is in parts that stay.
fn held(parts: &[Part], area: &Info) -> Locked {
    let all = area.address..area.address.saturating_add(area.mapped);
    let mut locked = Locked { bytes: 0, lost: area.mapped as u64 };
    for part in parts {
        let own = part.addresses.start.max(all.start)..part.addresses.end.min(all.end);
        let same = part.physical == area.physical.is_some() && (part.physical || part.inode == area.object.1);
        if own.is_empty() || !same || !part.stays {
            continue;
        }
        locked.lost -= own.len() as u64;
        // A locked area has no reserve, so that a part mostly is of the area alone.
        locked.bytes += part.resident.min(own.len() as u64);
    }
    locked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    const SMAPS: &str = "\
7f0000000000-7f0000004000 rw-s 00000000 00:01 4711      /memfd:area:ring (deleted)
Size:                 16 kB
Rss:                   8 kB
Shared_Hugetlb:        0 kB
VmFlags: rd wr sh mr mw me ms lo sd
7f0000004000-7f0000008000 rw-s 00004000 00:01 4711      /memfd:area:ring (deleted)
Rss:                  16 kB
VmFlags: rd wr sh mr mw me ms sd
7f0000008000-7f000000c000 rw-p 00000000 00:00 0
Rss:                  16 kB
VmFlags: rd wr mr mw me ac lo sd
7f0000200000-7f0000400000 rw-s 00000000 00:10 4712      /memfd:area:pool (deleted)
Rss:                   0 kB
Shared_Hugetlb:     2048 kB
Private_Hugetlb:       0 kB
VmFlags: rd wr sh mr mw me ms de ht sd
7f0000500000-7f0000502000 rw-s 00800000 00:05 7      /dev/mem
Rss:                   0 kB
VmFlags: rd wr sh mr mw me ms pf io de dd
";

    fn part(start: usize, len: usize, inode: u64, resident: u64, stays: bool) -> Part {
        Part { addresses: start..start + len, inode, physical: inode == 7, resident, stays }
    }

    #[test]
    fn mappings_of_objects_are_read() {
        assert_eq!(
            parse(SMAPS.as_bytes()).unwrap().unwrap(),
            [
                part(0x7f00_0000_0000, 16 << 10, 4711, 8 << 10, true),
                part(0x7f00_0000_4000, 16 << 10, 4711, 16 << 10, false),
                part(0x7f00_0020_0000, 2 << 20, 4712, 2 << 20, true),
                part(0x7f00_0050_0000, 8 << 10, 7, 8 << 10, true),
            ]
        );
        assert_eq!(parse(&b"7f00-nonsense\n\nVmFlags:\n"[..]).unwrap().unwrap(), []);
        assert_eq!(parse(&b""[..]).unwrap(), None);
    }

    #[test]
    fn what_an_area_lost_is_counted() {
        let name = format!("locked-{}", std::process::id());
        let area = crate::builder(32 << 10).lock(Lock::Lazy).name(&name).shared().unwrap();
        let mut info = registry::find(&name).unwrap().info().unwrap();
        (info.address, info.object.1) = (0x7f00_0000_0000, 4711);
        let parts = parse(SMAPS.as_bytes()).unwrap().unwrap();
        let locked = held(&parts, &info);
        assert_eq!(locked, Locked { bytes: 8 << 10, lost: 16 << 10 });
        assert!(!locked.is_whole());
        // Another object is at its addresses by now.
        info.object.1 = 1;
        assert_eq!(held(&parts, &info), Locked { bytes: 0, lost: 32 << 10 });
        drop(area);
    }
}
