//! What cargo is told to build. Cargo chooses the features of a dependency by all packages that it
//! is asked for, so that each other choice of packages builds most of the dependencies once more,
//! and what depends on them. All of xtask makes one of these choices.

use std::process::Command;

use crate::process;

/// The whole workspace, with the features that its tests are built with: examples, as tests, have
/// development dependencies.
pub(crate) const WORKSPACE: [&str; 5] = ["--workspace", "--lib", "--bins", "--examples", "--locked"];

/// The package of the command, which the README's first line builds optimised. What is optimised
/// besides is chosen together with it.
pub(crate) const COMMAND: &str = "areas-cli";

/// A cargo that builds all of the workspace, unoptimised.
pub(crate) fn workspace() -> Command {
    let mut command = process::cargo(["build"]);
    command.args(WORKSPACE);
    command
}

/// A cargo that builds this package of ours, optimised.
pub(crate) fn optimised(package: &str) -> Command {
    let mut command = process::cargo(["build", "--release", "--locked", "--package", COMMAND]);
    if package != COMMAND {
        command.args(["--package", package]);
    }
    command
}
