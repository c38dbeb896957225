//! What the tests of areas, providers and errors share: processes of their own, what the kernel
//! says of a mapping, and saying aloud that something could not be checked.

pub(crate) mod child;
pub(crate) mod folder;
pub(crate) mod held;
pub(crate) mod kernel;
pub(crate) mod pool;

/// Whether this is root, who may what others may not.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that a check could not be made here.
pub(crate) fn skip(test: &str, why: &str) {
    // A child may have no right to write the log.
    let _ = areas_testing::noted(test, why);
}
