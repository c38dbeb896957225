//! Huge pages: collapsed ones, parts of them, and those of the pool.

use super::*;

#[test]
fn collapsed_pages_are_huge_in_every_mapping() {
    let huge = PageSize::transparent();
    let len = 3 * huge.bytes();
    let object = object(len);
    let plan = crate::mapping::Plan {
        at: sys::memory::At::Anywhere,
        size: len,
        span: len,
        page: PageSize::base(),
        protection: Protection::READ_WRITE,
        sharing: crate::mapping::Sharing::Shared,
        flags: sys::memory::MapFlags::SHARED,
        file: Some((object.as_fd(), 0)),
        placement: None,
    };
    let mapping = Mapping::aligned(&plan, huge.bytes()).unwrap();
    sys::memory::advise(mapping.base(), len - page(), Advice::PopulateWrite).unwrap();
    let middle = mapping.check(huge.bytes(), huge.bytes(), len).unwrap();
    if let Err(errno) = sys::memory::advise(middle, huge.bytes(), Advice::Collapse) {
        skipped("collapsed_pages_are_huge_in_every_mapping", &format!("MADV_COLLAPSE says {errno}"));
        return;
    }
    let collapsed = huge.bytes() as u64;
    let base = (2 * huge.bytes() - page()) as u64;
    for residency in [measure(&mapping, Some(&object), len).unwrap(), measure_object(&object, len).unwrap()] {
        let sizes: Vec<_> = residency.page_sizes().unwrap().collect();
        assert_eq!(sizes, [(PageSize::base(), base), (huge, collapsed)], "{residency}");
        let run = residency
            .runs()
            .iter()
            .find(|run| matches!(run.place, PageLocation::On { page, .. } if page == huge));
        let expected = has_scan().then_some(huge.bytes()..2 * huge.bytes());
        assert_eq!(run.map(|run| run.range.clone()), expected);
        assert_eq!(residency.absent(), page() as u64);
    }
    assert_eq!(smaps(&mapping, "ShmemPmdMapped:") * 1024, collapsed);
    // An older kernel knows the totals.
    let residency = measure_by(&mapping, &Cache::Core { object: object.as_fd().into() }, false).unwrap();
    let sizes: Vec<_> = residency.page_sizes().unwrap().collect();
    assert_eq!(sizes, [(PageSize::base(), base), (huge, collapsed)], "{residency}");
}

#[test]
fn a_part_of_a_huge_page_is_measured_as_such() {
    let huge = PageSize::transparent();
    let mut mapping = System::new().map(&Request::new(2 * huge.bytes())).unwrap();
    let first = mapping.as_ptr().align_offset(huge.bytes());
    mapping.as_bytes_mut().unwrap().fill(1);
    let aligned = mapping.check(first, huge.bytes(), mapping.size()).unwrap();
    if let Err(errno) = sys::memory::advise(aligned, huge.bytes(), Advice::Collapse) {
        skipped("a_part_of_a_huge_page_is_measured_as_such", &format!("MADV_COLLAPSE says {errno}"));
        return;
    }
    let len = first + 3 * page();
    let residency = measure(&mapping, None, len).unwrap();
    assert_eq!((residency.size(), residency.resident()), (len as u64, len as u64));
    if !has_scan() {
        // The totals of the whole mapping say nothing about a part of it.
        assert!(residency.page_sizes().is_none());
        return;
    }
    let sizes: Vec<_> = residency.page_sizes().unwrap().filter(|(size, _)| *size == huge).collect();
    assert_eq!(sizes, [(huge, (3 * page()) as u64)]);
    assert!(residency.to_string().contains(&format!("in {huge} pages")));
}

/// The machine's pool of 2 MiB pages, grown for a test and put back after it.
struct Pool(String);

impl Pool {
    const FILE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

    fn grow(by: u64) -> Option<Self> {
        let before = std::fs::read_to_string(Self::FILE).ok()?;
        let pool = Pool(before.trim().to_owned());
        let wanted = pool.0.parse::<u64>().ok()? + by;
        std::fs::write(Self::FILE, wanted.to_string()).ok()?;
        let got: u64 = std::fs::read_to_string(Self::FILE).ok()?.trim().parse().ok()?;
        (got >= wanted).then_some(pool)
    }

    fn free() -> u64 {
        let path = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
        std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let _ = std::fs::write(Self::FILE, &self.0);
    }
}

#[test]
fn machine_pool_pages_are_measured_and_none_is_taken() {
    let Some(_pool) = Pool::grow(8) else {
        return skipped(
            "machine_pool_pages_are_measured_and_none_is_taken",
            "the pool cannot be filled here",
        );
    };
    let huge = PageSize::HUGE_2M;
    let mapping = System::new().map(&Request::new(3 * MIB).pages(Pages::Pool(huge))).unwrap();
    let residency = measure(&mapping, None, mapping.size()).unwrap();
    let sizes: Vec<_> = residency.page_sizes().unwrap().collect();
    assert_eq!(sizes, [(huge, 4 * MIB as u64)]);
    assert_eq!(residency.size(), 4 * MIB as u64);
    assert_eq!(measure_by(&mapping, &Cache::Table, false).unwrap(), residency);

    let free = Pool::free();
    let object = Object::create("measured", 4 * huge.bytes(), Extent::Fixed, huge).unwrap();
    assert_eq!(measure_object(&object, object.size()).unwrap().absent(), object.size() as u64);
    assert_eq!(Pool::free(), free);
    let shared = map(&object);
    sys::memory::advise(shared.base(), 2 * huge.bytes(), Advice::PopulateWrite).unwrap();
    // We have mapped all that there is: it is known which pages they are.
    let residency = measure(&shared, Some(&object), object.size()).unwrap();
    assert_eq!(residency.resident(), 2 * huge.bytes() as u64);
    // Without a mapping it is not, and it is not guessed.
    let error = measure_object(&object, object.size()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(Pool::free(), free - 2);
    // All there: every page is found, mapped or not.
    sys::memory::advise(shared.base(), shared.span(), Advice::PopulateWrite).unwrap();
    for residency in [
        measure(&map(&object), Some(&object), object.size()).unwrap(),
        measure_object(&object, object.size()).unwrap(),
    ] {
        let sizes: Vec<_> = residency.page_sizes().unwrap().collect();
        assert_eq!(sizes, [(huge, object.size() as u64)]);
        assert_eq!(residency.runs().len(), residency.nodes().count());
    }
    assert_eq!(resident_bytes(&object).unwrap(), object.size() as u64);
    assert_eq!(Pool::free(), free - 4);
}
