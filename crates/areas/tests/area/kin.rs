//! Clones of clones, in one process and across several: each with a name, an address, a protection
//! and an id of its own; all with the same memory and the lock that the first one was created with.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use areas::{Area, ErrorKind, Lock, Protection, Resizable, Shared, registry};
use areas_testing::{maps, smaps};

use super::page;
use super::support::child::{Stage, hear, reply, test};
use super::support::kernel;

const SIZE: usize = 64 << 10;

/// Clones the area of one name under another.
fn clone(of: &str, name: &str) -> Area<Shared> {
    registry::find(of).unwrap().cloning().name(name).open().unwrap()
}

/// The lock, as the kernel has it: pages that come are locked ("lo"), each as it is touched ("lf").
fn locked(area: &Area<Shared>) -> Lock {
    let vma = smaps::at(area.as_ptr().addr()).unwrap();
    match (vma.has("lo"), vma.has("lf")) {
        (false, _) => Lock::None,
        (true, true) => Lock::Lazy,
        (true, false) => {
            assert_eq!(vma.bytes("Rss"), area.mapped(), "all of it is in RAM");
            Lock::Full
        }
    }
}

#[test]
fn a_chain_through_three_teams_outlives_its_beginning() {
    let this = test!("a_chain_through_three_teams_outlives_its_beginning");
    if let Some((of, name)) = this.role().as_deref().and_then(|role| role.split_once(' ')) {
        let area = clone(of, name);
        let reported = registry::get(area.id().unwrap()).unwrap().info().unwrap();
        reply(&format!("{} {} {} {}", area.id().unwrap(), reported.size, reported.lock, locked(&area)));
        // Through this one, what the other one has written; and back.
        while let Ok(offset) = hear().parse::<usize>() {
            let seen = area.load::<u8>(offset, Ordering::Relaxed).unwrap();
            area.store(offset, seen + 1, Ordering::Relaxed).unwrap();
            reply(&seen.to_string());
        }
        return;
    }
    this.alone(Stage::default(), || {
        for lock in [Lock::None, Lock::Lazy, Lock::Full] {
            let mut stage = Stage::here();
            let first = areas::builder(SIZE).lock(lock).name("first").shared().unwrap();
            let mut second = this.spawn(&mut stage, "first second");
            let reported = |id: &str| format!("{id} {SIZE} {lock} {lock}");
            let of_second = second.hear();
            assert_eq!(of_second, reported(of_second.split(' ').next().unwrap()));
            let mut third = this.spawn(&mut stage, "second third");
            let of_third = third.hear();
            assert_eq!(of_third, reported(of_third.split(' ').next().unwrap()));
            let ids: BTreeSet<String> = [&*of_second, &of_third]
                .iter()
                .map(|reported| reported.split(' ').next().unwrap().to_owned())
                .chain([first.id().unwrap().to_string()])
                .collect();
            assert_eq!(ids.len(), 3, "an id each");
            first.store(100, 5_u8, Ordering::Relaxed).unwrap();
            for (peer, expected) in [(&mut second, "5"), (&mut third, "6")] {
                peer.send("100");
                assert_eq!(peer.hear(), expected);
            }
            assert_eq!(first.load::<u8>(100, Ordering::Relaxed).unwrap(), 7);
            // The middle one dies, and the first one is dropped: the third is found, and a fourth
            // is made of it.
            second.kill();
            drop(first);
            for gone in ["first", "second"] {
                assert_eq!(registry::find(gone).unwrap_err().kind(), ErrorKind::NoSuchArea);
            }
            let fourth = clone("third", "fourth");
            assert_eq!(
                (fourth.load::<u8>(100, Ordering::Relaxed).unwrap(), fourth.size(), fourth.lock()),
                (7, SIZE, lock)
            );
            assert_eq!(locked(&fourth), lock);
            third.kill();
            assert_eq!(fourth.load::<u8>(100, Ordering::Relaxed).unwrap(), 7);
            assert_eq!(registry::list().unwrap().areas.len(), 1);
        }
        String::new()
    });
}

