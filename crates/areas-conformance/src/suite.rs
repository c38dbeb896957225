//! A run of the checks: what to try, what to leave out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use areas::{PageSize, Provider};

use crate::checks::{ALL, Bench};
use crate::notes::Notes;
use crate::report::{Finding, Outcome, Report};

/// Runs all checks on a provider, with no options.
///
/// ```
/// let report = areas_conformance::check(&areas::System::new());
/// println!("{report}");
/// report.assert();
/// ```
pub fn check(provider: &dyn Provider) -> Report {
    Suite::new(provider).run()
}

/// The names of all checks, in the order in which they run.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|check| check.name)
}

/// A provider, and how it is to be checked.
#[derive(Debug)]
#[must_use = "nothing is checked before `run`"]
pub struct Suite<'a> {
    provider: &'a dyn Provider,
    sizes: Vec<usize>,
    may_touch: bool,
    may_keep: bool,
    stored: bool,
    skipped: Vec<(String, String)>,
}

/// One suite at a time: each looks for what the others would disturb.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

impl<'a> Suite<'a> {
    /// All checks, with sizes of one byte, around one page, and some MiB.
    pub fn new(provider: &'a dyn Provider) -> Self {
        let page = PageSize::base().bytes();
        Suite {
            provider,
            sizes: vec![1, page - 1, page, page + 1, 17 * page, 1 << 20, (4 << 20) + 1],
            may_touch: false,
            may_keep: false,
            stored: false,
            skipped: Vec::new(),
        }
    }

    /// Tries these sizes instead, in bytes. Zeros are left out, they have a check of their own.
    pub fn sizes(mut self, sizes: impl IntoIterator<Item = usize>) -> Self {
        self.sizes = sizes.into_iter().filter(|&size| size > 0).collect();
        self
    }

    /// It may touch pages when it maps: because it fills them, say.
    pub fn may_touch(mut self, may: bool) -> Self {
        self.may_touch = may;
        self
    }

    /// Its `unmap` may keep the mapping for a later request.
    pub fn may_keep(mut self, may: bool) -> Self {
        self.may_keep = may;
        self
    }

    /// It stores what its areas hold, in a file or on a device: its plain request is for
    /// [`Backing::Stored`](areas::Backing::Stored), and what it gives is read and written by
    /// copies.
    pub fn stored(mut self, stored: bool) -> Self {
        self.stored = stored;
        self
    }

    /// Leaves one check out. The report says so, with the reason; a name that no check has is
    /// reported as a failure.
    pub fn skip(mut self, name: impl Into<String>, reason: impl Into<String>) -> Self {
        self.skipped.push((name.into(), reason.into()));
        self
    }

    /// Runs it. Suites in one process run one after the other.
    pub fn run(&self) -> Report {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let bench = Bench {
            provider: self.provider,
            sizes: &self.sizes,
            may_touch: self.may_touch,
            may_keep: self.may_keep,
            stored: self.stored,
        };
        let mut findings: Vec<Finding> = ALL
            .iter()
            .map(|check| Finding {
                name: check.name.to_owned(),
                expected: check.expected.to_owned(),
                outcome: match self.skipped.iter().find(|(name, _)| name == check.name) {
                    Some((_, reason)) => Outcome::Skipped(reason.clone()),
                    None => watched(|| {
                        let mut notes = Notes::default();
                        (check.run)(&bench, &mut notes);
                        notes.conclude()
                    }),
                },
            })
            .collect();
        let unknown = self.skipped.iter().filter(|(name, _)| names().all(|known| known != name));
        findings.extend(unknown.map(|(name, _)| Finding {
            name: name.clone(),
            expected: "what is skipped is a check".to_owned(),
            outcome: Outcome::Failed("no check has that name".to_owned()),
        }));
        if self.sizes.is_empty() {
            findings.push(Finding {
                name: "sizes".to_owned(),
                expected: "there are sizes to try".to_owned(),
                outcome: Outcome::Failed("the list is empty".to_owned()),
            });
        }
        Report::new(format!("{:?}", self.provider), findings)
    }
}

/// A panic of the provider is a finding, too.
fn watched(check: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("without a message");
        Outcome::Failed(format!("it panicked: {message}"))
    })
}
