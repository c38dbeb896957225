//! How areas are held: options that several subcommands have.

use std::ffi::OsString;

/// How areas are held.
#[derive(Debug, clap::Args)]
pub(crate) struct Holding {
    /// Print readiness as JSON, on one line each
    #[arg(long, conflicts_with = "command")]
    pub(crate) json: bool,
    /// Hold it in the background: this command ends as soon as a process of its own, in a session
    /// of its own, has it; `areas drop` ends that one
    #[arg(long, conflicts_with = "command")]
    pub(crate) detach: bool,
    /// Hold it as long as this command runs, which sees AREA_ID and AREA_NAME (of several, those of
    /// the first one, and AREA_IDS); pass signals on to it, return its status
    ///
    /// The standard output is the command's alone: nothing is printed when the area is ready, the
    /// command is started.
    ///
    /// Passed on are HUP, INT, QUIT, ALRM, TERM, USR1, USR2, VTALRM, PROF, IO, PWR, STKFLT, WINCH
    /// and all real-time signals (without what was sent along with them), but for INT, QUIT and
    /// WINCH where the terminal sends them to the command itself. Signals that this command ignores
    /// stay ignored. What stops and continues processes (STOP, TSTP, CONT) is not passed on.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
