//! What a process holds, as the kernel shows it: descriptors, mappings of objects, record locks,
//! locked pages, addresses.

use std::collections::BTreeMap;
use std::fs;

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
        let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
        // The one through which we look is among them.
        let targets: Vec<_> =
            entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
        let registry = std::env::var("AREAS_DIR").unwrap_or_default();
        for target in targets {
            let target = target.to_string_lossy();
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
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        for line in maps.lines() {
            let mut words = line.split_ascii_whitespace();
            let Some((start, end)) = words.next().and_then(|range| range.split_once('-')) else { continue };
            let number = |text| usize::from_str_radix(text, 16).unwrap_or(0);
            let len = number(end) - number(start);
            let permissions = words.next().unwrap_or_default();
            match words.nth(3) {
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
        // Not /proc/locks, in which lines are missing or twice while others' come and go.
        for entry in fs::read_dir("/proc/self/fdinfo").into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            for line in text.lines().filter_map(|line| line.strip_prefix("lock:")) {
                let words: Vec<&str> = line.split_ascii_whitespace().collect();
                if let [_, kind, _, how, ..] = words[..] {
                    self.add(format!("record lock {kind} {how}"), 1);
                }
            }
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
        let kilobytes = locked.and_then(|text| text.trim().trim_end_matches(" kB").trim().parse().ok());
        self.add("kB locked in RAM".to_owned(), kilobytes.unwrap_or(0));
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
