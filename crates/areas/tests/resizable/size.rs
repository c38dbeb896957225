//! What a change of the size means: to clones, to pages, to rights, locks and guards.

use areas::{Address, ErrorKind, Lock, Protection};
use areas_testing::{maps, smaps};

use super::{PAGE, allocated, bytes, name};

#[test]
fn offsets_that_no_file_has_are_out_of_range() {
    let area = areas::builder(PAGE).resizable(PAGE).unwrap();
    for offset in [PAGE, usize::MAX, usize::MAX - 3, usize::MAX / 2, usize::MAX / 2 - 3, 1 << 63] {
        assert_eq!(
            area.read_at(offset, &mut [0; 16]).unwrap_err().kind(),
            ErrorKind::OutOfRange,
            "{offset:#x}"
        );
        assert_eq!(area.write_at(offset, &[0; 16]).unwrap_err().kind(), ErrorKind::OutOfRange, "{offset:#x}");
    }
}

#[test]
fn who_may_not_write_may_not_resize() {
    let name = name("read-only");
    let area = areas::builder(PAGE).name(&name).resizable(4 * PAGE).unwrap();
    let source = areas::registry::find(&name).unwrap();
    let mut clone = source.cloning().protection(Protection::READ).open_resizable().unwrap();
    assert_eq!(clone.resize(2 * PAGE).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(clone.write_at(0, b"x").unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(area.size(), PAGE);
}

#[test]
fn the_types_are_not_mixed_up() {
    let name = name("types");
    let area = areas::builder(PAGE).name(&name).resizable(4 * PAGE).unwrap();
    let source = areas::registry::find(&name).unwrap();
    let error = source.open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.remedy().unwrap().contains("open_resizable"));
    drop(area);
    let fixed = areas::builder(PAGE).name(&name).shared().unwrap();
    let source = areas::registry::find(&name).unwrap();
    assert_eq!(source.open_resizable().unwrap_err().kind(), ErrorKind::InvalidInput);
    drop(fixed);
    assert_eq!(
        areas::builder(PAGE).lock(Lock::Full).resizable(4 * PAGE).unwrap_err().kind(),
        ErrorKind::InvalidInput,
        "a reserve cannot be locked"
    );
}

#[test]
fn who_may_not_write_may_not_shrink() {
    let name = name("kept");
    let fixed = areas::builder(4 * PAGE).name(format!("{name}-fixed")).shared().unwrap();
    let refused = areas::registry::find(format!("{name}-fixed")).unwrap().shrink(PAGE).unwrap_err();
    assert_eq!((refused.kind(), fixed.size()), (ErrorKind::InvalidInput, 4 * PAGE), "{refused}");
    let area = areas::builder(4 * PAGE).name(&name).resizable(8 * PAGE).unwrap();
    let source = areas::registry::find(&name).unwrap();
    let frozen = area.freeze().unwrap();
    let refused = source.shrink(PAGE).unwrap_err();
    assert!([ErrorKind::Frozen, ErrorKind::NoSuchArea].contains(&refused.kind()), "{refused}");
    let refused = areas::registry::find(&name).unwrap().shrink(PAGE).unwrap_err();
    assert_eq!((refused.kind(), frozen.size()), (ErrorKind::Frozen, 4 * PAGE), "{refused}");
}

#[test]
fn it_freezes_with_the_size_that_it_has() {
    let name = name("frozen");
    let mut area = areas::builder(PAGE).name(&name).resizable(16 * PAGE).unwrap();
    area.resize(3 * PAGE).unwrap();
    area.write_at(2 * PAGE, b"last page").unwrap();
    let frozen = area.freeze().unwrap();
    assert_eq!(frozen.len(), 3 * PAGE);
    assert_eq!(&frozen[2 * PAGE..2 * PAGE + 9], b"last page");
    let again = areas::registry::find(&name).unwrap().open_frozen().unwrap();
    assert_eq!(again[..], frozen[..]);
}

/// A stack's guard is one page, as the kernel shows it: through each change of the area, and not in
/// a clone.
#[test]
fn the_lowest_page_can_be_a_guard() {
    let rights_at = |address: usize| maps::at(address).unwrap().permissions;
    let name = name("guard");
    let mut area = areas::builder(4 * PAGE).name(&name).resizable(16 * PAGE).unwrap();
    let start = area.as_ptr().addr();
    area.guard_lowest_page().unwrap();
    let is_guarded = |others: &str| {
        assert_eq!((rights_at(start), rights_at(start + PAGE)), ("---s".to_owned(), others.to_owned()));
    };
    is_guarded("rw-s");
    area.protect(Protection::READ).unwrap();
    is_guarded("r--s");
    area.protect(Protection::READ_WRITE).unwrap();
    area.resize(8 * PAGE).unwrap();
    area.populate().unwrap();
    assert_eq!(allocated(&area), 8 * PAGE as u64, "the guard has a page, which clones use");
    is_guarded("rw-s");
    area.write_at(PAGE, b"x").unwrap();
    assert_eq!(area.write_at(0, b"x").unwrap_err().kind(), ErrorKind::OutOfRange);
    let clone = areas::registry::find(&name).unwrap().open_resizable().unwrap();
    assert_eq!(rights_at(clone.as_ptr().addr()), "rw-s");
    clone.write_at(0, b"seen").unwrap();
    // A clone that may write is in the way of freezing: the area comes back as it was.
    let mut area = area.freeze_within(std::time::Duration::ZERO).unwrap_err().value;
    is_guarded("rw-s");
    area.resize(PAGE).unwrap();
    assert_eq!(area.guard_lowest_page().unwrap_err().kind(), ErrorKind::InvalidInput);
    drop(clone);
    // What is frozen lends all its bytes.
    let frozen = area.freeze().unwrap();
    assert_eq!(&frozen.as_bytes()[..4], b"seen");
}

#[test]
fn two_that_resize_at_once_do_no_harm() {
    let name = name("race");
    let area = areas::builder(PAGE).name(&name).resizable(64 * PAGE).unwrap();
    std::thread::scope(|scope| {
        for seed in 0..4_usize {
            let name = &name;
            scope.spawn(move || {
                let mut clone = areas::registry::find(name).unwrap().open_resizable().unwrap();
                for step in 0..200 {
                    let pages = 1 + (seed * 31 + step * 17) % 64;
                    clone.resize(pages * PAGE).unwrap();
                    // Beyond the end it is an error, whoever moved it when, and never a signal.
                    match clone.write_at((pages - 1) * PAGE, &[u8::try_from(seed).unwrap(); PAGE]) {
                        Ok(()) => {}
                        Err(error) => assert_eq!(error.kind(), ErrorKind::OutOfRange, "{error}"),
                    }
                }
            });
        }
    });
    let size = area.size();
    assert!(size.is_multiple_of(PAGE) && (PAGE..=64 * PAGE).contains(&size));
}

#[test]
fn a_locked_one_stays_locked_as_it_grows() {
    let hint = areas::Reservation::new(1 << 30, 1 << 21).unwrap().address();
    let mut area =
        areas::builder(2 * PAGE).at(Address::AtOrAbove(hint)).lock(Lock::Full).resizable(2 * PAGE).unwrap();
    area.resize(6 * PAGE).unwrap();
    let addresses = area.as_ptr().addr()..area.as_ptr().addr() + 6 * PAGE;
    let ours = smaps::own().into_iter().filter(|one| addresses.contains(&one.start));
    let locked: usize = ours.map(|one| one.bytes("Locked")).sum();
    assert_eq!(locked, 6 * PAGE);
    assert_eq!(area.residency().unwrap().resident(), 6 * PAGE as u64);
}

#[test]
fn clones_see_every_change_at_once() {
    let name = name("seen");
    let mut area = areas::builder(PAGE).name(&name).resizable(16 * PAGE).unwrap();
    let source = areas::registry::find(&name).unwrap();
    let mut clone = source.open_resizable().unwrap();
    assert_eq!((area.size(), clone.size(), clone.reserve()), (PAGE, PAGE, 16 * PAGE));
    area.resize(10 * PAGE).unwrap();
    assert_eq!(clone.size(), 10 * PAGE);
    clone.write_at(10 * PAGE - 3, b"end").unwrap();
    assert_eq!(bytes(&area, 10 * PAGE - 3, 3), b"end");
    assert_eq!(source.info().unwrap().size, 10 * PAGE);
    // A clone resizes as well, and the size is rounded up to whole pages.
    clone.resize(2 * PAGE + 1).unwrap();
    assert_eq!(area.size(), 3 * PAGE);
    assert_eq!(area.read_at(3 * PAGE, &mut [0]).unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(area.write_at(3 * PAGE - 1, b"xy").unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(area.size(), 3 * PAGE, "a write never makes it larger");
}

#[test]
fn what_is_cut_off_is_freed_and_comes_back_as_zeros() {
    let mut area = areas::builder(64 * PAGE).resizable(64 * PAGE).unwrap();
    area.write_at(0, &[0x5a; 64 * PAGE]).unwrap();
    assert_eq!(allocated(&area), 64 * PAGE as u64);
    area.resize(PAGE).unwrap();
    assert_eq!(allocated(&area), PAGE as u64);
    area.resize(64 * PAGE).unwrap();
    assert_eq!(bytes(&area, 0, PAGE), [0x5a; PAGE]);
    assert_eq!(bytes(&area, PAGE, 63 * PAGE), vec![0; 63 * PAGE]);
}

/// What a process cuts off while it is populated need not come in, and is not an error.
#[test]
fn populating_while_another_shrinks_it() {
    let name = name("populated");
    let mut area = areas::builder(512 * PAGE).name(&name).resizable(512 * PAGE).unwrap();
    let mut clone = areas::registry::find(&name).unwrap().open_resizable().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                area.resize(PAGE).unwrap();
                area.resize(512 * PAGE).unwrap();
            }
        });
        let results: Vec<_> = (0..200).map(|_| clone.populate()).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        results.into_iter().collect::<areas::Result<()>>().unwrap();
    });
    clone.populate().unwrap();
    assert_eq!(clone.residency().unwrap().resident(), clone.size() as u64);
}