#[test]
fn many_clones_of_one_area_in_one_team() {
    test!("many_clones_of_one_area_in_one_team").alone(Stage::default(), || {
        const MANY: usize = 300;
        let first = areas::builder(SIZE).name("clone-0").shared().unwrap();
        let mut all = vec![first];
        // Each of the one before.
        for i in 1..MANY {
            all.push(clone(&format!("clone-{}", i - 1), &format!("clone-{i}")));
        }
        let ids: BTreeSet<_> = all.iter().map(|area| area.id().unwrap()).collect();
        let addresses: BTreeSet<_> = all.iter().map(|area| area.as_ptr().addr()).collect();
        assert_eq!((ids.len(), addresses.len()), (MANY, MANY));
        for (i, area) in all.iter().enumerate() {
            area.store(i * 8, i as u64, Ordering::Relaxed).unwrap();
            assert_eq!(registry::find(format!("clone-{i}")).unwrap().id(), area.id().unwrap());
            assert_eq!(Some(registry::at(area.as_ptr().addr() + SIZE - 1).unwrap().id()), area.id());
        }
        let last = &all[MANY - 1];
        assert!(
            (0..MANY).all(|i| last.load::<u64>(i * 8, Ordering::Relaxed).unwrap() == i as u64),
            "the same memory"
        );
        assert_eq!(
            kernel::allocated(last),
            (MANY * 8).next_multiple_of(page()) as u64,
            "which is there once"
        );
        // They go in any order; who is left is not disturbed.
        let mut step = 7;
        while all.len() > 1 {
            step = step * 31 % 1009;
            drop(all.swap_remove(step % all.len()));
            let left = &all[step % all.len()];
            assert_eq!(left.load::<u64>((MANY - 1) * 8, Ordering::Relaxed).unwrap(), MANY as u64 - 1);
        }
        let name = all[0].name().unwrap().to_string();
        assert_eq!(registry::find(&name).unwrap().id(), all[0].id().unwrap());
        assert_eq!(registry::list().unwrap().areas.len(), 1);
        String::new()
    });
}

#[test]
fn protection_is_each_ones_own() {
    let this = test!("protection_is_each_ones_own");
    let rights = |area: &Area<Shared>| maps::at(area.as_ptr().addr()).unwrap().permissions;
    if this.role().as_deref() == Some("other") {
        let area = clone("page", "other's");
        reply(&rights(&area));
        hear();
        area.store(0, 9_u8, Ordering::Relaxed).unwrap();
        return reply(&rights(&area));
    }
    this.alone(Stage::default(), || {
        let mut first = areas::builder(page()).name("page").shared().unwrap();
        let second = clone("page", "second");
        let mut other = this.spawn(&mut Stage::here(), "other");
        assert_eq!(other.hear(), "rw-s");
        for (protection, shown) in [
            (Protection::READ, "r--s"),
            (Protection::empty(), "---s"),
            (Protection::READ | Protection::EXECUTE, "r-xs"),
        ] {
            first.protect(protection).unwrap();
            assert_eq!((rights(&first), rights(&second)), (shown.to_owned(), "rw-s".to_owned()));
            assert_eq!(registry::find("page").unwrap().info().unwrap().protection, protection, "as last set");
            assert_eq!(registry::find("second").unwrap().info().unwrap().protection, Protection::READ_WRITE);
        }
        first.protect(Protection::empty()).unwrap();
        assert_eq!(
            Some(registry::at(first.as_ptr().addr() + 5).unwrap().id()),
            first.id(),
            "it is found all the same"
        );
        other.send("look");
        assert_eq!(other.hear(), "rw-s");
        assert_eq!(second.load::<u8>(0, Ordering::Relaxed).unwrap(), 9);
        first.protect(Protection::READ_WRITE).unwrap();
        assert_eq!(first.load::<u8>(0, Ordering::Relaxed).unwrap(), 9);
        String::new()
    });
}

