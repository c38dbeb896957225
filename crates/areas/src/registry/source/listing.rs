//! What a look at all teams finds.

use super::Source;

/// A team that lives, and whose areas this process may not see.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnreadableTeam {
    /// The process.
    pub pid: u32,
    /// Its command name, where it can be read.
    pub command: Option<String>,
    /// Why it cannot be read, for people.
    pub reason: String,
    /// Whether it is for want of something in this very process (no descriptor or memory to be
    /// had), and not because the team is kept from it: then another try may read it.
    pub own_limit: bool,
}

/// All areas that can be seen, and the teams that cannot be looked into.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// The areas: by process, then by address.
    pub areas: Vec<Source>,
    /// The teams that cannot be read.
    pub unreadable: Vec<UnreadableTeam>,
}
