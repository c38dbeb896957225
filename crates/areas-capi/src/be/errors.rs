//! BeOS's error numbers, and which of them our errors are.

use areas::{Error, ErrorKind};

use crate::error;

/// What a call answers: 0 or more if all is well, an error below 0.
pub(super) type Status = i32;

const GENERAL: i32 = i32::MIN;
const OS: i32 = GENERAL + 0x1000;

pub(super) const OK: Status = 0;
pub(super) const ERROR: Status = -1;
pub(super) const NO_MEMORY: Status = GENERAL;
pub(super) const BAD_VALUE: Status = GENERAL + 5;
pub(super) const NAME_NOT_FOUND: Status = GENERAL + 7;
pub(super) const INTERRUPTED: Status = GENERAL + 10;
pub(super) const NOT_ALLOWED: Status = GENERAL + 15;
pub(super) const BAD_THREAD_ID: Status = OS + 0x100;
pub(super) const BAD_TEAM_ID: Status = OS + 0x103;
pub(super) const BAD_ADDRESS: Status = OS + 0x301;
pub(super) const ENTRY_NOT_FOUND: Status = GENERAL + 0x6003;

/// The error of a call, with its words kept for who asks.
pub(super) fn status_of(error: Error) -> Status {
    let status = match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::OutOfRange | ErrorKind::NoSuchArea | ErrorKind::AddressInUse => {
            BAD_VALUE
        }
        // What the machine cannot give at all it cannot give now either.
        ErrorKind::NoMemory | ErrorKind::Limit | ErrorKind::Unsupported => NO_MEMORY,
        ErrorKind::NotPermitted | ErrorKind::Unreadable | ErrorKind::ReadOnly | ErrorKind::Frozen => {
            NOT_ALLOWED
        }
        ErrorKind::NoSuchTeam => BAD_TEAM_ID,
        _ => ERROR,
    };
    refused(status, error)
}

/// The same where the call has a number of its own for it.
pub(super) fn refused(status: Status, error: Error) -> Status {
    error::keep(error);
    status
}

/// An error of the edge's own: what was asked, and what is wrong with it.
pub(super) fn wrong(status: Status, what: &'static str, detail: &'static str) -> Status {
    refused(status, Error::new(ErrorKind::InvalidInput, what).with_facts(detail))
}

/// What a call gives: an id or a status, each a number.
pub(super) fn number(result: Result<i32, Status>) -> i32 {
    result.unwrap_or_else(|status| status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_page() {
        let table: [(Status, u32); 9] = [
            (NO_MEMORY, 0x8000_0000),
            (BAD_VALUE, 0x8000_0005),
            (NAME_NOT_FOUND, 0x8000_0007),
            (NOT_ALLOWED, 0x8000_000f),
            (BAD_TEAM_ID, 0x8000_1103),
            (BAD_THREAD_ID, 0x8000_1100),
            (BAD_ADDRESS, 0x8000_1301),
            (ENTRY_NOT_FOUND, 0x8000_6003),
            (ERROR, 0xffff_ffff),
        ];
        for (status, expected) in table {
            assert_eq!(status.cast_unsigned(), expected);
        }
    }
}
