//! Limits of the machine, by `/proc/sys`.

use std::fs;

/// A setting that is a number, by its file below `/proc/sys`: `vm/max_map_count`.
#[track_caller]
pub fn number(name: &str) -> usize {
    let path = format!("/proc/sys/{name}");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.trim().parse().unwrap_or_else(|error| panic!("{path} is {text}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read() {
        assert!(number("vm/max_map_count") > 1000);
        assert!(number("kernel/pid_max") > 300);
    }
}
