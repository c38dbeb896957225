//! A set of CPUs, as large as the machine's highest number.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::nodes::list;
use crate::sys;

/// The largest CPU number that is believed: Linux is built for at most 8192 CPUs.
pub(super) const MAX: u32 = 8191;

/// The CPUs of a node, written `0-3,8`; numbers are those of `/sys/devices/system/cpu` and of
/// sched_setaffinity(2).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct CpuSet {
    /// Bit *n* mod 64 of word *n* / 64 is CPU *n*. The last word is never zero, so that equal sets
    /// are equal.
    words: Vec<u64>,
}

impl CpuSet {
    /// The CPUs on which the calling thread may run (`sched_getaffinity`).
    ///
    /// # Errors
    /// [`ErrorKind::System`] with what the kernel said.
    pub fn of_this_thread() -> Result<Self> {
        let cpus = sys::process::processors().map_err(|errno| {
            Error::new(ErrorKind::System, "ask which processors may be used")
                .with_system_call("sched_getaffinity(0)", errno)
        })?;
        Ok(cpus.into_iter().filter_map(|cpu| u32::try_from(cpu).ok()).collect())
    }

    /// Whether that CPU is in it.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        let word = self.words.get((cpu / u64::BITS) as usize).copied().unwrap_or(0);
        word & (1 << (cpu % u64::BITS)) != 0
    }

    /// How many CPUs are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no CPU is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The lowest CPU.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        self.iter().next()
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).step_by(64).zip(&self.words).flat_map(|(base, &word)| {
            (0..u64::BITS).filter(move |bit| word & (1 << bit) != 0).map(move |bit| base + bit)
        })
    }

    /// The CPUs that are in both.
    #[must_use]
    pub fn intersection(&self, other: &CpuSet) -> CpuSet {
        CpuSet::trimmed(self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect())
    }

    /// The CPUs that are in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &CpuSet) -> CpuSet {
        let others = other.words.iter().chain(std::iter::repeat(&0));
        CpuSet::trimmed(self.words.iter().zip(others).map(|(a, b)| a & !b).collect())
    }

    /// The CPUs that are in any of them.
    pub(crate) fn union<'a>(sets: impl Iterator<Item = &'a CpuSet>) -> CpuSet {
        let mut words = Vec::new();
        for set in sets {
            words.resize(words.len().max(set.words.len()), 0);
            words.iter_mut().zip(&set.words).for_each(|(word, more)| *word |= more);
        }
        CpuSet { words }
    }

    fn trimmed(mut words: Vec<u64>) -> Self {
        words.truncate(words.iter().rposition(|&word| word != 0).map_or(0, |last| last + 1));
        CpuSet { words }
    }

    /// Those of some numbers that a CPU can have.
    pub(crate) fn of(cpus: &[u32]) -> Self {
        let mut words = vec![0u64; (MAX / u64::BITS + 1) as usize];
        for &cpu in cpus.iter().filter(|&&cpu| cpu <= MAX) {
            words[(cpu / u64::BITS) as usize] |= 1 << (cpu % u64::BITS);
        }
        CpuSet::trimmed(words)
    }

    /// From `0-3,8` as the kernel prints it; nothing is the empty set, and so is `none`. The error
    /// is a phrase.
    pub(crate) fn from_kernel_list(text: &str) -> std::result::Result<Self, String> {
        if text.trim_end_matches(['\0', '\n']) == "none" {
            return Ok(CpuSet::default());
        }
        let mut words = vec![0u64; (MAX / u64::BITS + 1) as usize];
        list::parse_kernel(text, MAX, |first, last| {
            for cpu in first..=last {
                words[(cpu / u64::BITS) as usize] |= 1 << (cpu % u64::BITS);
            }
        })?;
        Ok(CpuSet::trimmed(words))
    }

    /// From `0000,0000000f` as the kernel prints it: hexadecimal groups of 32 bits, the lowest
    /// last. The error is a phrase.
    pub(crate) fn from_kernel_mask(text: &str) -> std::result::Result<Self, String> {
        let wrong = |why: &str| Err(format!("{} {why}", list::excerpt(text)));
        let mut halves = Vec::new();
        for group in list::line(text).rsplit(',') {
            if group.is_empty() || group.len() > 8 || !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return wrong("is not a mask of hexadecimal groups");
            }
            halves.push(u64::from_str_radix(group, 16).unwrap_or(0));
        }
        let words = halves.chunks(2).map(|half| half[0] | half.get(1).map_or(0, |high| high << 32));
        let set = CpuSet::trimmed(words.collect());
        if set.words.len() > (MAX / u64::BITS + 1) as usize { wrong("has CPUs above 8191") } else { Ok(set) }
    }
}

/// Numbers that no CPU of Linux has are left out.
impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        CpuSet::of(&cpus.into_iter().collect::<Vec<_>>())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() { f.write_str("none") } else { list::write(f, self.iter()) }
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> CpuSet {
        CpuSet::from_kernel_list(list).unwrap()
    }

    #[test]
    fn lists_and_masks_agree() {
        let cases = [
            ("\n", "0000,00000000\n", "none"),
            ("0\n", "1\n", "0"),
            ("0-1", "0000,00000000,00000003", "0-1"),
            ("31-32,63-64,127", "80000000,00000001,80000001,80000000", "31-32,63-64,127"),
        ];
        for (list, mask, expected) in cases {
            assert_eq!(read(list).to_string(), expected);
            assert_eq!(CpuSet::from_kernel_mask(mask).unwrap(), read(list), "{mask:?}");
            assert_eq!(
                read(expected.strip_prefix("none").unwrap_or(expected)).len(),
                read(list).iter().count()
            );
        }
        // As some kernels print it, with the NUL behind.
        assert_eq!(read("0-1\n\0"), CpuSet::from_kernel_mask("00000003\n\0").unwrap());
        assert_eq!((read("\n\0"), read("none\n")), (CpuSet::default(), CpuSet::default()));
        let largest = format!("80000000{}", ",00000000".repeat(255));
        assert_eq!(CpuSet::from_kernel_mask(&largest).unwrap().to_string(), "8191");
    }

    #[test]
    fn hostile_text_is_an_error() {
        for text in ["8192", "0-8192", "3-1", "0,,1", "0-1 ", "a"] {
            assert!(CpuSet::from_kernel_list(text).is_err(), "{text:?}");
        }
        let too_many = format!("1{}", ",00000000".repeat(256));
        for text in ["", ",", "1,", "g", "+1", "123456789", "0x1", " 1", &too_many] {
            assert!(CpuSet::from_kernel_mask(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn intersection_forgets_empty_words() {
        let set = read("0,200").intersection(&read("0-3,300"));
        assert_eq!(set, read("0"));
        assert!(set.contains(0) && !set.contains(200) && !set.contains(u32::MAX));
        assert!(read("1").intersection(&read("2")).is_empty());
        assert_eq!(read("0,200").difference(&read("200-300")), read("0"));
        assert_eq!(read("0-3,200").difference(&read("1")), read("0,2-3,200"));
        assert_eq!(CpuSet::of(&[200, 0, 9000]), read("0,200"));
    }
}
