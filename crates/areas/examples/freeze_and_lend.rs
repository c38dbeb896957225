//! Freeze an area and lend its bytes: no process changes them ever again, so that `&[u8]` is safe,
//! in every process.
//!
//! `cargo run --example freeze_and_lend`

#![expect(clippy::print_stdout, reason = "an example talks")]

use areas::{ErrorKind, Protection, registry};

fn main() -> areas::Result<()> {
    let name = format!("example-{}", std::process::id());
    let area = areas::builder(32).name(&name).shared()?;
    area.write_at(0, b"read-mostly data, for many teams")?;

    // As long as a process can write, it cannot be frozen: the area comes back as it was, with the
    // reason.
    let writer = registry::find(&name)?.open()?;
    let area = match area.freeze_within(std::time::Duration::ZERO) {
        Ok(_) => return Err(areas::Error::new(ErrorKind::System, "show a freeze that is refused")),
        Err(refused) => {
            println!("refused: {}", refused.error);
            refused.value
        }
    };
    drop(writer);

    let frozen = area.freeze()?;
    // A plain slice, without a copy.
    println!("lent: {:?}", String::from_utf8_lossy(&frozen));

    // Whoever finds it gets a slice, too, and no process a way to write.
    let source = registry::find(&name)?;
    let mine = source.open_frozen()?;
    println!("a clone lends the same bytes: {}", *mine == *frozen);
    match source.cloning().protection(Protection::READ_WRITE).open() {
        Ok(_) => println!("it could be written!"),
        Err(error) => println!("to write it: {error:#}"),
    }
    Ok(())
}
