//! Areas over an object: the same bytes for all that map it.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use areas::{Area, BackedBy, ErrorKind, Extent, Object, PageSize, Request, Shared};

use super::{Bench, Check, Pattern, broken};
use crate::notes::Notes;

pub(super) const SHARED: Check = Check {
    name: "shared",
    expected: "an area over it shows the bytes of its object, and writes reach the object; or sharing is refused",
    run: shared,
};

fn shared(bench: &Bench<'_>, notes: &mut Notes) {
    for &size in bench.sizes {
        let object = Object::create("conformance", size, Extent::Fixed, PageSize::base());
        let Some(object) = notes.expect("an object for the check", object) else { return };
        // Directly first: an area trusts its provider to map the object that it gave.
        match bench.map(&Request::object(&object)) {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                notes.not_here(format!("it refuses to share: {error}"));
                return;
            }
            Err(error) => {
                notes.wrong(format!("{size} B: {error}"));
                continue;
            }
            Ok(mapping) if mapping.backed_by() != BackedBy::object(&object) => {
                let (wanted, given) = (BackedBy::object(&object), mapping.backed_by());
                notes.wrong(format!("{size} B: asked for {wanted}, got {given}"));
                continue;
            }
            Ok(mapping) if mapping.size() != size => {
                notes.wrong(format!("asked for an object of {size} B, got {} B", mapping.size()));
                continue;
            }
            Ok(_) => {}
        }
        let area = areas::builder(size).provider(bench.provider).shared();
        if let Some(area) = notes.expect(&format!("a shared area of {size} B"), area)
            && let Some(wrong) = notes.expect(&format!("{size} B"), through_both_ways(&area))
        {
            wrong.into_iter().for_each(|wrong| notes.wrong(format!("{size} B: {wrong}")));
        }
    }
    notes.seen("what one side writes the other one reads");
}

/// Writes through the area and reads from the object, and the other way round.
fn through_both_ways(area: &Area<Shared>) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut wrong = Vec::new();
    let file = File::from(area.as_fd().try_clone_to_owned()?);
    let size = area.size();
    let mut bytes = vec![0; size];
    Pattern::new(size).write(&mut bytes);
    area.write_at(0, &bytes)?;
    bytes.fill(0);
    file.read_exact_at(&mut bytes, 0)?;
    if let Some(offset) = broken(&bytes, size) {
        wrong.push(format!("the object does not have the byte that was written at {offset}"));
    }
    Pattern::new(!size).write(&mut bytes);
    file.write_all_at(&bytes, 0)?;
    bytes.fill(0);
    area.read_at(0, &mut bytes)?;
    if let Some(offset) = broken(&bytes, !size) {
        wrong.push(format!("it does not show the object's byte at {offset}"));
    }
    Ok(wrong)
}
