//! At which addresses: apart from each other, and where they were asked to be, if at all.

use areas::{Address, Mapping, PageSize, Provider, Request, Reservation, System};

use super::{Bench, Check, broken, bytes_of, write_pattern};
use crate::maps;
use crate::notes::Notes;

pub(super) const OVERLAP: Check = Check {
    name: "overlap",
    expected: "mappings that live at the same time are apart, and keep what was written to them",
    run: overlap,
};

fn overlap(bench: &Bench<'_>, notes: &mut Notes) {
    let mut mappings: Vec<Mapping> = Vec::new();
    for &size in bench.sizes {
        mappings.extend(bench.plain(size, notes));
    }
    for (number, mapping) in mappings.iter_mut().enumerate() {
        notes.expect("writing", write_pattern(mapping, number));
    }
    for (number, mapping) in mappings.iter().enumerate() {
        let range = maps::range(mapping);
        for other in &mappings[..number] {
            let other = maps::range(other);
            if other.start < range.end && range.start < other.end {
                notes.wrong(format!("{range:x?} and {other:x?} overlap"));
            }
        }
        if bytes_of(mapping).is_ok_and(|bytes| broken(&bytes, number).is_some()) {
            notes.wrong(format!("what was written to {range:x?} is not there any more"));
        }
    }
    notes.seen(format!("{} of them", mappings.len()));
}

pub(super) const EXACT: Check = Check {
    name: "exact-address",
    expected: "it is at the address that was asked for, or it is an error",
    run: exact,
};

fn exact(bench: &Bench<'_>, notes: &mut Notes) {
    let size = bench.small();
    // An address at which nothing was a moment ago. (Another thread may take it: that is an error,
    // too.)
    let free = Reservation::new(size, PageSize::base().bytes()).map(|reservation| reservation.address());
    let Some(address) = notes.expect("addresses for the check", free) else { return };
    match bench.map(&bench.request(size).at(Address::Exactly(address))) {
        Err(error) => notes.seen(format!("refused: {error}")),
        Ok(mapping) if mapping.as_ptr().addr() == address => notes.seen("it is there"),
        Ok(mapping) => notes.wrong(format!("asked for {address:#x}, got {:p}", mapping.as_ptr())),
    }
    let odd = address + 1;
    match bench.map(&bench.request(size).at(Address::Exactly(odd))) {
        Err(_) => {}
        Ok(mapping) => {
            notes.wrong(format!("asked for {odd:#x}, no page begins there, got {:p}", mapping.as_ptr()))
        }
    }
}

pub(super) const TAKEN: Check = Check {
    name: "taken-address",
    expected: "where something is mapped already, it is an error, and that stays as it was",
    run: taken,
};

fn taken(bench: &Bench<'_>, notes: &mut Notes) {
    let page = PageSize::base().bytes();
    let Some(around) = notes.expect("addresses for the check", Reservation::new(3 * page, page)) else {
        return;
    };
    let victim = System::new().map(&Request::new(page).inside(&around, page));
    let Some(mut victim) = notes.expect("a mapping for the check", victim) else { return };
    if notes.expect("writing to it", write_pattern(&mut victim, 1)).is_none() {
        return;
    }
    let before = maps::entries(&maps::range(&victim));
    // Just there, and reaching into it from both sides.
    for (start, size) in [(page, page), (page, 1), (0, 3 * page), (0, page + 1)] {
        let request = bench.request(size).at(Address::Exactly(around.address() + start));
        match bench.map(&request) {
            Err(error) => notes.seen(format!("refused: {:?}", error.kind())),
            Ok(mapping) => notes.wrong(format!(
                "asked for {size} B at {:#x}, where something is, got {:p}",
                around.address() + start,
                mapping.as_ptr()
            )),
        }
    }
    if maps::entries(&maps::range(&victim)) != before
        || victim.as_bytes().is_ok_and(|bytes| broken(bytes, 1).is_some())
    {
        notes.wrong("what was mapped there is not as it was");
    }
}

pub(super) const RESERVATION: Check = Check {
    name: "reservation",
    expected: "inside a reservation it is where it was asked to be, and leaves the addresses reserved; or it is an error",
    run: reservation,
};

fn reservation(bench: &Bench<'_>, notes: &mut Notes) {
    let (size, page) = (bench.small(), PageSize::base().bytes());
    let whole = Reservation::new(size.next_multiple_of(page) + 2 * page, page);
    let Some(whole) = notes.expect("addresses for the check", whole) else { return };
    let expected = whole.address() + page;
    match bench.map(&bench.request(size).inside(&whole, page)) {
        Err(error) => notes.seen(format!("refused: {error}")),
        Ok(mapping) if mapping.as_ptr().addr() != expected => {
            notes.wrong(format!("asked for {expected:#x}, got {:p}", mapping.as_ptr()));
        }
        Ok(mapping) => {
            let range = maps::range(&mapping);
            if let Err(rejected) = bench.provider.unmap(mapping) {
                notes.wrong(format!("refused to unmap it: {rejected}"));
            }
            match maps::permissions(&range) {
                Ok(shown) if shown == "---p" || bench.may_keep => notes.seen("it is there, and goes again"),
                shown => notes.wrong(format!("unmapped, the kernel shows {shown:?} instead of ---p")),
            }
        }
    }
    if let Ok(mapping) = bench.map(&bench.request(2 * page).inside(&whole, whole.span() - page)) {
        notes.wrong(format!("asked for more than there is room, got {:p}", mapping.as_ptr()));
    }
}

pub(super) const ALIGNMENT: Check = Check {
    name: "alignment",
    expected: "it begins at a multiple of what was asked, or it is an error",
    run: alignment,
};

fn alignment(bench: &Bench<'_>, notes: &mut Notes) {
    for align in [64 << 10, PageSize::HUGE_2M.bytes()] {
        let what = areas::Bytes::from(align);
        match bench.map(&bench.request(bench.small()).aligned(align)) {
            Err(error) => notes.seen(format!("{what} refused: {:?}", error.kind())),
            Ok(mapping) if mapping.as_ptr().addr().is_multiple_of(align) => {
                notes.seen(format!("{what} given"))
            }
            Ok(mapping) => notes.wrong(format!("asked for a multiple of {what}, got {:p}", mapping.as_ptr())),
        }
    }
    if let Ok(mapping) = bench.map(&bench.request(bench.small()).aligned(5000)) {
        notes.wrong(format!(
            "asked for a multiple of 5000 B, which is not a power of two, got {:p}",
            mapping.as_ptr()
        ));
    }
}
