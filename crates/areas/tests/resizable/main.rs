//! Areas that grow and shrink for all holders: what clones see, what is freed, what is in the way.
//! Measured in the kernel.

mod growth;
mod reserve;
mod size;

use std::os::fd::AsFd;

use areas::{Area, Resizable};

const PAGE: usize = 4096;

fn name(of: &str) -> String {
    format!("resizable-{of}-{}", std::process::id())
}

fn bytes(area: &Area<Resizable>, offset: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; len];
    area.read_at(offset, &mut bytes).unwrap();
    bytes
}

fn allocated(area: &Area<Resizable>) -> u64 {
    rustix::fs::fstat(area.as_fd()).unwrap().st_blocks.unsigned_abs() * 512
}
