//! Many areas measured one after the other: each is reported as by itself, even if some are dropped
//! concurrently.

use std::time::Duration;

use areas::registry::{self, Measured, Source};
use areas::{ErrorKind, Lock};
use areas_testing::descriptors;
use rustix::process::{Pid, Signal, kill_process};

use super::support::child::{Stage, hear, reply, test};
use super::support::held::Held;

const PAGE: usize = 4096;

/// Some areas of all sorts, with a page touched here and there.
fn hold() {
    let _fixed = areas::builder(8 * PAGE).name("fixed").shared().unwrap();
    let touched = areas::builder(8 * PAGE).name("touched").shared().unwrap();
    touched.write_at(3 * PAGE, &[1; PAGE]).unwrap();
    let _locked = areas::builder(4 * PAGE).lock(Lock::Full).name("locked").shared().unwrap();
    let growable = areas::builder(PAGE).growable(8 * PAGE).name("growable").shared().unwrap();
    growable.grow(2 * PAGE).unwrap();
    let resizable = areas::builder(PAGE).name("resizable").resizable(8 * PAGE).unwrap();
    resizable.write_at(0, &[1]).unwrap();
    let _frozen = areas::builder(PAGE).name("frozen").shared().unwrap().freeze().unwrap();
    reply("ready");
    hear();
}

fn reported(source: &Source, measured: &Measured) -> String {
    let residency = measured.residency.as_ref().unwrap();
    format!(
        "{} of {}: {} bytes, {:?} in RAM, frozen {}, {:?}",
        source.name(),
        measured.info.pid,
        measured.info.size,
        measured.resident,
        measured.frozen,
        residency.runs()
    )
}

#[test]
fn each_of_many_is_reported_as_by_itself() {
    let test = test!("each_of_many_is_reported_as_by_itself");
    if test.role().is_some() {
        return hold();
    }
    test.alone(Stage::default(), || {
        let mut holders: Vec<_> = (0..3).map(|_| test.spawn(&mut Stage::here(), "holder")).collect();
        holders.iter_mut().for_each(|holder| assert_eq!(holder.hear(), "ready"));
        let own = areas::builder(2 * PAGE).name("own").shared().unwrap();
        own.write_at(0, &[1]).unwrap();
        let before = all_are_told_as_by_themselves();
        one_dies_on_the_way(holders[1].pid());
        before.assert_no_more("measuring one that died");
        String::new()
    });
}

/// Measures all at once and one by one, a few times; what is held after the first time.
fn all_are_told_as_by_themselves() -> Held {
    // By way of folders the first time, and in another order the folders change each time; later
    // they may be taken by their numbers.
    let mut before = None;
    for mix in [true, false, true] {
        let mut areas = registry::list().unwrap().areas;
        assert_eq!(areas.len(), 3 * 6 + 1);
        if mix {
            let half = areas.split_off(9);
            areas = half.into_iter().zip(areas).flat_map(|(one, other)| [one, other]).collect();
        }
        let mut seen = Vec::new();
        registry::measure_each(areas.clone(), |source, measured| {
            seen.push(reported(source, &measured?));
            Ok::<_, areas::Error>(())
        })
        .unwrap();
        let expected: Vec<String> =
            areas.iter().map(|source| reported(source, &source.measure().unwrap())).collect();
        assert_eq!(seen, expected);
        // From the second time on nothing new is met.
        match &before {
            None => before = Some(Held::now()),
            Some(before) => before.assert_no_more("measuring many"),
        }
    }
    before.unwrap()
}

/// The victim dies with its folder open: the rest of it is gone, and all others are reported.
fn one_dies_on_the_way(victim: u32) {
    let (mut seen, mut gone) = (0, 0);
    registry::measure_each(registry::list().unwrap().areas, |source, measured| {
        match measured {
            Ok(_) => seen += 1,
            Err(error) if source.pid() == victim => {
                assert_eq!(error.kind(), ErrorKind::NoSuchArea, "{error}");
                gone += 1;
            }
            Err(error) => return Err(error),
        }
        if source.pid() == victim && gone == 0 {
            kill_process(Pid::from_raw(victim.cast_signed()).unwrap(), Signal::KILL).unwrap();
            while descriptors::count(victim).is_ok_and(|open| open > 0) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok::<_, areas::Error>(())
    })
    .unwrap();
    assert_eq!((seen, gone), (2 * 6 + 1 + 1, 5));
}
