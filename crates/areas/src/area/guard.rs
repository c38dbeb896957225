//! Areas that serve as stacks: the lowest page of one may be a guard.

use super::{Area, AreaKind, Resizable};
use crate::error::{Error, ErrorKind, Result};

impl Area<Resizable> {
    /// Makes its lowest page inaccessible, from now on and whatever its protection is: for memory
    /// that serves as a stack, which grows down and then ends in a fault. It is this area's matter
    /// alone: its clones, and [`read_at`](Area::read_at), see the page. A frozen area has no guard.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it has one page only; [`ErrorKind::Limit`] at
    /// `vm.max_map_count`.
    #[doc(alias = "B_STACK_AREA")]
    pub fn guard_lowest_page(&mut self) -> Result<()> {
        if self.used() <= self.mapping.page_size().bytes() {
            return Err(Error::new(ErrorKind::InvalidInput, format!("guard the lowest page of {self}"))
                .with_facts("it has no other page"));
        }
        self.mapping.guard_lowest_page()
    }
}

impl<K: AreaKind> Area<K> {
    /// Does what a guard is in the way of: it may not be accessed, and so not be brought in and
    /// locked as the other pages.
    pub(super) fn unguarded<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if !self.mapping.is_guarded() {
            return body(self);
        }
        self.mapping.lift_guard()?;
        let done = body(self);
        let guarded = self.mapping.guard_lowest_page();
        done.and_then(|done| guarded.map(|()| done))
    }
}
