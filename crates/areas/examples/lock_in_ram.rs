//! Memory that stays in RAM, for a deadline or a secret, and what to do where the limit for that is
//! low.
//!
//! `cargo run --example lock_in_ram`

#![expect(clippy::print_stdout, reason = "an example talks")]

use areas::{ErrorKind, Lock};

fn main() -> areas::Result<()> {
    // Full: every page is there from the start, and stays. Lazy: a page stays once it was touched.
    for lock in [Lock::Full, Lock::Lazy] {
        match areas::builder(64 << 10).lock(lock).private() {
            Ok(mut area) => {
                println!("{lock}: {}", area.residency()?);
                area[0] = 1;
                println!("  after a touch: {}", area.residency()?);
            }
            Err(error) => explain(lock, error)?,
        }
    }

    // More than most users may lock. An error says so, with the limit, what is in use, and how to
    // raise it.
    match areas::builder(256 << 20).lock(Lock::Lazy).private() {
        Ok(area) => println!("{} may be locked here, too", areas::Bytes::from(area.size())),
        Err(error) => explain(Lock::Lazy, error)?,
    }
    Ok(())
}

/// A low limit is something to live with; everything else is not.
fn explain(lock: Lock, error: areas::Error) -> areas::Result<()> {
    if error.kind() != ErrorKind::Limit {
        return Err(error);
    }
    println!("{lock}: {error:#}");
    Ok(())
}
