//! Physical ranges that were reserved when the machine booted: `memmap=4M$8M` on the kernel's
//! command line (4 MiB from 8 MiB on).
//!
//! They are written to, so nothing is guessed: a range has to be named by the administrator, on the
//! command line or in `AREAS_LOW_MEMORY`, and the kernel has to say that it is reserved and no
//! driver's. (Firmware keeps its tables in reserved memory, too.)

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result, remedy};
use crate::size::Bytes;
use crate::sys;

/// Names ranges, as `/proc/iomem` writes them: `800000-bfffff`, several with commas between.
pub(super) const VARIABLE: &str = "AREAS_LOW_MEMORY";

/// The ranges that areas may use, in order.
pub(super) fn ranges() -> Result<Vec<Range<u64>>> {
    let what = "find reserved physical memory";
    let (named, by) = match sys::process::variable(VARIABLE) {
        Some(text) => {
            let named = text.to_str().and_then(of_variable).ok_or_else(|| {
                Error::new(ErrorKind::InvalidInput, what)
                    .with_facts(format!("{VARIABLE} is {text:?}"))
                    .with_remedy(
                        "write ranges as /proc/iomem does: `800000-bfffff`, several with commas between",
                    )
            })?;
            (named, VARIABLE)
        }
        None => (of_command_line(&read("/proc/cmdline", what)?), "the kernel's command line"),
    };
    if named.is_empty() {
        let none = Error::new(ErrorKind::NoMemory, what)
            .with_facts("the kernel's command line reserves none, and AREAS_LOW_MEMORY is not set");
        return Err(remedy::low_memory(none));
    }
    let iomem = read("/proc/iomem", what)?;
    let entries = entries(&iomem);
    if entries.iter().all(|entry| entry.range.end <= 1) {
        return Err(remedy::low_memory(
            Error::new(ErrorKind::NotPermitted, what)
                .with_facts("/proc/iomem shows no addresses to this user"),
        ));
    }
    let (good, bad): (Vec<_>, Vec<_>) = named.into_iter().partition(|range| is_free(range, &entries));
    match (good.is_empty(), bad.first()) {
        (true, Some(range)) => {
            Err(remedy::low_memory(Error::new(ErrorKind::NotPermitted, what).with_facts(format!(
                "{by} names {:#x}-{:#x}, which /proc/iomem does not show as Reserved and free of drivers",
                range.start,
                range.end - 1
            ))))
        }
        _ => Ok(good),
    }
}

fn read(path: &str, what: &'static str) -> Result<String> {
    sys::text::read_to_string(path).map_err(|error| {
        Error::new(ErrorKind::Io, what)
            .with_facts(format!("{path}: {}", crate::error::in_words(&error)))
            .with_remedy("/proc must be mounted")
    })
}

/// What `memmap=SIZE$START` sets aside. (Other forms of it do other things.)
fn of_command_line(text: &str) -> Vec<Range<u64>> {
    let values = text.split_ascii_whitespace().filter_map(|word| word.strip_prefix("memmap="));
    let parts = values.flat_map(|value| value.split(','));
    let mut ranges: Vec<Range<u64>> = parts
        .filter_map(|part| {
            let (size, start) = part.split_once('$')?;
            let (size, start) = (number(size)?, number(start)?);
            Some(start..start.checked_add(size).filter(|&end| end > start)?)
        })
        .collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

/// A number as the kernel reads one (`memparse`): `4M`, `0x800000`.
fn number(text: &str) -> Option<u64> {
    let shift = match text.bytes().last()? {
        b'k' | b'K' => 10,
        b'm' | b'M' => 20,
        b'g' | b'G' => 30,
        b't' | b'T' => 40,
        _ => 0,
    };
    let digits = if shift > 0 { &text[..text.len() - 1] } else { text };
    let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None if digits.starts_with('0') => u64::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    number.ok()?.checked_mul(1 << shift)
}

fn of_variable(text: &str) -> Option<Vec<Range<u64>>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let mut ranges: Vec<Range<u64>> = parts.map(range_of).collect::<Option<_>>()?;
    ranges.sort_by_key(|range| range.start);
    Some(ranges)
}

