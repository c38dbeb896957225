//! The checks of one area: is it where, and what, it was asked to be; what slows it down; who is in
//! the way.

mod holders;
mod pages;
mod place;

use areas::registry::{Holder, Info, Inspection, Source};
use areas::{Error, ErrorKind, Placement, Policy, Residency};

use super::check::{Check, Group, State};
use super::facts::Facts;
use super::{calls, groups, huge};

/// What was asked and measured of an area, each once.
struct Looked<'a> {
    facts: &'a Facts,
    source: &'a Source,
    info: Info,
    look: Inspection,
    residency: areas::Result<Residency>,
    /// What the kernel goes by now.
    policies: areas::Result<Vec<Policy>>,
    holders: Vec<Holder>,
}

/// All checks of an area.
///
/// # Errors
/// `ErrorKind::NoSuchArea` if it was dropped concurrently, `ErrorKind::Unreadable` if it may not be
/// looked into.
pub(super) fn groups(facts: &Facts, source: &Source) -> areas::Result<Vec<Group>> {
    let look = source.inspect()?;
    let policies = match calls::deadly(facts).contains(&"get_mempolicy") {
        false => source.policies(),
        true => Err(Error::new(ErrorKind::NotPermitted, "ask for its policy")
            .with_facts("a sandbox kills the process for get_mempolicy")),
    };
    // We have it open as well, as long as we look.
    let others = |holder: &Holder| holder.pid != std::process::id();
    let looked = Looked {
        facts,
        source,
        info: look.info().clone(),
        residency: look.residency(),
        policies,
        holders: source.holders().into_iter().filter(others).collect(),
        look,
    };
    Ok(vec![
        Group { title: "placement", checks: place::checks(&looked) },
        Group { title: "pages", checks: pages::checks(&looked) },
        Group { title: "holders", checks: holders::checks(&looked) },
        Group { title: "limits of its holders", checks: limits(&looked) },
    ])
}

impl Looked<'_> {
    /// How the area is named in a line for a shell: by its name where that is plain and no number,
    /// else by its id.
    fn target(&self) -> String {
        match std::str::from_utf8(self.info.name.as_bytes()) {
            Ok(name) if super::quoted(name) == name && !name.bytes().all(|byte| byte.is_ascii_digit()) => {
                name.to_owned()
            }
            _ => self.info.id.to_string(),
        }
    }

    /// What its pages are to be held against: what the kernel goes by now, where that is one
    /// policy; else what was asked.
    fn placement(&self) -> Placement {
        match self.policies.as_deref() {
            Ok([policy]) if *policy != self.info.placement.policy() => Placement::from(*policy),
            _ => self.info.placement,
        }
    }

    /// The process that has published it, as it is printed.
    fn holder(&self) -> String {
        let known = self.holders.iter().find(|holder| holder.pid == self.info.pid);
        format!("process {}", known.map_or_else(|| self.info.pid.to_string(), Holder::to_string))
    }
}

/// No more holders are asked.
const MAX_HOLDERS: usize = 16;

/// What control groups leave to those who hold it: what is over a limit, or one line where nothing
/// is.
fn limits(looked: &Looked<'_>) -> Vec<Check> {
    let mut found: Vec<Check> = Vec::new();
    for holder in looked.holders.iter().take(MAX_HOLDERS) {
        let process = holder.pid.to_string();
        let mut checks = groups::memory(looked.facts, &process);
        if looked.info.page_size != areas::PageSize::base() {
            checks.extend(huge::limits(looked.facts, &process));
        }
        for mut check in checks.into_iter().filter(|check| check.state != State::Fine) {
            check.finding = format!("process {holder}, {}", check.finding);
            // Processes of one group say the same.
            if !found.iter().any(|known| known.remedies == check.remedies && known.id == check.id) {
                found.push(check);
            }
        }
    }
    if found.is_empty() {
        let whom = match looked.holders.len() {
            0 => return vec![Check::unknown("area.limits", "memory limits", "no holder can be looked into")],
            1 => "its holder".to_owned(),
            count => format!("its {count} holders"),
        };
        return vec![Check::fine(
            "area.limits",
            "memory limits",
            format!("no control group holds {whom} back"),
        )];
    }
    found
}
