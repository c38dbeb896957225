//! Calls whose failure need not be told: each with the reason. Where one of them fails, the operation's result is checked as
//! after a run without a fault.

use libc::*;

/// A failure that may be overlooked, or made good.
#[derive(Debug)]
pub(crate) struct Rule {
    /// None named: all.
    pub(crate) calls: &'static [&'static str],
    pub(crate) operations: &'static [&'static str],
    pub(crate) errnos: &'static [i32],
    /// Whether something is held longer than it should be then.
    pub(crate) leaves: bool,
    pub(crate) why: &'static str,
}

const fn rule(calls: &'static [&'static str], why: &'static str) -> Rule {
    Rule { calls, operations: &[], errnos: &[], leaves: false, why }
}

impl Rule {
    const fn only(self, errnos: &'static [i32]) -> Self {
        Rule { errnos, ..self }
    }

    const fn of(self, operations: &'static [&'static str]) -> Self {
        Rule { operations, ..self }
    }
}

pub(crate) static RULES: &[Rule] = &[
    rule(&[], "interrupted by a signal: it is made again").only(&[EINTR]),
    rule(&["close"], "Linux has closed, whatever it says; nobody could do anything about it"),
];

/// The first rule that covers a failure.
pub(crate) fn rule_for(operation: &str, call: &str, errno: i32) -> Option<&'static Rule> {
    let has = |list: &[&str], word: &str| list.is_empty() || list.contains(&word);
    RULES.iter().find(|rule| {
        has(rule.calls, call)
            && has(rule.operations, operation)
            && (rule.errnos.is_empty() || rule.errnos.contains(&errno))
    })
}
