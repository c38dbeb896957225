//! What the registry does without mutual exclusion, tried out by loom in all the orders that
//! threads and the memory model allow (up to a bound on how often threads are switched). The code
//! is the product's own files: the protocol between a table's writer and its readers (here), the
//! arrays that say whose an address is (`whose_address.rs`), the steps in which holders resize an
//! area together (`reserve.rs`), how a slab's blocks come to be reused (`slab.rs`), those in which
//! several want one name (`exclusive.rs`), and locks in areas (`sync.rs`).
//!
//! What loom runs on are relaxed atomics and fences, as in the product. The copy of a record, which
//! the product makes outside of the language, is one of two words here: enough to be torn.

#![cfg(test)]
// The product's files keep things to their module.
#![allow(dead_code)]

mod exclusive;
#[path = "../../crates/areas/src/registry/table/protocol.rs"]
mod protocol;
mod reserve;
mod slab;
mod sync;
mod whose_address;

mod tests {
    use std::convert::Infallible;

    use loom::model::Builder;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU64, Ordering, fence};
    use loom::thread;

    use super::protocol::{self, MOVING, Mark};

    /// A record: its generation, and two words that belong together.
    struct Record {
        generation: AtomicU64,
        words: [AtomicU64; 2],
    }

    impl Record {
        fn absent() -> Arc<Self> {
            let word = || AtomicU64::new(0);
            Arc::new(Record { generation: word(), words: [word(), word()] })
        }

        fn copy(&self) -> Result<[u64; 2], Infallible> {
            Ok([0, 1].map(|i: usize| self.words[i].load(Ordering::Relaxed)))
        }

        fn mark(&self) -> Word<'_> {
            Word(&self.generation)
        }

        fn put(&self, value: u64) -> Result<(), Infallible> {
            self.words.iter().for_each(|word| word.store(value, Ordering::Relaxed));
            Ok(())
        }
    }

    /// A word on which the protocol runs.
    struct Word<'a>(&'a AtomicU64);

    impl Mark for Word<'_> {
        type Error = Infallible;

        fn load(&self) -> Result<u64, Infallible> {
            Ok(self.0.load(Ordering::Relaxed))
        }

        fn store(&self, value: u64) -> Result<(), Infallible> {
            self.0.store(value, Ordering::Relaxed);
            Ok(())
        }

        fn acquire(&self) {
            fence(Ordering::Acquire);
        }

        fn release(&self) {
            fence(Ordering::Release);
        }

        /// Whether anybody gets on is loom's to decide.
        fn wait(&self, _attempt: usize) {}
    }

    /// The reader belongs in the new thread: loom lets the first one go on until it waits, and sees
    /// no race where a thread loads a word before it stores to it, as writers do here. A reader who
    /// comes behind meets all orders, as he stores nothing: they differ only in which stores his
    /// loads see.
    fn model(run: impl Fn() + Sync + Send + 'static) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(run);
    }

    /// Attempts, as few as show all that more would.
    const ATTEMPTS: usize = 2;

    /// What a reader sees is one record as it was written, or none, or one that is marked as half
    /// changed; and of two looks the later one sees no older one.
    fn look(record: &Record, written: &[u64]) {
        let mut last = 0;
        for _ in 0..2 {
            let Ok(seen) = protocol::read(&record.mark(), ATTEMPTS, || record.copy());
            if let Some((generation, words)) = seen {
                assert!(words.iter().all(|word| written.contains(word)), "all of it was written");
                assert!(generation & MOVING != 0 || words[0] == words[1], "a record is whole");
                assert!(generation & !MOVING >= last, "nothing goes back");
                last = generation & !MOVING;
            }
        }
    }

    /// Another thread that looks.
    fn looking(record: &Arc<Record>, written: &'static [u64]) -> thread::JoinHandle<()> {
        let record = record.clone();
        thread::spawn(move || look(&record, written))
    }

    /// A note beside a record: which of two places has it (that may change), and what is there, two
    /// words that belong together.
    struct Noted {
        generation: AtomicU64,
        place: AtomicU64,
        places: [[AtomicU64; 2]; 2],
    }

    impl Noted {
        fn absent() -> Arc<Self> {
            let word = || AtomicU64::new(0);
            let places = [[word(), word()], [word(), word()]];
            Arc::new(Noted { generation: word(), place: word(), places })
        }

        fn put(&self, place: usize, value: u64) {
            self.places[place].iter().for_each(|word| word.store(value, Ordering::Relaxed));
        }

        /// As a table's writer changes it: first the note, in the place that has none, then what
        /// leads there.
        fn set(&self, place: usize, value: u64) {
            self.put(place, value);
            let Ok(()) = protocol::change(&Word(&self.generation), || {
                self.place.store(place as u64, Ordering::Relaxed);
                Ok(())
            });
        }

        /// As a reader copies it.
        fn copy(&self) -> Result<[u64; 2], Infallible> {
            let place = usize::try_from(self.place.load(Ordering::Relaxed)).unwrap();
            fence(Ordering::Acquire);
            Ok([0, 1].map(|i: usize| self.places[place][i].load(Ordering::Relaxed)))
        }
    }

    /// Unlike what else changes in a record: with the mark, too, which is how a record looks whose
    /// owner was stopped.
    #[test]
    fn a_note_is_whole_even_while_it_changes() {
        model(|| {
            let noted = Noted::absent();
            let Ok(()) = protocol::fill(&Word(&noted.generation), || {
                noted.put(0, 1);
                Ok(())
            });
            let reader = noted.clone();
            let reader = thread::spawn(move || {
                let Ok(seen) = protocol::read(&Word(&reader.generation), ATTEMPTS, || reader.copy());
                if let Some((_, words)) = seen {
                    assert!((1..=3).contains(&words[0]) && words[0] == words[1], "{words:?}");
                }
            });
            noted.set(1, 2);
            // In the place that the first one had.
            noted.set(0, 3);
            reader.join().unwrap();
        });
    }

    #[test]
    fn a_new_record_is_seen_whole_or_not_at_all() {
        model(|| {
            let record = Record::absent();
            let reader = looking(&record, &[1]);
            let Ok(()) = protocol::fill(&record.mark(), || record.put(1));
            reader.join().unwrap();
            let Ok(seen) = protocol::read(&record.mark(), ATTEMPTS, || record.copy());
            assert_eq!(seen, Some((2, [1, 1])), "it is there once it was written");
        });
    }

    #[test]
    fn a_record_that_is_withdrawn_and_used_again_is_never_a_mixture() {
        model(|| {
            let record = Record::absent();
            let Ok(()) = protocol::fill(&record.mark(), || record.put(1));
            let reader = looking(&record, &[1, 2]);
            let Ok(()) = protocol::withdraw(&record.mark());
            let Ok(()) = protocol::fill(&record.mark(), || record.put(2));
            reader.join().unwrap();
        });
    }

    #[test]
    fn a_change_in_place_is_never_a_mixture_without_the_mark() {
        model(|| {
            let record = Record::absent();
            let Ok(()) = protocol::fill(&record.mark(), || record.put(1));
            let reader = looking(&record, &[1, 2]);
            let Ok(()) = protocol::change(&record.mark(), || record.put(2));
            reader.join().unwrap();
            let Ok(seen) = protocol::read(&record.mark(), ATTEMPTS, || record.copy());
            assert_eq!(seen, Some((4, [2, 2])), "it is whole again");
        });
    }

    /// An area that is being changed is there for all who look, however the two meet.
    #[test]
    fn no_reader_misses_what_is_being_changed() {
        model(|| {
            let record = Record::absent();
            let Ok(()) = protocol::fill(&record.mark(), || record.put(1));
            let reader = {
                let record = record.clone();
                thread::spawn(move || {
                    let Ok(seen) = protocol::read(&record.mark(), ATTEMPTS, || record.copy());
                    assert!(seen.is_some());
                })
            };
            let Ok(()) = protocol::change(&record.mark(), || record.put(2));
            reader.join().unwrap();
        });
    }

    /// The owner was killed in the middle of a change: the record is there, and says that it may be
    /// a mixture. (In one thread: there is no other thread any more.)
    #[test]
    fn what_its_owner_could_not_finish_is_there() {
        model(|| {
            let record = Record::absent();
            let Ok(()) = protocol::fill(&record.mark(), || record.put(1));
            let Ok(()) = protocol::change(&record.mark(), || {
                record.words[0].store(2, Ordering::Relaxed);
                let Ok(seen) = protocol::read(&record.mark(), ATTEMPTS, || record.copy());
                assert_eq!(seen, Some((2 | MOVING, [2, 1])));
                record.put(2)
            });
        });
    }

    /// The count by which a reader knows whether its order of a table still holds
    /// (`registry/table/order.rs`): who sees the count of a change sees the change.
    #[test]
    fn who_sees_the_count_sees_what_was_counted() {
        model(|| {
            let record = Record::absent();
            let changes = Arc::new(AtomicU64::new(0));
            let reader = {
                let (record, changes) = (record.clone(), changes.clone());
                thread::spawn(move || {
                    let Ok(counted) = protocol::look(&Word(&changes));
                    let Ok(generation) = protocol::look(&record.mark());
                    match counted {
                        0 => {}
                        1 => assert!(generation >= 2, "it came"),
                        _ => assert!(!protocol::is_there(generation), "it went"),
                    }
                })
            };
            let Ok(()) = protocol::fill(&record.mark(), || record.put(1));
            let Ok(()) = protocol::count(&Word(&changes));
            let Ok(()) = protocol::withdraw(&record.mark());
            let Ok(()) = protocol::count(&Word(&changes));
            reader.join().unwrap();
        });
    }

    /// An entry of the index, or of the part "by sequence", leads to a record that is filled
    /// already.
    #[test]
    fn who_is_led_to_a_record_finds_it() {
        model(|| {
            let record = Record::absent();
            let entry = Arc::new(AtomicU64::new(0));
            let reader = {
                let (record, entry) = (record.clone(), entry.clone());
                thread::spawn(move || {
                    if entry.load(Ordering::Relaxed) == 1 {
                        fence(Ordering::Acquire);
                        let Ok(seen) = protocol::read(&record.mark(), ATTEMPTS, || record.copy());
                        assert_eq!(seen, Some((2, [1, 1])));
                    }
                })
            };
            let Ok(()) = protocol::fill(&record.mark(), || record.put(1));
            entry.store(1, Ordering::Relaxed);
            reader.join().unwrap();
        });
    }

    /// The flag of those who wait (`registry/wait.rs`): who waits sets it and looks for the name,
    /// who publishes makes the area visible and looks at the flag. One of the two sees the other,
    /// so that no thread sleeps through it.
    #[test]
    fn no_process_sleeps_through_a_publication() {
        model(|| {
            let visible = Arc::new(AtomicU64::new(0));
            let waiters = Arc::new(AtomicU64::new(0));
            let publisher = {
                let (visible, waiters) = (visible.clone(), waiters.clone());
                thread::spawn(move || {
                    visible.store(1, Ordering::Relaxed);
                    fence(Ordering::SeqCst);
                    waiters.load(Ordering::Relaxed) == 1
                })
            };
            waiters.store(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            let found = visible.load(Ordering::Relaxed) == 1;
            let wakes = publisher.join().unwrap();
            assert!(found || wakes);
        });
    }

    /// The models would notice: without the first fence of a change, a reader takes a mixture for a
    /// record.
    #[test]
    #[should_panic(expected = "a record is whole")]
    fn without_a_fence_it_would_be_torn() {
        model(|| {
            let record = Record::absent();
            let Ok(()) = protocol::fill(&record.mark(), || record.put(1));
            let reader = looking(&record, &[1, 2]);
            record.generation.store(3, Ordering::Relaxed);
            let Ok(()) = record.put(2);
            fence(Ordering::Release);
            record.generation.store(4, Ordering::Relaxed);
            reader.join().unwrap();
        });
    }
}
