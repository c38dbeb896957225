//! Slabs and their readers in one process: what is taken, given, read and freed, and what each
//! error is.

use std::alloc::Layout;
use std::time::Duration;

use areas::{ErrorKind, Protection, registry};
use areas_slab::{Handle, Reader, Slab, detach_dead, open, owned, take};
use areas_testing::maps;

fn name(what: &str) -> String {
    format!("slab: {what} {}", std::process::id())
}

fn bytes(len: usize) -> Layout {
    Layout::from_size_align(len, 1).unwrap()
}

#[test]
fn what_was_put_is_read_by_its_handle() {
    let slab = Slab::create(name("put"), 4 << 20).unwrap();
    let slices: Vec<_> =
        (0..1000_u32).map(|i| slab.put(&i.to_le_bytes().repeat(1 + i as usize % 50)).unwrap()).collect();
    for (i, slice) in (0..1000_u32).zip(&slices) {
        assert_eq!((slice.len(), slice.offset() % 64), (4 * (1 + i as usize % 50), 0));
        let handle = Handle::from_bytes(&slice.handle().to_bytes()).unwrap();
        let lease = open(&handle).unwrap();
        assert_eq!(lease.to_vec().unwrap(), i.to_le_bytes().repeat(1 + i as usize % 50));
        assert_eq!((lease.len(), lease.offset()), (slice.len(), slice.offset()));
    }
    let usage = slab.usage().unwrap();
    assert_eq!((usage.blocks, usage.read, usage.given), (1000, 0, 0));
    assert_eq!(usage.owned + usage.free, usage.capacity);
    drop(slices);
    let usage = slab.usage().unwrap();
    assert_eq!((usage.blocks, usage.free), (0, usage.capacity));
}

#[test]
fn a_block_is_used_again_when_no_process_reads_it() {
    let slab = Slab::create(name("reuse"), 1 << 20).unwrap();
    let slice = slab.put(&[7; 100_000]).unwrap();
    let handle = slice.handle();
    let (one, two) = (open(&handle).unwrap(), open(&handle).unwrap());
    let three = two.clone();
    drop(slice);
    // Its owner has none of it, and who reads it goes on.
    assert_eq!(slab.usage().unwrap().read, 100_032);
    for lease in [one, two] {
        assert_eq!(lease.to_vec().unwrap(), [7; 100_000]);
        drop(lease);
        assert_eq!(slab.reclaim().unwrap(), 0);
    }
    // As long as a process reads it, it can be opened.
    let again = open(&three.handle()).unwrap();
    assert_eq!(three.handle(), handle);
    drop(three);
    assert_eq!(slab.reclaim().unwrap(), 0);
    drop(again);
    assert_eq!(slab.reclaim().unwrap(), 1);
    let error = open(&handle).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchArea, "{error:#}");
    // The slot has another generation now.
    let other = slab.put(&[8; 10]).unwrap();
    assert_eq!(open(&handle).unwrap_err().kind(), ErrorKind::NoSuchArea);
    assert_eq!(open(&other.handle()).unwrap().to_vec().unwrap(), [8; 10]);
}

#[test]
fn what_one_reader_hands_on_another_one_opens() {
    let name = name("hand on");
    let slab = Slab::create(&name, 1 << 20).unwrap();
    let attach = || Reader::attach(registry::find(&name).unwrap().open().unwrap()).unwrap();
    let readers = [attach(), attach(), attach()];
    let slice = slab.put(b"handed on").unwrap();
    let mut lease = readers[0].open(&slice.handle()).unwrap();
    drop(slice);
    for reader in [1, 2, 0, 1] {
        // Its owner looks again and again, and finds that it is read.
        assert_eq!(slab.reclaim().unwrap(), 0);
        lease = readers[reader].open(&lease.handle()).unwrap();
        assert_eq!((slab.reclaim().unwrap(), lease.to_vec().unwrap()), (0, b"handed on".to_vec()));
    }
    drop(lease);
    assert_eq!(slab.reclaim().unwrap(), 1);
}