#[test]
fn never_above_what_another_team_gave() {
    let this = test!("never_above_what_another_team_gave");
    if this.role().as_deref() == Some("other") {
        let refused = |error: areas::Error| error.kind();
        // Its holder may write it; what was asked for, and granted, is reading.
        let mut reader = registry::find("page")
            .unwrap()
            .cloning()
            .name("mine")
            .protection(Protection::READ)
            .open()
            .unwrap();
        for more in [Protection::WRITE, Protection::READ_WRITE, Protection::all()] {
            assert_eq!(reader.protect(more).map_err(refused), Err(ErrorKind::NotPermitted), "{more}");
        }
        assert_eq!(smaps::at(reader.as_ptr().addr()).unwrap().permissions, "r--s");
        assert!(!smaps::at(reader.as_ptr().addr()).unwrap().has("mw"), "the kernel would not allow it");
        // Less, and back to what was granted.
        reader.protect(Protection::empty()).unwrap();
        reader.protect(Protection::READ).unwrap();
        // Nor by way of a clone of the clone, although in one's own team writing is granted, and
        // the kernel would open it: of this area, this team has no more to give.
        let own = registry::find("mine").unwrap();
        let more = own.cloning().protection(Protection::READ_WRITE).open().map_err(refused);
        assert_eq!(more.unwrap_err(), ErrorKind::ReadOnly);
        assert_eq!(own.open().unwrap().protection(), Protection::READ);
        // What its holder may not write at all is refused at once.
        let source = registry::find("shown").unwrap();
        let more = source.cloning().protection(Protection::WRITE).open().map_err(refused);
        assert_eq!(more.unwrap_err(), ErrorKind::ReadOnly);
        // The same for areas that change their size.
        let source = registry::find("elastic").unwrap();
        let reader =
            source.cloning().name("my elastic").protection(Protection::READ).open_resizable().unwrap();
        let own = registry::find("my elastic").unwrap();
        let more = own.cloning().protection(Protection::READ_WRITE).open_resizable().map_err(refused);
        assert_eq!(more.unwrap_err(), ErrorKind::ReadOnly);
        drop(reader);
        return reply("done");
    }
    this.alone(Stage::default(), || {
        let area = areas::builder(page()).name("page").shared().unwrap();
        let shown = areas::builder(page()).name("shown").protection(Protection::READ).shared().unwrap();
        let elastic = areas::builder(page()).name("elastic").resizable(page()).unwrap();
        assert_eq!(this.spawn(&mut Stage::here(), "other").hear(), "done");
        // Within the team that made it, a writable clone of a read-only area is granted.
        let writable =
            registry::find("shown").unwrap().cloning().protection(Protection::READ_WRITE).open().unwrap();
        writable.store(0, 3_u8, Ordering::Relaxed).unwrap();
        assert_eq!(shown.load::<u8>(0, Ordering::Relaxed).unwrap(), 3);
        drop((area, elastic));
        String::new()
    });
}

#[test]
fn what_is_reported_of_an_area_is_what_the_kernel_says_now() {
    let this = test!("what_is_reported_of_an_area_is_what_the_kernel_says_now");
    // Resident and swapped bytes, each as far as the kernel reports them.
    let look = || {
        let source = registry::find("live").unwrap();
        let residency = source.residency().unwrap();
        assert_eq!(source.resident().unwrap(), residency.resident());
        assert!(
            matches!(residency.swapped(), Some(0) | None),
            "nothing was swapped, or it is not known: never a guess"
        );
        let info = source.info().unwrap();
        format!("{} {} {}", info.size, residency.resident() / page() as u64, info.pid)
    };
    if this.role().as_deref() == Some("other") {
        loop {
            reply(&look());
            if hear().is_empty() {
                return;
            }
        }
    }
    this.alone(Stage::default(), || {
        // Locked lazily: what was touched stays, whatever the machine is short of.
        let area = areas::builder(16 * page()).name("live").lock(Lock::Lazy).shared().unwrap();
        let mut other = this.spawn(&mut Stage::here(), "other");
        let answer = |pages| format!("{} {pages} {}", 16 * page(), std::process::id());
        assert_eq!((look(), other.hear()), (answer(0), answer(0)));
        for pages in 1..=16 {
            area.store((pages - 1) * page(), 1_u8, Ordering::Relaxed).unwrap();
            assert_eq!(kernel::allocated(&area), (pages * page()) as u64);
            other.send("again");
            assert_eq!((look(), other.hear()), (answer(pages), answer(pages)));
        }
        String::new()
    });
}

