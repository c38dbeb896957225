//! A provider of your own: where areas come from is up to you, and takes no unsafe code.
//!
//! It is AML's example of a new feature: a shark that bites into all memory that it gives out. This
//! one also keeps what it gets back, for the next one who asks.
//!
//! `cargo run --example custom_provider`

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::sync::{Mutex, PoisonError};

use areas::{Mapping, Provider, Rejected, Request, Result, System};

#[derive(Debug)]
struct Shark {
    linux: System,
    bite: u8,
    lair: Mutex<Vec<Mapping>>,
}

impl Shark {
    /// `const`, so that a shark can be a `static` that needs no set-up.
    const fn new(bite: u8) -> Self {
        Shark { linux: System::new(), bite, lair: Mutex::new(Vec::new()) }
    }

    fn lair(&self) -> std::sync::MutexGuard<'_, Vec<Mapping>> {
        self.lair.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider for Shark {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let mut lair = self.lair();
        // A real one would also compare the placement and the pages that are asked for.
        let mut mapping = match lair.iter().position(|kept| kept.size() == request.size()) {
            Some(at) => lair.swap_remove(at),
            None => self.linux.map(request)?,
        };
        mapping.as_bytes_mut()?.fill(self.bite);
        Ok(mapping)
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        self.lair().push(mapping);
        Ok(())
    }
}

static SHARK: Shark = Shark::new(b'#');

fn main() -> Result<()> {
    // Everything that a builder can do works with every provider.
    let area = areas::builder(16).provider(&SHARK).private()?;
    println!("from the shark: {:?}", String::from_utf8_lossy(&area));

    // Dropping the area would unmap it. Returned to its provider, it may live on.
    let address = area.as_ptr();
    SHARK.unmap(area.into_mapping())?;
    println!("kept in its lair: {}", SHARK.lair().len());

    let again = areas::builder(16).provider(&SHARK).private()?;
    println!("the same memory again: {}", again.as_ptr() == address);

    // What it cannot bite into, it refuses: shared memory lends no bytes.
    if let Err(error) = areas::builder(16).provider(&SHARK).shared() {
        println!("shared: {error}");
    }
    Ok(())
}
