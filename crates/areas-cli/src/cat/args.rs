//! What can be said to `areas cat`.

use areas::Bytes;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::target::Target;

/// Write an area's bytes to the standard output
///
/// They are read without mapping the area, so that holes stay holes.
#[derive(Debug, clap::Args)]
pub(crate) struct Cat {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// Where to begin
    #[arg(long, default_value = "0")]
    pub(crate) offset: Bytes,
    /// How many bytes at most; without it, all that follow
    #[arg(long)]
    pub(crate) length: Option<Bytes>,
}
