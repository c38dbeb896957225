//! What the tests of layers share: the kernel's maps, providers that watch, children that may
//! crash.

use std::fs::File;
use std::ops::Range;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use areas::{
    Error, ErrorKind, Mapping, Node, NodeSet, PageSize, Policy, Provider, Rejected, Request, Reservation,
    Result, System,
};
use areas_testing::{maps, numa_maps};

pub(crate) fn page() -> usize {
    PageSize::base().bytes()
}

/// The first node that there is.
pub(crate) fn node() -> Node {
    areas::allowed_nodes().unwrap().first().unwrap()
}

/// A node that there is not.
pub(crate) fn unknown_node() -> Node {
    (NodeSet::ALL - areas::allowed_nodes().unwrap()).last().unwrap()
}

/// Memory on a node that there is not.
pub(crate) fn nowhere() -> Policy {
    Policy::Bind(NodeSet::single(unknown_node()))
}

pub(crate) fn range(mapping: &Mapping) -> Range<usize> {
    let start = mapping.as_ptr().addr();
    start..start + mapping.span()
}

/// The protection of a page in `/proc/self/maps`; none where nothing is mapped.
pub(crate) fn shown(address: usize) -> Option<String> {
    maps::at(address).map(|vma| vma.permissions)
}

/// The protection of each page of a range, neighbours that are alike as one.
pub(crate) fn shown_all(range: Range<usize>) -> Vec<Option<String>> {
    let mut all: Vec<_> = range.step_by(page()).map(shown).collect();
    all.dedup();
    all
}

/// The policy of each entry of `/proc/self/numa_maps` that begins in the range: offset and policy.
pub(crate) fn policies(range: &Range<usize>) -> Vec<(usize, String)> {
    let placed = numa_maps::within(range.clone()).into_iter();
    placed.map(|one| (one.start - range.start, one.policy)).collect()
}

/// Whether nothing is mapped there: what is free can be taken.
pub(crate) fn is_free(range: &Range<usize>) -> bool {
    Reservation::at(range.start, range.len()).is_ok()
}

/// Runs what returns addresses that have to be free afterwards. Another thread of the test program
/// may have taken them: not three times.
#[track_caller]
pub(crate) fn frees(mut run: impl FnMut() -> Range<usize>) {
    assert!((0..3).any(|_| is_free(&run())), "the addresses are still mapped");
}

/// Tests that look at addresses do so one at a time.
pub(crate) fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ADDRESSES: Mutex<()> = Mutex::new(());
    ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts what it maps and unmaps, and the bytes that are mapped now; refuses more than `most` at
/// once.
#[derive(Debug)]
pub(crate) struct Watching {
    pub(crate) most: usize,
    pub(crate) maps: AtomicUsize,
    pub(crate) unmaps: AtomicUsize,
    pub(crate) now: Arc<AtomicUsize>,
    pub(crate) peak: AtomicUsize,
}

struct Less(Arc<AtomicUsize>, usize);

impl Drop for Less {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::SeqCst);
    }
}

impl Watching {
    pub(crate) fn up_to(most: usize) -> Self {
        Watching {
            most,
            maps: AtomicUsize::default(),
            unmaps: AtomicUsize::default(),
            now: Arc::default(),
            peak: AtomicUsize::default(),
        }
    }

    /// How often it mapped and unmapped.
    pub(crate) fn calls(&self) -> (usize, usize) {
        (self.maps.load(Ordering::SeqCst), self.unmaps.load(Ordering::SeqCst))
    }
}

impl Provider for Watching {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        if request.size() > self.most {
            return Err(Error::new(ErrorKind::NoMemory, "map so much").with_facts("it is watched"));
        }
        let mut mapping = System::new().map(request)?;
        self.maps.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(mapping.span(), Ordering::SeqCst) + mapping.span();
        self.peak.fetch_max(now, Ordering::SeqCst);
        mapping.attach(Less(self.now.clone(), mapping.span()));
        Ok(mapping)
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        self.unmaps.fetch_add(1, Ordering::SeqCst);
        mapping.unmap()
    }
}

/// Fills what it maps at once, and notes the policy that the pages had then.
#[derive(Debug, Default)]
pub(crate) struct Filling(pub(crate) Mutex<Vec<Policy>>);

impl Provider for Filling {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let mut mapping = System::new().map(request)?;
        self.0.lock().unwrap().push(mapping.policy()?);
        mapping.as_bytes_mut()?.fill(1);
        Ok(mapping)
    }
}

const CHILD: &str = "AREAS_LAYERS_CHILD";

/// In a child made by [`child`]: what it is to do.
pub(crate) fn in_child() -> Option<String> {
    std::env::var(CHILD).ok()
}

/// Runs one test of this program again, in a process of its own, which may crash or use everything
/// up.
pub(crate) fn child(test: &str, what: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, what)
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap()
}

pub(crate) use areas_testing::skipped;

const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// The pool of 2 MiB pages, with as many pages as a test wants, for as long as the value lives.
/// Tests that care about it hold its file locked, and are named `machine_…`.
#[derive(Debug)]
pub(crate) struct Pool {
    before: usize,
    _alone: Option<File>,
}

fn pool(file: &str) -> usize {
    let text = std::fs::read_to_string(format!("{POOL}/{file}")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

impl Pool {
    /// As it is.
    pub(crate) fn alone() -> Self {
        let file = File::open(format!("{POOL}/nr_hugepages")).ok();
        if let Some(file) = &file {
            rustix::fs::flock(file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        }
        Pool { before: pool("nr_hugepages"), _alone: file }
    }

    /// With so many free pages, or nothing, said aloud, where this cannot be.
    pub(crate) fn with(pages: usize, test: &str) -> Option<Self> {
        let filled = Pool::alone();
        // Without the right to do so this changes nothing.
        let _ = std::fs::write(format!("{POOL}/nr_hugepages"), (filled.before + pages).to_string());
        if Pool::free() >= pages {
            return Some(filled);
        }
        skipped(test, &format!("no {pages} pages in the 2 MiB pool, and no right to fill it"));
        None
    }

    pub(crate) fn free() -> usize {
        pool("free_hugepages").saturating_sub(pool("resv_hugepages"))
    }

    /// More bytes than the pool has pages for; nothing, said aloud, where it may grow.
    pub(crate) fn more_than_it_has(&self, test: &str) -> Option<usize> {
        if pool("nr_overcommit_hugepages") > 0 {
            skipped(test, "the 2 MiB pool may grow");
            return None;
        }
        Some((Pool::free() + 1) * PageSize::HUGE_2M.bytes())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if pool("nr_hugepages") != self.before {
            let _ = std::fs::write(format!("{POOL}/nr_hugepages"), self.before.to_string());
        }
    }
}
