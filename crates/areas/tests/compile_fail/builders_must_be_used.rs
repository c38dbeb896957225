//! A builder that is dropped made nothing.
#![deny(unused_must_use)]

fn main() -> areas::Result<()> {
    areas::builder(4096).name("nothing");
    areas::builder(4096).private()?;
    Ok(())
}
