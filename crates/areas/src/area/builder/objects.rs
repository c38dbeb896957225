//! Areas over objects: in the pages that were asked for, or in others where that was allowed.

use std::path::Path;

use super::{AreaBuilder, Wanted};
use crate::area::{Area, AreaKind, Clonable, Resizable};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Lock;
use crate::mapping::{Mapping, headroom};
use crate::nodes::{CompactPlacement, Placement};
use crate::object::{Extent, FileLabel, Object, strict};
use crate::page::{PageSize, Pages};
use crate::provider::{Request, take_pool_pages, transparent};
use crate::registry::LABEL;
use crate::size::Bytes;

impl<'a> AreaBuilder<'a> {
    /// An area of an object, in the pages that were asked for, or in others where that was allowed.
    pub(super) fn in_pages<K: Clonable>(&self, placement: &Placement) -> Result<Area<K>> {
        if let Some(demand) = self.lock.demand() {
            return self.arranged(demand, placement);
        }
        let (mapping, object) = self.object_with_pages(placement)?;
        self.finish(mapping, object, placement)
    }

    pub(super) fn object_with_pages(&self, placement: &Placement) -> Result<(Mapping, Object)> {
        let base = PageSize::base();
        match self.pages {
            Pages::Base => self.object_of(base, placement),
            Pages::Pool(page) => self.object_of(page, placement),
            Pages::PreferPool(page) => self.object_of(page, placement).or_else(|because| {
                self.instead(base, placement, format!("{page} hugetlb pages"), "base pages", because)
            }),
            Pages::Auto if self.extent != Wanted::Fixed => self.object_of(base, placement),
            Pages::Auto => self.object_of(PageSize::HUGE_2M, placement).or_else(|because| {
                let given = transparent::given(Path::new("/"), true);
                self.instead(base, placement, "2 MiB hugetlb pages".to_owned(), &given, because)
            }),
        }
    }

    /// Whether base pages are to be collapsed into transparent huge ones, which needs an address to
    /// match.
    pub(super) fn collapses(&self, page: PageSize) -> bool {
        self.pages == Pages::Auto && page == PageSize::base()
    }

