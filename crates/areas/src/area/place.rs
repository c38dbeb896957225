//! Changing the placement of a part of an area, comparing it with what is, and moving what is
//! elsewhere.

use std::fmt;
use std::ops::Range;

use super::kind::MaybeObject;
use super::{Area, AreaKind};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::PLACE_THE_WHOLE;
use crate::migrate::{self, Here, Migration, first_huge_page};
use crate::nodes::{Node, Placement};
use crate::populate::Progress;
use crate::provider::{resolve, split};
use crate::verify::{self, Verification};

impl<K: AreaKind> Area<K> {
    /// From now on, new pages of a part come from there. Pages that are there already stay:
    /// [`migrate`](Area::migrate) moves them.
    ///
    /// `range` is in bytes; it begins at a page, and is rounded up to whole ones. It may lie in the
    /// reserve: then it counts when the area has grown that far. For shared base pages it holds for
    /// all clones.
    ///
    /// ```
    /// use areas::Policy;
    ///
    /// let mut area = areas::builder(4 << 20).private()?;
    /// let node = areas::allowed_nodes()?.first().unwrap();
    /// // The second half on one node; the first where the policy of the thread puts it.
    /// area.place(2 << 20..4 << 20, Policy::Bind(node.into()))?;
    /// area.populate()?;
    /// assert!(area.verify()?.holds());
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NodeNotAllowed`] for nodes that may not be used, [`ErrorKind::InvalidInput`]
    /// for a range that does not begin at a page, [`ErrorKind::OutOfRange`] beyond the reserve,
    /// [`ErrorKind::Unsupported`] for what this kernel does not know.
    #[doc(alias = "mbind")]
    pub fn place(&mut self, range: Range<usize>, placement: impl Into<Placement>) -> Result<()> {
        let placement = resolve(placement.into())?;
        let part = self.placeable(&range, &placement)?;
        let whole = part.start == 0 && part.end >= self.mapping.span();
        self.mapping.place(part, &placement)?;
        if whole {
            self.note_placement(placement);
        }
        Ok(())
    }

    /// Divides a part into contiguous pieces, in the order given, each bound to its node and as
    /// large as its weight says: new pages come from there from now on.
    /// `area.place_split(0..area.size(), [(node 0, 1), (node 1, 3)])` puts the first quarter on
    /// node 0. What [`split`](crate::Provider::split) does to a whole area as it is made.
    ///
    /// Where each piece has room for a huge page, all begin between huge pages, else at the nearest
    /// page; where there are fewer pages than pieces, some get none. A node may be named more than
    /// once. Pages that are there already stay: [`verify`](Area::verify) reports which are
    /// elsewhere. The area's own [`placement`](Area::placement) stays what it was: no single one
    /// describes it.
    ///
    /// `range` is in bytes, as for [`place`](Area::place). Where the kernel refuses a piece, all of
    /// the range is placed as before.
    ///
    /// # Errors
    /// As [`place`](Area::place); [`ErrorKind::InvalidInput`] for no pieces, or a weight of 0.
    #[doc(alias = "UMF_NUMA_MODE_SPLIT")]
    pub fn place_split(
        &mut self,
        range: Range<usize>,
        parts: impl IntoIterator<Item = (Node, u32)>,
    ) -> Result<()> {
        let parts: Vec<_> = parts.into_iter().collect();
        let how = split::in_words(&parts);
        split::check(&parts, || format!("split {self} into {how}"))?;
        let part = self.placeable(&range, &how)?;
        split::place_or_undo(&mut self.mapping, part, &parts)
    }

    /// The whole pages of a range that is about to be placed.
    fn placeable(&self, range: &Range<usize>, how: &dyn fmt::Display) -> Result<Range<usize>> {
        if let Some(object) = self.object.get() {
            object.refuse_physical(|| format!("place {self} as {how}"))?;
        }
        let page = self.mapping.page_size();
        if range.start > range.end || !range.start.is_multiple_of(page.bytes()) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("place bytes {}..{} of {self} as {how}", range.start, range.end),
            )
            .with_facts(format!(
                "a part begins at a multiple of the page size, {page}, and ends behind that"
            )));
        }
        Ok(range.start..page.round_up(range.end).unwrap_or(usize::MAX))
    }

    /// Measures, and compares with what was asked: by the builder, by [`place`](Area::place) for a
    /// part of it, by the provider for blocks of stripes. With interleaving, what counts is whose
    /// turn each page is ([`Verification`]).
    ///
    /// Where another holder of a shared area has changed its placement, or that of a part, that
    /// counts: the kernel's policy is asked for at each part's ends and at least once in 2 MiB
    /// (smaller parts that others placed may be overlooked).
    ///
    /// ```
    /// use areas::{NodeSet, Policy};
    ///
    /// let mut area = areas::builder(1 << 20).place(Policy::Interleave(NodeSet::ALL)).private()?;
    /// area.populate()?;
    /// let verification = area.verify()?;
    /// assert!(verification.holds(), "{verification}");
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`residency`](Area::residency); [`ErrorKind::NotPermitted`] where a sandbox hides which
    /// node single pages are on.
    pub fn verify(&self) -> Result<Verification> {
        let residency = self.residency()?.all_located()?;
        let asked = self.mapping.asked();
        let first = first_huge_page(&self.mapping, self.object.get());
        Ok(match self.placed_now() {
            Some(now) => verify::verify(&residency, first, now.into_iter()),
            None if !asked.is_empty() => verify::verify(&residency, first, asked.parts()),
            None => verify::verify(
                &residency,
                first,
                [(0..self.mapping.span(), self.placement.whole())].into_iter(),
            ),
        })
    }

    /// Changes the placement of the whole area, and moves the pages that are elsewhere. What would
    /// not move is reported, with the reason.
    ///
    /// Interleaved pages are distributed again, as if they had been interleaved from the start,
    /// huge pages each as one; with `bind` and `preferred-many`, those move that are on none of the
    /// nodes.
    ///
    /// Pages that other processes have mapped too move only with `CAP_SYS_NICE`. Where there was
    /// something to move and nothing of it would, the placement is as it was
    /// ([`Migration::is_placed`]).
    ///
    /// ```
    /// use areas::Policy;
    ///
    /// let node = areas::allowed_nodes()?.last().unwrap();
    /// let mut area = areas::builder(1 << 20).private()?;
    /// area.populate()?;
    /// let migration = area.migrate(Policy::Bind(node.into()))?;
    /// assert!(migration.is_placed(), "{migration}"); // measured; what would not move is named, with why
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`place`](Area::place) and [`residency`](Area::residency). Pages that stay are not an
    /// error.
    #[doc(alias = "move_pages")]
    #[doc(alias = "migrate_pages")]
    pub fn migrate(&mut self, placement: impl Into<Placement>) -> Result<Migration> {
        self.migrate_with(placement, &mut |_| {})
    }

    /// The same, and reports its progress: bytes looked at, of those that are to move.
    ///
    /// # Errors
    /// As [`migrate`](Area::migrate).
    pub fn migrate_with(
        &mut self,
        placement: impl Into<Placement>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Migration> {
        let placement = resolve(placement.into())?;
        if let Some(object) = self.object.get() {
            object.refuse_physical(|| format!("move {self} to {placement}"))?;
        }
        self.mapping.refuse_given(|| format!("move {self} to {placement}"), PLACE_THE_WHOLE)?;
        let len = self.used();
        let migration =
            migrate::run(&mut Here::new(&mut self.mapping, self.object.get(), len), placement, progress)?;
        if migration.is_placed() {
            self.note_placement(placement);
        }
        Ok(migration)
    }

    fn note_placement(&mut self, placement: Placement) {
        self.placement = placement.into();
        if let Some(publication) = &self.publication {
            publication.set_placement(placement);
        }
    }
}
