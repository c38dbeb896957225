//! What is said to a holder in the background.

/// A process that holds areas in the background
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct HolderWorker {
    /// The areas to hold
    pub(crate) ids: Vec<i32>,
    /// This is the one that holds them
    #[arg(long)]
    pub(crate) last: bool,
}
