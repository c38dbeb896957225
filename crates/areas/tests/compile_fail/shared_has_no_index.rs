//! An index would be a reference into memory that others write.
fn main() -> areas::Result<()> {
    let area = areas::builder(4096).shared()?;
    drop(area[0]);
    Ok(())
}
