//! Reading sizes.

use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::size::{Bytes, read};

impl FromStr for Bytes {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::InvalidInput`] for anything but a number with an optional unit, and for more
    /// than `u64` holds.
    fn from_str(text: &str) -> Result<Self> {
        read(text.trim()).map(Bytes).map_err(|why| {
            Error::new(ErrorKind::InvalidInput, format!("read {text:?} as a size"))
                .with_facts(why.to_owned())
                .with_remedy(
                    "write bytes, or a number with K, M, G, T or P: `4096`, `0x1000`, `64M`, `1.5GiB`",
                )
        })
    }
}
