//! Breaking each rule on purpose: an invariant that cannot fail proves nothing. `tests/sabotage.rs`
//! breaks them all.

/// What is to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sabotage {
    /// A worker writes a byte that is not the pattern's.
    Byte,
    /// A worker records another object under its id than it published.
    Id,
    /// A worker records an id under which it published nothing.
    Absent,
    /// The supervisor takes a living process for a reaped one.
    DeadName,
    /// A worker makes a call that fails as none may.
    Error,
    /// A worker stays in one operation forever.
    Hang,
    /// A worker releases an area without dropping it.
    Leak,
    /// A worker dies of a signal that no process sent.
    Crash,
    /// A worker panics.
    Panic,
    /// A process outlives the storm with an area of it mapped.
    Holder,
    /// A worker goes inside without locking.
    Lock,
    /// A process leaves a file in the registry's folder.
    Folder,
}

impl Sabotage {
    /// Its name on the command line.
    pub(crate) fn word(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
