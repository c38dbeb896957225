//! The pool of huge pages, filled for a test's time. Tests that do so are named `machine_…`: they
//! have it to themselves.

use std::fs::{self, File};

use super::{is_root, skip};

pub(crate) const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

pub(crate) fn count(file: &str) -> usize {
    fs::read_to_string(format!("{POOL}/{file}")).map_or(0, |text| text.trim().parse().unwrap())
}

/// The pool to ourselves, among the tests here: whoever has its file flocked.
pub(crate) fn pool() -> Option<File> {
    let file = File::open(format!("{POOL}/nr_hugepages")).ok()?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    Some(file)
}

/// The pool with some pages more, for as long as the value lives.
pub(crate) struct Filled {
    before: usize,
    _pool: Option<File>,
}

impl Filled {
    /// `None`, and said aloud, where this cannot be.
    pub(crate) fn with(pages: usize, test: &str) -> Option<Self> {
        if !is_root() {
            skip(test, "filling the pool of huge pages needs root");
            return None;
        }
        let _pool = pool();
        let filled = Filled { before: count("nr_hugepages"), _pool };
        let wanted = filled.before + pages;
        let written = fs::write(format!("{POOL}/nr_hugepages"), wanted.to_string());
        if written.is_err() || count("nr_hugepages") < wanted || count("free_hugepages") < pages {
            skip(test, "the kernel gives no huge pages to the pool");
            return None;
        }
        Some(filled)
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        let _ = fs::write(format!("{POOL}/nr_hugepages"), self.before.to_string());
    }
}
