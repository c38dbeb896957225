//! Names that items had before version 0.2, each for one version more.

use std::borrow::Cow;
use std::time::Duration;

use crate::area::{AreaKind, Granted};
use crate::error::{Errno, Error, ErrorKind};
use crate::migrate::UnmovedRange;
use crate::mover::UnmovedReason;
use crate::residency::PageLocation;

/// The older name of [`ErrorKind`].
#[deprecated(since = "0.2.0", note = "use `ErrorKind`")]
pub type Kind = ErrorKind;

/// The older name of [`PageLocation`].
#[deprecated(since = "0.2.0", note = "use `PageLocation`")]
pub type Where = PageLocation;

/// The older name of [`UnmovedReason`].
#[deprecated(since = "0.2.0", note = "use `UnmovedReason`")]
pub type Why = UnmovedReason;

/// The older name of [`UnmovedRange`].
#[deprecated(since = "0.2.0", note = "use `UnmovedRange`")]
pub type Stayed = UnmovedRange;

/// The older name of [`AreaKind`], which every kind of area has.
#[deprecated(since = "0.2.0", note = "use `AreaKind`")]
pub trait Access: AreaKind {}

#[expect(deprecated, reason = "the older name is for all that have the new one")]
impl<K: AreaKind> Access for K {}

/// The older name of [`DEFAULT_FREEZE_TIMEOUT`](crate::DEFAULT_FREEZE_TIMEOUT).
#[deprecated(since = "0.2.0", note = "use `DEFAULT_FREEZE_TIMEOUT`")]
pub const FREEZE_PATIENCE: Duration = crate::area::DEFAULT_FREEZE_TIMEOUT;

/// The older name of [`EXCLUSIVE_TIMEOUT`](crate::EXCLUSIVE_TIMEOUT).
#[deprecated(since = "0.2.0", note = "use `EXCLUSIVE_TIMEOUT`")]
pub const EXCLUSIVE_PATIENCE: Duration = crate::area::EXCLUSIVE_TIMEOUT;

impl Granted<'_> {
    /// The older name of [`collapsed`](Granted::collapsed).
    #[must_use]
    #[deprecated(since = "0.2.0", note = "use `collapsed`")]
    pub fn gathered(&self) -> usize {
        self.collapsed()
    }
}

impl Error {
    /// The older name of [`with_system_call`](Error::with_system_call).
    #[must_use]
    #[deprecated(since = "0.2.0", note = "use `with_system_call`")]
    pub fn call(self, call: impl Into<Cow<'static, str>>, errno: impl Into<Errno>) -> Self {
        self.with_system_call(call, errno)
    }

    /// The older name of [`with_facts`](Error::with_facts).
    #[must_use]
    #[deprecated(since = "0.2.0", note = "use `with_facts`")]
    pub fn detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.with_facts(detail)
    }

    /// The older name of [`with_remedy`](Error::with_remedy).
    #[must_use]
    #[deprecated(since = "0.2.0", note = "use `with_remedy`")]
    pub fn help(self, help: impl Into<Cow<'static, str>>) -> Self {
        self.with_remedy(help)
    }
}

#[cfg(test)]
mod tests {
    #![expect(deprecated, reason = "that is what is tried")]

    use crate::registry::{self, Look};

    /// A program that was written for 0.1, by its names.
    #[test]
    fn older_names_mean_what_they_meant() {
        fn whole<K: crate::Access>(area: &crate::Area<K>) -> bool {
            area.size() == 1
        }
        assert!(whole(&crate::builder(1).private().unwrap()));
        let error = crate::builder(0).private().unwrap_err();
        assert!(matches!(error.kind(), crate::Kind::InvalidInput));
        let error = error
            .with_system_call("mmap()", crate::Errno::from_raw(12))
            .with_facts("facts")
            .with_remedy("remedy");
        assert_eq!((error.system_call(), error.facts()), (Some("mmap()"), Some("facts")));
        assert_eq!(error.remedy(), Some("remedy"));
        let _: (crate::Where, crate::Why) = (crate::Where::Absent, crate::Why::Busy);
        let _: [Option<crate::Stayed>; 1] = [None];
        let _: (crate::topology::Access, crate::place::Source);
        let _: fn(&registry::Source) -> crate::Result<Look> = registry::Source::look;
        let _: fn() -> crate::Result<()> = registry::keep;
        assert_eq!(crate::sync::Owner::Nobody, crate::sync::Owner::Unlocked);
        assert_eq!(crate::gate::Reach::Everybody, crate::gate::Reach::AnyUser);
        let _ = crate::gate::OfferOptions::new().to_everybody();
        let _ = crate::gate::TakeOptions::new().from_everybody();
        assert_eq!(crate::builder(1).private().unwrap().granted().gathered(), 0);
        assert_eq!(crate::FREEZE_PATIENCE, crate::DEFAULT_FREEZE_TIMEOUT);
        assert_eq!(crate::EXCLUSIVE_PATIENCE, crate::EXCLUSIVE_TIMEOUT);
    }
}
