//! Placing a part of an area anew, comparing with what is, and moving what is elsewhere.

use std::ops::Range;

use super::{Access, Area};
use crate::error::{Error, Kind, Result};
use crate::migrate::{self, Here, Migration, first_huge_page};
use crate::place::Placement;
use crate::populate::Progress;
use crate::provider::resolve;
use crate::verify::{self, Verification};

impl<K: Access> Area<K> {
    /// From now on, new pages of a part come from there. Pages that are there already stay: [`migrate`](Area::migrate)
    /// moves them.
    ///
    /// `range` is in bytes; it begins at a page, and is rounded up to whole ones. It may lie in the reserve: then it counts
    /// when the area has grown that far. For shared base pages it holds for all clones.
    ///
    /// # Errors
    /// [`Kind::NodeNotAllowed`] for nodes that may not be used, [`Kind::InvalidInput`] for a range that does not begin at a
    /// page, [`Kind::OutOfRange`] beyond the reserve, [`Kind::Unsupported`] for what this kernel does not know.
    #[doc(alias = "mbind")]
    pub fn place(&mut self, range: Range<usize>, placement: impl Into<Placement>) -> Result<()> {
        let placement = resolve(placement.into())?;
        if let Some(object) = &self.object {
            object.refuse_physical(|| format!("place {self} as {placement}"))?;
        }
        let page = self.mapping.page_size();
        if range.start > range.end || !range.start.is_multiple_of(page.bytes()) {
            return Err(Error::new(
                Kind::InvalidInput,
                format!("place bytes {}..{} of {self} as {placement}", range.start, range.end),
            )
            .detail(format!("a part begins at a multiple of the page size, {page}, and ends behind that")));
        }
        let end = page.round_up(range.end).unwrap_or(usize::MAX);
        self.mapping.place(range.start..end, &placement)?;
        if range.start == 0 && end >= self.mapping.span() {
            self.note_placement(placement);
        }
        Ok(())
    }

    /// Measures, and compares with what was asked: by the builder, by [`place`](Area::place) for a part of it, by the
    /// provider for blocks of stripes. With interleaving, what counts is whose turn each page is ([`Verification`]).
    ///
    /// # Errors
    /// As [`residency`](Area::residency); [`Kind::NotPermitted`] where a sandbox hides which node single pages are on.
    pub fn verify(&self) -> Result<Verification> {
        let residency = self.residency()?.all_located()?;
        let asked = self.mapping.asked();
        let first = first_huge_page(&self.mapping, self.object.as_ref());
        Ok(match asked.is_empty() {
            false => verify::verify(&residency, first, asked.parts()),
            true => verify::verify(&residency, first, [(0..self.mapping.span(), self.placement)].into_iter()),
        })
    }

    /// Places the whole area anew, and moves the pages that are elsewhere. What would not move is reported, with the reason.
    ///
    /// Interleaved pages are dealt out anew, as if they had been interleaved from the start, huge pages each as one; with `bind` and
    /// `preferred-many`, those move that are on none of the nodes.
    ///
    /// Pages that other processes have mapped too move only with `CAP_SYS_NICE`. Where there was something to move and nothing of it would,
    /// the placement is as it was ([`Migration::is_placed`]).
    ///
    /// # Errors
    /// As [`place`](Area::place) and [`residency`](Area::residency). Pages that stay are no error.
    #[doc(alias = "move_pages")]
    #[doc(alias = "migrate_pages")]
    pub fn migrate(&mut self, placement: impl Into<Placement>) -> Result<Migration> {
        self.migrate_with(placement, &mut |_| {})
    }

    /// The same, and tells how far it is: bytes looked at, of those that are to move.
    ///
    /// # Errors
    /// As [`migrate`](Area::migrate).
    pub fn migrate_with(
        &mut self,
        placement: impl Into<Placement>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Migration> {
        let placement = resolve(placement.into())?;
        if let Some(object) = &self.object {
            object.refuse_physical(|| format!("move {self} to {placement}"))?;
        }
        let len = self.used();
        let migration =
            migrate::run(&mut Here::new(&mut self.mapping, self.object.as_ref(), len), placement, progress)?;
        if migration.is_placed() {
            self.note_placement(placement);
        }
        Ok(migration)
    }

    fn note_placement(&mut self, placement: Placement) {
        self.placement = placement;
        if let Some(publication) = &self.publication {
            publication.set_placement(placement);
        }
    }
}
