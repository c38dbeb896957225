//! What can be said to `areas create`.

use areas::{Bytes, Name};
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::holding::Holding;
use crate::placing::Placing;
use crate::publishing::{Publishing, name};

/// Create a named area full of zeros, and hold it
///
/// Its pages are taken as they are touched, where its placement says, unless --populate or a lock
/// takes them at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// How large it is
    #[arg(long)]
    pub(crate) size: Bytes,
    /// The name that others find it by: 1 to 255 bytes
    #[arg(long, value_parser = OsStringValueParser::new().try_map(name))]
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) publishing: Publishing,
    #[command(flatten)]
    pub(crate) holding: Holding,
    /// Let it grow up to this size, for all holders of a clone at once
    #[arg(long, value_name = "MAX")]
    pub(crate) growable: Option<Bytes>,
    /// Let it grow up to this size, and shrink, for all holders of a clone at once
    #[arg(long, value_name = "MAX", conflicts_with = "growable")]
    pub(crate) resizable: Option<Bytes>,
    /// Map it at this address or not at all: `0x700000000000`
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) at: Option<usize>,
    /// Take all its pages now, in parallel
    #[arg(long)]
    pub(crate) populate: bool,
    #[command(flatten)]
    pub(crate) placing: Placing,
}

/// A number in hexadecimal after `0x`, else in decimal.
fn address(text: &str) -> Result<usize, String> {
    match text.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .map_err(|_| "it is not an address: digits, or hexadecimal ones after `0x`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_write_them() {
        assert_eq!(address("0x7000"), Ok(0x7000));
        assert_eq!(address("4096"), Ok(4096));
        for wrong in ["", "-1", "x", "1e400"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
