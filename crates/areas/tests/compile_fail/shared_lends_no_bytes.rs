//! What private and frozen areas have, shared ones have not.
fn main() -> areas::Result<()> {
    let area = areas::builder(4096).shared()?;
    drop(area.as_bytes());
    Ok(())
}
