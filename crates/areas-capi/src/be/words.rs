//! Protections and locks: BeOS's numbers and our words.

use areas::closed::ClosedLock;
use areas::{Lock, Protection};

use super::errors::{BAD_VALUE, Status, wrong};

const KNOWN_PROTECTION: u32 = 0x10f;

/// `B_OVERCOMMITTING_AREA`.
const OVERCOMMITTING: u32 = 0x1000;

/// The bits of an area that is made. That it may promise more than there is asks for nothing here:
/// all memory that is not locked does. So it is not recorded. (A change of protection does not know
/// that bit, Haiku's neither.)
pub(super) fn without_overcommitting(bits: u32) -> u32 {
    bits & !OVERCOMMITTING
}

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

/// The lock of one of BeOS's numbers. What the machine cannot give is an error when the area is
/// made.
pub(super) fn lock_of(number: u32) -> Result<Lock, Status> {
    Ok(match number {
        0 => Lock::None,
        1 => Lock::Lazy,
        2 => Lock::Full,
        3 => Lock::Contiguous,
        4 => Lock::Low,
        5 => Lock::Full32,
        6 => Lock::Contiguous32,
        _ => return Err(wrong(BAD_VALUE, "lock an area", "the lock is unknown")),
    })
}

/// The number of a lock.
pub(super) fn number_of(lock: Lock) -> u32 {
    match ClosedLock::from(lock) {
        ClosedLock::None => 0,
        ClosedLock::Lazy => 1,
        ClosedLock::Full => 2,
        ClosedLock::Contiguous => 3,
        ClosedLock::Low => 4,
        ClosedLock::Full32 => 5,
        ClosedLock::Contiguous32 => 6,
    }
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
        assert_eq!(protection_of(0x1003), Err(BAD_VALUE));
        assert_eq!(without_overcommitting(0x1103), 0x103);
    }
}
