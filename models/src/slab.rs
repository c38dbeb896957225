//! A slab's owner that drops a block and reuses it, against readers who open or take it: the
//! product's own order of steps (`areas-slab`, `protocol.rs`), in all orders. No reader ever sees a
//! block that was reused under it, and what one reader hands on to another one is there.

#[path = "../../crates/areas-slab/src/protocol.rs"]
mod protocol;

mod tests {
    use std::convert::Infallible;

    use loom::model::Builder;
    use loom::sync::Arc;
    use loom::sync::atomic::{
        AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst, fence,
    };
    use loom::thread;

    use super::protocol::{self, Begun, LIVE as FIRST, Slot, Word};

    struct Shared {
        generation: AtomicU32,
        words: [AtomicU32; 2],
        /// What is in the block: the generation that it was filled for.
        data: AtomicU32,
        fenced: bool,
    }

    impl Shared {
        fn new(fenced: bool) -> Arc<Self> {
            let word = AtomicU32::new;
            Arc::new(Shared { generation: word(FIRST), words: [word(0), word(0)], data: word(FIRST), fenced })
        }
    }

    impl Slot for Shared {
        type Error = Infallible;

        fn generation(&self) -> Result<u32, Infallible> {
            Ok(self.generation.load(Acquire))
        }

        fn set_generation(&self, generation: u32) -> Result<(), Infallible> {
            self.generation.store(generation, Release);
            Ok(())
        }

        fn word(&self, reader: u32) -> Result<Word, Infallible> {
            Ok(Word::unpack(self.words[reader as usize].load(Acquire)))
        }

        fn say(&self, reader: u32, word: Word) -> Result<(), Infallible> {
            self.words[reader as usize].store(word.pack(), Release);
            Ok(())
        }

        fn readers(&self) -> u32 {
            2
        }

        fn fence(&self) {
            if self.fenced {
                fence(SeqCst);
            }
        }
    }

    fn model(body: impl Fn() + Send + Sync + 'static) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(body);
    }

    /// How often a reader looks whether an owner decides, where others give up, too. (Two that wait
    /// for the same owner could look in turn forever, and the model would have no end.)
    const LOOKS: usize = 2;

    /// Says that a reader reads the block, by a handle of the first generation, if it is in time,
    /// and its looks suffice.
    fn begin(shared: &Shared, reader: u32, takes: bool, mut looks: usize) -> Option<Word> {
        let before = shared.word(reader).unwrap().of(FIRST);
        let mut begun = protocol::begin(shared, reader, FIRST, before, takes).unwrap();
        loop {
            match begun {
                Begun::Reads(word) => return Some(word),
                Begun::Gone => return None,
                Begun::Undecided(_) if looks == 0 => {
                    // As the product does it after its time.
                    shared.say(reader, Word { reads: false, ..before }).unwrap();
                    return None;
                }
                Begun::Undecided(word) => {
                    looks -= 1;
                    thread::yield_now();
                    begun = protocol::decided(shared, reader, FIRST, word).unwrap();
                }
            }
        }
    }

    fn look(shared: &Shared) {
        assert_eq!(shared.data.load(Relaxed), FIRST, "the block was used again under its reader");
    }

    /// Reads the block, if it is in time. Whether it was.
    fn read(shared: &Shared, reader: u32, takes: bool) -> bool {
        let looks = if takes { usize::MAX } else { LOOKS };
        let Some(word) = begin(shared, reader, takes, looks) else { return false };
        look(shared);
        protocol::finish(shared, reader, word).unwrap();
        true
    }

    /// Reuses the block if it may, after what it was given for has been taken.
    fn reuse(shared: &Shared, gives: u32) -> bool {
        if protocol::takes(shared, FIRST).unwrap() < gives || !protocol::end(shared, FIRST, |_| true).unwrap()
        {
            return false;
        }
        shared.data.store(protocol::next(FIRST), Relaxed);
        shared.set_generation(protocol::next(FIRST)).unwrap();
        true
    }

    fn dropped(fenced: bool) {
        model(move || {
            let shared = Shared::new(fenced);
            let readers: Vec<_> = (0..2)
                .map(|reader| {
                    let shared = shared.clone();
                    thread::spawn(move || read(&shared, reader, false))
                })
                .collect();
            let done = reuse(&shared, 0);
            for reader in readers {
                reader.join().unwrap();
            }
            assert!(done || reuse(&shared, 0), "no process reads it any more");
        });
    }

    #[test]
    fn a_block_that_is_read_is_not_used_again() {
        dropped(true);
    }

    #[test]
    #[should_panic(expected = "used again under its reader")]
    fn without_its_fence_it_would_be() {
        dropped(false);
    }

    #[test]
    fn what_was_given_waits_for_who_is_to_take_it() {
        model(|| {
            let shared = Shared::new(true);
            let taker = shared.clone();
            let taker = thread::spawn(move || read(&taker, 0, true));
            let done = reuse(&shared, 1) || reuse(&shared, 1);
            assert!(taker.join().unwrap(), "it was taken back before it was taken");
            assert!(done || reuse(&shared, 1), "it was taken, and no process reads it");
        });
    }

    /// One reader hands the block on to another one, and drops it when that one has it, while the
    /// owner looks twice. A chain of readers must not slip past the owner, who sees their words one
    /// after the other.
    #[test]
    fn what_is_handed_on_by_who_reads_it_is_there() {
        model(|| {
            let shared = Shared::new(true);
            let first = begin(&shared, 1, false, 0).expect("its owner still has it");
            let both = shared.clone();
            let readers = thread::spawn(move || {
                let second = begin(&both, 0, false, usize::MAX).expect("the first one reads it");
                protocol::finish(&*both, 1, first).unwrap();
                look(&both);
                // And back.
                let third = begin(&both, 1, false, usize::MAX).expect("the second one reads it");
                protocol::finish(&*both, 0, second).unwrap();
                look(&both);
                protocol::finish(&*both, 1, third).unwrap();
            });
            let done = reuse(&shared, 0) || reuse(&shared, 0);
            readers.join().unwrap();
            assert!(done || reuse(&shared, 0), "no process reads it any more");
        });
    }
}
