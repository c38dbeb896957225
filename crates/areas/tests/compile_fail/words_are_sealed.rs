//! Only integers of a machine's word or less are loaded and stored atomically.
use std::sync::atomic::Ordering;

#[derive(Clone, Copy)]
struct Pair(u8, u32);

impl areas::Word for Pair {}

fn main() -> areas::Result<()> {
    let area = areas::builder(4096).shared()?;
    area.store(0, Pair(1, 2), Ordering::Relaxed)?;
    drop(area.load::<bool>(0, Ordering::Relaxed)?);
    Ok(())
}