#[test]
fn a_tail_that_another_team_grew_is_locked_by_each() {
    let this = test!("a_tail_that_another_team_grew_is_locked_by_each");
    const PAGES: usize = 8;
    let resident = |area: &Area<Resizable>| {
        let vma = smaps::at(area.as_ptr().addr()).unwrap();
        assert!(vma.has("lo") && !vma.has("lf"), "locked whatever its size");
        vma.bytes("Rss") / page()
    };
    if this.role().as_deref() == Some("other") {
        let mut clone = registry::find("elastic").unwrap().open_resizable().unwrap();
        assert_eq!((clone.lock(), resident(&clone)), (Lock::Full, PAGES));
        reply("joined");
        hear();
        // The grower has all of it in RAM at once.
        clone.resize(PAGES * page()).unwrap();
        return reply(&resident(&clone).to_string());
    }
    this.alone(Stage::default(), || {
        let mut area = areas::builder(PAGES * page())
            .lock(Lock::Full)
            .name("elastic")
            .resizable(PAGES * page())
            .unwrap();
        let mut other = this.spawn(&mut Stage::here(), "other");
        other.hear();
        area.resize(2 * page()).unwrap();
        assert_eq!(
            (resident(&area), kernel::allocated(&area)),
            (2, 2 * page() as u64),
            "what is cut off is freed"
        );
        other.send("grow");
        assert_eq!(other.hear(), PAGES.to_string());
        // Every other holder, page by page as it comes there.
        assert_eq!(resident(&area), 2);
        for pages in 3..=PAGES {
            area.write_at((pages - 1) * page(), &[1]).unwrap();
            assert_eq!(resident(&area), pages);
        }
        String::new()
    });
}

#[test]
fn at_the_address_that_the_source_has() {
    let this = test!("at_the_address_that_the_source_has");
    if this.role().as_deref() == Some("other") {
        let source = registry::find("pinned").unwrap();
        let clone = source.cloning().same_address().open().unwrap();
        assert_eq!(clone.as_ptr().addr(), source.address());
        // A pointer that lies in the area means the same here.
        let offset = clone.load::<u64>(0, Ordering::Relaxed).unwrap() - clone.as_ptr().addr() as u64;
        reply(&clone.load::<u8>(usize::try_from(offset).unwrap(), Ordering::Relaxed).unwrap().to_string());
        // Once it is taken, it is that address or an error.
        assert_eq!(source.cloning().same_address().open().unwrap_err().kind(), ErrorKind::AddressInUse);
        return reply("done");
    }
    this.alone(Stage::default(), || {
        // Far from where the kernel puts programs and libraries, so that it is free in both.
        let address = areas::Address::RandomAtOrAbove(0x2000_0000_0000);
        let area = (0..100)
            .map(|_| areas::builder(page()).name("pinned").at(address).shared().unwrap())
            .find(|area| area.as_ptr().addr() < 0x5000_0000_0000)
            .unwrap();
        area.store(0, area.as_ptr().addr() as u64 + 1234, Ordering::Relaxed).unwrap();
        area.store(1234, 56_u8, Ordering::Relaxed).unwrap();
        let mut other = this.spawn(&mut Stage::here(), "other");
        assert_eq!((other.hear(), other.hear()), ("56".to_owned(), "done".to_owned()));
        String::new()
    });
}
