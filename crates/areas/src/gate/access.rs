//! Who may connect to a socket in a file system: its access list, in the kernel's form
//! (`linux/posix_acl_xattr.h`, acl(5)).
//!
//! To connect takes the right to write, and nothing else. So those who are named get that one
//! right, and no others get any.

use std::collections::BTreeSet;

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

const WRITE: u16 = 2;
const READ_WRITE: u16 = 6;
/// Of entries that are of no particular user.
const NO_ID: u32 = u32::MAX;

/// A list by which the owner, and these users, may connect.
pub(super) fn list(users: &BTreeSet<u32>) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    let mut entry = |tag: u16, rights: u16, id: u32| {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    };
    entry(USER_OBJ, READ_WRITE, NO_ID);
    // In the order of their numbers, which the kernel demands.
    for &user in users {
        entry(USER, WRITE, user);
    }
    entry(GROUP_OBJ, 0, NO_ID);
    entry(MASK, WRITE, NO_ID);
    entry(OTHER, 0, NO_ID);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_as_the_kernel_has_them() {
        let list = list(&BTreeSet::from([7, 3]));
        let expected = [
            [2, 0, 0, 0].as_slice(),
            &[1, 0, 6, 0, 255, 255, 255, 255],
            &[2, 0, 2, 0, 3, 0, 0, 0],
            &[2, 0, 2, 0, 7, 0, 0, 0],
            &[4, 0, 0, 0, 255, 255, 255, 255],
            &[16, 0, 2, 0, 255, 255, 255, 255],
            &[32, 0, 0, 0, 255, 255, 255, 255],
        ];
        assert_eq!(list, expected.concat());
    }
}
