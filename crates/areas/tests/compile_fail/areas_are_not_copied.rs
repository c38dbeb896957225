//! One value, one mapping: it is moved.
fn main() -> areas::Result<()> {
    let area = areas::builder(4096).shared()?;
    let moved = area;
    drop(area.size());
    drop(moved);
    Ok(())
}
