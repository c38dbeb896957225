//! Clones: their own protection, name and address over the same memory; read-only ones that the
//! kernel keeps so.

#![expect(unsafe_code, reason = "tries to get around a read-only clone; each block has its proof")]

use std::sync::atomic::Ordering;

use areas::{Address, ErrorKind, Protection};
use areas_testing::smaps;
use rustix::io::Errno;

use super::page;
use super::support::child::{Stage, hear, reply, test};

#[test]
fn a_read_only_clone_is_kept_so_by_the_kernel() {
    let this = test!("a_read_only_clone_is_kept_so_by_the_kernel");
    let look = |name: &str| {
        let source = areas::registry::find(name).unwrap();
        let mut clone = source.open_read_only().unwrap();
        assert_eq!(clone.protection(), Protection::READ);
        assert_eq!(clone.store(0, 1_u8, Ordering::Relaxed).unwrap_err().kind(), ErrorKind::ReadOnly);
        let vma = smaps::at(clone.as_ptr().addr()).unwrap();
        assert_eq!(&*vma.permissions, "r--s");
        assert!(!vma.has("mw"), "it could be made writable");
        // SAFETY: the clone's own range; to be refused, and would only add a right.
        let status =
            unsafe { libc::mprotect(clone.as_ptr().cast(), page(), libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!((status, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EACCES)));
        assert_eq!(clone.protect(Protection::READ_WRITE).unwrap_err().kind(), ErrorKind::NotPermitted);
        assert_eq!(clone.protection(), Protection::READ, "a refused change is none");
        assert_eq!(rustix::io::pwrite(&clone, b"x", 0), Err(Errno::BADF));
        assert!(rustix::fs::ftruncate(&clone, 0).is_err());
        clone.load::<u8>(0, Ordering::Relaxed).unwrap()
    };
    if this.role().as_deref() == Some("reader") {
        return reply(&look("page").to_string());
    }
    let answer = this.alone(Stage::default(), || {
        let area = areas::builder(page()).name("page").shared().unwrap();
        area.store(0, 77_u8, Ordering::Relaxed).unwrap();
        let here = look("page");
        format!("{here} {}", this.spawn(&mut Stage::here(), "reader").hear())
    });
    assert_eq!(answer, "77 77");
}

#[test]
fn what_one_writes_the_others_read() {
    let this = test!("what_one_writes_the_others_read");
    if this.role().as_deref() == Some("other") {
        let clone = areas::registry::find("slate").unwrap().open().unwrap();
        assert_eq!((clone.size(), clone.load::<u32>(0, Ordering::Relaxed).unwrap()), (5000, 1));
        clone.write_at(4990, b"from other").unwrap();
        reply("written");
        hear();
        return reply(&clone.load::<u32>(0, Ordering::Relaxed).unwrap().to_string());
    }
    let answer = this.alone(Stage::default(), || {
        let area = areas::builder(5000).name("slate").shared().unwrap();
        area.store(0, 1_u32, Ordering::Relaxed).unwrap();
        let mut other = this.spawn(&mut Stage::here(), "other");
        other.hear();
        let mut text = [0; 10];
        area.read_at(4990, &mut text).unwrap();
        area.store(0, 2_u32, Ordering::Relaxed).unwrap();
        other.send("read");
        format!("{} {}", String::from_utf8_lossy(&text), other.hear())
    });
    assert_eq!(answer, "from other 2");
}

#[test]
fn a_clone_outlives_its_origin() {
    test!("a_clone_outlives_its_origin").alone(Stage::default(), || {
        let area = areas::builder(5000).name("torch").shared().unwrap();
        area.write_at(0, b"light").unwrap();
        let id = area.id().unwrap();
        let clone = areas::registry::find("torch").unwrap().cloning().same_name().open().unwrap();
        assert_ne!(clone.id().unwrap(), id);
        drop(area);
        let found = areas::registry::find("torch").unwrap();
        assert_eq!(found.id(), clone.id().unwrap());
        let third = found.cloning().name("third").open().unwrap();
        drop((clone, found));
        assert_eq!(areas::registry::find("torch").unwrap_err().kind(), ErrorKind::NoSuchArea);
        let mut text = [0; 5];
        third.read_at(0, &mut text).unwrap();
        assert_eq!((&text, third.name().unwrap().to_string()), (b"light", "third".to_owned()));
        assert_eq!(areas::registry::get(third.id().unwrap()).unwrap().name().as_bytes(), b"third");
        String::new()
    });
}

#[test]
fn a_clone_goes_to_its_own_address() {
    test!("a_clone_goes_to_its_own_address").alone(Stage::default(), || {
        let area = areas::builder(page()).name("pin").shared().unwrap();
        // A place that was free a moment ago, in a process with no other thread at work.
        let free = areas::builder(page()).private().unwrap().as_ptr().addr();
        let source = areas::registry::find("pin").unwrap();
        let clone = source.cloning().at(Address::Exactly(free)).open().unwrap();
        assert_eq!(clone.as_ptr().addr(), free);
        area.store(8, 3_u64, Ordering::Relaxed).unwrap();
        assert_eq!(clone.load::<u64>(8, Ordering::Relaxed).unwrap(), 3);
        let occupied = source.cloning().at(Address::Exactly(area.as_ptr().addr())).open().unwrap_err();
        assert_eq!(occupied.kind(), ErrorKind::AddressInUse);
        assert_eq!(area.load::<u64>(8, Ordering::Relaxed).unwrap(), 3);
        String::new()
    });
}

#[test]
fn a_clone_may_have_less_than_its_origin_and_not_more_than_another_team() {
    let this = test!("a_clone_may_have_less_than_its_origin_and_not_more_than_another_team");
    if this.role().as_deref() == Some("other") {
        let source = areas::registry::find("shown").unwrap();
        assert_eq!(source.open().unwrap().protection(), Protection::READ, "as its holder has it");
        let refused = source.cloning().protection(Protection::READ_WRITE).open().unwrap_err();
        return reply(&format!("{:?}", refused.kind()));
    }
    let answer = this.alone(Stage::default(), || {
        let area = areas::builder(page()).name("shown").protection(Protection::READ).shared().unwrap();
        let source = areas::registry::find("shown").unwrap();
        // In one's own team the right is not lost: it is the same program.
        source
            .cloning()
            .protection(Protection::READ_WRITE)
            .open()
            .unwrap()
            .store(0, 5_u8, Ordering::Relaxed)
            .unwrap();
        assert_eq!(area.load::<u8>(0, Ordering::Relaxed).unwrap(), 5);
        let none = source.cloning().protection(Protection::empty()).open().unwrap();
        assert_eq!(none.load::<u8>(0, Ordering::Relaxed).unwrap_err().kind(), ErrorKind::ReadOnly);
        assert_eq!(smaps::at(none.as_ptr().addr()).unwrap().permissions, "---s");
        this.spawn(&mut Stage::here(), "other").hear()
    });
    assert_eq!(answer, "ReadOnly");
}

#[test]
fn writing_a_frozen_area_is_refused_as_that() {
    let this = test!("writing_a_frozen_area_is_refused_as_that");
    let refused = || {
        let source = areas::registry::find("ice").unwrap();
        let error = source.cloning().protection(Protection::READ_WRITE).open().unwrap_err();
        format!("{:?}", error.kind())
    };
    if this.role().as_deref() == Some("other") {
        return reply(&refused());
    }
    // As root, who may open the object for writing nevertheless, and as a user who may not.
    for stage in [Stage::default(), Stage::ordinary()] {
        let answer = this.alone(stage, || {
            let frozen = areas::builder(100).name("ice").shared().unwrap().freeze().unwrap();
            let answer = format!("{} {}", refused(), this.spawn(&mut Stage::here(), "other").hear());
            assert_eq!(frozen.len(), 100);
            answer
        });
        assert_eq!(answer, "Frozen Frozen");
    }
}

#[test]
fn a_forked_child_shares_the_memory_under_an_id_of_its_own() {
    test!("a_forked_child_shares_the_memory_under_an_id_of_its_own").alone(Stage::default(), || {
        let area = areas::builder(page()).name("family").shared().unwrap();
        let mut private = areas::builder(page()).private().unwrap();
        let id = area.id().unwrap();
        // SAFETY: no other thread of this process is at work in the library or in malloc: the child
        // may use both.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let own = area.id().is_some_and(|own| own != id);
            area.store(0, 11_u8, Ordering::Relaxed).unwrap();
            private[0] = 11;
            // A drop here takes nothing away from the parent.
            drop((area, private));
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(!own)) };
        }
        let mut status = -1;
        // SAFETY: our own child; the status outlives the call.
        unsafe { libc::waitpid(pid, &raw mut status, 0) };
        assert_eq!(status, 0, "the child has an id of its own");
        assert_eq!((area.load::<u8>(0, Ordering::Relaxed).unwrap(), private[0]), (11, 0));
        assert_eq!((area.id(), areas::registry::find("family").unwrap().id()), (Some(id), id));
        String::new()
    });
}

#[test]
fn memory_lives_as_long_as_its_last_holder() {
    let this = test!("memory_lives_as_long_as_its_last_holder");
    if this.role().as_deref() == Some("holder") {
        let area = areas::builder(4 << 20).name("relay").shared().unwrap();
        area.store(0, 99_u8, Ordering::Relaxed).unwrap();
        reply("published");
        hear();
        return;
    }
    this.alone(Stage::default(), || {
        let mut holder = this.spawn(&mut Stage::here(), "holder");
        holder.hear();
        let clone = areas::registry::find("relay").unwrap().cloning().same_name().open().unwrap();
        holder.kill();
        assert_eq!(clone.load::<u8>(0, Ordering::Relaxed).unwrap(), 99);
        clone.store(1, 100_u8, Ordering::Relaxed).unwrap();
        let found = areas::registry::find("relay").unwrap();
        assert_eq!((found.pid(), found.id()), (std::process::id(), clone.id().unwrap()));
        assert_eq!(areas::registry::list().unwrap().areas.len(), 1);
        String::new()
    });
}
