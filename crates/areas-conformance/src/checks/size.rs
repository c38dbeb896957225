//! As many bytes as were asked for, or an error.

use areas::Bytes;

use super::{Bench, Check, broken, bytes_of, write_pattern};
use crate::notes::Notes;
use crate::usage;

pub(super) const ZERO: Check = Check { name: "zero-size", expected: "a size of 0 is an error", run: zero };

fn zero(bench: &Bench<'_>, notes: &mut Notes) {
    match bench.map(&bench.request(0)) {
        Ok(mapping) => notes.wrong(format!("asked for 0 B, got {} B", mapping.size())),
        Err(error) => notes.seen(format!("{error}")),
    }
}

pub(super) const IMPOSSIBLE: Check = Check {
    name: "impossible-sizes",
    expected: "what is more than the machine has is an error, and nothing stays mapped",
    run: impossible,
};

fn impossible(bench: &Bench<'_>, notes: &mut Notes) {
    let mut sizes = vec![usize::MAX, usize::MAX / 2 + 1, isize::MAX.unsigned_abs(), 1 << 47];
    match usage::machine() {
        Some(machine) => sizes.push(machine.saturating_mul(2)),
        None => notes.wrong("/proc/meminfo does not say how much RAM there is"),
    }
    for &size in &sizes {
        if let Ok(mapping) = bench.map(&bench.request(size)) {
            let reported =
                if size == usize::MAX { "usize::MAX".to_owned() } else { Bytes::from(size).to_string() };
            notes.wrong(format!("asked for {reported}, got {} B", mapping.size()));
        }
    }
    let refused = || sizes.iter().for_each(|&size| drop(bench.map(&bench.request(size))));
    for grown in usage::growth(50, bench.medium().max(64 << 10), refused) {
        notes.wrong(format!("refusing them leaves something behind: {grown}"));
    }
    notes.seen(format!("{} sizes refused", sizes.len()));
}

pub(super) const GIVEN: Check =
    Check { name: "size", expected: "`size()` is what was asked, with whole pages behind it", run: given };

fn given(bench: &Bench<'_>, notes: &mut Notes) {
    for &size in bench.sizes {
        let Some(mapping) = bench.plain(size, notes) else { continue };
        if mapping.size() != size {
            notes.wrong(format!("asked for {size} B, got {} B", mapping.size()));
        }
        let (span, page) = (mapping.span(), mapping.page_size());
        if span < size || !span.is_multiple_of(page.bytes()) {
            notes.wrong(format!("{size} B: the span is {span} B, in pages of {page}"));
        }
        if !mapping.as_ptr().addr().is_multiple_of(page.bytes()) {
            notes.wrong(format!("{size} B: they begin at {:p}, in pages of {page}", mapping.as_ptr()));
        }
    }
    let reported: Vec<_> = bench.sizes.iter().map(usize::to_string).collect();
    notes.seen(format!("{} B", reported.join(", ")));
}

pub(super) const BYTES: Check =
    Check { name: "bytes", expected: "each byte can be written, and read back", run: bytes };

fn bytes(bench: &Bench<'_>, notes: &mut Notes) {
    for &size in bench.sizes {
        let Some(mut mapping) = bench.plain(size, notes) else { continue };
        if notes.expect(&format!("writing {size} B"), write_pattern(&mut mapping, size)).is_none() {
            continue;
        }
        let Some(bytes) = notes.expect(&format!("reading {size} B"), bytes_of(&mapping)) else { continue };
        if let Some(offset) = broken(&bytes, size) {
            notes.wrong(format!("{size} B: the byte at {offset} is not what was written"));
        }
    }
    notes.seen("all of them hold what was written");
}
