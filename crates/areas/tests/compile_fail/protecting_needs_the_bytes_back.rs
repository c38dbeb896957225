//! A right is not taken away under a reference.
fn main() -> areas::Result<()> {
    let mut area = areas::builder(4096).private()?;
    let bytes = area.as_bytes()?;
    area.protect(areas::Protection::empty())?;
    assert_eq!(bytes[0], 0);
    Ok(())
}
