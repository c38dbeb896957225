//! The first area: a chunk of memory that you ask for by size, look at, and drop.
//!
//! `cargo run --example first_area`

#![expect(clippy::print_stdout, reason = "an example talks")]

use areas::Pages;

fn main() -> areas::Result<()> {
    // One million bytes. They are zero, and take no memory before they are touched.
    let mut area = areas::builder(1_000_000).private()?;
    println!("asked for {} bytes, got whole pages: {} bytes", area.size(), area.mapped());
    println!("before the first touch: {}", area.residency()?);

    // Only this process has it, so it is plain Rust memory: a `&mut [u8]`.
    area[..5].copy_from_slice(b"hello");
    fill_with_squares(&mut area[100_000..]);
    println!("after some writes:      {}", area.residency()?);

    // The rest can be faulted in at once, by all CPUs, with an error instead of a surprise where
    // memory is missing.
    area.populate()?;
    println!("populated:              {}", area.residency()?);

    // Huge pages where there are some; `granted` says what it was in the end, and why not more.
    let huge = areas::builder(8 << 20).pages(Pages::Auto).private()?;
    let granted = huge.granted();
    println!("asked for huge pages: {} pages", granted.page_size());
    for fallback in granted.fallbacks() {
        println!("  instead of {}: {}", fallback.asked, fallback.given);
    }
    // Dropping an area gives its memory back.
    Ok(())
}

/// Anything that works on bytes works on a private area.
fn fill_with_squares(bytes: &mut [u8]) {
    for (number, byte) in (0..=255_u8).zip(bytes) {
        *byte = number.wrapping_mul(number);
    }
}
