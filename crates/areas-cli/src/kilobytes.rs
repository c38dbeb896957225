//! Lines `Label:  123 kB` of files of `/proc`.

/// A line's value, in bytes; the label has its colon.
pub(crate) fn in_bytes(text: &str, label: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(label))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
