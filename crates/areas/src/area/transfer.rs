//! Handing an area over to another team, and taking what another team has handed over.

use std::sync::Arc;

use super::addresses::Steps;
use super::{AnyArea, Area, AreaKind, Clonable, Shared, reserve};
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::mapping::{Mapping, Reservation};
use crate::object::Extent;
use crate::provider::{Address, AddressRequest, map_with_room};
use crate::registry::{AreaId, Arrival, Publication, Transferred};
use crate::size::Bytes;
use crate::sys;

/// What became of an area that was transferred.
#[derive(Debug)]
#[must_use = "an area that was transferred to this very process is inside"]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once; a box would be an allocation")]
pub enum Transfer<K: AreaKind> {
    /// The other team has it, under this id as soon as it has accepted it. Here nothing is left of
    /// it: no mapping, no descriptor, no id.
    Given(AreaId),
    /// The team was this process's own: the same area, under a new id, at its new address.
    Own(Area<K>),
}

impl<K: Clonable> Area<K> {
    /// Hands a published area over to another team, a process, and keeps nothing: same memory,
    /// name, protection and lock, a new id, at addresses of the given form *there*.
    ///
    /// To this process's own number, it moves at once: its old id becomes invalid, and it is found
    /// under its name throughout.
    ///
    /// To another team it is a *pending transfer*, which is accepted at that team's next call into
    /// the registry (any that asks the kernel anyway: publishing, listing, waiting, looking for
    /// what is not known yet, [`ensure_published`](crate::registry::ensure_published)). Until then
    /// it cannot be found, by name or by id, and the kernel holds it. So this process may end or be
    /// killed at once. If the other team dies before it accepts it, the memory is freed.
    ///
    /// The id that it will have there is known at once ([`Transfer::Given`]), and no other area
    /// gets it: it may be sent on. In the other team [`get`](crate::registry::get) of it works at
    /// once, being such a call; in a third one after the other team has called. (Where the
    /// registry's folder is removed and made again while the area is on its way, it may get another
    /// id: [`Transferred::id`] says which.)
    ///
    /// `Address::Exactly` must be free there for its bytes when it is transferred; if it is taken
    /// by the time the transfer is accepted, the area lies elsewhere, and says so there
    /// ([`granted`](Area::granted)). Of a resizable area's reserve it has as much there as is free
    /// behind, and none where addresses are limited: [`reserve`](Area::reserve) says how much.
    ///
    /// ```
    /// use areas::{Address, Transfer};
    ///
    /// let area = areas::builder(4096).name("doc: handed over").shared()?;
    /// // To this very process it changes hands at once; to another one at its next call.
    /// let Transfer::Own(area) = area.transfer(std::process::id(), Address::Any)? else { unreachable!() };
    /// assert_eq!(area.size(), 4096);
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// The area comes back as it was, with
    /// - [`ErrorKind::NoSuchTeam`]: no such process, or it holds no areas and has not called
    ///   [`join`](crate::registry::join);
    /// - [`ErrorKind::Unreadable`]: it may not be looked into by this process, and so not be given
    ///   anything;
    /// - [`ErrorKind::Busy`]: as many transfers as fit are pending for it already (11, or what
    ///   `net.unix.max_dgram_qlen` allows, and one), or it has as many accepted ones that were not
    ///   taken as it may have (256, and an eighth of its descriptors);
    /// - [`ErrorKind::AddressInUse`]: the exact addresses are not free;
    /// - [`ErrorKind::Limit`]: `RLIMIT_NOFILE`; for the own team, `RLIMIT_MEMLOCK` too;
    /// - [`ErrorKind::Unsupported`]: the other team could not make a socket when it joined, or the
    ///   area is low memory;
    /// - [`ErrorKind::InvalidInput`]: the area is not published.
    #[doc(alias = "_kern_transfer_area")]
    #[doc(alias = "transfer_area")]
    pub fn transfer(self, team: u32, address: Address) -> Result<Transfer<K>, Rejected<Self>> {
        self.hand_over(team, address)
    }

