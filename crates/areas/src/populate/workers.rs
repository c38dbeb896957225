//! The threads that populate: how many, on which processors, and sharing pieces of work out among
//! them.
//!
//! They live as long as the call, and get none of the program's signals. The thread that calls
//! reports and waits, and keeps its own processors.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::error::{Error, ErrorKind, Result};
use crate::nodes::{NodeSet, Placement, Policy};
use crate::sys;
use crate::topology::CpuSet;

/// The processors to work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Workers {
    threads: usize,
    /// The processors to stay on, where they are not simply all that are allowed.
    pinned: Option<Vec<usize>>,
}

impl Workers {
    /// The calling thread alone.
    pub(super) fn alone() -> Self {
        Workers { threads: 1, pinned: None }
    }

    /// The processors near to where the pages are to be.
    ///
    /// Memory without nodes of its own (default, local) goes to the node of the thread that touches
    /// it: the threads stay on the node of the calling one, so that the pages are where it would
    /// have put them alone.
    pub(super) fn of(placement: Placement) -> Result<Self> {
        let allowed = sys::process::processors().map_err(|errno| {
            Error::new(ErrorKind::System, "ask which processors may be used")
                .with_system_call("sched_getaffinity(0)", errno)
        })?;
        let near = match placement.policy() {
            Policy::Default | Policy::Local => processors_beside(sys::process::processor()),
            Policy::Bind(nodes) | Policy::PreferredMany(nodes) => processors_of(nodes),
            Policy::Preferred(node) => processors_of(node.into()),
            Policy::Interleave(_) | Policy::WeightedInterleave(_) => Vec::new(),
        };
        Ok(Self::choose(allowed, &near))
    }

    fn choose(allowed: Vec<usize>, near: &[usize]) -> Self {
        let both: Vec<usize> = allowed.iter().copied().filter(|cpu| near.contains(cpu)).collect();
        if both.is_empty() || both.len() == allowed.len() {
            return Workers { threads: allowed.len().max(1), pinned: None };
        }
        Workers { threads: both.len(), pinned: Some(both) }
    }

    /// What one thread does: piece after piece, until there is none left, or one fails.
    fn work_off(
        &self,
        pieces: impl Fn() -> Option<usize>,
        work: &impl Fn(usize) -> Result<()>,
        sender: &mpsc::Sender<(usize, Result<()>)>,
    ) {
        let mut ready = self.stay();
        while let Some(piece) = pieces() {
            let result = std::mem::replace(&mut ready, Ok(())).and_then(|()| work(piece));
            let failed = result.is_err();
            if sender.send((piece, result)).is_err() || failed {
                break;
            }
        }
    }

    /// Has `work` done for every piece from 0 to `pieces`, and reports each to this thread as it is
    /// `finished`. The first error ends it early. Gives the number of threads.
    pub(super) fn for_each_chunk(
        &self,
        pieces: usize,
        work: &(impl Fn(usize) -> Result<()> + Sync),
        finished: &mut dyn FnMut(usize),
    ) -> Result<usize> {
        let threads = self.threads.min(pieces);
        // The calling thread keeps its processors: for others it takes another thread, even if it
        // is one.
        if pieces <= 1 || (threads == 1 && self.pinned.is_none()) {
            return alone(pieces, work, finished);
        }
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            // Even if `finished` panics, no worker goes on.
            let _stop = StopAtEnd(&stop);
            let (sender, receiver) = mpsc::channel();
            let mut started = 0;
            // A program's signal handlers expect the program's threads: these never get a signal.
            let blocked = sys::signals::Blocked::new();
            for _ in 0..threads {
                let (sender, next, stop) = (sender.clone(), &next, &stop);
                let pieces = move || {
                    let left = !stop.load(Ordering::Relaxed);
                    left.then(|| next.fetch_add(1, Ordering::Relaxed)).filter(|&piece| piece < pieces)
                };
                let worker = move || self.work_off(pieces, work, &sender);
                // Where a limit of threads is reached, those that could be started do it all.
                if thread::Builder::new()
                    .name("areas-populate".to_owned())
                    .spawn_scoped(scope, worker)
                    .is_err()
                {
                    break;
                }
                started += 1;
            }
            drop(blocked);
            drop(sender);
            if started == 0 {
                return alone(pieces, work, finished);
            }
            let mut outcome = Ok(started);
            for (piece, result) in receiver {
                match result {
                    Ok(()) if outcome.is_ok() => finished(piece),
                    Ok(()) => {}
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        outcome = outcome.and(Err(error));
                    }
                }
            }
            outcome
        })
    }

    /// Keeps the calling thread, which is one of ours, on the workers's processors.
    fn stay(&self) -> Result<()> {
        let Some(processors) = &self.pinned else { return Ok(()) };
        sys::process::stay_on(processors).map_err(|errno| {
            Error::new(ErrorKind::System, format!("run a thread on processors {processors:?}"))
                .with_system_call("sched_setaffinity(0)", errno)
        })
    }
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn alone(
    pieces: usize,
    work: &impl Fn(usize) -> Result<()>,
    finished: &mut dyn FnMut(usize),
) -> Result<usize> {
    for piece in 0..pieces {
        work(piece)?;
        finished(piece);
    }
    Ok(1)
}

