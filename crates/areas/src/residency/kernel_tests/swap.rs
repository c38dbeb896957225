//! Swapped pages are distinguished from absent ones, and measuring leaves them where they are.

use super::*;

/// Swaps the first `len` bytes out; whether `swapped`, which counts bytes, says in the end that all
/// are.
fn swap_out(mapping: &Mapping, len: usize, swapped: impl Fn() -> u64) -> bool {
    (0..50).any(|_| {
        sys::memory::advise(mapping.base(), len, Advice::PageOut).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        swapped() == len as u64
    })
}

/// Bytes of a private mapping that `/proc/self/pagemap` has as swapped.
fn swapped_by_words(mapping: &Mapping) -> u64 {
    let pagemap = sys::pages::open_table().unwrap();
    let mut words = vec![[0; 8]; mapping.span() / page()];
    sys::pages::table_words(pagemap.as_fd(), mapping.as_ptr().addr(), &mut words).unwrap();
    let swapped = words.into_iter().filter(|word| u64::from_ne_bytes(*word) >> 62 == 1);
    (swapped.count() * page()) as u64
}

#[test]
fn swapped_pages_are_found_and_stay_swapped() {
    let test = "swapped_pages_are_found_and_stay_swapped";
    if sys::process::memory().1 == 0 {
        return skipped(test, "the machine has no swap");
    }
    let (len, half) = (64 * page(), 32 * page());
    let in_halves = |residency: &Residency| {
        assert_eq!(residency.swapped(), Some(half as u64), "{residency:?}");
        assert_eq!(residency.resident(), (len - half) as u64);
        assert_eq!(residency.absent(), page() as u64);
        assert_eq!(
            (residency.runs()[0].range.clone(), residency.runs()[0].place),
            (0..half, PageLocation::Swapped)
        );
    };
    let mut mapping = private(len + page());
    mapping.as_bytes_mut().unwrap()[..len].fill(7);
    if !swap_out(&mapping, half, || swapped_by_words(&mapping)) {
        return skipped(test, "the kernel does not swap private pages out when asked");
    }
    for _ in 0..2 {
        in_halves(&measure(&mapping, None, len + page()).unwrap());
        in_halves(&measure_by(&mapping, &Cache::Table, false).unwrap());
    }
    assert_eq!(present_bytes(&mapping, len).unwrap(), half);

    let object = object(len + page());
    let shared = map(&object);
    (0..64).for_each(|index| write(&object, index));
    sys::memory::advise(shared.base(), len, Advice::PopulateRead).unwrap();
    if !swap_out(&shared, half, || smaps(&shared, "Swap:") * 1024) {
        return skipped(test, "the kernel does not swap shared pages out when asked");
    }
    let before = allocated(&object);
    if has_cachestat() {
        in_halves(&measure_object(&object, object.size()).unwrap());
        in_halves(&measure(&shared, Some(&object), object.size()).unwrap());
        for (scans, in_core) in [(true, true), (true, false), (false, true), (false, false)] {
            let cache = Cache::Stat { object: object.as_fd().into(), in_core };
            in_halves(&measure_by(&map(&object), &cache, scans).unwrap());
        }
        assert_eq!(resident_bytes(&object).unwrap(), half as u64);
    }
    assert_eq!(smaps(&shared, "Swap:") * 1024, half as u64);
    // mincore has pages of the swap cache in RAM: they are, still, and only those are looked up.
    let core = usize::try_from(crate::residency::object::resident_by_core(&object).unwrap()).unwrap();
    let residency = measure_by(&map(&object), &Cache::Core { object: object.as_fd().into() }, true).unwrap();
    assert_eq!((residency.resident(), residency.swapped()), (core as u64, Some((len - core) as u64)));
    assert_eq!(allocated(&object), before, "swapped pages count as allocated");
    // Another process's object before 6.5: what is swapped comes in, and the answer says that it
    // does not know.
    let residency = measure_by(&map(&object), &Cache::Data { object: object.as_fd().into() }, true).unwrap();
    assert_eq!((residency.swapped(), residency.resident()), (None, len as u64));
}
