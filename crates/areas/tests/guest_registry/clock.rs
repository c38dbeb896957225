//! The wall clock jumps, by far, either way, while processes do everything that has to do with
//! time. Nothing that lives, waits or is found goes by it: times are measured here by the clock
//! that cannot be set.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use areas::ErrorKind;
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use crate::support::{Agent, Folder, refused};
use crate::{guest, measured};

const DAY: i64 = 24 * 60 * 60;
const YEARS: i64 = 365 * DAY;

/// The wall clock, which is put right again when this goes.
#[derive(Debug)]
struct WallClock {
    /// What it was, and since when.
    was: Timespec,
    then: Instant,
}

impl WallClock {
    fn take() -> Self {
        WallClock { was: clock_gettime(ClockId::Realtime), then: Instant::now() }
    }

    /// What it would say if no process had set it.
    fn right(&self) -> Timespec {
        let since = self.then.elapsed();
        let nanoseconds = self.was.tv_nsec + i64::from(since.subsec_nanos());
        Timespec {
            tv_sec: self.was.tv_sec + since.as_secs().cast_signed() + nanoseconds / 1_000_000_000,
            tv_nsec: nanoseconds % 1_000_000_000,
        }
    }

    /// So many seconds from the right time.
    fn off_by(&self, seconds: i64) {
        let right = self.right();
        clock_settime(ClockId::Realtime, Timespec { tv_sec: right.tv_sec + seconds, ..right }).unwrap();
        let now = clock_gettime(ClockId::Realtime).tv_sec;
        assert!((now - right.tv_sec - seconds).abs() < DAY / 2, "the clock says {now}");
    }

    /// As early as the kernel lets it be: the first days of 1970.
    fn off_to_the_beginning(&self) {
        self.off_by(10 * DAY - self.right().tv_sec);
    }

