//! Only whole machine words are loaded and stored in one access.
#[derive(Clone, Copy)]
struct Pair(u8, u32);

impl areas::Word for Pair {}

fn main() -> areas::Result<()> {
    let area = areas::builder(4096).shared()?;
    area.store(0, Pair(1, 2))?;
    drop(area.load::<bool>(0)?);
    Ok(())
}
