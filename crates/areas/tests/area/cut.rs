//! Addresses of an area that the program unmaps or maps over itself: what is left of it is an area,
//! or several, and what is another process's by now stays as it is.

#![expect(clippy::single_range_in_vec_init, reason = "lists of ranges, of which one may be all")]
#![expect(unsafe_code, reason = "unmaps and maps over addresses of areas; each block has its proof")]

use std::sync::atomic::Ordering;

use areas::{Address, Area, ErrorKind, Protection, Resizable, Shared, Transfer, registry};
use areas_testing::smaps;

use super::page;
use super::support::child::{Stage, hear, reply, test};

const PAGES: usize = 16;

/// Takes pages of an area away, as a program does that has forgotten whose they are.
fn unmap(base: *mut u8, from: usize, to: usize) {
    // SAFETY: addresses of an area of this test's, which lends no references, and which is
    // reconciled before it is used again.
    let status = unsafe { libc::munmap(base.wrapping_add(from * page()).cast(), (to - from) * page()) };
    assert_eq!(status, 0);
}

/// Another process's mapping there, over whatever is mapped: all its bytes are the same.
fn stranger(base: *mut u8, from: usize, to: usize) -> *mut u8 {
    let at = base.wrapping_add(from * page());
    let len = (to - from) * page();
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: as in `unmap`.
    let got = unsafe { libc::mmap(at.cast(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    assert_eq!(got, at.cast());
    // SAFETY: `len` bytes that were just mapped for writing, and nothing else knows of.
    unsafe { at.write_bytes(0x5a, len) };
    at
}

/// It is as it was, and gone behind that.
fn is_well(at: *mut u8, pages: usize) {
    let vma = smaps::at(at.addr()).expect("it is mapped");
    assert!(!vma.has("sh"), "private: {vma:?}");
    for i in 0..pages * page() {
        // SAFETY: the stranger's own bytes, mapped above (the kernel has just said so).
        assert_eq!(unsafe { at.wrapping_add(i).read() }, 0x5a, "byte {i}");
    }
    unmap(at, 0, pages);
}

/// A resizable area whose pages say which ones they are.
fn numbered(name: &str) -> Area<Resizable> {
    let area = areas::builder(PAGES * page()).name(name).resizable(4 * PAGES * page()).unwrap();
    (0..PAGES).for_each(|i| area.write_at(i * page(), &[u8::try_from(i).unwrap() + 1]).unwrap());
    area
}

/// The numbers that its pages say.
fn numbers(area: &Area<Resizable>) -> Vec<u8> {
    let mut byte = [0];
    (0..area.size() / page())
        .map(|i| {
            area.read_at(i * page(), &mut byte).unwrap();
            byte[0]
        })
        .collect()
}

fn pages(range: std::ops::Range<u8>) -> Vec<u8> {
    range.map(|i| i + 1).collect()
}

#[test]
fn a_whole_area_is_left_alone() {
    test!("a_whole_area_is_left_alone").alone(Stage::default(), || {
        let area = numbered("whole");
        let id = area.id();
        assert_eq!(area.missing().unwrap(), []);
        let left = area.reconcile().unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].id(), numbers(&left[0])), (id, pages(0..16)));
        String::new()
    });
}

#[test]
fn the_head_goes_and_the_rest_grows_and_shrinks() {
    test!("the_head_goes_and_the_rest_grows_and_shrinks").alone(Stage::default(), || {
        let area = numbered("head");
        let (id, base) = (area.id().unwrap(), area.as_ptr());
        unmap(base, 0, 4);
        let at = stranger(base, 1, 3);
        assert_eq!(area.missing().unwrap(), [0..4 * page()]);
        let mut left = area.reconcile().unwrap();
        let mut rest = left.pop().unwrap();
        assert!(left.is_empty());
        assert_eq!((rest.id(), rest.as_ptr()), (Some(id), base.wrapping_add(4 * page())));
        assert_eq!(numbers(&rest), pages(4..16));
        assert_eq!(registry::id_at(base.addr()).unwrap_err().kind(), ErrorKind::NoSuchArea);
        assert_eq!(registry::id_at(base.addr() + 4 * page()).unwrap(), id);
        let reported = registry::get(id).unwrap().info().unwrap();
        assert_eq!(
            (reported.address, reported.size, reported.offset),
            (base.addr() + 4 * page(), 12 * page(), 4 * page())
        );
        rest.resize(20 * page()).unwrap();
        assert_eq!(numbers(&rest)[..13], [pages(4..16), vec![0]].concat());
        rest.write_at(19 * page(), &[99]).unwrap();
        rest.resize(2 * page()).unwrap();
        assert_eq!(numbers(&rest), pages(4..6));
        assert_eq!(rest.read_at(2 * page(), &mut [0]).unwrap_err().kind(), ErrorKind::OutOfRange);
        drop(rest);
        is_well(at, 2);
        String::new()
    });
}

