//! What cargo is asked to build. Cargo chooses the features of a dependency by all packages that it
//! is asked for, so that each other choice of packages builds most of the dependencies once more,
//! and what depends on them. All of xtask makes one of these choices.

use std::process::Command;

use crate::process;

pub(crate) use areas_ctest::folders::build_all as workspace;

/// A cargo that builds this package of ours, optimised, together with the command, which the
/// README's first line builds so.
pub(crate) fn optimised(package: &str) -> Command {
    process::cargo(["build", "--release", "--locked", "--package", "areas-cli", "--package", package])
}
