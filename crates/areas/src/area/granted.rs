//! What an area was actually given: where that differs from what was asked, the caller allowed it.

use super::{Area, AreaKind};
use crate::mapping::Fallback;
use crate::page::PageSize;

/// What an area was actually given, as [`Area::granted`] returns it.
///
/// ```
/// use areas::{PageSize, Pages};
///
/// // Huge pages from the pool if it has them, else base pages.
/// let area = areas::builder(2 << 20).pages(Pages::PreferPool(PageSize::HUGE_2M)).private()?;
/// let granted = area.granted();
/// assert_eq!(granted.fallbacks().is_empty(), granted.page_size() != PageSize::base());
/// for fallback in granted.fallbacks() {
///     println!("{}, instead of {}: {}", fallback.given, fallback.asked, fallback.because);
/// }
/// # Ok::<(), areas::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a> {
    mapped: usize,
    span: usize,
    page_size: PageSize,
    collapsed: usize,
    fallbacks: &'a [Fallback],
}

impl<'a> Granted<'a> {
    /// Bytes in whole pages.
    #[must_use]
    pub fn mapped(&self) -> usize {
        self.mapped
    }

    /// Bytes of addresses taken, a reserve included.
    #[must_use]
    pub fn span(&self) -> usize {
        self.span
    }

    /// The pages that it is mapped with.
    #[must_use]
    pub fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// Bytes that were collapsed into transparent huge pages.
    #[must_use]
    pub fn collapsed(&self) -> usize {
        self.collapsed
    }

    /// What was given instead of what was asked first; and, after populating, why pages could not
    /// be collapsed into transparent huge ones.
    #[must_use]
    pub fn fallbacks(&self) -> &'a [Fallback] {
        self.fallbacks
    }
}

impl<K: AreaKind> Area<K> {
    /// What was actually given.
    #[must_use]
    pub fn granted(&self) -> Granted<'_> {
        Granted {
            mapped: self.mapped(),
            span: self.mapping.span(),
            page_size: self.mapping.page_size(),
            collapsed: self.collapsed,
            fallbacks: self.mapping.fallbacks(),
        }
    }
}
