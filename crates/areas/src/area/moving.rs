//! What can be done to the place of an area that was found, without a clone of it: moving its
//! pages, and asking for its policy.

use crate::error::{Error, ErrorKind, Result};
use crate::migrate::{self, Elsewhere, Migration};
use crate::nodes::{Placement, Policy};
use crate::page::PageSize;
use crate::populate::Progress;
use crate::provider::resolve;
use crate::registry::{Rights, Source};
use crate::residency;
use crate::size::Bytes;
use crate::sys;

/// At how many places of an area its policy is asked for: at its first page, its last one, and
/// between them.
const PLACES: usize = 64;

impl Source {
    /// Moves its pages, and has new ones come from there: [`Area::migrate`](crate::Area::migrate)
    /// for an area of another process (or of this one), without cloning it.
    ///
    /// An ordinary user can move pages that one process of that user, or none, has mapped; those
    /// that several have mapped stay, unless the caller has `CAP_SYS_NICE`. Where there was
    /// something to move and nothing of it would, the policy is as it was.
    ///
    /// ```
    /// use areas::{Policy, allowed_nodes, registry};
    ///
    /// let mut area = areas::builder(64 << 10).name("doc: moved").shared()?;
    /// area.populate()?;
    /// let migration = registry::find("doc: moved")?.migrate(Policy::Bind(allowed_nodes()?))?;
    /// assert!(migration.verification().holds() && migration.stayed().is_empty());
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchArea`] if it is gone, [`ErrorKind::Unreadable`] if it may not be opened;
    /// [`ErrorKind::NodeNotAllowed`] for nodes that may not be used; [`ErrorKind::Unsupported`] for
    /// low areas, and for what this kernel does not know; [`ErrorKind::NotPermitted`] where a
    /// sandbox forbids it. Pages that stay are not an error.
    #[doc(alias = "migrate_pages")]
    pub fn migrate(&self, placement: impl Into<Placement>) -> Result<Migration> {
        self.migrate_with(placement, &mut |_| {})
    }

    /// The same, and reports its progress: bytes looked at, of those that are to move.
    ///
    /// # Errors
    /// As [`migrate`](Source::migrate).
    pub fn migrate_with(
        &self,
        placement: impl Into<Placement>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Migration> {
        let placement = resolve(placement.into())?;
        let object = self.open_object(Rights::Reading)?;
        object.refuse_physical(|| format!("move area {} {:?} to {placement}", self.id(), self.name()))?;
        migrate::run(&mut Elsewhere::new(&object, self)?, placement, progress)
    }

    /// The policies that the kernel has for its memory now, the first byte's first: most areas have
    /// one. What its maker asked for is in [`info`](Source::info); another process may have changed
    /// it since.
    ///
    /// It is asked at up to 64 places, so that parts of an area of several policies may be
    /// overlooked. A home node does not show.
    ///
    /// # Errors
    /// As [`migrate`](Source::migrate); [`ErrorKind::Unsupported`] for hugetlb pages of a process
    /// that cannot be looked into: their policy lies on each mapping.
    #[doc(alias = "get_mempolicy")]
    pub fn policies(&self) -> Result<Vec<Policy>> {
        let what = || format!("ask for the policy of area {} {:?}", self.id(), self.name());
        let object = self.open_object(Rights::Looking)?;
        object.refuse_physical(what)?;
        if object.page_size() != PageSize::base() {
            return match self.policy_by_holder() {
                Some(policy) => Ok(vec![policy]),
                None => Err(Error::new(ErrorKind::Unsupported, what())
                    .with_facts(format!(
                        "that of hugetlb pages lies on each mapping, and /proc/{}/numa_maps shows none",
                        self.pid()
                    ))
                    .with_remedy("ask as the user who runs that process, or as root")),
            };
        }
        let len = object.size_in_pages().max(PageSize::base().bytes());
        // Nothing of it is touched.
        let whole = residency::map_window(&object, &(0..len))?;
        let pages = len / PageSize::base().bytes();
        let mut found: Vec<Policy> = Vec::new();
        let places = pages.min(PLACES);
        for place in 0..places {
            // The first page, the last one, and evenly between.
            let page = if places > 1 { place * (pages - 1) / (places - 1) } else { 0 };
            let address = whole.check(page * PageSize::base().bytes(), 1, len)?;
            let policy =
                sys::policy::policy_at(address).or_else(|errno| self.policy_by_holder().ok_or(errno));
            let policy = policy.map_err(|errno| {
                Error::new(ErrorKind::NotPermitted, what())
                    .with_system_call(format!("get_mempolicy({address:p}, MPOL_F_ADDR)"), errno)
                    .with_facts(format!("byte {} of {}", page * PageSize::base().bytes(), Bytes::from(len)))
                    .with_remedy(
                        "containers need CAP_SYS_NICE or a seccomp profile that allows get_mempolicy",
                    )
            })?;
            if !found.contains(&policy) {
                found.push(policy);
            }
        }
        Ok(found)
    }
}
