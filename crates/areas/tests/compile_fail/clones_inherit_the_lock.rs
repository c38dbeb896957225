//! A clone has no way to declare another lock, and an area none to change the one that it has.
fn main() -> areas::Result<()> {
    let area = areas::builder(4096).lock(areas::Lock::Full).name("locked").shared()?;
    area.set_lock(areas::Lock::None)?;
    areas::registry::find("locked")?.cloning().lock(areas::Lock::None).open()?;
    Ok(())
}
