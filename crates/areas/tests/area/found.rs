//! An area that was found: what is reported of it is what holds now, though it was looked up
//! before.

use areas::{ErrorKind, Node, Policy, Protection, registry};

use super::page;

fn name(what: &str) -> String {
    format!("found: {what} {}", std::process::id())
}

#[test]
fn one_opening_answers_all_questions() {
    let name = name("opened");
    let area = areas::builder(3 * page()).name(&name).shared().unwrap();
    area.write_at(page(), &[1]).unwrap();
    let source = registry::find(&name).unwrap();
    let look = source.inspect().unwrap();
    assert_eq!((look.info().id, look.info().size), (source.id(), 3 * page()));
    assert_eq!(look.resident().unwrap(), page() as u64);
    let residency = look.residency().unwrap();
    assert_eq!((residency.resident(), residency.absent()), (page() as u64, 2 * page() as u64));
    assert!(!look.is_frozen());
    // What was not touched when it was opened is asked now.
    area.write_at(0, &[1]).unwrap();
    assert_eq!(look.resident().unwrap(), 2 * page() as u64);
    let frozen = area.freeze().unwrap();
    assert!(!look.is_frozen() && source.inspect().unwrap().is_frozen());
    // It keeps the memory, and no process finds it any more.
    drop(frozen);
    assert_eq!(look.residency().unwrap().resident(), 3 * page() as u64);
    assert_eq!(source.inspect().unwrap_err().kind(), ErrorKind::NoSuchArea);
}

#[test]
fn one_call_measures_what_an_opening_can_be_asked() {
    let name = name("measured");
    let area = areas::builder(3 * page()).name(&name).shared().unwrap();
    let source = registry::find(&name).unwrap();
    let untouched = source.measure().unwrap();
    assert_eq!((untouched.info.id, untouched.info.size), (source.id(), 3 * page()));
    assert_eq!((untouched.resident, untouched.frozen), (Some(0), false));
    assert_eq!(untouched.residency.unwrap().absent(), 3 * page() as u64);
    area.write_at(page(), &[1]).unwrap();
    let measured = source.measure().unwrap();
    let residency = measured.residency.unwrap();
    assert_eq!((residency.resident(), residency.absent()), (page() as u64, 2 * page() as u64));
    assert_eq!(residency, source.inspect().unwrap().residency().unwrap());
    assert_eq!((measured.resident, measured.frozen), (Some(page() as u64), false));
    let frozen = area.freeze().unwrap();
    assert!(source.measure().unwrap().frozen);
    // Nothing of it is kept: its memory goes with its holder.
    drop(frozen);
    assert_eq!(source.measure().unwrap_err().kind(), ErrorKind::NoSuchArea);
}

#[test]
fn what_grew_is_measured_as_it_is() {
    let name = name("grown");
    let mut area = areas::builder(page()).name(&name).resizable(8 * page()).unwrap();
    let source = registry::find(&name).unwrap();
    area.resize(5 * page()).unwrap();
    area.write_at(4 * page(), &[1]).unwrap();
    let measured = source.measure().unwrap();
    assert_eq!((measured.info.size, measured.resident), (5 * page(), Some(page() as u64)));
    let residency = measured.residency.unwrap();
    assert_eq!((residency.resident(), residency.absent()), (page() as u64, 4 * page() as u64));
}

#[test]
fn what_was_found_before_is_reported_as_it_is_now() {
    let name = name("again");
    let mut area = areas::builder(page()).name(&name).shared().unwrap();
    let info = || registry::find(&name).unwrap().info().unwrap();
    assert_eq!((info().protection, info().placement), (Protection::READ_WRITE, Policy::Default.into()));
    for protection in [Protection::READ, Protection::empty(), Protection::READ_WRITE] {
        area.protect(protection).unwrap();
        assert_eq!(info().protection, protection);
    }
    let preferred = Policy::Preferred(Node::new(0).unwrap());
    area.place(0..page(), preferred).unwrap();
    assert_eq!((info().protection, info().placement), (Protection::READ_WRITE, preferred.into()));
    area.protect(Protection::READ).unwrap();
    assert_eq!((info().protection, info().placement), (Protection::READ, preferred.into()));
}
