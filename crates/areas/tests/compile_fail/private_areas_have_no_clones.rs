//! Private memory has no name, no id and no descriptor.
fn main() -> areas::Result<()> {
    let mut area = areas::builder(4096).private()?;
    area.publish("mine")?;
    Ok(())
}
