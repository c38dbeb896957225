//! What can be said to `areas tour`, and to the processes that it starts.

use std::path::PathBuf;

use areas::Name;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::publishing::name;

/// Show what areas are for, on a real file: under a minute, everything that it says is measured
///
/// With --quiet it prints what does not hold, and how much does.
#[derive(Debug, clap::Args)]
pub(crate) struct Tour {
    /// The file to take; by default the Rust compiler's own library, some 150 MB
    pub(crate) file: Option<PathBuf>,
}

/// A process that the tour starts
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct TourWorker {
    /// The area to find
    #[arg(long, value_parser = OsStringValueParser::new().try_map(name))]
    pub(crate) name: Name,
    /// The file to compare it with
    #[arg(long)]
    pub(crate) file: PathBuf,
}
