//! Areas found: by id, by name, by an address of theirs.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_char, c_void};

use areas::AreaId;
use areas::registry::{self, AtAddress, Source};

use super::errors::{BAD_ADDRESS, ERROR, NAME_NOT_FOUND, Status, refused, status_of, wrong};
use super::layout::{self, NAME_LENGTH};
use crate::edge::{guarded, is_inside};
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
pub(super) fn settled(entered: &Entered, source: Source) -> Result<Source, Status> {
    if !source.is_own() || source.is_mapped() {
        return Ok(source);
    }
    entered.settle_own(&source).map_err(status_of)?;
    source_of(source.id().get())
}

/// The oldest area of a name.
///
/// # Safety
/// `name` is NULL or a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn find_area(name: *const c_char) -> i32 {
    guarded(ERROR, || {
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
            _ => Entered::new()?.settle_own(&source)?,
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
    if held::is_settled() {
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
    guarded(ERROR, || {
        registry::join_once();
        match look_up(address) {
            Ok(id) => id.get(),
            Err(error) => refused(ERROR, error),
        }
    })
}

/// The same, of what is not known without a mutex.
fn look_up(address: usize) -> areas::Result<AreaId> {
    if !held::is_settled() {
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
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use areas::{Address, PageSize, Reservation};

    use super::*;
    use crate::held::{Held, open};

    fn page() -> usize {
        PageSize::base().bytes()
    }

    fn at(address: usize) -> *mut c_void {
        with_exposed_provenance_mut(address)
    }

    /// Makes an area of some pages at an exact address.
    fn make(entered: &Entered, address: usize, pages: usize) -> i32 {
        let size = pages * page();
        let area = areas::builder(size).at(Address::Exactly(address)).resizable(size).unwrap();
        entered.publish(Held::Resizable(area), "an area".parse().unwrap()).unwrap()
    }

    /// Makes an area of 8 pages at page 8, unmaps some of them, and has another thread make one at
    /// other pages, and ask for an address, while this one is in the middle of cutting the former.
    /// The ids of the former and of the new area, and what the other thread was told.
    fn asked_while_one_is_cut(unmapped: Range<usize>, new: Range<usize>, asked: usize) -> [i32; 3] {
        let entered = Entered::new().unwrap();
        // Free, once nothing reserves them any more, and far from where the kernel puts stacks.
        let low = Reservation::new(1 << 30, page()).unwrap().address() + (1 << 28);
        let address = move |number: usize| low + number * page();
        let former = make(&entered, address(8), 8);
        let place = entered.own(&source_of(former).unwrap()).unwrap();
        let mut held = open(&place);
        if unmapped == (8..16)
            && let Some(Held::Resizable(area)) = &mut *held
        {
            // As it is at the end of that: its memory is gone, its record is not.
            area.resize(page()).unwrap();
        }
        // SAFETY: the area's own addresses, and nothing uses them.
        unsafe { rustix::mm::munmap(at(address(unmapped.start)), unmapped.len() * page()) }.unwrap();

        let (made, is_made) = mpsc::channel();
        let other = thread::spawn(move || {
            let id = make(&Entered::new().unwrap(), address(new.start), new.len());
            made.send(()).unwrap();
            [former, id, area_for(at(address(asked)))]
        });
        is_made.recv().unwrap();
        thread::sleep(Duration::from_millis(100));
        entered.settle(&place, &mut held).unwrap();
        if held.is_none() {
            entered.forget(address(8), &place);
        }
        drop(held);
        let told = other.join().unwrap();
        assert_eq!(told[2], area_for(at(address(asked))), "the same as afterwards");
        told
    }

    #[test]
    fn an_address_that_a_former_area_still_has_is_the_new_ones() {
        let [_, new, told] = asked_while_one_is_cut(8..16, 6..14, 13);
        assert_eq!(told, new);
    }

    #[test]
    fn an_address_behind_a_new_area_that_lies_in_a_former_one_is_the_latters_other_part() {
        let [former, new, told] = asked_while_one_is_cut(10..14, 11..13, 15);
        assert!(told > 0 && told != former && told != new, "{told} of {former}, {new}");
    }
}
