//! The checks: each has a name, says what is expected, and writes down what it saw.

mod address;
mod pages;
mod placement;
mod protection;
mod release;
mod shared;
mod size;
mod threads;

use std::borrow::Cow;

use areas::{BackedBy, Backing, Mapping, Provider, Request, Result};

use crate::notes::Notes;

/// One check.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// What is expected, as a clause.
    pub(crate) expected: &'static str,
    pub(crate) run: fn(&Bench<'_>, &mut Notes),
}

/// What a check works on.
#[derive(Clone, Copy)]
pub(crate) struct Bench<'a> {
    pub(crate) provider: &'a dyn Provider,
    pub(crate) sizes: &'a [usize],
    pub(crate) may_touch: bool,
    pub(crate) may_keep: bool,
    pub(crate) stored: bool,
}

impl Bench<'_> {
    /// What every provider of its kind has to fulfil: private memory, or what it stores.
    fn request(&self, size: usize) -> Request<'static> {
        match self.stored {
            true => Request::new(size).backed_by(Backing::Stored),
            false => Request::new(size),
        }
    }

    /// How the kernel shows what others may write, or may not.
    fn shown(&self) -> char {
        if self.stored { 's' } else { 'p' }
    }

    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        self.provider.map(request)
    }

    /// A plain request, which every provider has to fulfil.
    fn plain(&self, size: usize, notes: &mut Notes) -> Option<Mapping> {
        notes.expect(&format!("{size} B"), self.map(&self.request(size)))
    }

    /// The largest size up to a bound, or the smallest one: for checks that need many mappings.
    fn up_to(&self, bound: usize) -> usize {
        let fitting = self.sizes.iter().copied().filter(|&size| size <= bound).max();
        fitting.or_else(|| self.sizes.iter().copied().min()).unwrap_or(1)
    }

    fn small(&self) -> usize {
        self.up_to(64 << 10)
    }

    fn medium(&self) -> usize {
        self.up_to(1 << 20)
    }
}

/// Contents that say where they are, and which process wrote them: blocks of a known length, each
/// beginning with its own number.
#[derive(Debug)]
struct Pattern {
    salt: usize,
    block: [u8; 4096],
}

impl Pattern {
    fn new(salt: usize) -> Self {
        let byte = |at: usize| (at.wrapping_mul(31) ^ salt.wrapping_mul(97)).to_le_bytes()[0];
        Pattern { salt, block: std::array::from_fn(byte) }
    }

    fn block(&mut self, number: usize) -> &[u8] {
        let head = number.wrapping_mul(0x9e37_79b9).wrapping_add(self.salt).to_le_bytes();
        self.block[..head.len()].copy_from_slice(&head);
        &self.block
    }

    fn write(mut self, bytes: &mut [u8]) {
        for (number, block) in bytes.chunks_mut(self.block.len()).enumerate() {
            block.copy_from_slice(&self.block(number)[..block.len()]);
        }
    }

    /// Where it is broken first.
    fn broken(mut self, bytes: &[u8]) -> Option<usize> {
        let len = self.block.len();
        bytes.chunks(len).enumerate().find_map(|(number, block)| {
            let expected = self.block(number);
            (block != &expected[..block.len()]).then(|| {
                number * len
                    + block.iter().zip(expected).take_while(|(seen, expected)| seen == expected).count()
            })
        })
    }
}

/// Writes the pattern all over memory: as bytes that it lends, or by copies where it is stored.
fn write_pattern(mapping: &mut Mapping, salt: usize) -> Result<()> {
    if is_stored(mapping) {
        let mut bytes = vec![0; mapping.size()];
        Pattern::new(salt).write(&mut bytes);
        return mapping.copy_in(0, &bytes);
    }
    Pattern::new(salt).write(mapping.as_bytes_mut()?);
    Ok(())
}

/// The bytes of memory that has the pattern.
fn bytes_of(mapping: &Mapping) -> Result<Cow<'_, [u8]>> {
    if is_stored(mapping) {
        let mut bytes = vec![0; mapping.size()];
        mapping.copy_out(0, &mut bytes)?;
        return Ok(Cow::Owned(bytes));
    }
    mapping.as_bytes().map(Cow::Borrowed)
}

fn is_stored(mapping: &Mapping) -> bool {
    matches!(mapping.backed_by(), BackedBy::File { .. })
}

/// Where the pattern is broken first.
fn broken(bytes: &[u8], salt: usize) -> Option<usize> {
    Pattern::new(salt).broken(bytes)
}

/// All of them, the plainest first.
pub(crate) const ALL: &[Check] = &[
    size::ZERO,
    size::IMPOSSIBLE,
    size::GIVEN,
    size::BYTES,
    protection::MAPS,
    protection::PROTECTION,
    protection::BACKING,
    shared::SHARED,
    release::UNMAP,
    release::DROP,
    release::LEAKS,
    release::FOREIGN,
    address::OVERLAP,
    address::EXACT,
    address::TAKEN,
    address::RESERVATION,
    address::ALIGNMENT,
    placement::PLACEMENT,
    placement::UNKNOWN_NODE,
    pages::UNTOUCHED,
    pages::POOL,
    pages::FALLBACK,
    threads::THREADS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_shows_where_it_is_broken() {
        let mut bytes = vec![0; 3 * 4096 + 5];
        Pattern::new(7).write(&mut bytes);
        assert_eq!(broken(&bytes, 7), None);
        assert!(broken(&bytes, 8).is_some());
        // Each block has its place.
        assert_eq!(broken(&bytes[4096..], 7), Some(0));
        for at in [0, 100, 4096, 3 * 4096 + 4] {
            bytes[at] ^= 1;
            assert_eq!(broken(&bytes, 7), Some(at));
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn names_are_distinguished() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), ALL.len());
        let readme = include_str!("../../README.md");
        for name in names {
            assert!(readme.contains(&format!("`{name}`")), "the README does not describe {name}");
        }
    }
}
