//! A clone is another area, with an id of its own, and can fail: it is asked of the registry.
fn wants_clone(_: impl Clone) {}

fn main() -> areas::Result<()> {
    wants_clone(areas::builder(4096).private()?);
    wants_clone(areas::builder(4096).shared()?);
    wants_clone(areas::builder(4096).shared()?.freeze()?);
    Ok(())
}
