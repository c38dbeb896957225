//! Sizes as people write and read them: `64M`, `1GiB`, `4096`.
//!
//! One parser and one printer, so that the command, the errors and the documentation agree.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Kind, Result};

/// A number of bytes that reads and prints with binary units.
///
/// `K`, `M`, `G`, `T`, `P` are powers of 1024, with or without `B` or `iB`, in either case. It prints the largest unit
/// that divides it exactly, otherwise the plain number, so that printing never rounds; `{:#}` prints three digits and
/// may round.
///
/// ```
/// use areas::Bytes;
/// assert_eq!("64M".parse::<Bytes>()?, Bytes(64 << 20));
/// assert_eq!("1GiB".parse::<Bytes>()?.to_string(), "1 GiB");
/// assert_eq!(Bytes(5000).to_string(), "5000 B");
/// assert_eq!(format!("{:#}", Bytes(160_000_000)), "153 MiB");
/// # Ok::<(), areas::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

impl From<usize> for Bytes {
    fn from(bytes: usize) -> Self {
        Bytes(bytes as u64)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if f.alternate() { rounded(self.0) } else { exact(self.0) };
        f.pad(&text)
    }
}

fn exact(bytes: u64) -> String {
    let mut value = bytes;
    let mut unit = 0;
    while value != 0 && value.is_multiple_of(1024) && unit + 1 < UNITS.len() {
        value /= 1024;
        unit += 1;
    }
    format!("{value} {}", UNITS[unit])
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn rounded(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if value < 9.995 => format!("{value:.2} {}", UNITS[unit]),
        _ if value < 99.95 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

impl FromStr for Bytes {
    type Err = Error;

    /// # Errors
    /// [`Kind::InvalidInput`] for anything but digits followed by an optional unit, and for more than `u64` holds.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(Kind::InvalidInput, format!("read {text:?} as a size"))
                .detail(why.to_owned())
                .help("write bytes, or a number with K, M, G, T or P: `4096`, `64M`, `1GiB`")
        };
        let trimmed = text.trim();
        let digits = trimmed.len() - trimmed.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = trimmed.split_at(digits);
        if number.is_empty() {
            return Err(wrong("it does not start with a digit"));
        }
        let shift = match unit.trim_start().to_ascii_uppercase().as_str() {
            "" | "B" => 0,
            "K" | "KB" | "KIB" => 10,
            "M" | "MB" | "MIB" => 20,
            "G" | "GB" | "GIB" => 30,
            "T" | "TB" | "TIB" => 40,
            "P" | "PB" | "PIB" => 50,
            _ => return Err(wrong("the unit is unknown")),
        };
        let too_large = || wrong("it is more than 2^64 - 1 bytes");
        let value: u64 = number.parse().map_err(|_| too_large())?;
        value.checked_mul(1 << shift).map(Bytes).ok_or_else(too_large)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("64M", Some(64 << 20)),
            ("64mb", Some(64 << 20)),
            ("1GiB", Some(1 << 30)),
            (" 2 K ", Some(2048)),
            ("16383P", Some(16383 << 50)),
            ("16384P", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("M", None),
            ("-1", None),
            ("1.5G", None),
            ("1Q", None),
            ("1 G B", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Bytes>().ok().map(|b| b.0), expected, "{text:?}");
        }
    }

    #[test]
    fn prints_without_rounding_unless_asked() {
        let cases = [
            (0, "0 B", "0 B"),
            (1023, "1023 B", "1.00 KiB"),
            (4096, "4 KiB", "4.00 KiB"),
            (4097, "4097 B", "4.00 KiB"),
            (160_000_000, "156250 KiB", "153 MiB"),
            (1 << 30, "1 GiB", "1.00 GiB"),
            (u64::MAX, "18446744073709551615 B", "16384 PiB"),
        ];
        for (bytes, exact, rounded) in cases {
            assert_eq!(Bytes(bytes).to_string(), exact);
            assert_eq!(format!("{:#}", Bytes(bytes)), rounded);
        }
    }
}
