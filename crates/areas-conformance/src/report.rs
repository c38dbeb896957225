//! What a run of the suite found, in words: a list that a person reads, and that a test can assert.

use std::fmt;

/// How one check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is as expected; what was seen.
    Passed(String),
    /// It is not; what was seen instead.
    Failed(String),
    /// Not looked at: the caller's reason, or what this machine lacks.
    Skipped(String),
}

/// One check, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The name of the check: `unmap`.
    pub name: String,
    /// What is expected of a provider.
    pub expected: String,
    /// What was seen.
    pub outcome: Outcome,
}

/// All findings about one provider.
///
/// It prints as a list, a check a line. As an error ([`Report::into_result`]) it is the same list.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "it says whether the provider conforms: `assert` it, or look at its findings"]
pub struct Report {
    provider: String,
    findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn new(provider: String, findings: Vec<Finding>) -> Self {
        Report { provider, findings }
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// All findings, in the order in which the checks ran.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The findings of the checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Failed(_)))
    }

    /// The end of a test.
    ///
    /// # Panics
    /// With the whole list, if a check failed.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.passed(), "{self}");
    }

    /// The report itself as the error, if a check failed.
    ///
    /// # Errors
    /// The report, which lists what failed.
    pub fn into_result(self) -> Result<Report, Report> {
        if self.passed() { Ok(self) } else { Err(self) }
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed().count();
        let skipped =
            self.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Skipped(_))).count();
        let passed = self.findings.len() - failed - skipped;
        write!(f, "{}: {passed} of {} checks passed", self.provider, self.findings.len())?;
        if failed > 0 {
            write!(f, ", {failed} failed")?;
        }
        if skipped > 0 {
            write!(f, ", {skipped} skipped")?;
        }
        let width = self.findings.iter().map(|finding| finding.name.chars().count()).max().unwrap_or(0);
        for Finding { name, expected, outcome } in &self.findings {
            match outcome {
                Outcome::Passed(seen) => write!(f, "\n  ✓ {name:width$}  {expected}: {seen}")?,
                Outcome::Skipped(why) => write!(f, "\n  - {name:width$}  skipped: {why}")?,
                Outcome::Failed(seen) => {
                    let blank = "";
                    write!(f, "\n  ✗ {name:width$}  expected  {expected}")?;
                    write!(f, "\n    {blank:width$}  seen      {seen}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `unwrap` prints: the list, as a person reads it.
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &str, outcome: Outcome) -> Finding {
        Finding { name: name.into(), expected: format!("{name} is well"), outcome }
    }

    #[test]
    fn a_list_that_lines_up() {
        let report = Report::new(
            "Shark".into(),
            vec![
                finding("size", Outcome::Passed("4096 for 4096".into())),
                finding("unknown-node", Outcome::Failed("given node 0".into())),
                finding("shared", Outcome::Skipped("it bites".into())),
            ],
        );
        insta::assert_snapshot!(report, @r"
        Shark: 1 of 3 checks passed, 1 failed, 1 skipped
          ✓ size          size is well: 4096 for 4096
          ✗ unknown-node  expected  unknown-node is well
                          seen      given node 0
          - shared        skipped: it bites
        ");
        assert!(!report.passed());
        assert_eq!(
            report.failed().map(|finding| finding.name.as_str()).collect::<Vec<_>>(),
            ["unknown-node"]
        );
        assert_eq!(report.clone().into_result().unwrap_err(), report);
        let panic = std::panic::catch_unwind(|| report.assert()).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>(), Some(&report.to_string()));
    }

    #[test]
    fn what_was_skipped_did_not_fail() {
        let report = Report::new("Shark".into(), vec![finding("size", Outcome::Skipped("no".into()))]);
        report.assert();
        assert_eq!(report.clone().into_result().unwrap(), report);
    }
}
