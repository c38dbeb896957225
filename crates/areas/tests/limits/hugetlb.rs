//! Limits on hugetlb pages: the kernel says the same of them as of an empty pool, and the error
//! says which it was.

use std::fs::{self, File};
use std::sync::atomic::Ordering;

use areas::{Error, ErrorKind, PageSize, Pages};

use super::MIB;
use super::group::{Group, enter};
use super::memory::obey;
use super::support::child::{Stage, hear, reply, test};
use super::support::skip;

const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

fn count(file: &str) -> usize {
    fs::read_to_string(format!("{POOL}/{file}")).map_or(0, |text| text.trim().parse().unwrap())
}

/// The pool with some pages more, and to ourselves among all who flock its file.
struct Filled {
    before: usize,
    _pool: File,
}

impl Filled {
    fn with(pages: usize, test: &str) -> Option<Self> {
        let Ok(pool) = File::open(format!("{POOL}/nr_hugepages")) else {
            skip(test, "this kernel has no pool of 2 MiB pages");
            return None;
        };
        rustix::fs::flock(&pool, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let filled = Filled { before: count("nr_hugepages"), _pool: pool };
        let wanted = filled.before + pages;
        let written = fs::write(format!("{POOL}/nr_hugepages"), wanted.to_string());
        if written.is_err() || count("free_hugepages") < pages {
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

#[test]
pub(crate) fn machine_a_limit_is_named_and_not_the_pool() {
    let this = test!("machine_a_limit_is_named_and_not_the_pool");
    if this.role().is_some() {
        enter(hear());
        let pages = Pages::Pool(PageSize::HUGE_2M);
        let growable = areas::builder(2 * MIB).growable(8 * MIB).pages(pages).shared().unwrap();
        let refused = |result: areas::Result<()>| {
            let error: Error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
            format!("{error:#}")
        };
        let reported = [
            refused(areas::builder(8 * MIB).pages(pages).shared().map(drop)),
            refused(areas::builder(8 * MIB).pages(pages).private().map(drop)),
            refused(growable.grow(8 * MIB)),
        ];
        assert_eq!(growable.size(), 2 * MIB);
        // What may be less says why it is.
        let less = areas::builder(8 * MIB).pages(Pages::PreferPool(PageSize::HUGE_2M)).shared().unwrap();
        let because = less.granted().fallbacks()[0].because.to_string();
        obey(&reported[0]);
        let area = areas::builder(8 * MIB).pages(pages).shared().unwrap();
        area.store(8 * MIB - 8, 1_u64, Ordering::Relaxed).unwrap();
        return reply(&[reported.join("\n--\n"), because].join("\n--\n"));
    }
    let Some(group) = Group::new("hugetlb", this.name()) else { return };
    let Some(_pool) = Filled::with(12, this.name()) else { return };
    let limits = match group.version() {
        1 => ["hugetlb.2MB.rsvd.limit_in_bytes", "hugetlb.2MB.limit_in_bytes"],
        _ => ["hugetlb.2MB.rsvd.max", "hugetlb.2MB.max"],
    };
    for limit in limits {
        group.set(limit, &(6 * MIB).to_string());
        let mut peer = this.spawn(&mut Stage::here(), limit);
        peer.send(&group.folder().display().to_string());
        let reported = peer.hear();
        assert!(peer.end().success());
        for report in reported.split("\n--\n") {
            let named = report.contains(&format!("control group {} ({limit} is 6.00 MiB, ", group.name()));
            assert!(named, "{limit}: {report}");
            assert!(!report.contains("nr_hugepages"), "{limit}: the pool has enough: {report}");
        }
        group.set(limit, &(1024 * MIB).to_string());
    }
}