/// The processors of some nodes; none for nodes without any, and where the kernel has no NUMA.
fn processors_of(nodes: NodeSet) -> Vec<usize> {
    let lists = (nodes & nodes_with_processors()).iter().map(|node| {
        let list = sys::text::read_to_string(format!("/sys/devices/system/node/node{node}/cpulist"));
        CpuSet::from_kernel_list(&list.unwrap_or_default()).unwrap_or_default()
    });
    let lists: Vec<CpuSet> = lists.collect();
    lists.iter().flat_map(CpuSet::iter).filter_map(|cpu| usize::try_from(cpu).ok()).collect()
}

/// The processors of the node that this one belongs to.
fn processors_beside(processor: usize) -> Vec<usize> {
    let each = nodes_with_processors().iter().map(|node| processors_of(node.into()));
    each.into_iter().find(|processors| processors.contains(&processor)).unwrap_or_default()
}

fn nodes_with_processors() -> NodeSet {
    let list = sys::text::read_to_string("/sys/devices/system/node/has_cpu").unwrap_or_default();
    NodeSet::from_kernel_list(&list).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_near_to_the_pages_if_there_are_any() {
        let workers =
            |threads, pinned: Option<&[usize]>| Workers { threads, pinned: pinned.map(<[_]>::to_vec) };
        let cases: [(&[usize], &[usize], Workers); 6] = [
            (&[0, 1, 2, 3], &[2, 3], workers(2, Some(&[2, 3]))),
            (&[0, 1, 2, 3], &[], workers(4, None)),
            (&[0, 1], &[4, 5], workers(2, None)),
            (&[0, 1], &[0, 1, 2, 3], workers(2, None)),
            (&[1, 2], &[2, 3], workers(1, Some(&[2]))),
            (&[], &[], workers(1, None)),
        ];
        for (allowed, near, expected) in cases {
            assert_eq!(Workers::choose(allowed.to_vec(), near), expected, "{allowed:?} {near:?}");
        }
    }

    #[test]
    fn every_piece_once_and_reported_to_the_caller() {
        let workers = Workers { threads: 4, pinned: None };
        let me = thread::current().id();
        let counts: Vec<_> = (0..100).map(|_| AtomicUsize::new(0)).collect();
        let mut reported = Vec::new();
        let work = |piece: usize| {
            assert_ne!(thread::current().id(), me);
            counts[piece].fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let mut finished = |piece| {
            assert_eq!(thread::current().id(), me);
            reported.push(piece);
        };
        assert_eq!(workers.for_each_chunk(100, &work, &mut finished).unwrap(), 4);
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        reported.sort_unstable();
        assert_eq!(reported, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn one_piece_needs_no_thread() {
        let me = thread::current().id();
        let work = |_| {
            assert_eq!(thread::current().id(), me);
            Ok(())
        };
        assert_eq!(Workers { threads: 4, pinned: None }.for_each_chunk(1, &work, &mut |_| {}).unwrap(), 1);
        assert_eq!(Workers { threads: 4, pinned: None }.for_each_chunk(0, &work, &mut |_| {}).unwrap(), 1);
    }

    #[test]
    fn the_first_error_wins_and_ends_the_others() {
        let workers = Workers { threads: 2, pinned: None };
        let begun = AtomicUsize::new(0);
        let work = |piece: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            match piece {
                3 => Err(Error::new(ErrorKind::NoMemory, "do piece 3")),
                _ => {
                    thread::sleep(std::time::Duration::from_millis(1));
                    Ok(())
                }
            }
        };
        let error = workers.for_each_chunk(100_000, &work, &mut |_| {}).unwrap_err();
        assert_eq!(error.what(), "do piece 3");
        assert!(begun.load(Ordering::Relaxed) < 1000);
    }

    #[test]
    fn a_panic_of_the_callback_ends_the_threads() {
        let workers = Workers { threads: 2, pinned: None };
        let begun = AtomicUsize::new(0);
        let work = |_| {
            begun.fetch_add(1, Ordering::Relaxed);
            thread::sleep(std::time::Duration::from_millis(1));
            Ok(())
        };
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            workers.for_each_chunk(100_000, &work, &mut |_| std::panic::resume_unwind(Box::new("enough")))
        }));
        assert!(caught.is_err());
        assert!(begun.load(Ordering::Relaxed) < 1000);
    }

    #[test]
    fn the_caller_keeps_its_processors() {
        let before = sys::process::processors().unwrap();
        let expected = vec![before[0]];
        let work = |_| {
            assert_eq!(sys::process::processors().unwrap(), expected);
            Ok(())
        };
        for threads in [1, 2] {
            let workers = Workers { threads, pinned: Some(expected.clone()) };
            assert_eq!(workers.for_each_chunk(8, &work, &mut |_| {}).unwrap(), threads);
        }
        assert_eq!(sys::process::processors().unwrap(), before);
    }
}
