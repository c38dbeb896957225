//! Two threads may load and store one word: each says in what order others see it.
fn main() -> areas::Result<()> {
    let area = areas::builder(4096).shared()?;
    area.store(0, 1_u64)?;
    area.load::<u64>(0)?;
    Ok(())
}