#[test]
fn the_middle_goes_and_two_are_left_under_one_name() {
    test!("the_middle_goes_and_two_are_left_under_one_name").alone(Stage::default(), || {
        let area = numbered("middle");
        let (id, base) = (area.id().unwrap(), area.as_ptr());
        let at = stranger(base, 6, 9);
        let left = area.reconcile().unwrap();
        let [first, second] = &left[..] else { panic!("{left:?}") };
        assert_eq!((numbers(first), numbers(second)), (pages(0..6), pages(9..16)));
        assert_eq!(first.id(), Some(id));
        assert!(second.id().is_some_and(|second| second != id));
        for area in &left {
            assert_eq!(area.name().unwrap().as_bytes(), b"middle");
            assert_eq!(registry::id_at(area.as_ptr().addr()).ok(), area.id());
            assert!(area.missing().unwrap().is_empty());
            // Each measures its own pages.
            assert_eq!(area.residency().unwrap().resident(), area.size() as u64);
        }
        // Whoever else makes the first one smaller would take the second one's memory; the second
        // one ends where the memory does.
        let [before, behind] = [first, second].map(|area| registry::get(area.id().unwrap()).unwrap());
        assert!(before.ends_before_its_object() && !behind.ends_before_its_object());
        assert_eq!(before.shrink(page()).unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!((numbers(first), numbers(second)), (pages(0..6), pages(9..16)));
        // A clone is one of the part, by its own mapping.
        let clone = registry::get(second.id().unwrap()).unwrap().open_resizable().unwrap();
        assert_eq!(numbers(&clone), pages(9..16));
        clone.write_at(0, &[77]).unwrap();
        assert_eq!(numbers(second)[0], 77);
        drop(left);
        assert_eq!(numbers(&clone)[0], 77);
        is_well(at, 3);
        String::new()
    });
}

#[test]
fn one_of_which_nothing_is_left_is_gone() {
    test!("one_of_which_nothing_is_left_is_gone").alone(Stage::default(), || {
        let area = numbered("gone");
        let (id, base, reserve) = (area.id().unwrap(), area.as_ptr(), area.reserve() / page());
        let at = stranger(base, 0, PAGES);
        assert!(area.reconcile().unwrap().is_empty());
        assert_eq!(registry::get(id).unwrap_err().kind(), ErrorKind::NoSuchArea);
        assert_eq!(registry::find("gone").unwrap_err().kind(), ErrorKind::NoSuchArea);
        // Its reserve was its own, and is unmapped.
        assert!(smaps::at(base.wrapping_add((reserve - 1) * page()).addr()).is_none());
        is_well(at, PAGES);
        String::new()
    });
}

/// The type says who else writes: other kinds are cut as well, and what makes no sense for a part
/// is refused.
#[test]
fn each_kind_is_cut() {
    test!("each_kind_is_cut").alone(Stage::default(), || {
        let fixed = areas::builder(8 * page()).name("fixed").shared().unwrap();
        (0..8_u8).for_each(|i| fixed.store(usize::from(i) * page(), i, Ordering::Relaxed).unwrap());
        unmap(fixed.as_ptr(), 2, 4);
        let left = fixed.reconcile().unwrap();
        let [first, second] = &left[..] else { panic!("{left:?}") };
        let load = |area: &Area<Shared>, at: usize| area.load::<u8>(at * page(), Ordering::Relaxed);
        assert_eq!((first.size(), second.size()), (2 * page(), 4 * page()));
        assert_eq!((load(first, 1).unwrap(), load(second, 0).unwrap(), load(second, 3).unwrap()), (1, 4, 7));
        assert_eq!(load(first, 2).unwrap_err().kind(), ErrorKind::OutOfRange);
        assert_eq!(load(second, 4).unwrap_err().kind(), ErrorKind::OutOfRange);
        let clone = registry::get(second.id().unwrap()).unwrap().open().unwrap();
        assert_eq!((clone.size(), load(&clone, 3).unwrap()), (4 * page(), 7));
        // From one part into the other, which are the same object, and no bytes of it twice.
        second.copy_to(0, first, 0, page()).unwrap();
        assert_eq!(load(first, 0).unwrap(), 4);
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(second.send(&ours).unwrap_err().kind(), ErrorKind::Unsupported);
        let mut left = left;
        let rejected = left.pop().unwrap().freeze().unwrap_err();
        assert_eq!(rejected.error.kind(), ErrorKind::Unsupported);
        drop((rejected, left, clone));

        // One that grows: what goes up to its end grows on.
        let growable = areas::builder(8 * page()).growable(32 * page()).name("growable").shared().unwrap();
        growable.store(7 * page(), 7_u8, Ordering::Relaxed).unwrap();
        unmap(growable.as_ptr(), 2, 4);
        let left = growable.reconcile().unwrap();
        left[1].grow(6 * page()).unwrap();
        assert_eq!(
            (left[1].size(), load(&left[1], 3).unwrap(), load(&left[1], 5).unwrap()),
            (6 * page(), 7, 0)
        );
        assert_eq!(left[1].grow(29 * page()).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(left[0].grow(3 * page()).unwrap_err().kind(), ErrorKind::InvalidInput);
        drop(left);

        // A frozen one lends what is left.
        let frozen = areas::builder(4 * page()).shared().unwrap();
        (0..4_u8).for_each(|i| frozen.store(usize::from(i) * page(), i, Ordering::Relaxed).unwrap());
        let frozen = frozen.freeze().unwrap();
        unmap(frozen.as_ptr(), 0, 1);
        let left = frozen.reconcile().unwrap();
        let [rest] = &left[..] else { panic!("{left:?}") };
        assert_eq!((rest.len(), rest[0], rest[2 * page()]), (3 * page(), 1, 3));
        drop(left);

        // Of private memory a hole is seen, and a stranger of the same kind is not: no process can
        // distinguish them.
        let private = areas::builder(4 * page()).private().unwrap();
        unmap(private.as_ptr(), 1, 2);
        assert_eq!(private.missing().unwrap(), [page()..2 * page()]);
        assert_eq!(private.reconcile().unwrap().len(), 2);
        String::new()
    });
}

/// A part is protected, moved, and handed over as what it is.
#[test]
fn a_part_can_do_what_an_area_can() {
    test!("a_part_can_do_what_an_area_can").alone(Stage::default(), || {
        let area = numbered("part");
        let base = area.as_ptr();
        let at = stranger(base, 4, 8);
        let mut left = area.reconcile().unwrap();
        left[0].protect(Protection::READ).unwrap();
        left[1].protect(Protection::empty()).unwrap();
        left[1].protect(Protection::READ_WRITE).unwrap();
        let rights = |page_number: usize| smaps::at(base.wrapping_add(page_number * page()).addr()).unwrap();
        assert!(!rights(0).has("wr") && rights(8).has("wr"));
        let second = left.pop().unwrap();
        let pid = std::process::id();
        let Transfer::Own(moved) = second.transfer(pid, Address::Any).unwrap() else {
            panic!("it is our own")
        };
        assert_eq!(numbers(&moved), pages(8..16));
        assert_ne!(moved.as_ptr(), base.wrapping_add(8 * page()));
        assert!(smaps::at(base.wrapping_add(8 * page()).addr()).is_none());
        // The other part does not grow into bytes that are its: though there would be addresses.
        let mut first = left.pop().unwrap();
        first.protect(Protection::READ_WRITE).unwrap();
        is_well(at, 4);
        first.resize(8 * page()).unwrap();
        assert_eq!(numbers(&first), [pages(0..4), vec![0; 4]].concat());
        let error = first.resize(9 * page()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddressInUse);
        assert_eq!(numbers(&moved), pages(8..16));
        assert_eq!(first.size(), 8 * page());
        String::new()
    });
}

/// Whoever clones an area, published or not, keeps all that there was: what its maker unmaps keeps
/// its memory.
#[test]
fn no_holder_loses_what_the_maker_unmaps() {
    let this = test!("no_holder_loses_what_the_maker_unmaps");
    if this.role().as_deref() == Some("clone") {
        let clone = registry::find("kept").unwrap().open_resizable().unwrap();
        reply("has it");
        hear();
        reply(&format!("{:?}", numbers(&clone)));
        return;
    }
    this.alone(Stage::default(), || {
        let mut area = numbered("kept");
        let mut other = this.spawn(&mut Stage::here(), "clone");
        assert_eq!(other.hear(), "has it");
        // It is not published, and there is nothing that would name its holders.
        assert_eq!(registry::list().unwrap().areas.len(), 1);
        unmap(area.as_ptr(), 0, 2);
        unmap(area.as_ptr(), 12, 16);
        area = area.reconcile().unwrap().pop().unwrap();
        assert_eq!(numbers(&area), pages(2..12));
        // It ends before its object does, and cannot grow over what the other one has.
        assert_eq!(area.resize(11 * page()).unwrap_err().kind(), ErrorKind::AddressInUse);
        area.resize(5 * page()).unwrap();
        assert_eq!(area.resize(6 * page()).unwrap_err().kind(), ErrorKind::AddressInUse);
        drop(area);
        other.send("look");
        assert_eq!(other.hear(), format!("{:?}", pages(0..16)));
        String::new()
    });
}

/// Without a descriptor for a second part there is an error, and nothing has changed.
#[test]
fn without_a_descriptor_it_stays_as_it_was() {
    test!("without_a_descriptor_it_stays_as_it_was").alone(Stage::default(), || {
        let area = numbered("limited");
        let (id, base) = (area.id().unwrap(), area.as_ptr());
        let at = stranger(base, 4, 8);
        let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        // As many as are open, and the one of /proc/self/maps.
        let mut held = Vec::new();
        let limit = rustix::process::Rlimit { current: Some(64), ..before };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        while let Ok(file) = std::fs::File::open("/proc/self/stat") {
            held.push(file);
        }
        let missing = {
            drop(held.pop());
            let missing = area.missing().unwrap();
            held.push(std::fs::File::open("/proc/self/stat").unwrap());
            missing
        };
        assert_eq!(missing, [4 * page()..8 * page()]);
        let rejected = area.cut(&missing).unwrap_err();
        assert_eq!(rejected.error.kind(), ErrorKind::Limit);
        drop(held);
        rustix::process::setrlimit(rustix::process::Resource::Nofile, before).unwrap();
        let area = rejected.value;
        assert_eq!((area.id(), area.as_ptr(), area.reserve()), (Some(id), base, 4 * PAGES * page()));
        let left = area.reconcile().unwrap();
        assert_eq!(left.len(), 2);
        drop(left);
        is_well(at, 4);
        String::new()
    });
}

#[test]
fn a_part_does_not_grow_over_one_that_is_hidden() {
    for retire in [false, true] {
        let area = numbered("hidden");
        let base = area.as_ptr();
        unmap(base, 4, 8);
        let mut parts = area.reconcile().unwrap();
        let mut hidden = parts.pop().unwrap();
        let mut first = parts.pop().unwrap();
        match retire {
            true => hidden.retire().unwrap(),
            false => assert!(hidden.unpublish().is_some()),
        }
        let error = first.resize(6 * page()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}");
        drop(first);
        assert_eq!(numbers(&hidden), (9..=16).collect::<Vec<u8>>());
    }
}
