//! What can be said to `areas doctor`.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::target::Target;

/// Examine this machine and this process, or one area: its problems, and the line that fixes each
///
/// A line for each check: `✓` fine, `!` a remark (something is missing, or less than it could be),
/// `✗` broken (areas do not work, or not as they were asked to), `?` unknown (it could not be
/// read). After a remark comes what fixes it: `#` before a command means as root, `$` as you are.
/// What is fine is listed by its name alone, unless --all is given.
///
/// System calls that a sandbox may forbid, or kill for, are tried in a child process.
///
/// With an area: whether each page is where it was asked to be, locked and huge, what slows it
/// down, and which processes keep it from being frozen or moved.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0 where all is fine, but for remarks and what is unknown; 1 where something is broken; 3 no such area.

Examples:
  areas doctor                       # this machine, as this process sees it
  areas doctor model                 # one area: is it where, and what, it was asked to be
  areas doctor --json | jq '.checks[] | select(.state == \"broken\")'
  podman exec CONTAINER areas doctor    # what a container may do")]
pub(crate) struct Doctor {
    /// An area's name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Option<Target>,
    /// A line for each check, for those that are fine, too
    #[arg(long)]
    pub(crate) all: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Of another machine: a folder with a copy of its /proc, /sys and /dev/shm
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath, conflicts_with = "area")]
    pub(crate) root: Option<PathBuf>,
}
