//! A slab's owner that drops a block and uses it anew, against readers who open or take it: the product's own order of steps
//! (`areas-slab`, `protocol.rs`), in all orders. No reader ever sees a block that was used anew under it.

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

    use super::protocol::{self, Slot, Word};

    /// The generation that lives at first.
    const FIRST: u32 = 1;

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

    /// Reads the block by a handle of the first generation, if it is in time. Whether it was.
    fn read(shared: &Shared, reader: u32, takes: bool) -> bool {
        let before = shared.word(reader).unwrap().of(FIRST);
        let Some(word) = protocol::begin(shared, reader, FIRST, before, takes).unwrap() else { return false };
        let seen = shared.data.load(Relaxed);
        assert_eq!(seen, FIRST, "the block was used anew under its reader");
        protocol::finish(shared, reader, word).unwrap();
        true
    }

    /// Uses the block anew if it may, after what it was given for has been taken.
    fn reuse(shared: &Shared, gives: u32, ended: &mut bool) -> bool {
        if !*ended {
            if protocol::takes(shared, FIRST).unwrap() < gives {
                return false;
            }
            protocol::end(shared, FIRST + 1).unwrap();
            *ended = true;
        }
        if protocol::is_read(shared, FIRST, |_| true).unwrap() {
            return false;
        }
        shared.data.store(FIRST + 2, Relaxed);
        protocol::end(shared, FIRST + 2).unwrap();
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
            let mut ended = false;
            let done = reuse(&shared, 0, &mut ended);
            for reader in readers {
                reader.join().unwrap();
            }
            assert!(done || reuse(&shared, 0, &mut ended), "nobody reads it any more");
        });
    }

    #[test]
    fn a_block_that_is_read_is_not_used_anew() {
        dropped(true);
    }

    #[test]
    #[should_panic(expected = "used anew under its reader")]
    fn without_its_fence_it_would_be() {
        dropped(false);
    }

    #[test]
    fn what_was_given_waits_for_who_is_to_take_it() {
        model(|| {
            let shared = Shared::new(true);
            let taker = shared.clone();
            let taker = thread::spawn(move || read(&taker, 0, true));
            let mut ended = false;
            let done = reuse(&shared, 1, &mut ended) || reuse(&shared, 1, &mut ended);
            assert!(taker.join().unwrap(), "it was taken back before it was taken");
            assert!(done || reuse(&shared, 1, &mut ended), "it was taken, and nobody reads it");
        });
    }
}
