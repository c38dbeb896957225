//! What may be done with the pages of an area.

use std::fmt;

use bitflags::bitflags;

use crate::sys::memory::{MprotectFlags, ProtFlags};

bitflags! {
    /// What may be done with the pages of an area: any union of read, write and execute, or
    /// nothing.
    ///
    /// It prints as `rwx`, with `-` for what may not be done.
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Protection: u8 {
        /// Loads.
        const READ = 1;
        /// Stores.
        const WRITE = 2;
        /// Instruction fetches.
        const EXECUTE = 4;
        /// The area is to be a stack: recorded and reported. The calls of BeOS's guard the lowest
        /// page of such an area ([`guard_lowest_page`](crate::Area::guard_lowest_page)); by itself
        /// it has no effect.
        #[doc(alias = "B_STACK_AREA")]
        const STACK = 8;
        /// Others are meant to clone the area: recorded and reported, without an effect (who may,
        /// the kernel decides).
        #[doc(alias = "B_CLONEABLE_AREA")]
        const CLONEABLE = 16;
    }
}

impl Protection {
    /// Loads and stores: the default of areas.
    pub const READ_WRITE: Protection = Protection::READ.union(Protection::WRITE);

    /// What the kernel knows of.
    const KERNEL: Protection = Protection::READ_WRITE.union(Protection::EXECUTE);

    pub(crate) fn for_mmap(self) -> ProtFlags {
        ProtFlags::from_bits_truncate(u32::from(self.intersection(Self::KERNEL).bits()))
    }

    pub(crate) fn for_mprotect(self) -> MprotectFlags {
        MprotectFlags::from_bits_truncate(u32::from(self.intersection(Self::KERNEL).bits()))
    }
}

impl Default for Protection {
    fn default() -> Self {
        Protection::READ_WRITE
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |flag, letter| if self.contains(flag) { letter } else { '-' };
        let text: String =
            [letter(Protection::READ, 'r'), letter(Protection::WRITE, 'w'), letter(Protection::EXECUTE, 'x')]
                .iter()
                .collect();
        f.pad(&text)
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protection({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_like_maps_and_is_what_the_kernel_calls_it() {
        assert_eq!(Protection::READ_WRITE.to_string(), "rw-");
        assert_eq!(Protection::empty().to_string(), "---");
        assert_eq!(Protection::all().to_string(), "rwx");
        assert_eq!((Protection::CLONEABLE | Protection::READ).to_string(), "r--");
        for bits in 0..32 {
            let protection = Protection::from_bits_truncate(bits);
            let expected = [
                (Protection::READ, libc::PROT_READ),
                (Protection::WRITE, libc::PROT_WRITE),
                (Protection::EXECUTE, libc::PROT_EXEC),
            ]
            .into_iter()
            .filter(|(flag, _)| protection.contains(*flag))
            .fold(0, |sum, (_, value)| sum | value);
            assert_eq!(i64::from(protection.for_mmap().bits()), i64::from(expected));
            assert_eq!(i64::from(protection.for_mprotect().bits()), i64::from(expected));
        }
    }
}
