//! The columns that `areas ls` can show, as they are named on the command line.

use clap::ValueEnum;

/// A column of `areas ls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    /// The area's id
    Id,
    /// Its name
    Name,
    /// Its size
    Size,
    /// How much of it is in RAM
    Ram,
    /// The nodes on which that is
    Nodes,
    /// Its lock
    Lock,
    /// What may be done with it through its holder's mapping
    Prot,
    /// The process that publishes it
    Pid,
    /// What that process runs
    Command,
    /// The memory object behind it, DEVICE:INODE: areas with the same one share their memory
    Object,
    /// How much of it its holder has mapped
    Mapped,
    /// The size up to which it may grow
    Max,
    /// When it was published, in UTC
    Created,
    /// Where new pages come from
    Policy,
    /// The size of its pages
    Pages,
    /// Where its holder has it mapped
    Address,
}
