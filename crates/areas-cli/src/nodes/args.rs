//! What can be said to `areas nodes`.

use std::path::PathBuf;

use crate::choice::Origin;

/// Show the machine's memory nodes: size, free memory, CPUs, caches, huge pages, distances, speed
///
/// What the kernel does not report is left out. A file of sysfs that cannot be read, or is invalid,
/// is named on standard error, and what it should have reported is left out, or `?`. CACHE is a
/// cache on the memory's own side, in front of that node.
///
/// Then the memory spaces: the nodes that are best at something, equals together, for --nodes of
/// other commands. UNKNOWN are those of which it is not known. Without --from, bandwidth and
/// latency are the best for each node with CPUs.
#[derive(Debug, clap::Args)]
pub(crate) struct Nodes {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// See the memory spaces from a CPU or a node: `cpu3`, `node1`
    #[arg(long, value_name = "cpuN|nodeN")]
    pub(crate) from: Option<Origin>,
    /// Of another machine: a folder with a copy of its /sys
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub(crate) sysfs: Option<PathBuf>,
}
