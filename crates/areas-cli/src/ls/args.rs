//! What can be said to `areas ls`.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::column::Column;
use crate::target::Pattern;

/// List all areas that can be seen
///
/// The last line has what all take together (memory that several areas share counts once), what
/// processes hold without publishing it, and the registry that was looked in.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas ls --sort ram                        # what takes most, first
  areas ls 'frame*' --columns id,name,object,command
  areas ls --group                           # a row a memory, with all areas over it
  areas ls --no-headings --bytes --columns id,size | while read id size; do …; done")]
pub(crate) struct Ls {
    /// Only these: ids, names, and patterns of names with `*`, `?` and `[…]`
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Pattern::new))]
    pub(crate) areas: Vec<Pattern>,
    /// Also memory that no process publishes: unnamed areas and clones
    #[arg(long)]
    pub(crate) all: bool,
    /// Only what this process publishes
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Look into this user's registry: for root, looking only. AREAS_DIR, where it is set, has to
    /// name that user's folder
    #[arg(long, value_name = "NAME|UID")]
    pub(crate) user: Option<String>,
    /// List what a server on this or another machine offers (`areas serve`), each under the name
    /// that `areas fetch` takes
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["all", "pid", "user", "sort", "reverse", "group", "columns", "no_headings", "bytes"])]
    pub(crate) at: Option<String>,
    /// With --at, the file with the server's token; at 127.0.0.1 it is the one that servers make by
    /// default
    #[arg(long, value_name = "FILE", requires = "at", value_hint = clap::ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// With --at, encrypt, and trust a server for which these certificates vouch (PEM)
    #[arg(long, value_name = "FILE", requires = "at", value_hint = clap::ValueHint::FilePath)]
    pub(crate) tls_ca: Option<PathBuf>,
    /// With --at, give up after so many seconds in which nothing comes
    #[arg(long, value_name = "SECONDS", requires = "at", value_parser = crate::seconds::seconds)]
    pub(crate) timeout: Option<std::time::Duration>,
    /// Sort by this: the largest size first, else the lowest number, or the alphabet
    #[arg(long, value_name = "COLUMN", hide_possible_values = true)]
    pub(crate) sort: Option<Column>,
    /// The other way round
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Areas over one memory as one row
    #[arg(long, conflicts_with = "json")]
    pub(crate) group: bool,
    /// What to show
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',', conflicts_with = "json")]
    pub(crate) columns: Vec<Column>,
    /// Rows only: no headings, no total
    #[arg(long, conflicts_with = "json")]
    pub(crate) no_headings: bool,
    /// Sizes in bytes, all digits
    #[arg(long, conflicts_with = "json")]
    pub(crate) bytes: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
