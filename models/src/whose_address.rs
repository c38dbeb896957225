//! The sorted arrays of `registry/own/addresses/`, with chunks of two entries, so that a few of
//! them do all that there is: entries move up and down, chunks are opened, halved, joined, given up
//! and used again.

#[path = "../../crates/areas/src/registry/own/addresses/mod.rs"]
mod addresses;

/// The same file with one thing left out.
mod writer_unfenced {
    include!(concat!(env!("OUT_DIR"), "/writer_unfenced.rs"));
}
mod reader_unfenced {
    include!(concat!(env!("OUT_DIR"), "/reader_unfenced.rs"));
}
mod uncounted {
    include!(concat!(env!("OUT_DIR"), "/uncounted.rs"));
}

/// The models, of whichever copy.
macro_rules! models {
    ($copy:ident) => {
        use std::sync::Arc;

        use loom::model::Builder;
        use loom::thread;

        use super::$copy::{Addresses, END, Entry, Keeper, START, WORDS};

        /// An entry of nine bytes, or more. All words hold the value: a mixture is seen.
        fn entry(start: u64, value: u64) -> Entry {
            let mut entry = [start * 1000 + value; WORDS];
            (entry[START], entry[END]) = (start, start + 8 + value);
            entry
        }

        /// One writer goes from some entries to others, while a reader asks for one address: what
        /// it finds is one of the entries that ever had it, or nothing. When both are done, what is
        /// there is found.
        ///
        /// The reader is the new thread, so that loom lets the writer go first. From there it finds
        /// all orders: the reader stores nothing, so that they differ only in which of the writer's
        /// stores each load sees, and that loom tries out. (The other way round it sees no race
        /// where a thread loads a word before it stores to it.)
        fn model(
            before: &'static [u64],
            change: impl Fn(&mut Keeper<Arc<Addresses>>) + Send + Sync + Copy + 'static,
            looked_for: u64,
            seen: &'static [u64],
            behind: &'static [(u64, Option<u64>)],
        ) {
            let mut builder = Builder::new();
            builder.preemption_bound = Some(1);
            builder.max_branches = 10_000;
            builder.check(move || {
                let addresses: Arc<Addresses> = Arc::new(Addresses::new());
                let mut keeper = Keeper::new(addresses.clone());
                for &start in before {
                    assert!(keeper.put(&entry(start, 1)));
                }
                let reader = {
                    let addresses = addresses.clone();
                    thread::spawn(move || {
                        if let Some(found) = addresses.find(looked_for + 5) {
                            assert!(
                                seen.iter().any(|&value| found == entry(looked_for, value)),
                                "{found:?} was never there"
                            );
                        }
                    })
                };
                change(&mut keeper);
                reader.join().unwrap();
                for &(start, value) in behind {
                    assert_eq!(addresses.find(start + 5), value.map(|value| entry(start, value)));
                }
            });
        }
    };
}

mod models {
    models!(addresses);

    #[test]
    fn an_entry_that_comes_in_front_moves_others_up() {
        model(&[20], |keeper| assert!(keeper.put(&entry(10, 1))), 20, &[1], &[(10, Some(1)), (20, Some(1))]);
    }

    #[test]
    fn a_new_entry_is_seen_whole_or_not_at_all() {
        model(&[10], |keeper| assert!(keeper.put(&entry(20, 1))), 20, &[1], &[(10, Some(1)), (20, Some(1))]);
    }

    #[test]
    fn an_entry_that_changes_is_the_old_one_or_the_new_one() {
        model(&[10], |keeper| assert!(keeper.put(&entry(10, 2))), 10, &[1, 2], &[(10, Some(2))]);
    }

    #[test]
    fn an_entry_that_goes_moves_others_down() {
        model(&[10, 20], |keeper| keeper.remove(10), 20, &[1], &[(10, None), (20, Some(1))]);
    }

    #[test]
    fn a_chunk_is_opened_behind_a_full_one() {
        model(
            &[10, 20],
            |keeper| assert!(keeper.put(&entry(30, 1))),
            20,
            &[1],
            &[(20, Some(1)), (30, Some(1))],
        );
    }

    #[test]
    fn a_full_chunk_is_halved() {
        model(
            &[10, 30],
            |keeper| assert!(keeper.put(&entry(20, 1))),
            30,
            &[1],
            &[(10, Some(1)), (20, Some(1)), (30, Some(1))],
        );
    }

    /// The chunk of the first is given up and is the third's then: whoever was on the way to the
    /// first finds no third there.
    #[test]
    fn a_chunk_that_is_used_again_belongs_to_no_other_area() {
        model(
            &[10, 20, 30],
            |keeper| {
                keeper.remove(30);
                assert!(keeper.put(&entry(40, 1)));
            },
            30,
            &[1],
            &[(10, Some(1)), (30, None), (40, Some(1))],
        );
    }

    #[test]
    fn who_looks_while_all_is_forgotten_finds_what_was_there_or_nothing() {
        model(
            &[10, 20, 30],
            |keeper| {
                keeper.clear();
                assert!(keeper.put(&entry(30, 2)));
            },
            30,
            &[1, 2],
            &[(10, None), (30, Some(2))],
        );
    }
}

/// The models would notice what is missing.
mod without_the_writers_fence {
    models!(writer_unfenced);

    #[test]
    #[should_panic(expected = "was never there")]
    fn a_mixture_is_found() {
        model(&[10], |keeper| assert!(keeper.put(&entry(10, 2))), 10, &[1, 2], &[(10, Some(2))]);
    }
}

mod without_the_readers_fence {
    models!(reader_unfenced);

    #[test]
    #[should_panic(expected = "was never there")]
    fn a_mixture_is_found() {
        model(&[10], |keeper| assert!(keeper.put(&entry(10, 2))), 10, &[1, 2], &[(10, Some(2))]);
    }
}

mod without_a_second_look {
    models!(uncounted);

    #[test]
    #[should_panic(expected = "was never there")]
    fn a_mixture_is_found() {
        model(&[10], |keeper| assert!(keeper.put(&entry(10, 2))), 10, &[1, 2], &[(10, Some(2))]);
    }
}