/// `00800000-00bfffff`, the last byte included.
fn range_of(text: &str) -> Option<Range<u64>> {
    let (start, last) = text.split_once('-')?;
    let hex = |text: &str| u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok();
    let (start, last) = (hex(start)?, hex(last)?);
    (start <= last).then(|| last.checked_add(1)).flatten().map(|end| start..end)
}

/// A line of `/proc/iomem`.
#[derive(Debug)]
struct Entry {
    range: Range<u64>,
    reserved: bool,
    /// Inside of another one: a part that a driver has taken.
    inner: bool,
}

fn entries(iomem: &str) -> Vec<Entry> {
    let line = |line: &str| {
        let (range, name) = line.split_once(" : ")?;
        let range = range_of(range.trim())?;
        Some(Entry { range, reserved: name.eq_ignore_ascii_case("reserved"), inner: line.starts_with(' ') })
    };
    iomem.lines().filter_map(line).collect()
}

/// Whether all of a range is reserved, and no part of it is a driver's.
fn is_free(range: &Range<u64>, entries: &[Entry]) -> bool {
    let overlaps = |entry: &&Entry| entry.range.start < range.end && range.start < entry.range.end;
    let mut covered = range.start;
    for entry in entries.iter().filter(overlaps) {
        if entry.inner || !entry.reserved || entry.range.start > covered {
            return false;
        }
        covered = entry.range.end;
    }
    covered >= range.end
}

/// Ranges in words: `4 MiB at 0x800000`.
pub(super) fn in_words(ranges: &[Range<u64>]) -> String {
    let word = |range: &Range<u64>| format!("{} at {:#x}", Bytes(range.end - range.start), range.start);
    ranges.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let cases: [(&str, &[(u64, u64)]); 9] = [
            ("quiet", &[]),
            ("a memmap=4M$8M b", &[(0x80_0000, 0xc0_0000)]),
            ("memmap=0x1000$0x800000", &[(0x80_0000, 0x80_1000)]),
            (
                "memmap=64K$16M,1G$3G memmap=4M$8M",
                &[(8 << 20, 12 << 20), (16 << 20, (16 << 20) + 65536), (3 << 30, 4 << 30)],
            ),
            ("memmap=4M@8M memmap=4M#8M memmap=4M!8M memmap=exactmap memmap=4M", &[]),
            ("memmap=$8M memmap=4M$ memmap=0$8M memmap=x$y", &[]),
            ("xmemmap=4M$8M", &[]),
            ("memmap=0x8000000000000000$0x8000000000000000", &[]),
            ("memmap=99999999999T$1", &[]),
        ];
        for (text, expected) in cases {
            let found: Vec<_> = of_command_line(text).iter().map(|range| (range.start, range.end)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn variables() {
        assert_eq!(
            of_variable("800000-bfffff, 0x1000-0x1fff").unwrap(),
            [0x1000..0x2000, 0x80_0000..0xc0_0000]
        );
        assert_eq!(of_variable("").unwrap(), []);
        for wrong in ["4M$8M", "2-1", "-", "1-ffffffffffffffff", "x-y"] {
            assert!(of_variable(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn only_what_is_reserved_and_free_may_be_used() {
        let iomem = "00000000-00000fff : Reserved\n00001000-007fffff : System RAM\n00800000-00bfffff : Reserved\n\
                     00c00000-00ffffff : reserved\n  00e00000-00efffff : ramoops:dump(0/4)\n01000000-0fffffff : System RAM\n  \
                     01000000-01ffffff : Kernel code\n";
        let entries = entries(iomem);
        let cases = [
            (0x80_0000..0xc0_0000, true),
            (0x80_0000..0xe0_0000, true),
            (0x80_0000..0xe0_0001, false),
            (0x7f_f000..0xc0_0000, false),
            (0xf0_0000..0x100_0000, true),
            (0xf0_0000..0x100_0001, false),
            (0x1000..0x2000, false),
            (0x2000_0000..0x2000_1000, false),
        ];
        for (range, expected) in cases {
            assert_eq!(is_free(&range, &entries), expected, "{range:x?}");
        }
        assert!(!is_free(&(0..1), &super::entries("")));
    }
}
