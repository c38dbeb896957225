//! Areas with bytes that belong to their names, so that wrong ones show.

use areas::registry::Source;
use areas::{Area, Shared};
use areas_testing::{Process, smaps};

use super::serve::Failure;

/// The byte of each offset, for a name.
fn pattern(name: &str) -> impl Iterator<Item = u8> {
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
}

/// Larger areas are filled and checked at their beginning and end.
const ENDS: usize = 1024;

/// An area that is complete when others find it.
pub(crate) fn create(name: &str, size: usize) -> Result<Area<Shared>, Failure> {
    let mut area = areas::builder(size).shared()?;
    fill(&area, name)?;
    area.publish(name)?;
    Ok(area)
}

pub(crate) fn fill(area: &Area<Shared>, name: &str) -> Result<(), Failure> {
    let bytes: Vec<u8> = pattern(name).take(area.size().min(ENDS)).collect();
    area.write_at(0, &bytes)?;
    area.write_at(area.size() - bytes.len(), &bytes)?;
    Ok(())
}

/// Whether the bytes are those of the name.
pub(crate) fn is_filled(area: &Area<Shared>, name: &str) -> Result<bool, Failure> {
    let expected: Vec<u8> = pattern(name).take(area.size().min(ENDS)).collect();
    let mut found = vec![0; expected.len()];
    area.read_at(0, &mut found)?;
    let begins = found == expected;
    area.read_at(area.size() - expected.len(), &mut found)?;
    Ok(begins && found == expected)
}

/// A clone whose bytes were checked.
pub(crate) fn clone(source: &Source, name: &str, own_name: Option<&str>) -> Result<Area<Shared>, Failure> {
    let clone = match own_name {
        Some(own) => source.cloning().name(own).open(),
        None => source.open(),
    }?;
    match is_filled(&clone, name)? {
        true => Ok(clone),
        false => Err(Failure::Helper(format!("the clone of {name} has other bytes"))),
    }
}

/// Whether the kernel keeps the mapping that begins there in RAM.
pub(crate) fn locked_at(address: usize) -> bool {
    let mappings = smaps::of(Process::Thread).unwrap_or_default();
    mappings.iter().any(|one| one.start == address && one.has("lo"))
}
