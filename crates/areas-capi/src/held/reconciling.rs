//! What the program has taken away from areas itself: looked for, and cut from them.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use areas::registry::{self, Source};
use areas::{AreaId, Error, ErrorKind, PageSize, Rejected, Result};

use super::places::{Place, all, open, try_open};
use super::unreconciled::{is_moved, note_moved};
use super::{Entered, Held};

/// Cuts a range of addresses from the areas that lie there, whatever is mapped there.
pub(crate) fn forget_range(range: Range<usize>) -> Result<()> {
    let entered = Entered::new()?;
    // No call of this thread's is under way, so that it holds no mutex that others may wait for.
    entered.each_in(&range, true, |place, held| entered.cut_out(place, held, &range))
}

impl Entered {
    /// Looks at what the kernel has of an area, and releases what is no longer its own: it may be
    /// smaller then, begin elsewhere, or be gone. Other parts of it are areas of their own. Nothing
    /// that is there now is touched.
    ///
    /// Where the kernel cannot be asked (no `/proc`) it is taken to be what it was.
    ///
    /// # Errors
    /// Where there is no descriptor for another part: then nothing has changed.
    pub(crate) fn reconcile(&self, place: &Place, held: &mut Option<Held>) -> Result<()> {
        match held.as_ref().map(Held::missing) {
            Some(Ok(missing)) if !missing.is_empty() => self.cut(place, held, &missing),
            _ => Ok(()),
        }
    }

    /// Looks at all areas that have addresses in a range: another one came to lie there, so that
    /// something has moved.
    ///
    /// One that another thread, or this very call, is in the middle of something with is looked at
    /// by the next call; so is what cannot be looked at, or cut, for want of a descriptor or
    /// memory.
    pub(crate) fn look_at(&self, range: &Range<usize>) {
        let looked = self.each_in(range, false, |place, held| match held.as_ref().map(Held::missing) {
            Some(Ok(missing)) if !missing.is_empty() => {
                self.cut(place, held, &missing).or_else(unless_lacking)
            }
            Some(Err(error)) => unless_lacking(error),
            _ => Ok(()),
        });
        if looked.is_err() {
            note_moved();
        }
    }

    /// The id of this process's area that has an address, once it was looked at.
    pub(crate) fn look_for(&self, address: usize) -> Result<AreaId> {
        self.look_at(&(address..address.saturating_add(1)));
        let mut id = self.id_at(address)?;
        loop {
            match registry::get(id) {
                Ok(source) if source.is_mapped() => {}
                // Another thread was in the middle of something with it.
                Ok(source) => self.reconcile_own(&source)?,
                Err(_) => {}
            }
            // What was looked at may have been a part already, of which another one has the
            // address.
            let now = self.id_at(address)?;
            if now == id {
                return Ok(id);
            }
            id = now;
        }
    }

    /// The same as the registry has it.
    ///
    /// An area that another thread is in the middle of cutting still says that it has the address,
    /// or all that lies between two parts of it: it hides the one that is there. Where none is
    /// found, that thread is waited for.
    fn id_at(&self, address: usize) -> Result<AreaId> {
        registry::id_at(address).or_else(|_| {
            self.reconcile_around(address);
            registry::id_at(address)
        })
    }

    /// Has all areas looked at that an address lies in as far as is known here, once no other
    /// thread is in the middle of something with them.
    fn reconcile_around(&self, address: usize) {
        let places: Vec<(usize, Place)> =
            all().places.range(..=address).rev().map(|(&key, place)| (key, place.clone())).collect();
        for (key, place) in places {
            let mut held = match try_open(&place) {
                Some(held) => held,
                None if registry::reaches(key, address) => open(&place),
                None => continue,
            };
            let Some(area) = &*held else { continue };
            let start = area.as_ptr().addr();
            if address < start + area.reserve() {
                // What cannot be cut now may still hide no area.
                let _ = self.reconcile(&place, &mut held);
            }
        }
    }

