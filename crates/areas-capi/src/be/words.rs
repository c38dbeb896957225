//! Protections and locks: BeOS's numbers and our words.

use areas::{Lock, Protection};

use super::errors::{BAD_VALUE, Status, wrong};

const KNOWN_PROTECTION: u32 = 0x10f;

/// Protection, from BeOS's bits.
pub(super) fn protection_of(bits: u32) -> Result<Protection, Status> {
    if bits & !KNOWN_PROTECTION != 0 {
        return Err(wrong(BAD_VALUE, "protect an area", "unknown protection bits"));
    }
    let mut protection = Protection::empty();
    let table = [
        (1, Protection::READ),
        (2, Protection::WRITE),
        (4, Protection::EXECUTE),
        (8, Protection::STACK),
        (0x100, Protection::CLONEABLE),
    ];
    for (bit, word) in table {
        protection.set(word, bits & bit != 0);
    }
    Ok(protection)
}

/// BeOS's bits for a protection.
pub(super) fn bits_of(protection: Protection) -> u32 {
    let cloneable = if protection.contains(Protection::CLONEABLE) { 0x100 } else { 0 };
    u32::from(protection.bits()) & 0xf | cloneable
}

/// The locks, in the order of BeOS's numbers.
const LOCKS: [Lock; 7] =
    [Lock::None, Lock::Lazy, Lock::Full, Lock::Contiguous, Lock::Low, Lock::Full32, Lock::Contiguous32];

/// The lock of a number. What the machine cannot give is told when the area is made.
pub(super) fn lock_of(number: u32) -> Result<Lock, Status> {
    let lock = usize::try_from(number).ok().and_then(|number| LOCKS.get(number));
    lock.copied().ok_or_else(|| wrong(BAD_VALUE, "lock an area", "the lock is unknown"))
}

/// The number of a lock.
pub(super) fn number_of(lock: Lock) -> u32 {
    (0..).zip(LOCKS).find_map(|(number, known)| (known == lock).then_some(number)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in 0..7 {
            assert_eq!(lock_of(number).map(number_of), Ok(number));
        }
        for bits in [0, 1, 3, 7, 0x103, 0x10f] {
            assert_eq!(protection_of(bits).map(bits_of), Ok(bits));
        }
        assert_eq!(lock_of(7), Err(BAD_VALUE));
        assert_eq!(protection_of(0x10), Err(BAD_VALUE));
    }
}
