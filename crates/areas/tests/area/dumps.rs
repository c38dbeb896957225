//! What core dumps have: areas, but for those that are to be left out, and those with a reserve.

use std::time::Duration;

use areas::{ErrorKind, Rejected};
use areas_testing::smaps;

use super::page;

/// Whether the kernel leaves what is there out of a core dump.
fn is_left_out(address: *const u8) -> bool {
    smaps::at(address.addr()).unwrap().has("dd")
}

#[test]
fn areas_are_dumped_unless_they_are_not_to_be() {
    let size = 4 * page();
    for dump in [true, false] {
        let builder = areas::builder(size).dump(dump);
        assert_eq!(is_left_out(builder.private().unwrap().as_ptr()), !dump);
        assert_eq!(is_left_out(builder.shared().unwrap().as_ptr()), !dump);
        let locked = builder.clone().lock(areas::Lock::Full).shared().unwrap();
        assert_eq!(is_left_out(locked.as_ptr()), !dump);
        assert!(is_left_out(builder.clone().growable(4 * size).shared().unwrap().as_ptr()));
        assert!(is_left_out(builder.resizable(4 * size).unwrap().as_ptr()));
    }
    let mut area = areas::builder(size).shared().unwrap();
    area.exclude_from_dump().unwrap();
    assert!(is_left_out(area.as_ptr()));
}

/// Freezing puts another mapping there, and so does giving up.
#[test]
fn freezing_keeps_it_out() {
    let area = areas::builder(4 * page()).dump(false).name("left out of dumps").shared().unwrap();
    let clone = areas::registry::find("left out of dumps").unwrap().open().unwrap();
    assert!(!is_left_out(clone.as_ptr()), "a clone's dump is its holder's business");
    let Err(Rejected { error, value: area }) = area.freeze_within(Duration::ZERO) else {
        panic!("frozen while a clone may write")
    };
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(is_left_out(area.as_ptr()));
    drop(clone);
    let frozen = area.freeze().unwrap();
    assert!(is_left_out(frozen.as_ptr()));
}
