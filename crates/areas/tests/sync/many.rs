//! Many processes that lock, and are killed at any instruction: one at a time, each death reported
//! once, no process hangs.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use areas::sync::{Locked, Mutex, Owner};
use areas::{Area, Shared};
use areas_testing::stat;
use rustix::process::{Pid, Signal, kill_process};

use super::support::child::{Peer, Stage, Test, reply, test};
use super::{LONG, found};

/// Where the mutex is, and what it guards: who is inside, two counts that are the same when no
/// process is, and how many deaths were reported.
const MUTEX: usize = 128;
const INSIDE: usize = 192;
const ONE: usize = 200;
const OTHER: usize = 208;
const REPORTED: usize = 216;
/// What was wrong.
const WRONG: usize = 224;
const WHAT: [&str; 5] = [
    "nothing",
    "a lock failed, although no process holds it for long",
    "another one is inside, as one begins",
    "another one is inside, as one ends",
    "an unlock failed",
];
const PROCESSES: usize = 4;
/// Where each worker says how often it was inside, and whether it is.
const WORKERS: usize = 512;
const EACH: usize = 64;

fn add(area: &Area<Shared>, at: usize) {
    area.store(at, area.load::<u64>(at, Relaxed).unwrap() + 1, Relaxed).unwrap();
}

/// Says in the area what was wrong, as the process may be killed before anybody hears of it.
fn must(area: &Area<Shared>, so: bool, what: u64) {
    if !so {
        area.store(WRONG, what, Relaxed).unwrap();
        panic!("{}", WHAT[usize::try_from(what).unwrap()]);
    }
}

/// Locks and counts, forever.
fn work(number: usize) -> ! {
    let area = found("many");
    let mutex = Mutex::new(&area, MUTEX).unwrap();
    let me = number as u64 + 1;
    reply("works");
    loop {
        let locked = mutex.lock(LONG);
        must(&area, locked.is_ok(), 1);
        let locked = locked.unwrap();
        if let Locked::OwnerDied(guard) = &locked {
            add(&area, REPORTED);
            area.store(OTHER, area.load::<u64>(ONE, Relaxed).unwrap(), Relaxed).unwrap();
            area.store(INSIDE, 0_u64, Relaxed).unwrap();
            guard.mark_consistent().unwrap();
        }
        let guard = locked.into_guard();
        must(&area, area.load::<u64>(INSIDE, Relaxed).unwrap() == 0, 2);
        area.store(INSIDE, me, Relaxed).unwrap();
        add(&area, ONE);
        add(&area, WORKERS + number * EACH);
        add(&area, OTHER);
        let [one, other] = [ONE, OTHER].map(|at| area.load::<u64>(at, Relaxed).unwrap());
        must(&area, one == other && area.load::<u64>(INSIDE, Relaxed).unwrap() == me, 3);
        area.store(INSIDE, 0_u64, Relaxed).unwrap();
        must(&area, guard.unlock().is_ok(), 4);
    }
}

/// Who works, and what is known of deaths.
struct Workers {
    me: Test,
    area: Area<Shared>,
    peers: Vec<Peer>,
    /// Owners that died, as was seen while all others were stopped; and those of them that had
    /// perhaps counted a death just then.
    died: u64,
    perhaps: u64,
    /// The last of them, by the number in the word.
    last: u64,
}

impl Workers {
    fn spawn(&self, number: usize) -> Peer {
        let mut peer = self.me.spawn(&mut Stage::here(), &number.to_string());
        assert_eq!(peer.hear(), "works");
        peer
    }

    fn signal_others(&self, victim: usize, signal: Signal) {
        for (number, peer) in self.peers.iter().enumerate() {
            if number != victim {
                kill_process(Pid::from_raw(i32::try_from(peer.pid()).unwrap()).unwrap(), signal).unwrap();
            }
        }
    }

    /// Kills one, and looks what that has left, while no other process moves.
    fn kill(&mut self, victim: usize) {
        self.signal_others(victim, Signal::STOP);
        for (_, peer) in self.peers.iter().enumerate().filter(|&(number, _)| number != victim) {
            while !stat::of(peer.pid()).unwrap().is_stopped() {
                std::thread::yield_now();
            }
        }
        self.peers[victim].kill();
        if Mutex::new(&self.area, MUTEX).unwrap().owner().unwrap() == Owner::Dead {
            let word: u64 = self.area.load(MUTEX, Relaxed).unwrap();
            // One that died before, and whom no process has followed yet, is counted already.
            if word >> 4 != self.last {
                self.last = word >> 4;
                self.died += 1;
                self.perhaps += u64::from(word & 2 != 0);
            }
        }
        self.signal_others(victim, Signal::CONT);
    }

    /// All go on: no process hangs.
    fn all_go_on(&self) {
        let counts = || -> Vec<u64> {
            let count = |worker| self.area.load(WORKERS + worker * EACH, Relaxed).unwrap();
            (0..self.peers.len()).map(count).collect()
        };
        let (before, waited) = (counts(), Instant::now());
        while !counts().iter().zip(&before).all(|(now, before)| now > before) {
            assert!(waited.elapsed() < LONG, "a process hangs: {before:?}, {:?}", counts());
            std::thread::yield_now();
        }
    }

    fn nothing_wrong(&self) {
        let wrong = self.area.load::<u64>(WRONG, Relaxed).unwrap();
        assert_eq!(wrong, 0, "{}", WHAT[usize::try_from(wrong).unwrap()]);
    }
}

#[test]
fn one_at_a_time_and_every_death_is_reported() {
    let me = test!("one_at_a_time_and_every_death_is_reported");
    let answer = match me.role().as_deref() {
        Some("alone") | None => me.alone(Stage::default(), || {
            let area = areas::builder(4096).name("many").shared().unwrap();
            let mut workers = Workers { me, area, peers: Vec::new(), died: 0, perhaps: 0, last: 0 };
            for number in 0..PROCESSES {
                let peer = workers.spawn(number);
                workers.peers.push(peer);
            }
            let end = Instant::now() + Duration::from_secs(8);
            let mut kills = 0;
            while Instant::now() < end || kills < 20 {
                let victim = kills % PROCESSES;
                std::thread::sleep(Duration::from_micros(200 * (kills as u64 % 17)));
                workers.kill(victim);
                kills += 1;
                workers.nothing_wrong();
                workers.peers[victim] = workers.spawn(victim);
            }
            workers.all_go_on();
            while let Some(last) = workers.peers.len().checked_sub(1) {
                workers.kill(last);
                workers.peers.pop();
            }
            workers.nothing_wrong();
            // What the last one left, if it did, is reported to us.
            let mutex = Mutex::new(&workers.area, MUTEX).unwrap();
            let locked = mutex.lock(LONG).unwrap();
            let answer =
                u64::from(locked.owner_died()) + workers.area.load::<u64>(REPORTED, Relaxed).unwrap();
            locked.or_repair(|_| Ok::<(), areas::Error>(())).unwrap().unlock().unwrap();
            let Workers { died, perhaps, .. } = workers;
            assert!(
                answer <= died && answer + perhaps >= died,
                "{died} owners died, {perhaps} perhaps uncounted, {answer} were reported"
            );
            assert!(died > 0, "no owner died in {kills} kills");
            "done".to_owned()
        }),
        Some(number) => work(number.parse().unwrap()),
    };
    assert_eq!(answer, "done");
}
