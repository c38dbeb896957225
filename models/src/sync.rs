//! The mutex of `areas::sync` (its own `protocol.rs`, and the numbers of owners) and its sequence
//! lock (`sequence.rs`), in all orders.
//!
//! What the kernel does is modelled as it is: who sleeps on a word compares it and falls asleep in
//! one step, and a wake wakes who sleeps by then. No process here looks again by itself after a
//! while, but where the model says so: so a wake that is lost would be a deadlock, which loom
//! finds.

#[path = "../../crates/areas/src/owner/number.rs"]
mod number;
#[path = "../../crates/areas/src/sync/protocol.rs"]
mod protocol;
#[path = "../../crates/areas/src/sync/sequence.rs"]
mod sequence;

mod tests {
    use std::convert::Infallible;

    use loom::model::Builder;
    use loom::sync::atomic::{
        AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence,
    };
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    use super::protocol::{self, INCONSISTENT, Outcome, WAITERS, Word};
    use super::sequence::{self, Read, Sequence};

    /// Owners' numbers. The last one is dead as soon as `died` is set.
    const NUMBERS: [u64; 3] = [0x11, 0x22, 0x33];
    const DYING: u64 = 0x44;

    struct Shared {
        word: AtomicU64,
        /// What it guards: two words that are the same when no thread has it.
        guarded: [AtomicU64; 2],
        died: AtomicBool,
        /// Those who sleep: what the kernel has for that.
        sleepers: Mutex<()>,
        awake: Condvar,
        /// Whether who unlocks wakes: a killed one does not.
        wakes: bool,
        /// Whether who sleeps looks again by himself.
        looks_again: bool,
    }

    impl Shared {
        fn new(wakes: bool, looks_again: bool) -> Arc<Self> {
            let word = || AtomicU64::new(0);
            Arc::new(Shared {
                word: word(),
                guarded: [word(), word()],
                died: AtomicBool::new(false),
                sleepers: Mutex::new(()),
                awake: Condvar::new(),
                wakes,
                looks_again,
            })
        }

        /// Changes what is guarded, as its owner.
        fn inside(&self, repairs: bool) {
            let [one, other] = [0, 1].map(|i: usize| self.guarded[i].load(Relaxed));
            assert!(repairs || one == other, "another thread is inside");
            self.guarded[0].store(one + 1, Relaxed);
            self.guarded[1].store(one + 1, Relaxed);
        }

        fn lock(&self, me: u64) -> bool {
            match protocol::lock(self, me) {
                Ok(Outcome::Locked { inconsistent }) => inconsistent,
                other => panic!("{other:?}"),
            }
        }

        fn unlock(&self, me: u64) {
            assert_eq!(protocol::unlock(self, me), Ok(true));
        }
    }

    impl Word for Shared {
        type Error = Infallible;

        fn load(&self) -> Result<u64, Infallible> {
            Ok(self.word.load(Relaxed))
        }

        fn compare_exchange(&self, current: u64, new: u64) -> Result<Result<u64, u64>, Infallible> {
            Ok(self.word.compare_exchange(current, new, Acquire, Relaxed))
        }

        fn fetch_and(&self, mask: u64) -> Result<u64, Infallible> {
            Ok(self.word.fetch_and(mask, Release))
        }

        fn is_alive(&self, owner: u64) -> Result<bool, Infallible> {
            // The kernel's answer comes behind all that the dead one did.
            Ok(owner != DYING || !self.died.load(Acquire))
        }

        fn sleep(&self, seen: u64) -> Result<(), Infallible> {
            if self.looks_again {
                thread::yield_now();
                return Ok(());
            }
            let sleepers = self.sleepers.lock().unwrap();
            if self.word.load(Relaxed) as u32 == seen as u32 {
                drop(self.awake.wait(sleepers).unwrap());
            }
            Ok(())
        }

