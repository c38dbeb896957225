//! Others may write a shared area at any moment: it derefs to nothing.
fn main() -> areas::Result<()> {
    let area = areas::builder(4096).shared()?;
    let bytes: &[u8] = &area;
    drop(bytes.len());
    Ok(())
}
