//! Populating against the kernel: everything is in RAM afterwards, and what cannot be is refused.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::*;
use crate::mapping::Plan;
use crate::nodes::Policy;
use crate::object::Extent;
use crate::provider::{Backing, Provider, Request, System};
use crate::sys::memory::{At, MapFlags};
use crate::testing::skipped;

const MIB: usize = 1 << 20;

fn job<'a>(mapping: &'a Mapping, object: Option<&'a Object>) -> Job<'a> {
    let len = object.map_or(mapping.size(), Object::size);
    Job { mapping, object, len, placement: None, collapse: false, whose: "area \"ring\"" }
}

/// Runs it, and gives the reports too.
fn populate(job: &Job<'_>) -> Result<(Populated, Vec<Progress>)> {
    let mut reports = Vec::new();
    let done = run(job, &mut |progress| reports.push(progress))?;
    Ok((done, reports))
}

fn resident(job: &Job<'_>) -> u64 {
    residency::measure(job.mapping, job.object, job.len).unwrap().resident()
}

fn object(len: usize) -> Object {
    Object::create("populated", len, Extent::Fixed, PageSize::base()).unwrap()
}

fn map(object: &Object, protection: Protection) -> Mapping {
    System::new().map(&Request::object(object).protection(protection)).unwrap()
}

#[test]
fn all_kinds_of_memory_are_in_ram_afterwards() {
    let len = 40 * MIB + 5000;
    let pages = len.next_multiple_of(sys::page_size()) as u64;
    let object = object(len);
    let (shared, read_only) = (map(&object, Protection::READ_WRITE), map(&object, Protection::READ));
    let private = System::new().map(&Request::new(len)).unwrap();
    let inherited = System::new().map(&Request::new(len).backed_by(Backing::Inherited)).unwrap();
    for job in [
        job(&shared, Some(&object)),
        job(&private, None),
        job(&inherited, None),
        job(&read_only, Some(&object)),
    ] {
        let (done, reports) = populate(&job).unwrap();
        assert_eq!(resident(&job), pages, "{:?}", job.mapping);
        assert_eq!(residency::present_bytes(job.mapping, len).unwrap() as u64, pages);
        assert!(done.threads >= 1 && done.threads <= sys::process::processors().unwrap().len());
        assert_eq!((done.collapsed_bytes, done.refused), (0, None));
        assert_eq!(reports.last(), Some(&Progress { done: len, total: len }));
        assert!(reports.windows(2).all(|pair| pair[0].done < pair[1].done), "{reports:?}");
        assert_eq!(reports.len(), 6);
    }
}

#[test]
fn holes_behind_a_read_only_mapping_get_pages() {
    let object = object(10 * MIB);
    let mapping = map(&object, Protection::READ);
    populate(&job(&mapping, Some(&object))).unwrap();
    assert_eq!(residency::resident_bytes(&object).unwrap(), 10 * MIB as u64);
}

#[test]
fn contents_stay() {
    let object = object(20 * MIB);
    sys::file::write_at(object.as_fd(), b"kept", 9 * MIB as u64).unwrap();
    let mapping = map(&object, Protection::READ_WRITE);
    populate(&job(&mapping, Some(&object))).unwrap();
    let mut bytes = [1; 8];
    sys::file::read_at(object.as_fd(), &mut bytes, 9 * MIB as u64).unwrap();
    assert_eq!(&bytes, b"kept\0\0\0\0");
}