    /// Has an area of this process's own looked at, once no other thread is in the middle of
    /// something with it. It may be gone.
    ///
    /// # Errors
    /// As [`reconcile`](Self::reconcile).
    pub(crate) fn reconcile_own(&self, source: &Source) -> Result<()> {
        match self.with(source, |place, held| self.reconcile(place, held)) {
            Ok(reconciled) => reconciled,
            Err(error) if error.kind() == ErrorKind::NoSuchArea => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Notes of all areas that have addresses in a range that the program is about to have their
    /// memory elsewhere, too: it stays when it is cut off them.
    pub(crate) fn note_copies(&self, range: &Range<usize>) {
        let mut end = range.end;
        while let Some((key, place)) = self.next_below(end) {
            end = key;
            let held = open(&place);
            let Some(area) = &*held else { continue };
            if area.as_ptr().addr() + area.reserve() > range.start {
                area.note_holder();
            } else if !is_moved() {
                break;
            }
        }
    }

    /// Does something with all areas that have addresses in a range: also with those that another
    /// thread is in the middle of something with, if it `waits`.
    fn each_in(
        &self,
        range: &Range<usize>,
        waits: bool,
        what: impl FnMut(&Place, &mut Option<Held>) -> Result<()>,
    ) -> Result<()> {
        self.each_from(0, range, waits, what)
    }

    /// The same with those that begin at `lowest` or above.
    fn each_from(
        &self,
        lowest: usize,
        range: &Range<usize>,
        waits: bool,
        mut what: impl FnMut(&Place, &mut Option<Held>) -> Result<()>,
    ) -> Result<()> {
        let mut end = range.end;
        // One at a time: mostly there is one, of thousands.
        while let Some((key, place)) = self.next_below(end).filter(|(key, _)| *key >= lowest) {
            end = key;
            let mut held = match try_open(&place) {
                Some(held) => held,
                None if waits => open(&place),
                None => {
                    note_moved();
                    continue;
                }
            };
            let Some(area) = &*held else { continue };
            if area.as_ptr().addr() + area.reserve() <= range.start {
                match is_moved() {
                    // One that lies around this one may still be said to have the addresses.
                    true => continue,
                    // Areas do not overlap, and the others lie below.
                    false => break,
                }
            }
            what(&place, &mut held)?;
        }
        Ok(())
    }

    /// Releases what an area has of a range of addresses.
    fn cut_out(&self, place: &Place, held: &mut Option<Held>, range: &Range<usize>) -> Result<()> {
        let Some(area) = &*held else { return Ok(()) };
        let start = area.as_ptr().addr();
        let lost = range.start.max(start)..range.end.min(start + area.reserve());
        if lost.is_empty() {
            return Ok(());
        }
        self.cut(place, held, std::slice::from_ref(&(lost.start - start..lost.end - start)))
    }

    /// Releases some of an area's addresses, in bytes from its beginning: whole pages of its.
    /// Where nothing is left, its place is forgotten.
    fn cut(&self, place: &Place, held: &mut Option<Held>, lost: &[Range<usize>]) -> Result<()> {
        let Some(area) = held.take() else { return Ok(()) };
        let page = page_size(&area).bytes();
        let (start, span) = (area.as_ptr().addr(), area.reserve());
        // A thread that finds a part by its id finds its place, too, and waits there until it is
        // known what is left. The first part keeps the area's own.
        let ends = lost.iter().map(|range| range.end.next_multiple_of(page));
        let mut behind: Vec<usize> = ends.filter(|&end| end < span).collect();
        let head = lost.first().filter(|range| range.start < page);
        let head = head.map(|range| range.end.next_multiple_of(page));
        behind.retain(|&end| Some(end) != head);
        if let Some(head) = head.filter(|&head| head < span) {
            all().insert(start + head, place.clone());
        }
        let empty: Vec<(usize, Place)> =
            behind.iter().map(|end| (start + end, all().empty_place())).collect();
        let mut open_places: Vec<_> = empty.iter().map(|(_, place)| open(place)).collect();
        for (address, place) in &empty {
            all().insert(*address, place.clone());
        }
        let (mut parts, error) = match area.cut(lost) {
            Ok(parts) => (parts, None),
            Err(Rejected { error, value }) => (vec![value], Some(error)),
        };
        for part in parts.drain(1.min(parts.len())..) {
            let address = part.as_ptr().addr();
            match empty.iter().position(|(at, _)| *at == address) {
                Some(at) => *open_places[at] = Some(part),
                None => all().insert(address, Arc::new(Mutex::new(Some(part)))),
            }
        }
        *held = parts.pop();
        let now = held.as_ref().map(|first| first.as_ptr().addr());
        for address in [Some(start), head.map(|head| start + head)].into_iter().flatten() {
            if Some(address) != now {
                all().forget_key(address, place);
            }
        }
        for ((address, place), inside) in empty.iter().zip(&open_places) {
            if inside.is_none() {
                all().forget_key(*address, place);
            }
        }
        error.map_or(Ok(()), Err)
    }

    /// An area that comes to lie where another one was says that the program has unmapped that: it
    /// is cut from what is still said to have its addresses, whether or not the kernel can be
    /// asked.
    ///
    /// By a thread that is in the middle of nothing with any other area: others are waited for.
    pub(super) fn notice(&self, held: &Held) {
        let start = held.as_ptr().addr();
        let range = start..start + held.reserve();
        let is_there = || self.next_below(range.end).is_some_and(|(key, _)| key >= start);
        // (Once it is published, it is one of those that are there. One whose descriptor the
        // program has closed is known here only.)
        if registry::may_overlap(start, held.reserve()) || is_there() {
            let _ = self.each_in(&range, true, |place, held| {
                let _ = self.reconcile(place, held);
                // What cannot be cut now is looked at by the next call.
                if self.cut_out(place, held, &range).is_err() {
                    note_moved();
                }
                Ok(())
            });
        }
    }

    /// The same of one that is about to grow over some addresses: it can only where those that
    /// began there are gone.
    pub(crate) fn notice_growth(&self, range: &Range<usize>) {
        if self.next_below(range.end).is_some_and(|(key, _)| key >= range.start) {
            let _ = self.each_from(range.start, range, false, |place, held| {
                let _ = self.reconcile(place, held);
                Ok(())
            });
        }
    }

    /// The area that begins below an address, nearest to it, and where it is found.
    #[expect(clippy::unused_self, reason = "it is the right to do so")]
    fn next_below(&self, address: usize) -> Option<(usize, Place)> {
        all().places.range(..address).next_back().map(|(&key, place)| (key, place.clone()))
    }
}

/// An error that another attempt may not have: a descriptor or memory was lacking. Others stay, as
/// does the area that has them.
fn unless_lacking(error: Error) -> Result<()> {
    let lacking = [libc::EMFILE, libc::ENFILE, libc::ENOMEM];
    match error.errno().is_some_and(|errno| lacking.contains(&errno.raw()))
        || error.kind() == ErrorKind::Limit
    {
        true => Err(error),
        false => Ok(()),
    }
}

/// The pages of an area, without a look at its size: what had bytes when it was looked at last
/// counts in a cut.
fn page_size(area: &Held) -> PageSize {
    match area {
        Held::Shared(area) => area.object_to_ask().page_size(),
        Held::Resizable(area) => area.object_to_ask().page_size(),
        Held::Frozen(area) => area.object_to_ask().page_size(),
        Held::Private(_) | Held::Stored(_) => PageSize::base(),
    }
}
