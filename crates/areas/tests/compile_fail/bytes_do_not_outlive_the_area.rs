//! What is lent goes with the area.
fn main() -> areas::Result<()> {
    let frozen = areas::builder(4096).shared()?.freeze()?;
    let bytes = frozen.as_bytes();
    drop(frozen);
    assert_eq!(bytes[0], 0);
    Ok(())
}
