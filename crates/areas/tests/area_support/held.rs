//! What this process holds: to see that nothing is left behind. For processes that a test has to
//! itself.

use areas_testing::{Process, descriptors, maps};

/// Descriptors, mapped objects, and addresses in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) descriptors: usize,
    /// Mappings of memory objects, and of shared memory without a name.
    pub(crate) objects: usize,
    /// Bytes of addresses.
    pub(crate) addresses: usize,
}

/// What malloc may take in the meantime.
const SLACK: usize = 1 << 20;

impl Held {
    pub(crate) fn now() -> Self {
        let descriptors = descriptors::count(Process::Own).unwrap();
        let vmas = maps::own();
        let is_object = |path: &str| path.starts_with("/memfd:") || path.starts_with("/dev/zero");
        Held {
            descriptors,
            objects: vmas.iter().filter(|vma| is_object(&vma.path)).count(),
            addresses: vmas.iter().map(|vma| vma.end - vma.start).sum(),
        }
    }

    /// Fails where there is more now than there was.
    #[track_caller]
    pub(crate) fn assert_no_more(self, after: &str) {
        let now = Held::now();
        assert_eq!(
            (now.descriptors, now.objects),
            (self.descriptors, self.objects),
            "left behind after {after}: {self:?}, now {now:?}"
        );
        assert!(
            now.addresses <= self.addresses + SLACK,
            "addresses left after {after}: {self:?}, now {now:?}"
        );
    }
}