#[test]
fn what_comes_back_to_its_owner_is_a_slice_again() {
    let slab = Slab::create(name("back"), 1 << 20).unwrap();
    let (slice, other) = (slab.put(b"mine").unwrap(), slab.put(b"other").unwrap());
    let (handle, of_other) = (slice.handle(), other.handle());
    let found = owned(&handle).unwrap();
    let again = found.again(&handle).unwrap();
    drop(slice);
    assert_eq!((slab.usage().unwrap().blocks, again.to_vec().unwrap()), (2, b"mine".to_vec()));
    drop(again);
    assert_eq!(slab.usage().unwrap().blocks, 1);
    assert_eq!(slab.again(&handle).unwrap_err().kind(), ErrorKind::NoSuchArea);
    // Read by others, it waits for them; and is the owner's again in the meantime.
    let lease = open(&of_other).unwrap();
    drop(other);
    assert_eq!(slab.usage().unwrap().read, 64);
    let again = slab.again(&of_other).unwrap();
    assert_eq!((slab.usage().unwrap().owned, slab.reclaim().unwrap()), (64, 0));
    drop(lease);
    assert_eq!((slab.reclaim().unwrap(), again.to_vec().unwrap()), (0, b"other".to_vec()));
    drop(again);
    assert_eq!(slab.usage().unwrap().blocks, 0);
    // Each slot is in the queue of those that wait once at most.
    for _ in 0..3 {
        let slice = slab.put(b"next").unwrap();
        let lease = open(&slice.handle()).unwrap();
        drop(slice);
        drop((slab.again(&lease.handle()).unwrap(), lease));
        assert_eq!((slab.reclaim().unwrap(), slab.usage().unwrap().blocks), (1, 0));
    }
    assert!(owned(&of_other).is_some());
    drop((slab, found));
    assert!(owned(&of_other).is_none());
}

