//! An area that goes between being found and being cloned.

use insta::assert_snapshot;

use super::failure;
use super::support::child::{Stage, hear, reply, test};

#[test]
fn a_team_that_is_killed_between_find_and_clone() {
    let this = test!("a_team_that_is_killed_between_find_and_clone");
    if this.role().as_deref() == Some("holder") {
        let _area = areas::builder(4096).name("brief").shared().unwrap();
        reply("published");
        hear();
        return;
    }
    let answer = this.alone(Stage::default(), || {
        let mut holder = this.spawn(&mut Stage::here(), "holder");
        holder.hear();
        let source = areas::registry::find("brief").unwrap();
        holder.kill();
        let answer = [
            failure(source.open()),
            failure(source.open_read_only()),
            failure(source.info()),
            failure(source.residency()),
            failure(areas::registry::find("brief")),
            failure(areas::registry::get(source.id())),
        ];
        answer.join("\n\n")
    });
    assert_snapshot!(answer, @r#"
    NoSuchArea: cannot open area ID "brief": it was released concurrently: its holder dropped it or died
      help: look for the name again: another holder may be there

    NoSuchArea: cannot open area ID "brief": it was released concurrently: its holder dropped it or died
      help: look for the name again: another holder may be there

    NoSuchArea: cannot look at area ID "brief": it was released concurrently: its holder dropped it or died
      help: look for the name again: another holder may be there

    NoSuchArea: cannot open area ID "brief": it was released concurrently: its holder dropped it or died
      help: look for the name again: another holder may be there

    NoSuchArea: cannot find area "brief": no live process of this user and pid namespace holds an area of that name
      help: `areas ls` lists what there is

    NoSuchArea: cannot look at area ID: no live area of this user and pid namespace has that id
      help: `areas ls` lists what there is
    "#);
}

#[test]
fn an_area_that_is_dropped_between_find_and_clone() {
    let answer = test!("an_area_that_is_dropped_between_find_and_clone").alone(Stage::default(), || {
        let area = areas::builder(4096).name("brief").shared().unwrap();
        let source = areas::registry::find("brief").unwrap();
        drop(area);
        // Another object may have taken the number of its descriptor.
        let _other = areas::builder(8192).name("other").shared().unwrap();
        [failure(source.open()), failure(source.info()), failure(areas::registry::find("brief"))].join("\n\n")
    });
    assert_snapshot!(answer, @r#"
    NoSuchArea: cannot open area ID "brief": it was released concurrently: its holder dropped it or died
      help: look for the name again: another holder may be there

    NoSuchArea: cannot look at area ID "brief": it was released concurrently: its holder dropped it or died
      help: look for the name again: another holder may be there

    NoSuchArea: cannot find area "brief": no live process of this user and pid namespace holds an area of that name
      help: `areas ls` lists what there is
    "#);
}

#[test]
fn a_number_that_no_process_has() {
    assert_snapshot!(failure(areas::registry::next(u32::MAX, 0)), @"
    NoSuchTeam: cannot look for the areas of process PID: no live process has that number
      help: `areas ls` lists the processes that hold areas
    ");
}
