//! Areas found: by id, by name, by an address of theirs.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_char, c_void};

use areas::AreaId;
use areas::registry::{self, AtAddress, Source};

use super::errors::{BAD_ADDRESS, ERROR, NAME_NOT_FOUND, Status, refused, status_of, wrong};
use super::layout::{self, NAME_LENGTH};
use crate::edge::{catch_panic, is_inside};
use crate::held::{self, Entered};
use crate::interposer;

/// How often an area may be cut while it is being found or cloned.
pub(super) const MAX_CUTS: usize = 16;

/// A published area, of any team.
pub(super) fn source_of(id: i32) -> Result<Source, Status> {
    registry::join_once();
    AreaId::new(id).and_then(registry::get).map_err(status_of)
}

/// An area as it is: of this team's own, without what the program has unmapped of it.
pub(super) fn reconciled(entered: &Entered, source: Source) -> Result<Source, Status> {
    if !source.is_own() || source.is_mapped() {
        return Ok(source);
    }
    entered.reconcile_own(&source).map_err(status_of)?;
    source_of(source.id().get())
}

/// The oldest area of a name.
///
/// # Safety
/// `name` is NULL or a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn find_area(name: *const c_char) -> i32 {
    catch_panic(ERROR, || {
        // SAFETY: `name` is NULL, or a string that ends with a NUL (the caller).
        let text = unsafe { layout::text::<{ NAME_LENGTH - 1 }>(name) };
        let Some((bytes, len)) = text else { return wrong(BAD_ADDRESS, "find an area", "the name is NULL") };
        registry::join_once();
        match find(&bytes[..len]) {
            Ok(id) => id.get(),
            Err(error) => refused(NAME_NOT_FOUND, error),
        }
    })
}

/// The oldest area of a name: of this team's own, one of which the program has not unmapped all.
fn find(name: &[u8]) -> areas::Result<AreaId> {
    for _ in 0..MAX_CUTS {
        let source = registry::find(name)?;
        if !source.is_own() || interposer::is_there() {
            return Ok(source.id());
        }
        registry::ask_by_address();
        match registry::mapped_at(source.address()) {
            AtAddress::Mapped(id) if id == source.id() => return Ok(id),
            _ if source.is_mapped() => return Ok(source.id()),
            _ => Entered::new()?.reconcile_own(&source)?,
        }
    }
    registry::find(name).map(|source| source.id())
}

/// The caller's own area that holds an address.
#[unsafe(no_mangle)]
extern "C" fn area_for(address: *mut c_void) -> i32 {
    let address = address.addr();
    // Mostly it is known, and there is nothing to guard. In this order: what was taken away before
    // this call is known to be gone by now, or still being looked at.
    if held::is_reconciled() {
        if interposer::is_there() {
            if let Some(id) = registry::known_id_at(address) {
                return id.get();
            }
        } else if let AtAddress::Mapped(id) = registry::mapped_at(address) {
            return id.get();
        }
    }
    // A handler of a signal that has interrupted a call of the library's in this very thread: that
    // may hold what would be waited for.
    if is_inside() {
        return ERROR;
    }
    catch_panic(ERROR, || {
        registry::join_once();
        match look_up(address) {
            Ok(id) => id.get(),
            Err(error) => refused(ERROR, error),
        }
    })
}