    /// The same within this process, into addresses that were reserved, `offset` bytes from their
    /// beginning.
    ///
    /// # Errors
    /// The area comes back as it was, with [`ErrorKind::OutOfRange`] or [`ErrorKind::AddressInUse`]
    /// where the reservation ends before it does, or has something else there; as
    /// [`transfer`](Area::transfer).
    pub fn transfer_inside(
        mut self,
        reservation: &Arc<Reservation>,
        offset: usize,
    ) -> Result<Self, Rejected<Self>> {
        match self.move_to(Address::Any, Some((reservation, offset))) {
            Ok(()) => Ok(self),
            Err(error) => Err(Rejected::new(error, self)),
        }
    }
}

impl<K: Clonable> Area<K> {
    fn hand_over(mut self, team: u32, address: Address) -> Result<Transfer<K>, Rejected<Self>> {
        let own = team == sys::process::pid();
        let done = if let Err(error) = self.refuse_retired(team) {
            Err(error)
        } else if own {
            self.move_to(address, None).map(|()| None)
        } else {
            self.offer(team, address).map(Some)
        };
        match done {
            Err(error) => Err(Rejected::new(error, self)),
            Ok(None) => Ok(Transfer::Own(self)),
            Ok(Some(id)) => {
                drop(self);
                Ok(Transfer::Given(id))
            }
        }
    }

    fn refuse_retired(&self, team: u32) -> Result<()> {
        if !self.object.is_retired().unwrap_or(false) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NoSuchArea, format!("transfer {self} to process {team}"))
            .with_facts("its memory is retired: its holders keep it, and no other process gets it by its id")
            .with_remedy("send it over a socket: `Area::send`"))
    }

    fn published(&self, what: impl FnOnce() -> String) -> Result<&Publication> {
        self.publication.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, what())
                .with_facts("it is not published: it has no id that could be transferred")
                .with_remedy("publish it first; or send it over a socket: `Area::send`")
        })
    }

    fn offer(&self, team: u32, address: Address) -> Result<AreaId> {
        let publication = self.published(|| format!("transfer {self} to process {team}"))?;
        self.refuse_unaligned(team, address)?;
        let object = &self.object;
        object.refuse_physical(|| format!("transfer {self} to process {team}"))?;
        // Other parts of it may stay here.
        object.mark_held()?;
        let fd = object
            .own_fd()
            .map_err(|_| crate::object::closed(format!("transfer {self} to process {team}")))?;
        // Its reserve is wherever there is room for it, so that it need not be free.
        let used = match object.extent() {
            Extent::Resizable { .. } => self.used().max(self.mapping.page_size().bytes()),
            _ => self.mapping.span(),
        };
        publication.offer(team, address, used as u64, fd)
    }

    fn refuse_unaligned(&self, team: u32, address: Address) -> Result<()> {
        let page = self.mapping.page_size();
        match address {
            Address::Exactly(start) if start == 0 || !start.is_multiple_of(page.bytes()) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("transfer {self} to process {team} at {start:#x}"),
            )
            .with_facts(format!("an address is a multiple of the page size, {page}, and not 0"))),
            _ => Ok(()),
        }
    }

    /// Moves it to other addresses, under a new id.
    fn move_to(&mut self, address: Address, home: Option<(&Arc<Reservation>, usize)>) -> Result<()> {
        let whose = self.to_string();
        self.published(|| format!("transfer {whose} within this process"))?;
        let protection = self.protection();
        let before = self.object.span();
        // The policy of hugetlb pages lies on the mapping, and is asked for again below.
        let mapping =
            map_with_room(&mut self.object, &AddressRequest { address, home, protection, placement: None })?;
        let moved = self.move_over(mapping, before, &whose);
        if moved.is_err() && self.object.span() != before {
            self.object.widen(before);
            self.note_span();
        }
        moved
    }

    /// The same, once its new addresses are there; before, it had `before` bytes of them.
    fn move_over(&mut self, mut mapping: Mapping, before: usize, whose: &str) -> Result<()> {
        // What was asked of the place of its parts.
        for (range, placement) in self.mapping.asked().parts() {
            let range = range.start..range.end.min(mapping.span());
            if range.start < range.end {
                mapping.place(range, &placement)?;
            }
        }
        super::exclude_reserve_from_dump(&mapping, Some(&self.object), self.undumped);
        let unlocked = self.lock_as_well(&mapping, whose)?;
        // Locked first: what may not be accessed cannot be brought in.
        let guarded = if self.mapping.is_guarded() { mapping.guard_lowest_page() } else { Ok(()) };
        let replaced = guarded.and_then(|()| self.replace_by(&mapping, before, whose));
        if let Err(error) = replaced {
            drop(mapping);
            if unlocked {
                // It was locked a moment ago, with the same limits.
                let _ = self.lock.apply(self.mapping.base(), self.used(), whose);
            }
            return Err(error);
        }
        mapping.take_over_notes(&mut self.mapping);
        self.mapping = mapping;
        Ok(())
    }

    /// Publishes it where it is now. With fewer addresses than it had, it is first announced with
    /// those, where it was: so no holder grows it beyond them from then on.
    fn replace_by(&self, mapping: &Mapping, before: usize, whose: &str) -> Result<()> {
        let span = mapping.span();
        if span < before {
            let what = || format!("transfer {whose} within this process");
            let kept = reserve::trim(&Steps::new(self, whose, &what), span)?;
            if kept > span {
                return Err(Error::new(ErrorKind::AddressInUse, what())
                    .with_facts(format!(
                        "another holder has just grown it to {}, for which there is no room at its new addresses",
                        Bytes::from(kept)
                    ))
                    .with_remedy("choose other addresses"));
            }
        }
        let publication = self.published(|| format!("transfer {whose} within this process"))?;
        let name = self.name.clone().unwrap_or_else(|| unreachable!("what is published has a name"));
        publication.replace(self.announcement(name, mapping, &self.object))
    }

    /// Locks the new mapping as the old one is. Both count against the limit: where there is no
    /// room for two, the old one gives way, and whether it did is returned.
    fn lock_as_well(&self, mapping: &Mapping, whose: &str) -> Result<bool> {
        let used = self.used();
        if used == 0 {
            return Ok(false);
        }
        match self.lock.apply(mapping.base(), used, whose) {
            Ok(()) => Ok(false),
            Err(error) if error.kind() == ErrorKind::Limit => {
                let base = self.mapping.base();
                let _ = sys::memory::unlock(base, used);
                match self.lock.apply(mapping.base(), used, whose) {
                    Ok(()) => Ok(true),
                    Err(second) => {
                        let _ = sys::memory::unlock(mapping.base(), used);
                        // It was locked a moment ago, with the same limits.
                        let _ = self.lock.apply(base, used, whose);
                        Err(second)
                    }
                }
            }
            Err(error) => Err(error),
        }
    }
}

