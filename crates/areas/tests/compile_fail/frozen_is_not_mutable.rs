//! No process writes a frozen area: not through a slice either.
fn main() -> areas::Result<()> {
    let mut area = areas::builder(4096).shared()?.freeze()?;
    area[0] = 1;
    Ok(())
}