    /// Makes an area that others can clone, and that may grow and shrink for all holders:
    /// [`Area::resize`].
    ///
    /// Every holder takes `max` bytes of addresses; beyond that it grows only if there is room
    /// behind it for all.
    ///
    /// # Errors
    /// As [`shared`](AreaBuilder::shared); [`ErrorKind::InvalidInput`] for a lock with a reserve,
    /// as a reserve cannot be locked.
    pub fn resizable(&self, max: usize) -> Result<Area<Resizable>> {
        let name = self.named()?;
        let note = self.noted()?;
        let what = || self.what("resizable");
        if self.size == 0 {
            return Err(Error::new(ErrorKind::InvalidInput, what()).with_facts("the size is 0"));
        }
        let page = match self.pages {
            Pages::Pool(page) | Pages::PreferPool(page) => page,
            Pages::Base | Pages::Auto => PageSize::base(),
        };
        if self.lock != Lock::None && page.round_up(max) != page.round_up(self.size) {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts(format!("it is to have room for {} and to be locked", Bytes::from(max)))
                .with_remedy("a reserve cannot be locked: give the size itself as maximum, or no lock"));
        }
        self.refuse_taken(name.as_ref())?;
        headroom::keep(what)?;
        let placement = self.resolved()?;
        let wanted = AreaBuilder { extent: Wanted::Resizable(max), ..self.clone() };
        let mut area: Area<Resizable> = wanted.in_pages(&placement)?;
        area.note = note;
        if let Some(name) = name {
            area.publish_wanted(name, self.exclusive)?;
        }
        Ok(area)
    }

    pub(super) fn instead(
        &self,
        page: PageSize,
        placement: &Placement,
        asked: String,
        given: &str,
        because: Error,
    ) -> Result<(Mapping, Object)> {
        let (mut mapping, object) = self.object_of(page, placement)?;
        mapping.record_fallback(asked, given, because);
        Ok((mapping, object))
    }

    pub(in crate::area) fn object_of(
        &self,
        page: PageSize,
        placement: &Placement,
    ) -> Result<(Mapping, Object)> {
        let extent = match self.extent {
            Wanted::Fixed => Extent::Fixed,
            Wanted::Growable(max) | Wanted::Resizable(max) => {
                let max = page.round_up(max.max(1)).ok_or_else(|| {
                    Error::new(ErrorKind::InvalidInput, self.what("shared"))
                        .with_facts("the maximum is more than there are addresses")
                })?;
                match self.extent {
                    Wanted::Resizable(_) => Extent::Resizable { max },
                    _ => Extent::Growable { max },
                }
            }
        };
        self.map_object(Object::make(&self.label(), self.size, extent, page)?.fresh(), placement)
    }

    /// What its object is called in `/proc/PID/maps`, where a label follows.
    pub(in crate::area) fn label(&self) -> FileLabel {
        match self.name.as_deref() {
            None => FileLabel::new(&[LABEL, "area"]),
            Some(name) => match str::from_utf8(name) {
                // The usual one, without a look for what is to be replaced.
                Ok(name) => FileLabel::new(&[LABEL, name]),
                Err(_) => FileLabel::new(&[LABEL, &String::from_utf8_lossy(name)]),
            },
        }
    }

    /// Maps an object whole, as it was asked for.
    pub(in crate::area) fn map_object(
        &self,
        object: Object,
        placement: &Placement,
    ) -> Result<(Mapping, Object)> {
        let page = object.page_size();
        let mut request = Request::object(&object).at(self.address).protection(self.protection);
        if self.collapses(page) {
            request = request.aligned(PageSize::HUGE_2M.bytes());
        }
        let kind = if matches!(self.extent, Wanted::Resizable(_)) { "resizable" } else { "shared" };
        // What lends a frozen area's bytes relies on it that all of this object is mapped, and
        // nothing else.
        let mapping = self.map(&place(self.at_home(request), placement), kind)?;
        if page != PageSize::base() {
            // Not those of the reserve: growth takes them.
            take_pool_pages(&mapping, object.size_in_pages(), Some(*placement))?;
        } else if strict::applies(object.size()) && object.physical().is_none() {
            object.back(0, object.file_size(), || self.what("shared"))?;
        }
        Ok((mapping, object))
    }

    #[inline]
    pub(super) fn at_home<'r>(&self, request: Request<'r>) -> Request<'r>
    where
        'a: 'r,
    {
        match self.home {
            Some((reservation, offset)) => request.inside(reservation, offset),
            None => request,
        }
    }

    #[inline]
    pub(in crate::area) fn finish<K: AreaKind>(
        &self,
        mapping: Mapping,
        object: K::Object,
        placement: &Placement,
    ) -> Result<Area<K>> {
        // Where nothing was asked here, the provider may have asked for something.
        let placement = match placement.is_default() {
            true => mapping.asked().of_all(mapping.span()).map_or(CompactPlacement::Default, Into::into),
            false => placement.into(),
        };
        let may_collapse = self.collapses(mapping.page_size());
        if self.lock == Lock::None && self.dump {
            // Made where it is wanted: an area is half a kilobyte.
            return Ok(Area { may_collapse, ..Area::over(mapping, object, placement) });
        }
        let mut area: Area<K> = Area { may_collapse, ..Area::over(mapping, object, placement) };
        if !self.dump {
            area.exclude_from_dump()?;
        }
        if self.lock == Lock::None {
            return Ok(area);
        }
        let whose = match &self.name {
            Some(name) => format!("area {:?}", String::from_utf8_lossy(name)),
            None => area.to_string(),
        };
        area.apply_lock(self.lock, &whose)?;
        Ok(area)
    }
}

/// A placement that asks for nothing is left to the provider.
#[inline]
pub(super) fn place<'a>(request: Request<'a>, placement: &Placement) -> Request<'a> {
    match placement.is_default() {
        true => request,
        false => request.placed_as_resolved(*placement),
    }
}
