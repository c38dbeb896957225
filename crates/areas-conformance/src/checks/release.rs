//! What is released: by `unmap`, by dropping, and nothing that it is not known of.

use areas::{Mapping, Provider, Request, System};

use super::{Bench, Check};
use crate::notes::Notes;
use crate::{maps, usage};

pub(super) const UNMAP: Check = Check {
    name: "unmap",
    expected: "`unmap` frees the addresses, and the next mapping of that size works",
    run: unmap,
};

fn unmap(bench: &Bench<'_>, notes: &mut Notes) {
    for &size in bench.sizes {
        let Some(mut mapping) = bench.plain(size, notes) else { continue };
        let range = maps::range(&mapping);
        // What is kept for the next request is not to be changed.
        if !bench.may_keep && notes.expect("changing the protection", maps::mark(&mut mapping)).is_none() {
            continue;
        }
        match bench.provider.unmap(mapping) {
            Err(rejected) => notes.wrong(format!("{size} B: refused: {rejected}")),
            Ok(()) if bench.may_keep => {}
            Ok(()) => {
                if let Some(left) = maps::marked(&range) {
                    notes.wrong(format!("{size} B: {left:x?} is still mapped"));
                }
            }
        }
        if let Some(again) = bench.plain(size, notes) {
            // Unmapped in the same way, for providers that count.
            if let Err(rejected) = bench.provider.unmap(again) {
                notes.wrong(format!("{size} B again: refused: {rejected}"));
            }
        }
    }
    notes.seen(if bench.may_keep { "done, or kept" } else { "nothing is left" });
}

pub(super) const DROP: Check = Check {
    name: "drop",
    expected: "a mapping that is dropped is freed as well, and does not count any more",
    run: drop_alone,
};

fn drop_alone(bench: &Bench<'_>, notes: &mut Notes) {
    for &size in bench.sizes {
        let Some(mut mapping) = bench.plain(size, notes) else { continue };
        let range = maps::range(&mapping);
        if notes.expect("changing the protection", maps::mark(&mut mapping)).is_none() {
            continue;
        }
        drop(mapping);
        if let Some(left) = maps::marked(&range) {
            notes.wrong(format!("{size} B: {left:x?} is still mapped"));
        }
    }
    // One that counts what it lends, but only hears of `unmap`, has nothing left some time.
    for round in 0..ROUNDS {
        if let Err(error) = bench.map(&bench.request(bench.medium())) {
            notes.wrong(format!("after {round} that were dropped: {error}"));
            return;
        }
    }
    notes.seen(format!("nothing is left after {ROUNDS}"));
}

const ROUNDS: usize = 200;

pub(super) const LEAKS: Check = Check {
    name: "leaks",
    expected: "200 rounds of mapping and unmapping leave no mapping and no descriptor behind",
    run: leaks,
};

fn leaks(bench: &Bench<'_>, notes: &mut Notes) {
    let size = bench.medium();
    let mut failed = None;
    let grown = usage::growth(ROUNDS, size, || {
        let round = bench.map(&bench.request(size)).and_then(|mapping| Ok(bench.provider.unmap(mapping)?));
        if let Err(error) = round {
            failed.get_or_insert(error);
        }
    });
    if let Some(error) = failed {
        notes.wrong(format!("{error}"));
    }
    grown.into_iter().for_each(|grown| notes.wrong(grown));
    notes.seen(format!("no more than before, {size} B each time"));
}

pub(super) const FOREIGN: Check = Check {
    name: "foreign-unmap",
    expected: "a mapping that another provider made is unmapped, or comes back as it was",
    run: foreign,
};

fn foreign(bench: &Bench<'_>, notes: &mut Notes) {
    let mapping = System::new().map(&Request::new(bench.small()));
    let Some(mut mapping) = notes.expect("a mapping for the check", mapping) else { return };
    let (range, size) = (maps::range(&mapping), mapping.size());
    if notes.expect("changing the protection", maps::mark(&mut mapping)).is_none() {
        return;
    }
    let same = |other: &Mapping| maps::range(other) == range && other.size() == size;
    match bench.provider.unmap(mapping) {
        Ok(()) => match maps::marked(&range) {
            Some(left) if !bench.may_keep => {
                notes.wrong(format!("it said yes, but {left:x?} is still mapped"));
            }
            _ => notes.seen("unmapped"),
        },
        Err(rejected) if !same(&rejected.value) => {
            notes.wrong(format!("asked to unmap {range:x?}, got {:x?} back", maps::range(&rejected.value)));
        }
        Err(rejected) => match maps::marked(&range) {
            Some(shown) if shown == range => notes.seen(format!("returned: {rejected}")),
            shown => notes.wrong(format!("returned, but the kernel shows {shown:x?}")),
        },
    }
}
