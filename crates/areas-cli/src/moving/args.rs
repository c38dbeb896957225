//! What can be said to `areas move`.

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::placing::Place;
use crate::target::Target;

/// Move an area's pages to other nodes, and measure the result
///
/// New pages of it come from there too. Huge pages move whole. What would not move is reported,
/// with the reason: pages that several processes have mapped move only with CAP_SYS_NICE. Where
/// nothing would move, its policy is as it was.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas move model --nodes 1
  areas move model --policy interleave --nodes 0-3")]
pub(crate) struct Move {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    #[command(flatten)]
    pub(crate) place: Place,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
