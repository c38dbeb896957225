//! Only one's own areas are resized, protected and deleted: what was found is not an area of one's own until it is cloned.
fn main() -> areas::Result<()> {
    let mut found = areas::registry::find("another's")?;
    found.resize(8192)?;
    found.protect(areas::Protection::READ)?;
    found.delete()?;
    Ok(())
}