#[test]
fn an_area_of_that_size_has_room_for_all_of_it() {
    for (slots, capacity) in [(None, 4096), (None, 16 << 20), (Some(3), 1 << 20)] {
        let builder = Slab::builder().readers(7);
        let builder = slots.map_or(builder, |slots| builder.slots(slots));
        let (builder, size) = builder.sized(capacity);
        let slab = builder.over(areas::builder(size).shared().unwrap()).unwrap();
        assert_eq!(slab.usage().unwrap().capacity, capacity);
        assert!(slots.is_none_or(|slots| slab.usage().unwrap().slots == slots as usize));
        slab.alloc(bytes(capacity)).unwrap();
    }
    let (builder, size) = Slab::builder().slots(u32::MAX).readers(u32::MAX).sized(usize::MAX);
    assert_eq!(size, usize::MAX);
    let area = areas::builder(1 << 16).shared().unwrap();
    assert_eq!(builder.over(area).unwrap_err().error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_is_given_stays_until_it_is_taken() {
    let slab = Slab::create(name("give"), 1 << 20).unwrap();
    let slice = slab.put(b"given twice").unwrap();
    let handles = [slice.give().unwrap(), slice.give().unwrap()];
    drop(slice);
    assert_eq!((slab.reclaim().unwrap(), slab.usage().unwrap().given), (0, 64));
    let first = take(&handles[0]).unwrap();
    drop(first);
    assert_eq!(slab.reclaim().unwrap(), 0, "one of two");
    let second = take(&handles[1]).unwrap();
    assert_eq!(slab.reclaim().unwrap(), 0, "it is read");
    assert_eq!(second.to_vec().unwrap(), b"given twice");
    drop(second);
    assert_eq!(slab.reclaim().unwrap(), 1);
    // No process comes for this one.
    let lost = slab.put(b"lost").unwrap();
    let handle = lost.give().unwrap();
    drop(lost);
    assert_eq!(slab.take_back(Duration::from_secs(3600)).unwrap(), 0);
    assert_eq!(slab.take_back(Duration::ZERO).unwrap(), 1);
    assert_eq!(take(&handle).unwrap_err().kind(), ErrorKind::NoSuchArea);
}

#[test]
fn takes_are_counted_up_to_a_limit() {
    let slab = Slab::create(name("limit"), 1 << 20).unwrap();
    let slice = slab.put(b"again and again").unwrap();
    for _ in 0..32_767 {
        drop(take(&slice.give().unwrap()).unwrap());
    }
    assert_eq!(slice.give().unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(take(&slice.handle()).unwrap_err().kind(), ErrorKind::Limit);
    drop(slice);
    assert_eq!(slab.usage().unwrap().blocks, 0, "all of them were taken");
}

#[test]
fn what_does_not_fit_says_why() {
    let slab = Slab::builder().slots(4).over(areas::builder(1 << 16).shared().unwrap()).unwrap();
    let capacity = slab.usage().unwrap().capacity;
    assert_eq!(slab.alloc(bytes(capacity + 1)).unwrap_err().kind(), ErrorKind::NoMemory);
    let all = slab.alloc(bytes(capacity)).unwrap();
    let error = slab.alloc(bytes(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory);
    assert!(format!("{error:#}").contains("help: drop slices"), "{error:#}");
    drop(all);
    let four: Vec<_> = (0..4).map(|_| slab.alloc(bytes(0)).unwrap()).collect();
    assert!(four[0].is_empty());
    let error = slab.alloc(bytes(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("4 slots"), "{error}");
    let layout = Layout::from_size_align(1, 8192).unwrap();
    assert_eq!(slab.alloc(layout).unwrap_err().kind(), ErrorKind::InvalidInput);
    // A time is waited for, and no longer.
    let begun = std::time::Instant::now();
    let error = slab.alloc_within(bytes(1), Duration::from_millis(30)).unwrap_err();
    assert!(error.kind() == ErrorKind::Limit && begun.elapsed() >= Duration::from_millis(30));
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| slab.alloc_within(bytes(1), Duration::from_secs(60)).map(drop));
        std::thread::sleep(Duration::from_millis(20));
        drop(four);
        waiting.join().unwrap()
    });
    waiting.unwrap();
}

#[test]
fn alignments_are_kept_and_blocks_lie_apart() {
    let slab = Slab::create(name("alignment"), 8 << 20).unwrap();
    let mut taken: Vec<(usize, usize)> = Vec::new();
    let mut held = Vec::new();
    for round in 0..300_usize {
        let (len, align) = (1 + round * 37 % 5000, 1 << (round % 13));
        let slice = slab.alloc(Layout::from_size_align(len, align).unwrap()).unwrap();
        assert_eq!(slice.offset() % align, 0);
        let end = slice.offset() + len;
        assert!(taken.iter().all(|&(from, to)| end <= from || to <= slice.offset()), "{round}");
        taken.push((slice.offset(), end));
        held.push(slice);
    }
}

#[test]
fn a_growable_area_grows_as_it_fills() {
    let area = areas::builder(1 << 16).growable(64 << 20).name(name("growable")).shared().unwrap();
    let slab = Slab::builder().slots(1000).over(area).unwrap();
    let before = slab.area().size();
    let first = slab.put(&[1; 1000]).unwrap();
    let reader = open(&first.handle()).unwrap();
    let many: Vec<_> = (0..20).map(|_| slab.put(&vec![2; 1 << 20]).unwrap()).collect();
    assert!(slab.area().size() >= before + (20 << 20), "{}", slab.area().size());
    // Who attached before it grew reads what lies behind.
    assert_eq!(open(&many[19].handle()).unwrap().to_vec().unwrap(), vec![2; 1 << 20]);
    assert_eq!(reader.to_vec().unwrap(), [1; 1000]);
    assert_eq!(slab.alloc(bytes(64 << 20)).unwrap_err().kind(), ErrorKind::NoMemory);
}

#[test]
fn one_owner_and_no_readers_of_another() {
    let name = name("owner");
    let slab = Slab::create(&name, 1 << 20).unwrap();
    let clone = registry::find(&name).unwrap().open().unwrap();
    let rejected = Slab::builder().over(clone).unwrap_err();
    assert_eq!(rejected.error.kind(), ErrorKind::Busy, "{}", rejected.error);
    let clone = rejected.value;
    let slice = slab.put(b"read").unwrap();
    let lease = open(&slice.handle()).unwrap();
    drop((slice, slab));
    // Its owner is gone, and one of its readers is not.
    let rejected = Slab::builder().over(clone).unwrap_err();
    assert_eq!(rejected.error.kind(), ErrorKind::Busy, "{}", rejected.error);
    assert_eq!(lease.to_vec().unwrap(), b"read");
}

#[test]
fn a_former_slabs_words_do_not_count() {
    let area = areas::builder(1 << 20).shared().unwrap();
    area.write_at(0, &vec![0xff; 1 << 20]).unwrap();
    let slab = Slab::builder().over(area).unwrap();
    let slice = slab.put(b"new").unwrap();
    drop(slice);
    let usage = slab.usage().unwrap();
    assert_eq!((usage.blocks, usage.free), (0, usage.capacity));
}

#[test]
fn what_is_no_slab_is_refused() {
    let area = areas::builder(1 << 20).shared().unwrap();
    let rejected = Reader::attach(area).unwrap_err();
    assert_eq!(rejected.error.kind(), ErrorKind::InvalidInput, "{}", rejected.error);
    let empty = areas::builder(8).shared().unwrap();
    assert_eq!(Reader::attach(empty).unwrap_err().error.kind(), ErrorKind::InvalidInput);
    let mut read_only = rejected.value;
    read_only.protect(Protection::READ).unwrap();
    assert_eq!(Reader::attach(read_only).unwrap_err().error.kind(), ErrorKind::ReadOnly);
    for (slots, readers, size) in
        [(0, 1, 1 << 20), (1, 0, 1 << 20), (1, 1025, 1 << 20), (1 << 25, 1, 1 << 20), (256, 56, 4096)]
    {
        let area = areas::builder(size).shared().unwrap();
        let error = Slab::builder().slots(slots).readers(readers).over(area).unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{slots} {readers} {size}: {error}");
    }
}

#[test]
fn a_handle_of_nothing_is_refused() {
    let slab = Slab::create(name("handles"), 1 << 20).unwrap();
    let slice = slab.put(&[1; 1000]).unwrap();
    let good = slice.handle().to_bytes();
    // Each byte of it another one: never a slice that is longer, or elsewhere.
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good;
            bytes[at] ^= 1 << bit;
            let Ok(handle) = Handle::from_bytes(&bytes) else { continue };
            match open(&handle) {
                Ok(lease) => assert!(
                    (4..8).contains(&at) && lease.offset() == slice.offset() && lease.len() == 1000,
                    "only the area's id says nothing to who is attached: byte {at}"
                ),
                Err(error) => {
                    assert!(
                        [ErrorKind::NoSuchArea, ErrorKind::InvalidInput].contains(&error.kind()),
                        "{error}"
                    )
                }
            }
        }
    }
    drop(slice);
    assert_eq!(slab.usage().unwrap().blocks, 0, "no attempt left a lease");
}