impl Transferred {
    /// Takes it: from now on it is the program's, under the id and at the address that it has.
    ///
    /// (A frozen area of hugetlb pages of which some are missing, and cannot be had, is none that
    /// could lend its bytes: it comes as shared or resizable, for reading only.)
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchArea`] if it was taken already.
    pub fn take(&self) -> Result<AnyArea> {
        let taken = Publication::take(self)?;
        let Some((publication, Arrival { mapping, object, name, lock, placement, note, .. }, frozen)) = taken
        else {
            return Err(Error::new(
                ErrorKind::NoSuchArea,
                format!(
                    "take area {} {:?}, which process {} has transferred",
                    self.id(),
                    self.source().name(),
                    self.from()
                ),
            )
            .with_facts("it was taken already"));
        };
        let resizable = matches!(object.extent(), Extent::Resizable { .. });
        let mut area: Area<Shared> = Area::over(mapping, object, placement);
        area.publication = Some(publication);
        area.name = Some(name);
        area.note = note;
        area.lock = lock;
        // It may have been frozen since it came, and hugetlb pages taken away before.
        let frozen = frozen && area.take_missing_of_frozen(String::new).is_ok();
        Ok(match (frozen, resizable) {
            (true, _) => AnyArea::Frozen(area.into_kind()),
            (false, true) => AnyArea::Resizable(area.into_kind()),
            (false, false) => AnyArea::Shared(area),
        })
    }
}
