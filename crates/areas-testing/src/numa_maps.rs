//! Policies, and pages by node, by `/proc/self/numa_maps`. A kernel without NUMA has no such file.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::Process;

/// A mapping's policy as the kernel prints it, and its pages by node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its first address.
    pub start: usize,
    /// `bind:1`, `prefer (many):0-1`, `default`
    pub policy: String,
    /// Of the mapping's own page size.
    pub pages: BTreeMap<u32, u64>,
}

/// The mappings of this process that begin in a range of addresses, in order.
#[track_caller]
pub fn within(range: Range<usize>) -> Vec<Placed> {
    let text = Process::Own.read("numa_maps").unwrap_or_else(|error| panic!("/proc/self/numa_maps: {error}"));
    text.lines().filter_map(parse).filter(|placed| range.contains(&placed.start)).collect()
}

fn parse(line: &str) -> Option<Placed> {
    let (start, rest) = line.split_once(' ')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    // A policy can have a blank in its name, so its end is where the next word begins.
    let end =
        rest.match_indices(' ').find(|(at, _)| ends_policy(&rest[at + 1..])).map_or(rest.len(), |(at, _)| at);
    let pages = rest[end..].split(' ').filter_map(pages_on).collect();
    Some(Placed { start, policy: rest[..end].to_owned(), pages })
}

/// Whether what follows a blank is no part of a policy's name any more.
fn ends_policy(rest: &str) -> bool {
    let word = rest.split(' ').next().unwrap_or_default();
    let known = [
        "file=",
        "anon=",
        "dirty=",
        "mapped=",
        "mapmax=",
        "swapcache=",
        "active=",
        "writeback=",
        "kernelpagesize_kB=",
    ];
    ["", "huge", "stack", "heap"].contains(&word)
        || known.iter().any(|start| word.starts_with(start))
        || pages_on(word).is_some()
}

/// `N1=5`: node 1 has 5 pages.
fn pages_on(word: &str) -> Option<(u32, u64)> {
    let (node, pages) = word.strip_prefix('N')?.split_once('=')?;
    Some((node.parse().ok()?, pages.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_may_have_blanks() {
        let check = |line: &str, policy: &str, pages: &[(u32, u64)]| {
            let expected =
                Placed { start: 0x7f00, policy: policy.into(), pages: pages.iter().copied().collect() };
            assert_eq!(parse(&format!("7f00 {line}")), Some(expected));
        };
        check("default", "default", &[]);
        check("default heap anon=2 dirty=2 N0=2 kernelpagesize_kB=4", "default", &[(0, 2)]);
        check("bind:1 file=/memfd:area\\040(deleted) huge dirty=3 N1=1 N12=2", "bind:1", &[(1, 1), (12, 2)]);
        check("prefer (many):0-1 anon=1 N0=1", "prefer (many):0-1", &[(0, 1)]);
        check("weighted interleave:0,2 mapped=4 N2=4", "weighted interleave:0,2", &[(2, 4)]);
        assert_eq!(parse("nothing"), None);
    }
}