/// The same, of what is not known without a mutex.
fn look_up(address: usize) -> areas::Result<AreaId> {
    if !held::is_reconciled() {
        return Entered::new()?.look_for(address);
    }
    let id = registry::id_at(address)?;
    if interposer::is_there() {
        return Ok(id);
    }
    registry::ask_by_address();
    match registry::mapped_at(address) {
        // What is not asked is believed: no descriptor is free at this moment.
        AtAddress::Mapped(id) | AtAddress::NotAsked(id) => Ok(id),
        AtAddress::Elsewhere(_) | AtAddress::Unknown => Entered::new()?.look_for(address),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::ptr::with_exposed_provenance_mut;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use areas::{Address, PageSize, Reservation};

    use super::*;
    use crate::be::areas::{delete_area, resize_area, with_own_of};
    use crate::forking::alone;
    use crate::held::{Held, open};

    const NAME: &str = "finding: an area";

    fn page() -> usize {
        PageSize::base().bytes()
    }

    fn at(address: usize) -> *mut c_void {
        with_exposed_provenance_mut(address)
    }

    /// Free, once nothing reserves them any more, and far from where the kernel puts stacks.
    fn free_addresses() -> usize {
        Reservation::new(1 << 30, page()).unwrap().address() + (1 << 28)
    }

    /// Makes an area of some pages at an exact address.
    fn make(entered: &Entered, address: usize, pages: usize) -> i32 {
        let size = pages * page();
        let area = areas::builder(size).at(Address::Exactly(address)).resizable(size).unwrap();
        entered.publish(Held::Resizable(area), NAME.parse().unwrap()).unwrap()
    }

    /// An area of 8 pages at page 8 that the program has unmapped a part of, and another one that
    /// another thread brings there while this one is in the middle of cutting the former.
    struct Overlapping {
        unmapped: Range<usize>,
        /// The pages of the other one, and which of them it has only once it has grown.
        new: Range<usize>,
        grown: Range<usize>,
        asked: usize,
    }

    /// What `area_for` answered the other thread, and the ids of both.
    #[derive(Debug)]
    struct Answered {
        answered: i32,
        former: i32,
        new: i32,
    }

    impl Overlapping {
        fn ask(self) -> Answered {
            let _alone = alone();
            let entered = Entered::new().unwrap();
            let low = free_addresses();
            let address = move |number: usize| low + number * page();
            let former = make(&entered, address(8), 8);
            let place = entered.with(&source_of(former).unwrap(), |place, _| place.clone()).unwrap();
            let new = match self.grown.is_empty() {
                true => None,
                false => Some(make(&entered, address(self.new.start), self.new.len() - self.grown.len())),
            };
            let mut held = open(&place);
            if self.unmapped == (8..16)
                && let Some(Held::Resizable(area)) = &mut *held
            {
                // As it is at the end of that: its memory is gone, its record is not.
                area.resize(page()).unwrap();
            }
            unmap(address(self.unmapped.start), self.unmapped.len());

            let (brought, is_there) = mpsc::channel();
            let (size, asked) = (self.new.len() * page(), address(self.asked));
            let other = thread::spawn(move || {
                let new = match new {
                    Some(new) => {
                        assert_eq!(resize_area(new, size), 0);
                        new
                    }
                    None => make(&Entered::new().unwrap(), address(self.new.start), self.new.len()),
                };
                brought.send(()).unwrap();
                Answered { answered: area_for(at(asked)), former, new }
            });
            // What is made there waits for this thread; what grows there cannot.
            match new {
                Some(_) => is_there.recv().unwrap(),
                None => assert!(is_there.recv_timeout(Duration::from_millis(100)).is_err()),
            }
            // It asks in the meantime.
            thread::sleep(Duration::from_millis(100));
            entered.reconcile(&place, &mut held).unwrap();
            if held.is_none() {
                entered.forget(address(8), &place);
            }
            drop(held);
            drop(place);
            drop(entered);
            let answered = other.join().unwrap();
            assert_eq!(answered.answered, area_for(at(asked)), "the same as afterwards");
            assert!(registry::get(AreaId::new(answered.new).unwrap()).unwrap().is_mapped());
            delete_all();
            answered
        }
    }

    /// Other tests of this process find it as it was.
    fn delete_all() {
        let mut after = 0;
        while let Some(area) = registry::next(std::process::id(), after).unwrap() {
            after = area.address();
            if area.name().as_bytes() == NAME.as_bytes() {
                assert_eq!(delete_area(area.id().get()), 0);
            }
        }
        drop(Entered::new().unwrap());
    }

    fn unmap(address: usize, pages: usize) {
        // SAFETY: an area's own addresses, and nothing uses them.
        unsafe { rustix::mm::munmap(at(address), pages * page()) }.unwrap();
    }

    #[test]
    fn an_address_that_a_former_area_still_has_is_the_new_ones() {
        let answered = Overlapping { unmapped: 8..16, new: 6..14, grown: 0..0, asked: 13 }.ask();
        assert_eq!(answered.answered, answered.new);
    }

    #[test]
    fn an_area_where_a_former_one_began_is_not_unmapped_with_that() {
        let answered = Overlapping { unmapped: 8..16, new: 8..12, grown: 0..0, asked: 8 }.ask();
        assert_eq!(answered.answered, answered.new);
        // Its head alone: the rest is the former one's.
        let answered = Overlapping { unmapped: 8..12, new: 8..10, grown: 0..0, asked: 13 }.ask();
        assert_eq!(answered.answered, answered.former);
    }

    #[test]
    fn an_address_behind_a_new_area_that_lies_in_a_former_one_is_the_latters_other_part() {
        let answered = Overlapping { unmapped: 10..14, new: 11..13, grown: 0..0, asked: 15 }.ask();
        assert!(
            answered.answered > 0
                && answered.answered != answered.former
                && answered.answered != answered.new,
            "{answered:?}"
        );
    }

    #[test]
    fn an_address_that_an_area_has_grown_over_is_its_own() {
        let answered = Overlapping { unmapped: 8..16, new: 4..14, grown: 8..14, asked: 13 }.ask();
        assert_eq!(answered.answered, answered.new);
    }

    /// The kernel cannot be asked what has become of the former one, for want of a descriptor.
    #[test]
    fn an_area_with_the_last_descriptor_is_not_unmapped_with_a_former_one() {
        let _alone = alone();
        let entered = Entered::new().unwrap();
        let low = free_addresses();
        make(&entered, low, 8);
        unmap(low, 8);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let few = rustix::process::Rlimit { current: Some(64), ..limit };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
        let mut open: Vec<_> = (0..64).map_while(|_| std::fs::File::open("/dev/null").ok()).collect();
        open.pop();
        let [last, beyond] = [(); 2].map(|()| std::fs::File::open("/dev/null"));
        assert!(last.is_ok() && beyond.is_err(), "one descriptor is free");
        drop(last);
        let new = make(&entered, low, 8);
        drop(entered);
        drop(open);
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        assert!(registry::get(AreaId::new(new).unwrap()).unwrap().is_mapped());
        assert_eq!(area_for(at(low)), new);
        delete_all();
    }

    /// One thread unmaps the first page of an area again and again; others use it by its id, which
    /// stays.
    #[test]
    fn an_area_that_loses_its_head_is_found_by_its_id_all_the_while() {
        const PAGES: usize = 2000;
        let _alone = alone();
        let entered = Entered::new().unwrap();
        let low = free_addresses();
        let id = make(&entered, low, PAGES);
        drop(entered);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..PAGES - 1).for_each(|number| unmap(low + number * page(), 1));
                done.store(true, Ordering::Relaxed);
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let entered = Entered::new().unwrap();
                        assert_eq!(with_own_of(&entered, id, "open it", |_| Ok(())), Ok(()));
                        assert_eq!(reconciled(&entered, source_of(id).unwrap()).unwrap().id().get(), id);
                        drop(entered);
                        let found = area_for(at(low + (PAGES - 1) * page()));
                        assert_eq!(found, id);
                    }
                });
            }
        });
        delete_all();
    }
}
