//! Slabs among processes: that are killed, that write over everything, that fork, that have hardly
//! any descriptors.

#[expect(dead_code, reason = "the library's own tests use the rest")]
#[path = "../../../areas/tests/area_support/mod.rs"]
mod support;

mod ends;
mod forks;
mod hostile;
mod pipeline;

use areas_slab::Handle;

/// A handle as a line of text.
fn line(handle: &Handle) -> String {
    handle.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn handle(line: &str) -> Handle {
    let byte = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..line.len()).step_by(2).map(byte).collect();
    Handle::from_bytes(&bytes).unwrap()
}