        fn wake_one(&self) -> Result<(), Infallible> {
            if self.wakes {
                let _sleepers = self.sleepers.lock().unwrap();
                self.awake.notify_one();
            }
            Ok(())
        }

        fn goes_on(&self, _looks: u32) -> bool {
            true
        }

        fn spins(&self, _looks: u32) -> bool {
            false
        }
    }

    fn model(body: impl Fn() + Send + Sync + 'static) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(body);
    }

    #[test]
    fn one_at_a_time_and_no_thread_sleeps_forever() {
        model(|| {
            let shared = Shared::new(true, false);
            let threads: Vec<_> = NUMBERS[..2]
                .iter()
                .map(|&me| {
                    let shared = shared.clone();
                    thread::spawn(move || {
                        assert!(!shared.lock(me));
                        shared.inside(false);
                        shared.unlock(me);
                    })
                })
                .collect();
            assert!(!shared.lock(NUMBERS[2]));
            shared.inside(false);
            shared.unlock(NUMBERS[2]);
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(shared.guarded[1].load(Relaxed), 3);
            assert_eq!(shared.word.load(Relaxed) & !WAITERS, 0, "it is free");
        });
    }

    /// Who unlocks does not wake: loom finds that a thread sleeps forever, and aborts, so that it
    /// has a process of its own.
    #[test]
    #[ignore = "run by `without_wakes_a_thread_would`, in a process of its own"]
    fn no_wake_is_sent() {
        model(|| {
            let shared = Shared::new(false, false);
            let other = shared.clone();
            let thread = thread::spawn(move || {
                other.lock(NUMBERS[0]);
                other.unlock(NUMBERS[0]);
            });
            shared.lock(NUMBERS[1]);
            shared.unlock(NUMBERS[1]);
            thread.join().unwrap();
        });
    }

