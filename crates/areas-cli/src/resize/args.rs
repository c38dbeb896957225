//! What can be said to `areas resize`.

use areas::Bytes;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::target::Target;

/// Change an area's size, for all holders of a clone at once
///
/// Growable areas grow; resizable ones shrink as well. No address changes.
#[derive(Debug, clap::Args)]
pub(crate) struct Resize {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// Its new size, rounded up to whole pages
    pub(crate) size: Bytes,
}
