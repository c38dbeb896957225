//! Names and notes: what others find an area by, and what they read beside it.

use areas::{AreaId, Error};

use crate::holding::{Any, of_any};

pub(crate) fn note_of(_any: &Any) -> Vec<u8> {
    Vec::new()
}

pub(crate) fn set_note(_any: &mut Any, _note: &[u8]) -> Result<(), Error> {
    Ok(())
}

pub(crate) fn publish(any: &mut Any, name: &[u8], _exclusive: bool) -> Result<AreaId, Error> {
    of_any!(any, area => area.publish(name))
}

pub(crate) fn withdraw(_any: &mut Any) -> Result<(), Error> {
    Ok(())
}