    /// The model would notice a wake that is lost.
    #[test]
    fn without_wakes_a_thread_would() {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["sync::tests::no_wake_is_sent", "--exact", "--ignored", "--nocapture"]);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains("deadlock"), "{text}");
    }

    /// Killed between the step that unlocks and the wake: who sleeps looks again.
    #[test]
    fn a_wake_that_never_comes_is_not_needed() {
        model(|| {
            let shared = Shared::new(false, true);
            let other = shared.clone();
            let thread = thread::spawn(move || {
                other.lock(NUMBERS[0]);
                other.inside(false);
                other.unlock(NUMBERS[0]);
            });
            shared.lock(NUMBERS[1]);
            shared.inside(false);
            shared.unlock(NUMBERS[1]);
            thread.join().unwrap();
        });
    }

    /// An owner that died in the middle: one of those who want it is notified, and one only; the
    /// other one finds it repaired.
    #[test]
    fn a_death_is_reported_once() {
        model(|| {
            let shared = Shared::new(true, false);
            assert!(!shared.lock(DYING));
            shared.guarded[0].store(7, Relaxed);
            shared.died.store(true, Release);
            let heir = |shared: &Shared, me: u64| {
                let reported = shared.lock(me);
                shared.inside(reported);
                if reported {
                    assert_eq!(protocol::mark_consistent(shared, me), Ok(true));
                }
                shared.unlock(me);
                reported
            };
            let other = shared.clone();
            let thread = thread::spawn(move || heir(&other, NUMBERS[0]));
            let reported = heir(&shared, NUMBERS[1]);
            assert!(reported != thread.join().unwrap(), "both were notified, or neither");
            assert_eq!(shared.guarded[1].load(Relaxed), 9);
            assert_eq!(shared.word.load(Relaxed) & !WAITERS, 0);
        });
    }

    /// An owner that dies while a thread waits: what it did is seen by who is notified.
    #[test]
    fn who_waits_sees_what_the_dead_one_did() {
        model(|| {
            let shared = Shared::new(true, true);
            assert!(!shared.lock(DYING));
            let dying = shared.clone();
            let dying = thread::spawn(move || {
                dying.guarded[0].store(7, Relaxed);
                dying.died.store(true, Release);
            });
            assert!(shared.lock(NUMBERS[0]));
            assert_eq!(shared.guarded[0].load(Relaxed), 7);
            dying.join().unwrap();
        });
    }

    /// Who is notified and dies as well, or does not repair, leaves it to the next one.
    #[test]
    fn what_was_not_repaired_is_reported_again() {
        model(|| {
            let shared = Shared::new(true, true);
            shared.lock(DYING);
            shared.died.store(true, Release);
            let other = shared.clone();
            let thread = thread::spawn(move || {
                let reported = other.lock(NUMBERS[0]);
                other.unlock(NUMBERS[0]);
                reported
            });
            let reported = shared.lock(NUMBERS[1]);
            shared.unlock(NUMBERS[1]);
            assert!(reported && thread.join().unwrap());
            assert_eq!(shared.word.load(Relaxed) & !WAITERS, INCONSISTENT);
        });
    }

    struct Value {
        count: AtomicU64,
        words: [AtomicU64; 2],
        fenced: bool,
    }

    impl Value {
        fn new(fenced: bool) -> Arc<Self> {
            let word = || AtomicU64::new(0);
            Arc::new(Value { count: word(), words: [word(), word()], fenced })
        }

        fn put(&self, value: u64) -> Result<(), Infallible> {
            self.words.iter().for_each(|word| word.store(value, Relaxed));
            Ok(())
        }
    }

    impl Sequence for Value {
        type Error = Infallible;

        fn load(&self) -> Result<u64, Infallible> {
            Ok(self.count.load(Relaxed))
        }

        fn store(&self, count: u64) -> Result<(), Infallible> {
            self.count.store(count, Relaxed);
            Ok(())
        }

        fn acquire(&self) {
            if self.fenced {
                fence(Acquire);
            }
        }

        fn release(&self) {
            if self.fenced {
                fence(Release);
            }
        }

        fn pause(&self, _attempt: u32) {}
    }

    fn read(value: &Value) -> Option<(u64, [u64; 2])> {
        let mut words = [0; 2];
        let copy = || {
            words = [0, 1].map(|i: usize| value.words[i].load(Relaxed));
            Ok(())
        };
        match sequence::read(value, 2, copy) {
            Ok(Read::Whole(count)) => Some((count, words)),
            Ok(_) => None,
        }
    }

    fn sequences(fenced: bool) {
        model(move || {
            let value = Value::new(fenced);
            let reader = value.clone();
            let reader = thread::spawn(move || {
                let mut last = 0;
                for _ in 0..2 {
                    let Some((count, words)) = read(&reader) else { continue };
                    assert!(words == [count / 2; 2], "torn");
                    assert!(count >= last, "it went back");
                    last = count;
                }
            });
            let Ok(count) = sequence::write(&*value, 0, || value.put(1));
            let Ok(count) = sequence::write(&*value, count, || value.put(2));
            reader.join().unwrap();
            assert_eq!((count, read(&value)), (4, Some((4, [2, 2]))));
        });
    }

    #[test]
    fn a_value_is_whole_or_not_read() {
        sequences(true);
    }

    #[test]
    #[should_panic(expected = "torn")]
    fn without_its_fences_it_would_be_torn() {
        sequences(false);
    }

    /// A writer that died in the middle, and the next one, which writes again.
    #[test]
    fn the_next_writer_makes_it_whole() {
        model(|| {
            let value = Value::new(true);
            value.count.store(1, Relaxed);
            value.words[0].store(9, Relaxed);
            let reader = value.clone();
            let reader = thread::spawn(move || {
                if let Some((count, words)) = read(&reader) {
                    assert_eq!((count, words), (2, [5, 5]));
                }
            });
            let Ok(count) = sequence::write(&*value, 1, || value.put(5));
            assert_eq!(count, 2);
            reader.join().unwrap();
        });
    }
}
