//! Events.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use areas::ErrorKind;
use areas::sync::Event;

use super::support::child::{Stage, hear, reply, test};
use super::{LONG, SHORT, area, found};

#[test]
fn no_event_is_missed() {
    let area = area();
    const EVENTS: u32 = 20000;
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let event = Event::new(&area, 4).unwrap();
                    let mut seen = 0;
                    while seen < EVENTS {
                        let now = event.wait(seen, LONG).unwrap();
                        assert!(now > seen);
                        // What was written before the signal is seen.
                        assert!(area.load::<u32>(8, Relaxed).unwrap() >= now);
                        seen = now;
                    }
                })
            })
            .collect();
        let event = Event::new(&area, 4).unwrap();
        for count in 1..=EVENTS {
            area.store(8, count, Relaxed).unwrap();
            event.signal().unwrap();
        }
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

#[test]
fn signals_of_several_are_all_counted() {
    let area = area();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5000).for_each(|_| Event::new(&area, 0).unwrap().signal().unwrap()));
        }
    });
    assert_eq!(Event::new(&area, 0).unwrap().load().unwrap(), 20000);
}

#[test]
fn it_wraps_around() {
    let area = area();
    area.store(0, u32::MAX, Relaxed).unwrap();
    let event = Event::new(&area, 0).unwrap();
    event.signal().unwrap();
    assert_eq!(event.wait(u32::MAX, LONG).unwrap(), 0);
    // Nothing beside it has changed.
    assert_eq!(area.load::<u32>(4, Relaxed).unwrap(), 0);
}

#[test]
fn who_waits_in_vain_is_answered_in_time() {
    let area = area();
    let begun = Instant::now();
    let error = Event::new(&area, 0).unwrap().wait(0, SHORT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() >= SHORT);
}

#[test]
fn a_process_that_may_read_only_waits_too() {
    let me = test!("a_process_that_may_read_only_waits_too");
    let answer = match me.role().as_deref() {
        Some("reader") => {
            let area = areas::registry::find("events").unwrap().open_read_only().unwrap();
            let event = Event::new(&area, 0).unwrap();
            assert_eq!(event.signal().unwrap_err().kind(), ErrorKind::ReadOnly);
            reply("waits");
            let begun = Instant::now();
            reply(&event.wait(0, LONG).unwrap().to_string());
            // By the wake, not by a look.
            reply(&begun.elapsed().as_millis().to_string());
            hear();
            std::process::exit(0);
        }
        _ => me.alone(Stage::default(), || {
            let area = areas::builder(4096).name("events").shared().unwrap();
            let mut reader = me.spawn(&mut Stage::here(), "reader");
            assert_eq!(reader.hear(), "waits");
            std::thread::sleep(SHORT);
            let event = Event::new(&area, 0).unwrap();
            event.signal().unwrap();
            assert_eq!(reader.hear(), "1");
            let took: u64 = reader.hear().parse().unwrap();
            assert!(took < 900, "it was woken after {took} ms, and not by the signal");
            "done".to_owned()
        }),
    };
    assert_eq!(answer, "done");
}

#[test]
fn of_a_frozen_area_nothing_is_waited_for() {
    let me = test!("of_a_frozen_area_nothing_is_waited_for");
    let answer = me.alone(Stage::default(), || {
        let area = areas::builder(4096).name("frozen concurrently").shared().unwrap();
        let reader = areas::registry::find("frozen concurrently").unwrap().open_read_only().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let begun = Instant::now();
                let error = Event::new(&reader, 0).unwrap().wait(0, LONG).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Frozen);
                assert!(begun.elapsed() < Duration::from_secs(5));
            });
            std::thread::sleep(SHORT);
            let _frozen = area.freeze().unwrap();
            waiter.join().unwrap();
        });
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

#[test]
fn an_area_that_shrinks_under_it_is_an_error() {
    let me = test!("an_area_that_shrinks_under_it_is_an_error");
    let answer = me.alone(Stage::default(), || {
        let page = rustix::param::page_size();
        let mut area = areas::builder(2 * page).name("shrinks").resizable(4 * page).unwrap();
        let clone = areas::registry::find("shrinks").unwrap().open_resizable().unwrap();
        let event = Event::new(&clone, page).unwrap();
        event.signal().unwrap();
        assert_eq!(event.load().unwrap(), 1);
        area.resize(page).unwrap();
        assert_eq!(event.signal().unwrap_err().kind(), ErrorKind::OutOfRange);
        assert_eq!(event.load().unwrap_err().kind(), ErrorKind::OutOfRange);
        assert_eq!(event.wait(1, LONG).unwrap_err().kind(), ErrorKind::OutOfRange);
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

#[test]
fn it_works_in_what_has_grown() {
    let me = test!("it_works_in_what_has_grown");
    let answer = me.alone(Stage::default(), || {
        let page = rustix::param::page_size();
        let area = areas::builder(page).growable(4 * page).name("grows").shared().unwrap();
        let clone = found("grows");
        assert_eq!(Event::new(&clone, page).unwrap_err().kind(), ErrorKind::OutOfRange);
        area.grow(2 * page).unwrap();
        Event::new(&clone, page).unwrap().signal().unwrap();
        assert_eq!(Event::new(&area, page).unwrap().wait(0, LONG).unwrap(), 1);
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}
