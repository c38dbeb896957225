//! Hugetlb pages for the time of a trial: what there is too little of, root puts there, and takes
//! away again.

use std::fs::{self, File};

const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// The pool to ourselves, among all who take a lock on its file (`flock`), with some pages in it.
#[derive(Debug)]
pub(crate) struct Pool {
    /// How many it had, where some were added.
    before: Option<u64>,
    _file: File,
}

fn count(file: &str) -> u64 {
    fs::read_to_string(format!("{POOL}/{file}")).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

impl Pool {
    /// The pool with at least so many free pages; else why it has not.
    pub(crate) fn with(wanted: u64) -> Result<Self, String> {
        let size = format!("{POOL}/nr_hugepages");
        let file = File::open(&size).map_err(|error| format!("{size}: {error}"))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|error| format!("{size}: {error}"))?;
        let free = || count("free_hugepages").saturating_sub(count("resv_hugepages"));
        if free() >= wanted {
            return Ok(Pool { before: None, _file: file });
        }
        let before = count("nr_hugepages");
        let filled = Pool { before: Some(before), _file: file };
        fs::write(&size, (before + wanted).to_string()).map_err(|error| {
            format!("the pool has not {wanted} free pages of 2 MiB, and cannot be filled: {error}")
        })?;
        match free() {
            free if free >= wanted => Ok(filled),
            free => Err(format!("the kernel gives the pool no more than {free} free pages of 2 MiB")),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // Whoever could write it before can now.
            let _ = fs::write(format!("{POOL}/nr_hugepages"), before.to_string());
        }
    }
}
