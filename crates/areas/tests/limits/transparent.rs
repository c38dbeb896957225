//! Transparent huge pages that the machine or the process forbids: what is said of an area is what
//! smaps shows.

use std::fs::File;

use areas::{Area, AreaKind, Pages};
use areas_testing::smaps;

use super::MIB;
use super::support::child::{Stage, test};
use super::support::skip;

const FORBIDDEN: &str = "base pages (PR_SET_THP_DISABLE forbids transparent huge pages to this process)";

/// The pool of 2 MiB pages to ourselves: `Pages::Auto` takes it first.
fn pool() -> Option<File> {
    let file = File::open("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages").ok()?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    Some(file)
}

pub(crate) fn pool_is_empty() -> bool {
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    free.is_ok_and(|free| free.trim() == "0")
}

/// Bytes in transparent huge pages, measured.
pub(crate) fn huge_bytes<K: AreaKind>(area: &Area<K>) -> usize {
    let vma = smaps::at(area.as_ptr().addr()).unwrap();
    vma.bytes("AnonHugePages") + vma.bytes("ShmemPmdMapped")
}

/// What is said of an area as it is made, and once it is populated; and the bytes in huge pages:
/// said and measured.
pub(crate) fn populated<K: AreaKind>(mut area: Area<K>) -> (String, Option<String>, usize, usize) {
    let given = area.granted().fallbacks()[0].given.clone();
    area.populate().unwrap();
    // Twice is said once.
    area.populate().unwrap();
    let granted = area.granted();
    assert!(granted.fallbacks().len() <= 2, "{:?}", granted.fallbacks());
    let then = granted.fallbacks().get(1).map(|fallback| format!("{}: {}", fallback.given, fallback.because));
    (given, then, granted.collapsed(), huge_bytes(&area))
}

#[test]
fn machine_a_process_that_forbids_them_is_reported() {
    let this = test!("machine_a_process_that_forbids_them_is_reported");
    let _pool = this.role().is_none().then(pool);
    if !pool_is_empty() {
        return skip(this.name(), "the pool of huge pages has pages");
    }
    this.alone(Stage::here(), || {
        rustix::thread::disable_transparent_huge_pages(true).unwrap();
        let builder = areas::builder(4 * MIB).pages(Pages::Auto);
        for (given, then, said, measured) in
            [populated(builder.shared().unwrap()), populated(builder.private().unwrap())]
        {
            assert_eq!((&*given, said, measured), (FORBIDDEN, 0, 0));
            let then = then.expect("that it had no effect is said");
            assert!(
                then.starts_with("base pages: cannot collapse the pages of ")
                    && then.contains("PR_SET_THP_DISABLE"),
                "{then}"
            );
        }
        String::new()
    });
}
