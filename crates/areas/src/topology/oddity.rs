//! What a tree says that cannot be believed.

use std::fmt;
use std::path::PathBuf;

use crate::nodes::Node;
use crate::text::escape_invisible;

/// More are not kept of one tree.
pub(super) const MAX_ODDITIES: usize = 256;

/// A file of sysfs that could not be read, makes no sense, or contradicts others. What it should
/// have said is unknown; all else is as reported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Oddity {
    /// The node that it is about, if it is about one.
    pub node: Option<Node>,
    /// The file, or the folder where a name in it is what makes no sense.
    pub file: PathBuf,
    /// What is wrong with it, as a phrase.
    pub why: String,
}

impl fmt::Display for Oddity {
    /// `/sys/devices/system/node/node1/meminfo: it has no MemFree`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", escape_invisible(&self.file.to_string_lossy()), self.why)
    }
}
