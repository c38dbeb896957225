//! Nor can anything that takes bytes take it.
fn wants_bytes(_: impl AsRef<[u8]>) {}

fn main() -> areas::Result<()> {
    wants_bytes(areas::builder(4096).shared()?);
    Ok(())
}
