//! Of several who want a name at once at most one gets it: the product's own order of steps
//! (`registry/state/exclusive.rs`), in all orders. Each has a word of its own that the others read,
//! as each has its table. How old a claim is, is known before it can be seen, so that the older one
//! may come later.

#[path = "../../crates/areas/src/registry/state/exclusive.rs"]
mod exclusive;

mod tests {
    use std::convert::Infallible;

    use loom::model::Builder;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst, fence};
    use loom::thread;

    use super::exclusive::{Contender, Outcome, Seen, contend};

    const MAX: usize = 3;

    /// What each has said: 0 is nothing, an even number a claim of that age, an odd one that it has
    /// the name.
    struct Tables {
        words: [AtomicU64; MAX],
        clock: AtomicU64,
        fenced: bool,
    }

    struct One {
        tables: Arc<Tables>,
        number: usize,
        age: u64,
        attempts: u32,
    }

    impl Contender for One {
        type Error = Infallible;
        type Holder = usize;
        type Claim = u64;

        fn claim(&mut self) -> Result<u64, Infallible> {
            self.age = 2 * (self.tables.clock.fetch_add(1, Relaxed) + 1);
            self.tables.words[self.number].store(self.age, Relaxed);
            Ok(self.age)
        }

        fn look(&mut self) -> Result<Seen<usize, u64>, Infallible> {
            if self.tables.fenced {
                fence(SeqCst);
            }
            let mut claims = Vec::new();
            for number in (0..MAX).filter(|&number| number != self.number) {
                match self.tables.words[number].load(Relaxed) {
                    0 => {}
                    word if word % 2 == 1 => return Ok(Seen::Taken(number)),
                    word => claims.push(word),
                }
            }
            Ok(Seen::Claimed(claims))
        }

        fn confirm(&mut self) -> Result<bool, Infallible> {
            self.tables.words[self.number].store(self.age + 1, Relaxed);
            Ok(true)
        }

        fn withdraw(&mut self) {
            self.tables.words[self.number].store(0, Relaxed);
        }

        fn wait(&mut self) -> bool {
            thread::yield_now();
            self.attempts -= u32::from(self.attempts > 0);
            self.attempts > 0
        }
    }

    /// `count` of them at once, each waiting so often; the outcome for each.
    fn race(count: usize, attempts: u32, fenced: bool) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(if count == 2 { 3 } else { 2 });
        builder.check(move || {
            let word = || AtomicU64::new(0);
            let tables =
                Arc::new(Tables { words: [word(), word(), word()], clock: AtomicU64::new(0), fenced });
            let threads: Vec<_> = (0..count)
                .map(|number| {
                    let tables = tables.clone();
                    thread::spawn(move || {
                        let Ok(outcome) = contend(&mut One { tables, number, age: 0, attempts });
                        outcome
                    })
                })
                .collect();
            let outcomes: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            let winners = outcomes.iter().filter(|outcome| **outcome == Outcome::Ours).count();
            assert!(winners <= 1, "two have the name: {outcomes:?}");
            let is_told = |outcome: &Outcome<usize, u64>| match *outcome {
                Outcome::Taken(by) => outcomes[by] == Outcome::Ours,
                _ => true,
            };
            assert!(outcomes.iter().all(is_told), "who is said to have it has it: {outcomes:?}");
            let all_got_on =
                !outcomes.iter().any(|outcome| matches!(outcome, Outcome::Stuck(_) | Outcome::Restless));
            assert!(winners == 1 || !all_got_on, "no process has it, and none was waited for: {outcomes:?}");
        });
    }

    #[test]
    fn of_two_at_most_one_gets_it() {
        race(2, 3, true);
    }

    #[test]
    fn of_three_at_most_one_gets_it() {
        race(3, 2, true);
    }

    /// The model would notice.
    #[test]
    #[should_panic(expected = "two have the name")]
    fn without_a_fence_two_would_get_it() {
        race(2, 3, false);
    }

    /// A claim of one who was stopped, and never goes on: it is reported, and ours is taken back.
    /// Once that one is dead the name is free.
    #[test]
    fn a_claim_that_stays_is_reported() {
        loom::model(|| {
            let word = AtomicU64::new;
            let tables = Arc::new(Tables {
                words: [word(0), word(2), word(0)],
                clock: AtomicU64::new(5),
                fenced: true,
            });
            let mut one = One { tables: tables.clone(), number: 0, age: 0, attempts: 3 };
            assert_eq!(contend(&mut one), Ok(Outcome::Stuck(2)));
            assert_eq!(tables.words[0].load(Relaxed), 0, "nothing of ours stays");
            tables.words[1].store(0, Relaxed);
            assert_eq!(contend(&mut one), Ok(Outcome::Ours));
        });
    }
}
