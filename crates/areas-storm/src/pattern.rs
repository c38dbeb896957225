//! What the bytes of an object must be: a function of the object and the offset, so that whoever
//! has any mapping of it can check any byte of it, without knowing anything.
//!
//! No byte of the pattern is zero. All who write an object write the same, so it does not matter
//! who comes first, nor whether one dies in the middle: a byte is its pattern's, or zero where no
//! process has written since the kernel gave the page.

/// The pattern word at an index, of an object of that inode.
fn word(object: u64, index: u64) -> u64 {
    let mut mixed = object.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index.wrapping_mul(0xd1b5_4a32_d192_ed03);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) | 0x0101_0101_0101_0101
}

/// Fills a buffer with the bytes that the object has from `offset` on, a multiple of 8.
pub(crate) fn fill(object: u64, offset: usize, bytes: &mut [u8]) {
    let first = (offset / 8) as u64;
    for (index, chunk) in (first..).zip(bytes.chunks_mut(8)) {
        chunk.copy_from_slice(&word(object, index).to_le_bytes()[..chunk.len()]);
    }
}

/// What is said of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// They were written before anybody else saw them, and no process can have cut them off: each
    /// is the pattern's.
    Written,
    /// They may be new: each is the pattern's, or zero.
    Perhaps,
}

/// Looks at bytes that an object has from `offset` on, a multiple of 8.
pub(crate) fn check(object: u64, offset: usize, bytes: &[u8], rule: Rule) -> Result<(), String> {
    let first = (offset / 8) as u64;
    for (index, chunk) in (first..).zip(bytes.chunks(8)) {
        let expected = word(object, index).to_le_bytes();
        if chunk == &expected[..chunk.len()] {
            continue;
        }
        let wrong = chunk
            .iter()
            .zip(expected)
            .position(|(&byte, expected)| byte != expected && !(rule == Rule::Perhaps && byte == 0));
        if let Some(at) = wrong {
            return Err(format!(
                "byte {} of object {object} is {:#04x}, and its pattern says {:#04x}{} (the word there: {chunk:02x?}, its pattern: {expected:02x?})",
                index * 8 + at as u64,
                chunk[at],
                expected[at],
                if rule == Rule::Perhaps { ", or zero" } else { "" },
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_byte_is_seen_wherever_it_is() {
        let mut bytes = vec![0; 4096 + 3];
        fill(77, 8192, &mut bytes);
        assert!(bytes.iter().all(|&byte| byte != 0), "zero means not written");
        assert_eq!(check(77, 8192, &bytes, Rule::Written), Ok(()));
        for at in [0, 7, 8, 4095, 4096, 4098] {
            let kept = std::mem::replace(&mut bytes[at], 0);
            assert!(
                check(77, 8192, &bytes, Rule::Written).unwrap_err().contains(&format!("byte {}", 8192 + at))
            );
            assert_eq!(check(77, 8192, &bytes, Rule::Perhaps), Ok(()));
            bytes[at] = kept ^ 0x80;
            assert!(check(77, 8192, &bytes, Rule::Perhaps).is_err());
            bytes[at] = kept;
        }
        // Another object's bytes, and one's own from elsewhere.
        assert!(check(78, 8192, &bytes, Rule::Perhaps).is_err());
        assert!(check(77, 8200, &bytes, Rule::Perhaps).is_err());
    }
}
