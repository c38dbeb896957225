//! Areas of other processes, opened.

use areas::registry::{self, Source};
use areas::{AnyArea, Error, ErrorKind, Protection};

use crate::core::Any;

/// Opens what was found.
pub(crate) fn open(source: &Source, write: bool, keep_name: bool) -> Result<Any, Error> {
    let cloning = source.cloning();
    let cloning = if keep_name { cloning.same_name() } else { cloning };
    if write {
        return Ok(Any::Shared(cloning.protection(Protection::READ_WRITE).open()?));
    }
    let cloning = cloning.protection(Protection::READ);
    Ok(match cloning.open_any()? {
        AnyArea::Frozen(area) => Any::Frozen(area),
        AnyArea::Shared(area) => Any::Shared(area),
        // What may shrink is refused there, with the reason.
        _ => Any::Shared(cloning.open()?),
    })
}

/// How often an area that went as it was opened is looked for again.
const TRIES: usize = 100;

/// The oldest area of that name, opened. Where its holder ends concurrently (a forked child, say,
/// which holds what its parent does), another one's.
pub(crate) fn found(name: &[u8], write: bool, keep_name: bool) -> Result<Any, Error> {
    for _ in 1..TRIES {
        match open(&registry::find(name)?, write, keep_name) {
            Err(error) if error.kind() == ErrorKind::NoSuchArea => {}
            opened => return opened,
        }
    }
    open(&registry::find(name)?, write, keep_name)
}
