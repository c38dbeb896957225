//! What the kernel shows about our addresses: `/proc/self/maps`, `smaps` and `numa_maps`.
//!
//! Other threads map and unmap all the while, and the kernel shows neighbours as one entry where
//! they are alike. So a mapping that is looked at is *marked* first, with a protection that no
//! other process has: then its entries are its alone.

use std::ops::Range;

use areas::{Mapping, Protection, Result};

/// One entry of `/proc/self/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) range: Range<usize>,
    /// `rw-p`, or `rw-s` where it is shared.
    pub(crate) permissions: String,
}

/// The addresses of a mapping.
pub(crate) fn range(mapping: &Mapping) -> Range<usize> {
    let start = mapping.as_ptr().addr();
    start..start + mapping.span()
}

fn addresses(text: &str) -> Option<Range<usize>> {
    let (from, to) = text.split_once('-')?;
    Some(usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?)
}

fn parse(text: &str) -> impl Iterator<Item = Entry> {
    text.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let range = addresses(fields.next()?)?;
        Some(Entry { range, permissions: fields.next()?.to_owned() })
    })
}

/// The entries that have addresses in the range, in order.
pub(crate) fn entries(of: &Range<usize>) -> Vec<Entry> {
    let text = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    parse(&text).filter(|entry| entry.range.start < of.end && entry.range.end > of.start).collect()
}

/// The permissions that all of the range has, or what is wrong.
pub(crate) fn permissions(of: &Range<usize>) -> Result<String, String> {
    same_permissions(of, &entries(of))
}

fn same_permissions(of: &Range<usize>, entries: &[Entry]) -> Result<String, String> {
    let mut covered = of.start;
    let mut permissions: Option<&str> = None;
    for entry in entries {
        if entry.range.start > covered {
            break;
        }
        covered = entry.range.end;
        if let Some(other) = permissions.replace(&entry.permissions)
            && other != entry.permissions
        {
            return Err(format!("a part of it is {other}, another {}", entry.permissions));
        }
    }
    match permissions {
        Some(permissions) if covered >= of.end => Ok(permissions.to_owned()),
        _ => Err(format!("nothing is mapped at {covered:#x}, inside of it")),
    }
}

/// No process maps memory that may only be written.
const MARK: Protection = Protection::WRITE;
const MARKED: &str = "-w-";

/// Marks a mapping, so that its entries can be distinguished from all others.
pub(crate) fn mark(mapping: &mut Mapping) -> Result<()> {
    mapping.protect(MARK)
}

/// From where to where marked memory reaches, in and around the range.
pub(crate) fn marked(of: &Range<usize>) -> Option<Range<usize>> {
    let entries = entries(of);
    let mut marked = entries.iter().filter(|entry| entry.permissions.starts_with(MARKED));
    let first = marked.next()?.range.clone();
    Some(first.start..marked.next_back().map_or(first.end, |entry| entry.range.end))
}

/// The size of the pages that the kernel uses for an address, in bytes.
pub(crate) fn kernel_page_size(address: usize) -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/smaps").ok()?;
    page_size_in(&text, address)
}

fn page_size_in(smaps: &str, address: usize) -> Option<usize> {
    let mut inside = false;
    for line in smaps.lines() {
        let first = line.split_ascii_whitespace().next()?;
        if let Some(range) = addresses(first) {
            inside = range.contains(&address);
        } else if inside && let Some(value) = line.strip_prefix("KernelPageSize:") {
            return value.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024);
        }
    }
    None
}

/// The policies that the kernel shows for entries that begin in the range: `bind:0`.
pub(crate) fn policies(of: &Range<usize>) -> Vec<String> {
    policies_in(&std::fs::read_to_string("/proc/self/numa_maps").unwrap_or_default(), of)
}

fn policies_in(numa_maps: &str, of: &Range<usize>) -> Vec<String> {
    let mut policies: Vec<String> = Vec::new();
    for line in numa_maps.lines() {
        let Some((address, rest)) = line.split_once(' ') else { continue };
        let begins_inside = usize::from_str_radix(address, 16).is_ok_and(|address| of.contains(&address));
        // `prefer (many):0-1 file=/memfd:area anon=1 …`
        let words = rest
            .split(' ')
            .take_while(|word| !word.contains('=') && !["heap", "stack", "huge"].contains(word));
        let policy = words.collect::<Vec<_>>().join(" ");
        if begins_inside && !policies.contains(&policy) {
            policies.push(policy);
        }
    }
    policies
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(range: Range<usize>, permissions: &str) -> Entry {
        Entry { range, permissions: permissions.into() }
    }

    #[test]
    fn reads_what_the_kernel_writes() {
        let text = "1000-3000 rw-p 00000000 00:00 0 \n7f00-8000 r--s 00001000 00:01 42   /memfd:area (deleted)\nnonsense\n";
        let read: Vec<_> = parse(text).collect();
        assert_eq!(read, [entry(0x1000..0x3000, "rw-p"), entry(0x7f00..0x8000, "r--s")]);
    }

    #[test]
    fn one_protection_for_the_whole_range_or_what_is_wrong() {
        let (rw, rwx) = (entry(0..20, "rw-p"), entry(20..30, "rwxp"));
        assert_eq!(same_permissions(&(5..20), std::slice::from_ref(&rw)), Ok("rw-p".into()));
        assert_eq!(
            same_permissions(&(5..20), &[entry(0..9, "rw-p"), entry(9..20, "rw-p")]),
            Ok("rw-p".into())
        );
        assert!(same_permissions(&(5..25), &[rw.clone(), rwx]).unwrap_err().contains("another rwxp"));
        assert!(same_permissions(&(5..25), std::slice::from_ref(&rw)).unwrap_err().contains("at 0x14"));
        assert!(same_permissions(&(5..25), &[rw, entry(21..30, "rw-p")]).unwrap_err().contains("at 0x14"));
        assert!(same_permissions(&(5..25), &[]).unwrap_err().contains("at 0x5"));
    }

    #[test]
    fn page_sizes_and_policies() {
        let smaps = "1000-3000 rw-p 00000000 00:00 0\nSize: 8 kB\nKernelPageSize:        4 kB\n\
                     200000-400000 rw-p 00000000 00:00 0\nKernelPageSize:     2048 kB\n";
        assert_eq!(page_size_in(smaps, 0x1000), Some(4096));
        assert_eq!(page_size_in(smaps, 0x3f_ffff), Some(2 << 20));
        assert_eq!(page_size_in(smaps, 0x3000), None);

        let numa = "1000 bind:0 anon=1 dirty=1 N0=1\n2000 prefer (many):0-1 file=/a:b\n3000 default file=/x:y\n\
                    4000 weighted interleave:0 anon=1\n5000 default\n6000 bind:0\n";
        let reported = |of| policies_in(numa, &of);
        assert_eq!(reported(0x1000..0x1001), ["bind:0"]);
        assert_eq!(reported(0x2000..0x2001), ["prefer (many):0-1"]);
        assert_eq!(reported(0x3000..0x3001), ["default"]);
        assert_eq!(reported(0x4000..0x4001), ["weighted interleave:0"]);
        assert_eq!(reported(0x5000..0x7000), ["default", "bind:0"]);
        assert!(reported(0x1001..0x2000).is_empty());
    }
}
