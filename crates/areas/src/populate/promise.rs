//! What populates of this process have been promised and have not taken yet: two at once that each
//! fit, but not both, are admitted one at a time here.
//!
//! Another process cannot be asked; that is what looking again along the way is for
//! ([`watch`](super::watch)).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::forking::{Held, Order, Part};
use crate::nodes::NodeSet;
use crate::sys;

/// In the order in which they were admitted.
static PROMISES: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Entry {
    /// A forked child inherits what threads were promised that it does not have.
    process: u32,
    /// The nodes that it is confined to.
    nodes: Option<NodeSet>,
    left: Arc<AtomicU64>,
}

/// A thread that has it decides alone which are admitted.
type Whole = MutexGuard<'static, Vec<Entry>>;

thread_local! {
    static FORKING: Held<Whole> = const { Held::new() };
}

/// For threads that fork: no child inherits the mutex held by a thread that it does not have.
static PART: Part =
    Part::new(Order::Promises, || FORKING.with(|held| held.lock(whole)), || FORKING.with(Held::unlock));

fn whole() -> Whole {
    PROMISES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many bytes are spoken for, as long as it lives.
#[derive(Debug)]
pub(super) struct Promise {
    left: Arc<AtomicU64>,
    /// Bytes that have not been looked after yet, whether they are there already or not.
    ahead: AtomicU64,
}

impl Promise {
    /// Admits a caller that passes `check`, which is called with what those before still take: for
    /// `bytes` of `ahead` that are not there yet. No other is admitted at the same time.
    pub(super) fn admit<E>(
        nodes: Option<NodeSet>,
        bytes: u64,
        ahead: u64,
        check: impl FnOnce(&Before<'_>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut all = open();
        check(&Before { entries: all.as_slice() })?;
        let left = Arc::new(AtomicU64::new(bytes));
        all.push(Entry { process: sys::process::pid(), nodes, left: left.clone() });
        Ok(Promise { left, ahead: AtomicU64::new(ahead) })
    }

    /// Looks again: `check` is called with what those before this one still take.
    pub(super) fn again<T>(&self, check: impl FnOnce(&Before<'_>) -> T) -> T {
        let all = open();
        let own = all.iter().position(|entry| Arc::ptr_eq(&entry.left, &self.left)).unwrap_or(all.len());
        check(&Before { entries: &all[..own] })
    }

    /// Bytes that have not been taken yet.
    pub(super) fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Begins to look after so many of the bytes ahead. Gives what was left before.
    ///
    /// Which of them were there already is not known: at most all that are still ahead are left to
    /// take.
    pub(super) fn take(&self, bytes: u64) -> u64 {
        let order = Ordering::Relaxed;
        let before = self.ahead.fetch_update(order, order, |ahead| Some(ahead.saturating_sub(bytes)));
        let ahead = before.unwrap_or_else(|ahead| ahead);
        self.left.fetch_min(ahead.saturating_sub(bytes), order).min(ahead)
    }

    /// It was measured how many are left.
    pub(super) fn set(&self, bytes: u64) {
        self.left.store(bytes, Ordering::Relaxed);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        whole().retain(|entry| !Arc::ptr_eq(&entry.left, &self.left));
    }
}

/// Those who were admitted before.
pub(super) struct Before<'a> {
    entries: &'a [Entry],
}

impl Before<'_> {
    /// What they still take of some nodes, or of all.
    pub(super) fn take_of(&self, nodes: Option<NodeSet>) -> u64 {
        let inside = |entry: &&Entry| match (nodes, entry.nodes) {
            (None, _) => true,
            (Some(nodes), Some(theirs)) => theirs.is_subset(&nodes),
            // They may go elsewhere.
            (Some(_), None) => false,
        };
        self.entries
            .iter()
            .filter(inside)
            .map(|entry| entry.left.load(Ordering::Relaxed))
            .fold(0, u64::saturating_add)
    }
}

/// The list without what was inherited by fork.
fn open() -> Whole {
    // Without it the mutex may be inherited held. Where the C library has no memory for that, it is
    // so.
    let _ = PART.ready();
    let mut all = whole();
    if !all.is_empty() {
        let own = sys::process::pid();
        all.retain(|entry| entry.process == own);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others of this process populate at the same time: on nodes that no machine has, only these
    /// do.
    fn nodes(ids: &[u32]) -> Option<NodeSet> {
        Some(ids.iter().map(|&id| crate::nodes::Node::new(id).unwrap()).collect())
    }

    #[test]
    fn those_before_count_and_those_after_do_not() {
        let all = nodes(&[1000, 1001]);
        let took = |promise: &Promise, of| promise.again(|before| before.take_of(of));
        let first = Promise::admit::<()>(nodes(&[1000]), 60, 80, |before| {
            assert_eq!(before.take_of(all), 0);
            Ok(())
        })
        .unwrap();
        let second = Promise::admit::<()>(nodes(&[1001]), 30, 30, |before| {
            let of = [all, nodes(&[1000]), nodes(&[1001])].map(|nodes| before.take_of(nodes));
            assert_eq!(of, [60, 60, 0]);
            Ok(())
        })
        .unwrap();
        assert_eq!(Promise::admit(all, 1, 1, |before| Err(before.take_of(all))).unwrap_err(), 90);
        // One that is refused has nothing.
        let third = Promise::admit::<()>(all, 5, 5, |before| {
            assert_eq!(before.take_of(all), 90);
            Ok(())
        })
        .unwrap();
        assert_eq!((took(&first, all), took(&second, all), took(&third, all)), (0, 60, 90));
        // Of the first 10 it is not known whether they were there.
        assert_eq!((first.take(10), first.left(), first.take(60), first.left()), (60, 60, 60, 10));
        assert_eq!(took(&third, all), 40);
        assert_eq!((first.take(50), first.left()), (10, 0));
        assert_eq!(took(&third, all), 30);
        second.set(7);
        assert_eq!(took(&third, all), 7);
        drop(second);
        assert_eq!(took(&third, all), 0);
    }

    #[test]
    fn what_a_parent_was_promised_is_none_of_its_child() {
        let of = nodes(&[1002]);
        let left = Arc::new(AtomicU64::new(40));
        whole().push(Entry { process: sys::process::pid() ^ 1, nodes: of, left });
        let own = Promise::admit::<()>(of, 1, 1, |before| {
            assert_eq!(before.take_of(of), 0);
            Ok(())
        });
        assert_eq!(own.unwrap().left(), 1);
    }
}
