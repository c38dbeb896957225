//! Bytes: copied with the library's checks against the C library's memcpy, and read here and there.

use anyhow::{Context as _, Result, ensure};
use areas::Pages;

use super::bytes;
use crate::bench::{Bench, Contest, LONG, SHORT};
use crate::measure::Side;
use crate::peers::Work;

pub fn copies(bench: &mut Bench) -> Result<()> {
    const MAX: usize = 64 << 20;
    let raw = bench.library("raw").context("compiled by the same command")?;
    // What it takes to be sure that a copy is right.
    let floor = bench.library("floor").context("compiled by the same command")?;
    let from = areas::builder(MAX).shared()?;
    let to = areas::builder(MAX).shared()?;
    let mut bytes_here = vec![1_u8; MAX];
    for area in [&from, &to] {
        area.write_at(0, &bytes_here)?;
    }
    for size in [64, 256, 1 << 10, 4 << 10, 64 << 10, 1 << 20, MAX] {
        let target = if size < 4096 { 1.4 } else { 1.05 };
        let here = bytes_here.as_mut_ptr();
        {
            let from = &from;
            let into = &mut bytes_here[..size];
            let ours = Side::each("read_at", move || Ok(from.read_at(0, into)?));
            let work = Work { from: from.as_ptr().cast(), to: here.cast(), ..Work::of_size(size) };
            bench.contest(
                Contest::new(format!("{} out of an area", bytes(size)), SHORT, ours)
                    .against(raw.side("memcpy", "peer_copy", work)?, target),
            )?;
        }
        let source = &bytes_here[..size];
        let ours = Side::each("write_at", || Ok(to.write_at(0, source)?));
        let work = Work { from: here.cast(), to: to.as_ptr().cast(), ..Work::of_size(size) };
        bench.contest(
            Contest::new(format!("{} into an area", bytes(size)), SHORT, ours)
                .against(raw.side("memcpy", "peer_copy", work)?, target),
        )?;
        let ours = Side::each("copy_to", || Ok(from.copy_to(0, &to, 0, size)?));
        let work = Work { from: from.as_ptr().cast(), to: to.as_ptr().cast(), ..Work::of_size(size) };
        bench.contest(
            Contest::new(format!("{} between areas", bytes(size)), SHORT, ours)
                .against(raw.side("memcpy", "peer_copy", work)?, target)
                .against(floor.side("the same, checked, in C", "peer_copy_checked", work)?, None),
        )?;
    }
    Ok(())
}

/// Huge pages are for this: the same reads, done by the same code, in huge and in base pages.
pub fn random(bench: &mut Bench) -> Result<()> {
    let size: usize = bench.or_smoke(2 << 30, 8 << 20);
    let raw = bench.library("raw").context("compiled by the same command")?;
    let make = |pages: Pages| -> Result<_> {
        let mut area = areas::builder(size).pages(pages).shared()?;
        area.populate()?;
        Ok(area)
    };
    let (huge, base) = (make(Pages::Auto)?, make(Pages::Base)?);
    let granted = huge.granted();
    ensure!(
        bench.smoke || granted.collapsed() > 0 || granted.page_size() > areas::PageSize::base(),
        "no huge pages were had: {granted:?}"
    );
    let side = |who: &str, area: &areas::Area<areas::Shared>| {
        raw.side(who, "peer_random_reads", Work { from: area.as_ptr().cast(), ..Work::of_size(size) })
    };
    let plan = crate::measure::Plan { batch: std::time::Duration::from_millis(200), most: 1 << 24, ..LONG };
    bench.contest(
        Contest::new(format!("{}, 8 bytes each", bytes(size)), plan, side("Pages::Auto", &huge)?)
            .against(side("base pages", &base)?, 0.8),
    )
}