    /// Jumps to and fro, several times within any call that waits, as long as `body` runs.
    fn unsteady<R>(&self, body: impl FnOnce() -> R) -> R {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let jumps = scope.spawn(|| {
                let mut jumps = 0;
                for by in [DAY, -DAY, 40 * YEARS, -1, 1, -30 * YEARS, 0].into_iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    self.off_by(by);
                    jumps += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
                jumps
            });
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            stop.store(true, Ordering::Relaxed);
            let jumps: u32 = jumps.join().unwrap();
            assert!(jumps > 10, "it jumped only {jumps} times");
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for WallClock {
    fn drop(&mut self) {
        clock_settime(ClockId::Realtime, self.right()).unwrap();
    }
}

/// Each jump comes when a reader has looked and thinks that it knows the folder.
#[test]
fn who_comes_and_goes_is_seen_wherever_the_clock_has_jumped_to() {
    guest!();
    let clock = WallClock::take();
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let ring = holder.publish("ring");
    let jumps: [(&str, &dyn Fn()); 7] = [
        ("a day on", &|| clock.off_by(DAY)),
        ("a day back", &|| clock.off_by(-DAY)),
        ("forty years on", &|| clock.off_by(40 * YEARS)),
        ("to 1970", &|| clock.off_to_the_beginning()),
        ("a second on", &|| clock.off_by(1)),
        ("a second back", &|| clock.off_by(-1)),
        ("right", &|| clock.off_by(0)),
    ];
    for (what, jump) in jumps {
        reader.list();
        jump();
        assert_eq!(reader.find("ring").unwrap().pid, holder.pid(), "{what}");
        let mut newcomer = Agent::start(&folder);
        let come = newcomer.publish("come");
        assert_eq!(reader.list().names(), ["come", "ring"], "{what}");
        assert_eq!(reader.find("come").unwrap().pid, newcomer.pid(), "{what}");
        assert_eq!(newcomer.find("ring").unwrap().pid, holder.pid(), "{what}");
        assert!(reader.clone_of("come").is_ok() && newcomer.clone_of("ring").is_ok(), "{what}");
        assert_eq!(reader.get(come.id.unwrap()).unwrap().name, "come", "{what}");
        // Whose areas are as old as they are, by the clock as it stands.
        let age: u64 = reader.ask("age ring").parse().unwrap();
        assert!(age < 60 * 60, "{what}: {age} s old");
        newcomer.kill();
        refused(reader.find("come"), ErrorKind::NoSuchArea);
        assert_eq!(reader.list().names(), ["ring"], "{what}");
        assert_eq!(folder.links().len(), 1, "{what}: the dead one's link is cleared away");
        assert_eq!(holder.id(ring), ring.id, "{what}");
    }
}

/// The oldest of a name is the one that was there first, whatever the clock said when the others
/// came.
#[test]
fn the_oldest_is_who_was_first() {
    guest!();
    let clock = WallClock::take();
    let folder = Folder::new();
    let mut first = Agent::start(&folder);
    first.publish("ring");
    let mut reader = Agent::start(&folder);
    let mut later = Vec::new();
    for by in [-DAY, -30 * YEARS, DAY] {
        clock.off_by(by);
        let mut agent = Agent::start(&folder);
        agent.publish("ring");
        for looker in [&mut Agent::start(&folder), &mut reader, &mut agent] {
            assert_eq!(looker.find("ring").unwrap().pid, first.pid(), "off by {by} s");
        }
        later.push(agent);
    }
    let expected = later[0].pid();
    first.kill();
    assert_eq!(Agent::start(&folder).find("ring").unwrap().pid, expected, "the next one in age");
}

#[test]
fn a_wait_ends_after_the_time_that_was_asked_for() {
    guest!();
    const TIMEOUT: Duration = Duration::from_secs(3);
    let clock = WallClock::take();
    for registry in [false, true] {
        let folder = Folder::new();
        let (mut holder, mut waiter) = (Agent::start(&folder), Agent::start(&folder));
        if registry {
            holder.publish("other");
        }
        let begun = Instant::now();
        let reported = clock.unsteady(|| waiter.try_ask(&format!("wait absent {}", TIMEOUT.as_millis())));
        let took = begun.elapsed();
        refused(reported, ErrorKind::TimedOut);
        // (That it ends at all is seen to by who waits for the agent's answer: a minute, by the
        // same clock.)
        assert!(took >= TIMEOUT, "it waited {took:?}");
        measured(&format!(
            "a wait of {TIMEOUT:?}, {}: {took:?}",
            if registry { "asleep" } else { "no registry yet" }
        ));
    }
}

#[test]
fn a_long_wait_outlasts_the_clock_and_ends_with_the_publication() {
    guest!();
    let clock = WallClock::take();
    let folder = Folder::new();
    let (mut holder, mut waiter) = (Agent::start(&folder), Agent::start(&folder));
    holder.publish("other");
    // An hour; the clock jumps by days.
    waiter.begin("wait ring 3600000");
    clock.unsteady(|| std::thread::sleep(Duration::from_secs(2)));
    clock.off_by(2 * DAY);
    assert_eq!(holder.find("other").unwrap().pid, holder.pid());
    let id = holder.publish("ring").id.unwrap().to_string();
    assert!(waiter.end().unwrap().contains(&id), "neither timed out nor asleep");
    // Nor does a transfer that is waited for.
    waiter.ask("join");
    waiter.begin("wait-transferred 3600000");
    clock.unsteady(|| std::thread::sleep(Duration::from_secs(2)));
    clock.off_by(-2 * DAY);
    let made = holder.ask("make shared gift 4096 0");
    let handle = made.split(' ').next().unwrap();
    assert!(holder.ask(&format!("transfer {handle} {} any", waiter.pid())).starts_with("given "));
    assert!(waiter.end().unwrap().ends_with("gift"));
}

#[test]
fn a_freezers_timeout_lasts_as_long_as_was_asked() {
    guest!();
    const FREEZE_TIMEOUT: Duration = Duration::from_secs(3);
    let clock = WallClock::take();
    let folder = Folder::new();
    let (mut holder, mut other) = (Agent::start(&folder), Agent::start(&folder));
    let area = holder.publish("ring");
    let clone = other.clone_of("ring").unwrap();
    let freeze = format!("freeze-within {} {}", area.handle, FREEZE_TIMEOUT.as_millis());
    let begun = Instant::now();
    let reported = clock.unsteady(|| holder.try_ask(&freeze));
    let took = begun.elapsed();
    refused(reported, ErrorKind::Busy);
    assert!(took >= FREEZE_TIMEOUT, "it waited for {took:?}");
    measured(&format!("a timeout of {FREEZE_TIMEOUT:?}: {took:?}"));
    // And it goes on trying for as long: the clone goes while the clock is far off.
    holder.begin(&format!("freeze-within {} 3600000", area.handle));
    clock.unsteady(|| std::thread::sleep(Duration::from_secs(1)));
    clock.off_by(2 * DAY);
    other.drop_area(clone);
    holder.end().unwrap();
}

/// Three publish, list, keep, find and drop at once: no call fails or hangs, and each sees what it
/// has.
#[test]
fn many_calls_at_once_under_an_unsteady_clock() {
    guest!();
    let clock = WallClock::take();
    let folder = Folder::new();
    let mut agents: Vec<Agent> = (0..3).map(|_| Agent::start(&folder)).collect();
    clock.unsteady(|| {
        for (i, agent) in agents.iter_mut().enumerate() {
            agent.begin(&format!("churn-while-removed busy-{i} 10"));
        }
        for agent in &mut agents {
            agent.end().unwrap();
        }
    });
    assert!(agents[0].list().areas.is_empty());
}