#[test]
fn a_part_of_a_growable_object() {
    let extent = Extent::Growable { max: 64 * MIB };
    let object = Object::create("populated", 4 * MIB, extent, PageSize::base()).unwrap();
    let mapping = map(&object, Protection::READ_WRITE);
    let part = Job { len: MIB, ..job(&mapping, Some(&object)) };
    let (done, reports) = populate(&part).unwrap();
    assert_eq!((done.threads, reports.len()), (1, 1));
    assert_eq!(residency::resident_bytes(&object).unwrap(), MIB as u64);
    // Whole pages are what areas ask for, exact as the size may be.
    let exact = self::object(5000);
    let mapping_of_it = map(&exact, Protection::READ_WRITE);
    let whole = Job { len: exact.size_in_pages(), ..job(&mapping_of_it, Some(&exact)) };
    assert_eq!(populate(&whole).unwrap().1.len(), 1);
    assert_eq!(exact.size(), 5000);
    let beyond = Job { len: 8 * MIB, ..part };
    assert_eq!(populate(&beyond).unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(object.size(), 4 * MIB);
}

#[test]
fn nothing_is_nothing() {
    let mapping = System::new().map(&Request::new(1)).unwrap();
    let (_, reports) = populate(&Job { len: 0, ..job(&mapping, None) }).unwrap();
    assert_eq!(reports, [Progress { done: 0, total: 0 }]);
    assert_eq!(residency::present_bytes(&mapping, 1).unwrap(), 0);
}

#[test]
fn what_may_not_be_accessed_is_refused() {
    let private = |protection| System::new().map(&Request::new(MIB).protection(protection)).unwrap();
    let mapping = private(Protection::READ);
    let error = populate(&job(&mapping, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    insta::assert_snapshot!(format!("{error:#}"), @r#"
    cannot populate area "ring": its protection is r--; reading private memory that was never written takes no memory
      help: populate first, then remove the write access
    "#);
    let mapping = private(Protection::empty());
    insta::assert_snapshot!(format!("{:#}", populate(&job(&mapping, None)).unwrap_err()), @r#"
    cannot populate area "ring": its protection is ---; pages that may not be accessed cannot be faulted in
      help: allow reading or writing first
    "#);
    let mapping = private(Protection::WRITE);
    assert_eq!(populate(&job(&mapping, None)).unwrap().1.len(), 1);
}

#[test]
fn what_cannot_fit_is_refused_before_the_first_page() {
    let available = usize::try_from(remedy::available_memory().unwrap()).unwrap();
    let (ram, _) = sys::process::memory();
    let len = available + 32 * MIB;
    if len as u64 >= ram {
        return skipped("what_cannot_fit_is_refused_before_the_first_page", "all memory is available");
    }
    // A growable object has addresses for more than the machine would map.
    let object = object(len);
    let mapping = map(&object, Protection::READ_WRITE);
    let nodes = System::new().placed(Policy::Bind(crate::nodes::NodeSet::ALL));
    let placement = nodes.placement().resolve(sys::policy::allowed_nodes().unwrap()).unwrap();
    for placement in [None, Some(placement)] {
        let error = populate(&Job { placement, ..job(&mapping, Some(&object)) }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoMemory);
        let facts = error.facts().unwrap();
        let asked = placement.map_or("it".to_owned(), |placement| placement.to_string());
        assert!(facts.starts_with(&format!("{asked} needs ")) && facts.contains("can give"), "{facts}");
        assert_eq!(residency::resident_bytes(&object).unwrap(), 0);
    }
}

#[test]
fn bound_pages_are_on_their_node_or_refused() {
    let allowed = sys::policy::allowed_nodes().unwrap();
    if allowed.len() < 2 {
        return skipped("bound_pages_are_on_their_node_or_refused", "there is one node");
    }
    for node in allowed {
        let placement = Placement::new(Policy::Bind(node.into()));
        let object = object(20 * MIB);
        let mapping = System::new().map(&Request::object(&object).placed(placement)).unwrap();
        // Reported, or only known to the kernel: the same.
        let reported = Job { placement: Some(placement), ..job(&mapping, Some(&object)) };
        populate(&reported).unwrap();
        let residency = residency::measure(&mapping, Some(&object), 20 * MIB).unwrap();
        assert_eq!(residency.nodes().collect::<Vec<_>>(), [(node, 20 * MIB as u64)]);

        let node_memory = format!("/sys/devices/system/node/node{node}/meminfo");
        let memory = crate::topology::meminfo::read(&std::fs::read_to_string(node_memory).unwrap()).0;
        let len = usize::try_from(memory.available().unwrap()).unwrap().next_multiple_of(MIB);
        let large = self::object(len);
        let mapping = System::new().map(&Request::object(&large).placed(placement)).unwrap();
        for placement in [None, Some(placement)] {
            let error = populate(&Job { placement, ..job(&mapping, Some(&large)) }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoMemory);
            let facts = error.facts().unwrap();
            assert!(facts.starts_with(&format!("bind:{node} needs ")), "{facts}");
            assert!(facts.contains(&format!(", node {node} can give ")), "{facts}");
            assert_eq!(residency::resident_bytes(&large).unwrap(), 0);
        }
    }
}

#[test]
fn pages_are_collapsed_inside_the_size_only() {
    let huge = PageSize::transparent().bytes();
    let len = 3 * huge + 5000;
    let object = object(len);
    let span = len.next_multiple_of(sys::page_size());
    let plan = Plan {
        at: At::Anywhere,
        size: len,
        span,
        page: PageSize::base(),
        protection: Protection::READ_WRITE,
        sharing: Sharing::Shared,
        flags: MapFlags::SHARED,
        file: Some((object.as_fd(), 0)),
        placement: None,
    };
    let shared = Mapping::aligned(&plan, huge).unwrap();
    let private = System::new().map(&Request::new(len)).unwrap();
    for job in [job(&shared, Some(&object)), job(&private, None)] {
        let job = Job { collapse: true, ..job };
        let (done, reports) = populate(&job).unwrap();
        if let Some(refused) = done.refused {
            skipped("pages_are_collapsed_inside_the_size_only", &refused.to_string());
            continue;
        }
        let expected = collapsible(job.mapping.base(), len).len();
        assert!(expected >= 2 * huge);
        assert_eq!(done.collapsed_bytes, expected);
        assert_eq!(reports.last(), Some(&Progress { done: len, total: len }));
        let residency = residency::measure(job.mapping, job.object, len).unwrap();
        let collapsed = residency.page_sizes().unwrap().find(|(page, _)| page.bytes() == huge);
        // More where transparent huge pages are enabled for all processes.
        assert!(collapsed.is_some_and(|(_, bytes)| bytes >= expected as u64), "{residency}");
        assert_eq!(residency.absent(), 0);
    }
    assert_eq!(residency::resident_bytes(&object).unwrap(), span as u64);
}

#[test]
fn what_cannot_be_collapsed_is_reported_and_no_error() {
    let huge = PageSize::transparent().bytes();
    let object = object(4 * huge);
    // One page off: addresses and offsets in the object never meet at a huge page.
    let room = System::new().map(&Request::new(8 * huge).protection(Protection::empty())).unwrap();
    let at = room.as_ptr().addr().next_multiple_of(huge) + sys::page_size();
    room.unmap().unwrap();
    let request = Request::object(&object).at(crate::provider::Address::Exactly(at));
    let Ok(mapping) = System::new().map(&request) else {
        return skipped(
            "what_cannot_be_collapsed_is_reported_and_no_error",
            "another thread took the addresses",
        );
    };
    let (done, _) = populate(&Job { collapse: true, ..job(&mapping, Some(&object)) }).unwrap();
    assert_eq!(done.collapsed_bytes, 0);
    assert_eq!(done.refused, Some(Refused::ByKernel(sys::Errno::INVAL.into())));
    assert_eq!(residency::resident_bytes(&object).unwrap(), 4 * huge as u64);
}

#[test]
fn aligned_parts_inside_the_length() {
    let huge = PageSize::transparent().bytes();
    let base = |address: usize| NonNull::new(std::ptr::without_provenance_mut(address)).unwrap();
    let cases = [
        (huge, 3 * huge, 0..3 * huge),
        (huge, 3 * huge - 1, 0..2 * huge),
        (huge, huge - 1, 0..0),
        (huge + 4096, 2 * huge, huge - 4096..2 * huge - 4096),
        (2 * huge - 4096, 4096, 4096..4096),
        (2 * huge - 4096, 4095, 0..0),
    ];
    for (address, len, expected) in cases {
        assert_eq!(collapsible(base(address), len), expected, "{address:#x} {len}");
    }
}

#[test]
fn chunks_have_every_byte_once_and_no_huge_page_lies_in_two() {
    for total in [0, 1, 5, 7, 8, 9, 21, 40] {
        for (step, before) in [(8, 0), (8, 5), (4, 3), (8, 40)] {
            let chunks = Chunks { total, step, before };
            let mut end = 0;
            for chunk in (0..chunks.count()).map(|index| chunks.at(index)) {
                assert_eq!(chunk.start, end, "{chunks:?}");
                assert!(!chunk.is_empty(), "{chunks:?}");
                // It ends where a step does, counted from the first, or where all does.
                assert!(chunk.end == total || (chunk.end - before).is_multiple_of(step), "{chunks:?}");
                end = chunk.end;
            }
            assert_eq!(end, total, "{chunks:?}");
        }
    }
}

#[test]
fn other_threads_of_ours_are_gone() {
    let threads = || {
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| {
                let name = std::fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
                name.starts_with("areas-populate").then_some(())
            })
            .count()
    };
    let mapping = System::new().map(&Request::new(64 * MIB)).unwrap();
    populate(&job(&mapping, None)).unwrap();
    // Other tests of this process may be populating at this moment: theirs end, too.
    let end = Instant::now() + Duration::from_secs(20);
    while threads() > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(threads(), 0);
}
