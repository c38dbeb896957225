//! What a process holds, as the kernel shows it: descriptors, mappings of objects, record locks,
//! locked pages, addresses.

use std::collections::BTreeMap;

use areas_testing::descriptors::Descriptor;
use areas_testing::fdinfo::Lock;
use areas_testing::{Process, descriptors, fdinfo, maps, status};
use serde::{Deserialize, Serialize};

/// Each thing that is held, by what it is, and how many of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Held {
    things: BTreeMap<String, i64>,
    /// Bytes of anonymous memory: malloc's and ours.
    anonymous: usize,
}

/// A transfer socket has another name each time it is made; that there is one, and one only, is
/// what matters.
fn door_of_any_name(path: &str) -> String {
    match path.rsplit_once("/door-") {
        Some((folder, _)) => {
            let gone = if path.ends_with(" (deleted)") { ", which has no name any more" } else { "" };
            format!("a transfer socket in {folder}{gone}")
        }
        None => path.to_owned(),
    }
}

/// What malloc may take in the meantime. Private areas in operations are larger.
const SLACK: usize = 1 << 20;

impl Held {
    pub(crate) fn now() -> Self {
        let mut held = Held::default();
        held.descriptors();
        held.mappings();
        held.locks();
        held
    }

    /// Leaves anonymous memory out, where it is others' and comes and goes.
    pub(crate) fn forget_anonymous(&mut self) {
        self.anonymous = 0;
    }

    fn add(&mut self, what: String, count: i64) {
        *self.things.entry(what).or_default() += count;
    }

    fn descriptors(&mut self) {
        // The one through which we look is among them.
        let all = descriptors::of(Process::Own).unwrap_or_default();
        let registry = std::env::var("AREAS_DIR").unwrap_or_default();
        for Descriptor { target, .. } in all {
            // "socket:[123]", "pipe:[123]": the number says nothing.
            let what = target.split(":[").next().unwrap_or_default();
            let what =
                what.strip_prefix(&registry).map_or(what.to_owned(), |rest| format!("the registry{rest}"));
            let own = format!("/proc/{}/fd", std::process::id());
            if what != own {
                self.add(format!("descriptor of {}", door_of_any_name(&what)), 1);
            }
        }
    }

    fn mappings(&mut self) {
        for vma in maps::of(Process::Own).unwrap_or_default() {
            let (len, permissions) = (vma.range().len(), &vma.permissions);
            // Whether it still has a name is not said.
            match vma.path.split_ascii_whitespace().next() {
                // Addresses that no process may access cost nothing: malloc takes 64 MiB of them
                // for each thread.
                None if permissions.starts_with("---") => {}
                None => self.anonymous += len,
                Some("[heap]") => {}
                Some(path) if permissions.ends_with('s') => {
                    // Bytes, because neighbours may be shown as one.
                    let len = i64::try_from(len).unwrap_or(i64::MAX);
                    self.add(format!("bytes mapped {permissions} of {path}"), len);
                }
                Some(_) => {}
            }
        }
    }

    fn locks(&mut self) {
        let all = fdinfo::all(Process::Own).unwrap_or_default();
        for Lock { kind, access } in all.into_iter().flat_map(|info| info.locks) {
            self.add(format!("record lock {kind} {access}"), 1);
        }
        let locked = status::of(Process::Own).ok().and_then(|status| status.bytes("VmLck"));
        let bytes = locked.and_then(|bytes| i64::try_from(bytes).ok());
        self.add("bytes locked in RAM".to_owned(), bytes.unwrap_or(0));
    }

    /// What is held here and not, or less, in `before`.
    pub(crate) fn beyond(&self, before: &Held) -> Vec<String> {
        let mut more: Vec<String> = self
            .things
            .iter()
            .filter_map(|(what, count)| {
                let was = before.things.get(what).copied().unwrap_or(0);
                (*count > was).then(|| format!("{count} instead of {was}: {what}"))
            })
            .collect();
        if self.anonymous > before.anonymous + SLACK {
            more.push(format!(
                "{} instead of {}: bytes of anonymous memory",
                self.anonymous, before.anonymous
            ));
        }
        more
    }

    /// The same for less: what was lost.
    pub(crate) fn lacks(&self, before: &Held) -> Vec<String> {
        before
            .things
            .iter()
            .filter_map(|(what, was)| {
                let count = self.things.get(what).copied().unwrap_or(0);
                (count < *was).then(|| format!("{count} instead of {was}: {what}"))
            })
            .collect()
    }
}
