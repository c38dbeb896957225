//! The areas of a trial: their names, their size, and the bytes in them.

use areas::{Area, Shared};

/// Bytes of each of the bystander's areas.
pub(crate) const SIZE: usize = 64 << 10;

/// What the bystander holds.
pub(crate) const NAMES: [&str; 5] = ["by-fixed", "by-frozen", "by-growable", "by-locked", "by-resizable"];

/// The name under which victims publish.
pub(crate) const VICTIM: &str = "victim";

/// The bytes that belong to a name.
pub(crate) fn pattern(name: &str, len: usize) -> Vec<u8> {
    let mut state = name.bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(5).wrapping_add(113);
        state
    })
    .take(len)
    .collect()
}

/// Whether a shared area begins with the bytes of a name.
pub(crate) fn has_pattern(area: &Area<Shared>, name: &str, len: usize) -> Result<(), String> {
    let mut found = vec![0; len];
    area.read_at(0, &mut found).map_err(|error| error.to_string())?;
    if found == pattern(name, len) { Ok(()) } else { Err(format!("{name} has other bytes")) }
}
