//! Growth of a resizable area against a trimmed reserve and against a holder that joins: the
//! product's own order of steps (`area/reserve.rs`), in all orders. At rest no size lies beyond the
//! addresses of a published holder.
//!
//! System calls are relaxed accesses here, less than the kernel's own locks promise: the order
//! comes from the fences.

#[path = "../../crates/areas/src/area/reserve.rs"]
mod reserve;

mod tests {
    use loom::model::Builder;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence};
    use loom::thread;

    use super::reserve::{self, Holder};

    const HOLDERS: usize = 3;

    /// The object's size and mark, and what each holder announces in its table; 0 is a holder that
    /// is not published.
    struct Area {
        size: AtomicUsize,
        marked: AtomicUsize,
        spans: [AtomicUsize; HOLDERS],
    }

    impl Area {
        fn new(size: usize, spans: [usize; HOLDERS]) -> Arc<Self> {
            let word = AtomicUsize::new;
            Arc::new(Area { size: word(size), marked: word(0), spans: spans.map(word) })
        }

        fn span(&self, holder: usize) -> usize {
            self.spans[holder].load(Relaxed)
        }

        /// The size at rest: the last store in its order, which a plain load of loom's need not
        /// give.
        fn last_size(&self) -> usize {
            self.size.fetch_add(0, SeqCst)
        }

        /// No published holder has fewer addresses than the area has bytes.
        fn check(&self) {
            let size = self.last_size();
            for span in (0..HOLDERS).map(|holder| self.span(holder)).filter(|&span| span > 0) {
                assert!(size <= span, "the area has {size} bytes, and a holder {span} of addresses");
            }
        }
    }

    /// One of the holders, by its number.
    struct One(Arc<Area>, usize);

    #[derive(Debug, PartialEq)]
    struct Blocked;

    impl Holder for One {
        type Error = Blocked;

        fn look(&self) -> (usize, bool) {
            (self.0.size.load(Relaxed), self.0.marked.load(Relaxed) != 0)
        }

        fn set_size(&self, size: usize) -> Result<(), Blocked> {
            // Exchanged, not stored: the kernel changes an inode's size under its lock, one after
            // the other.
            self.0.size.swap(size, Relaxed);
            Ok(())
        }

        fn mark(&self) -> Result<(), Blocked> {
            self.0.marked.store(1, Relaxed);
            Ok(())
        }

        fn announce(&self, span: usize) {
            self.0.spans[self.1].store(span, Relaxed);
        }

        fn ask_others(&self, size: usize) -> Result<(), Blocked> {
            let others = (0..HOLDERS).filter(|&holder| holder != self.1);
            let mut spans = others.map(|holder| self.0.span(holder)).filter(|&span| span > 0);
            if spans.any(|span| span < size) { Err(Blocked) } else { Ok(()) }
        }

        fn fence(&self) {
            fence(SeqCst);
        }
    }

    fn model(run: impl Fn() + Sync + Send + 'static) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(run);
    }

    #[test]
    fn a_reserve_is_trimmed_while_another_holder_grows_into_it() {
        model(|| {
            let area = Area::new(1, [4, 4, 0]);
            let trimming = {
                let one = One(area.clone(), 0);
                thread::spawn(move || reserve::trim(&one, 1).unwrap())
            };
            let grown = reserve::grow(&One(area.clone(), 1), 1, 3, false);
            let kept = trimming.join().unwrap();
            assert!(kept >= area.last_size(), "what is unmapped is not the area's");
            assert!(grown.is_ok() || area.last_size() == 1, "who is refused has changed nothing");
            area.check();
        });
    }

    #[test]
    fn two_grow_while_a_third_trims() {
        model(|| {
            let area = Area::new(1, [4, 4, 4]);
            let growing = {
                let one = One(area.clone(), 1);
                thread::spawn(move || drop(reserve::grow(&one, 1, 3, false)))
            };
            let kept = reserve::trim(&One(area.clone(), 0), 1).unwrap();
            drop(reserve::grow(&One(area.clone(), 2), 1, 2, false));
            growing.join().unwrap();
            assert!(kept >= area.last_size(), "what is unmapped is not the area's");
            area.check();
        });
    }

    #[test]
    fn a_holder_joins_while_another_grows_beyond_its_reserve() {
        model(|| {
            let area = Area::new(1, [2, 2, 0]);
            let joining = {
                let one = One(area.clone(), 2);
                thread::spawn(move || {
                    // Published, with the addresses of all that are there.
                    one.announce(2);
                    if let Some(size) = reserve::joined(&one, 2) {
                        one.announce(size);
                    }
                })
            };
            // The others were asked before, and have the addresses by now.
            area.spans[0].store(3, Relaxed);
            area.spans[1].store(3, Relaxed);
            drop(reserve::grow(&One(area.clone(), 1), 1, 3, true));
            joining.join().unwrap();
            area.check();
        });
    }
}
