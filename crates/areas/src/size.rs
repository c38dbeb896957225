//! Sizes as people write and read them: `64M`, `1GiB`, `4096`.
//!
//! One parser and one printer, so that the command, the errors and the documentation agree.

use std::fmt;

/// A number of bytes that reads and prints with binary units.
///
/// `K`, `M`, `G`, `T`, `P` are powers of 1024, with or without `B` or `iB`, in either case; before
/// a unit there may be a decimal fraction (`1.5G`), which is read to the nearest byte; `0x1000` is
/// read as hexadecimal. It prints the largest unit that divides it exactly, otherwise the plain
/// number, so that printing never rounds; `{:#}` prints three digits and may round.
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

/// How many bytes a text says, or why it says nothing: as [`Bytes`] is read, but without blanks
/// around it.
pub(crate) fn read(text: &str) -> Result<u64, &'static str> {
    const TOO_LARGE: &str = "it is more than 2^64 - 1 bytes";
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err("after 0x only hexadecimal digits are allowed, no unit");
        }
        return u64::from_str_radix(digits, 16).map_err(|_| TOO_LARGE);
    }
    let (whole, behind) = digits(text);
    if whole.is_empty() {
        return Err("it does not start with a digit");
    }
    let (fraction, unit) = match behind.strip_prefix('.') {
        Some(behind) => digits(behind),
        None => ("0", behind),
    };
    if fraction.is_empty() {
        return Err("no digit follows the point");
    }
    let shift = match unit.trim_start().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        "P" | "PB" | "PIB" => 50,
        _ => return Err("the unit is unknown"),
    };
    if shift == 0 && behind.starts_with('.') {
        return Err("a byte has no fractions: a number with a point needs a unit");
    }
    let whole: u64 = whole.parse().map_err(|_| TOO_LARGE)?;
    whole
        .checked_mul(1 << shift)
        .and_then(|bytes| bytes.checked_add(part_of(fraction, shift)))
        .ok_or(TOO_LARGE)
}

/// The digits that a text starts with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len())
}

/// The bytes, to the nearest one, that these decimal digits behind the point are of 2^`shift`. 2^50
/// has 16 digits: what comes behind the eighteenth makes no difference.
fn part_of(fraction: &str, shift: u32) -> u64 {
    let counted = &fraction[..fraction.len().min(18)];
    let value = counted.bytes().fold(0, |value: u128, digit| value * 10 + u128::from(digit - b'0'));
    let scale = 10_u128.pow(u32::try_from(counted.len()).unwrap_or(18));
    // Less than 2^50 + 1, as the fraction is less than one.
    u64::try_from(((value << shift) + scale / 2) / scale).unwrap_or(u64::MAX)
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
            ("1.5G", Some(3 << 29)),
            ("1.50 GiB", Some(3 << 29)),
            ("1.23 GiB", Some(1_320_702_444)),
            ("0.0009765625K", Some(1)),
            ("0.00001K", Some(0)),
            ("1.999999999999999999999999P", Some(2 << 50)),
            ("16383.9999P", Some(18_446_743_961_119_560_932)),
            ("0x1000", Some(4096)),
            ("0XfF", Some(255)),
            ("0xffffffffffffffff", Some(u64::MAX)),
            ("0x10000000000000000", None),
            ("0x", None),
            ("0x+1", None),
            ("0x10K", None),
            ("1.5", None),
            ("1.5B", None),
            ("1.G", None),
            (".5G", None),
            ("1.5.5G", None),
            ("1,5G", None),
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