#[test]
fn no_more_readers_than_there_are_places() {
    let name = name("places");
    let mut slab = Slab::builder().readers(3).over(areas::builder(1 << 20).shared().unwrap()).unwrap();
    slab.publish(&name).unwrap();
    let attach = || Reader::attach(registry::find(&name).unwrap().open().unwrap());
    let mut readers: Vec<_> = (0..3).map(|_| attach().unwrap()).collect();
    let error = attach().unwrap_err().error;
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    let slice = slab.put(b"by all").unwrap();
    let leases: Vec<_> = readers.iter().map(|reader| reader.open(&slice.handle()).unwrap()).collect();
    drop(slice);
    for lease in leases {
        assert_eq!(slab.reclaim().unwrap(), 0);
        drop(lease);
    }
    assert_eq!(slab.reclaim().unwrap(), 1);
    readers.pop();
    attach().unwrap();
    assert!(readers[0].is_owner_alive().unwrap());
    drop(slab);
    assert!(!readers[0].is_owner_alive().unwrap());
}

#[test]
fn memory_of_a_dead_owner_goes_when_it_is_released() {
    let slab = Slab::create(name("dead"), 1 << 20).unwrap();
    let slice = slab.put(b"read").unwrap();
    let inode = rustix::fs::fstat(slab.area()).unwrap().st_ino;
    let is_mapped = || maps::own().iter().any(|vma| vma.inode == inode);
    let lease = open(&slice.handle()).unwrap();
    drop((slice, slab));
    detach_dead();
    assert_eq!(lease.to_vec().unwrap(), b"read");
    drop(lease);
    assert!(is_mapped());
    detach_dead();
    assert!(!is_mapped());
}
