//! Areas of whichever kind: what is opened is what the kernel says at that moment, whatever changes
//! in the meantime.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use areas::{AnyArea, ErrorKind, Protection, registry};

use super::page;

fn name(what: &str) -> String {
    format!("any: {what} {}", std::process::id())
}

fn open(name: &str) -> AnyArea {
    registry::find(name).unwrap().open_any().unwrap()
}

#[test]
fn each_kind_is_opened_as_what_it_is() {
    let (shared, growable, resizable, frozen, read_only) =
        (name("shared"), name("growable"), name("resizable"), name("frozen"), name("read-only"));
    let _shared = areas::builder(page()).name(&shared).shared().unwrap();
    let _growable = areas::builder(page()).growable(4 * page()).name(&growable).shared().unwrap();
    let _resizable = areas::builder(page()).name(&resizable).resizable(4 * page()).unwrap();
    let _frozen = areas::builder(page()).name(&frozen).shared().unwrap().freeze().unwrap();
    let mut held = areas::builder(page()).name(&read_only).shared().unwrap();
    held.protect(Protection::READ).unwrap();
    let area = open(&shared).into_shared().unwrap();
    assert_eq!((area.protection(), area.size()), (Protection::READ_WRITE, page()));
    assert_eq!(open(&growable).reserve(), 4 * page());
    let mut area = open(&resizable).into_resizable().unwrap();
    area.resize(2 * page()).unwrap();
    let area = open(&frozen).into_frozen().unwrap();
    assert_eq!((area.protection(), area[0]), (Protection::READ, 0));
    assert_eq!(open(&read_only).into_shared().unwrap().protection(), Protection::READ);
    // Another kind than was hoped for comes back whole.
    let rejected = open(&frozen).into_shared().unwrap_err();
    assert_eq!((rejected.error.kind(), rejected.value.is_frozen()), (ErrorKind::InvalidInput, true));
    let asked = registry::find(&frozen).unwrap();
    let error = asked.cloning().protection(Protection::READ_WRITE).open_any().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Frozen, "{error}");
    assert!(asked.cloning().protection(Protection::READ).open_any().unwrap().is_frozen());
}

#[test]
fn a_private_area_is_one_of_any_kind_too() {
    let mut any = AnyArea::from(areas::builder(page()).private().unwrap());
    assert!(any.descriptor().is_none() && any.object().is_none() && any.id().is_none());
    assert_eq!(any.publish("any").unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(any.unpublish(), None);
    let error = any.retire().unwrap_err();
    assert!(
        error.kind() == ErrorKind::Unsupported && error.to_string().contains("private memory"),
        "{error}"
    );
    let mut bytes = [1; 4];
    any.read_at(page() - 4, &mut bytes).unwrap();
    assert_eq!(
        (bytes, any.read_at(usize::MAX, &mut bytes).unwrap_err().kind()),
        ([0; 4], ErrorKind::OutOfRange)
    );
    any.populate().unwrap();
    assert_eq!(any.residency().unwrap().resident(), page() as u64);
    any.protect(Protection::empty()).unwrap();
    assert_eq!(any.read_at(0, &mut bytes).unwrap_err().kind(), ErrorKind::ReadOnly);
}

/// What a name and a mark do is the same for all that others find.
#[test]
fn what_is_published_is_taken_back_and_retired_whatever_the_kind() {
    let name = name("withdrawn");
    let shared = areas::builder(page()).shared().unwrap();
    let frozen = areas::builder(page()).shared().unwrap().freeze().unwrap();
    let resizable = areas::builder(page()).resizable(4 * page()).unwrap();
    for mut any in [AnyArea::from(shared), AnyArea::from(frozen), AnyArea::from(resizable)] {
        assert_eq!(any.unpublish(), None, "{any}");
        let id = any.publish(&name).unwrap();
        assert_eq!(registry::find(&name).unwrap().id(), id);
        assert_eq!(any.unpublish().unwrap().as_bytes(), name.as_bytes());
        assert!(any.id().is_none() && any.name().is_none(), "{any}");
        assert_eq!(registry::find(&name).unwrap_err().kind(), ErrorKind::NoSuchArea);
        any.publish(&name).unwrap();
        let found = registry::find(&name).unwrap();
        any.retire().unwrap();
        assert_eq!(registry::find(&name).unwrap_err().kind(), ErrorKind::NoSuchArea);
        assert_eq!(found.open_any().unwrap_err().kind(), ErrorKind::NoSuchArea, "{any}");
        // Its memory has the mark: no other name leads to it again.
        assert_eq!(any.publish(&name).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

/// What cannot be frozen comes back as it was.
#[test]
fn each_kind_is_frozen_or_comes_back() {
    let frozen = |any: AnyArea| any.freeze_within(Duration::from_secs(5));
    for any in [
        AnyArea::from(areas::builder(page()).shared().unwrap()),
        AnyArea::from(areas::builder(page()).resizable(4 * page()).unwrap()),
        AnyArea::from(areas::builder(page()).shared().unwrap().freeze().unwrap()),
    ] {
        assert_eq!(frozen(any).unwrap().as_bytes(), vec![0; page()]);
    }
    let private = areas::builder(page()).private().unwrap();
    let rejected = frozen(AnyArea::from(private)).unwrap_err();
    assert_eq!(rejected.error.kind(), ErrorKind::Unsupported);
    assert!(matches!(rejected.value, AnyArea::Private(_)), "{}", rejected.value);
    // As its kind has it: freezing takes a right to write.
    let shared = areas::builder(page()).protection(Protection::READ).shared().unwrap();
    let rejected = frozen(AnyArea::from(shared)).unwrap_err();
    assert!(matches!(rejected.value, AnyArea::Shared(_)), "{}", rejected.value);
}

/// One thread freezes areas, another one opens each again and again: it is shared or frozen, never
/// an error but for its end.
#[test]
fn what_is_frozen_concurrently_opens_as_one_or_the_other() {
    const ROUNDS: usize = 300;
    let (done, name) = (AtomicBool::new(false), name("race"));
    let mut frozen = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                let area = areas::builder(page()).name(&name).shared().unwrap();
                area.write_at(0, b"frozen").unwrap();
                // An opener's mapping is in the way as long as it is writable.
                let area = area.freeze_within(Duration::from_secs(30)).unwrap();
                assert_eq!(&area[..6], b"frozen");
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let Ok(source) = registry::find(&name) else { continue };
            match source.open_any() {
                Ok(AnyArea::Frozen(area)) => {
                    assert_eq!(&area[..6], b"frozen");
                    frozen += 1;
                }
                Ok(AnyArea::Shared(area)) => assert_eq!(area.size(), page()),
                Ok(other) => panic!("{other:?}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::NoSuchArea, "{error}"),
            }
        }
    });
    assert!(frozen > 0);
}
