//! How many tests ran, read from what test runners say. A check whose tests silently did not run
//! must not look like one that passed, so the numbers are the runners' own.

use std::fmt;
use std::ops::AddAssign;

/// Tests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

impl Counts {
    /// From the lines `test result: ok. 3 passed; 0 failed; 1 ignored; …` that libtest ends with,
    /// one a binary.
    pub(crate) fn of_libtest(output: &str) -> Self {
        let mut counts = Self::default();
        for line in without_colors(output).lines() {
            let Some((_, numbers)) =
                line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
            else {
                continue;
            };
            for (number, what) in numbered(numbers, ';') {
                match what {
                    "passed" => counts.passed += number,
                    "failed" => counts.failed += number,
                    "ignored" => counts.skipped += number,
                    _ => {}
                }
            }
        }
        counts
    }

    /// From nextest's line `Summary [ 0.1s] 5 tests run: 3 passed (1 slow), 1 failed, 1 timed out,
    /// 2 skipped`, the last one if a test printed another. Its "skipped" are the tests that the
    /// filter left out, which skipped nothing.
    pub(crate) fn of_nextest(output: &str) -> Self {
        let output = without_colors(output);
        let summary = output.lines().rev().find_map(|line| line.trim_start().strip_prefix("Summary ["));
        let Some((_, numbers)) = summary.and_then(|line| line.split_once(" run: ")) else {
            return Self::default();
        };
        let mut counts = Self::default();
        for (number, what) in numbered(&without_brackets(numbers), ',') {
            match what {
                "passed" => counts.passed += number,
                "failed" | "timed out" | "exec failed" => counts.failed += number,
                _ => {}
            }
        }
        counts
    }

    /// From pytest's last line, `1 failed, 3 passed, 2 skipped, 1 error in 0.12s`. A failure that
    /// was expected passes; an error in what a test needs is a failure.
    pub(crate) fn of_pytest(output: &str) -> Self {
        let output = without_colors(output);
        let of_line = |line: &str| -> Option<Self> {
            let (numbers, seconds) = line.trim_matches(['=', ' ']).rsplit_once(" in ")?;
            let seconds = seconds.split_once('s')?.0;
            seconds.parse::<f64>().ok()?;
            let mut counts = Self::default();
            for (number, what) in numbered(numbers, ',') {
                match what {
                    "passed" | "xfailed" => counts.passed += number,
                    "failed" | "xpassed" | "error" | "errors" => counts.failed += number,
                    "skipped" => counts.skipped += number,
                    _ => {}
                }
            }
            Some(counts)
        };
        output.lines().rev().find_map(of_line).unwrap_or_default()
    }
}

/// The tests that libtest says passed, in its order: lines `test NAME ... ok`.
pub(crate) fn passed_tests(output: &str) -> Vec<String> {
    let line = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... ok")?.to_owned());
    without_colors(output).lines().filter_map(line).collect()
}

/// `3 passed; 1 failed` as pairs.
fn numbered(text: &str, separator: char) -> impl Iterator<Item = (u64, &str)> {
    text.split(separator).filter_map(|part| {
        let (number, what) = part.trim().split_once(' ')?;
        Some((number.parse().ok()?, what.trim()))
    })
}

fn without_brackets(text: &str) -> String {
    let mut depth = 0_u32;
    let mut kept = String::new();
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// Without the escape sequences that terminals turn into colours (ESC [ … letter).
fn without_colors(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        kept += before;
        rest = after.find(|c: char| c.is_ascii_alphabetic()).map_or("", |end| &after[end + 1..]);
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_is_added_up() {
        let check =
            |output: &str, expected: &str| assert_eq!(Counts::of_libtest(output).to_string(), expected);
        check("", "0 passed, 0 failed");
        check(
            "running 3 tests\n...\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 0.02s\n\ntest result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 7 filtered out\n",
            "5 passed, 1 failed, 4 skipped",
        );
        check("test result: \x1b[32mok\x1b[0m. 1 passed; 0 failed; 0 ignored\n", "1 passed, 0 failed");
        check("a test says: test result: ok. 9 passed; 0 failed\n", "0 passed, 0 failed");
    }

    #[test]
    fn tests_that_passed_are_named() {
        let output =
            "running 3 tests\ntest a::one ... ok\ntest a::two ... FAILED\ntest b ... \x1b[32mok\x1b[0m\n";
        assert_eq!(passed_tests(output), ["a::one", "b"]);
    }

    #[test]
    fn pytest_is_read() {
        let check =
            |output: &str, expected: &str| assert_eq!(Counts::of_pytest(output).to_string(), expected);
        check("", "0 passed, 0 failed");
        check("..s [100%]\n2 passed, 1 skipped, 3 deselected in 0.51s\n", "2 passed, 0 failed, 1 skipped");
        check(
            "=== \x1b[31m1 failed\x1b[0m, 2 passed, 1 xfailed, 2 errors, 1 warning in 75.20s (0:01:15) ===\nnoise in x",
            "3 passed, 3 failed",
        );
        check("no tests ran in 0.01s", "0 passed, 0 failed");
    }

    #[test]
    fn nextest_is_read() {
        let check =
            |output: &str, expected: &str| assert_eq!(Counts::of_nextest(output).to_string(), expected);
        check("", "0 passed, 0 failed");
        check("     Summary [   0.005s] 1 test run: 1 passed, 3 skipped\n", "1 passed, 0 failed");
        check(
            "\x1b[31;1m     Summary\x1b[0m [   9.1s] \x1b[1m7\x1b[0m tests run: \x1b[1m4\x1b[0m passed (1 slow, 2 \
             flaky), 1 failed, 1 timed out, 1 exec failed, 0 skipped\n   FAIL x\n",
            "4 passed, 3 failed",
        );
        check("  Summary [ 1s] 2/5 tests run: 1 passed, 1 failed, 0 skipped\nerror: x", "1 passed, 1 failed");
    }
}
