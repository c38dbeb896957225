//! A second opinion: what numactl(8), which is libnuma's, says of our shared objects through their
//! open files.

use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Output};

use areas::{Area, Policy, Shared};

use crate::support::memory::expand;
use crate::support::{MIB, PAGE, guest, node, nodes};

/// Runs numactl on the area's object: `--length … --file … ARGUMENTS`.
fn numactl(area: &Area<Shared>, arguments: &[&str]) -> Output {
    let file = format!("/proc/{}/fd/{}", std::process::id(), area.as_fd().as_raw_fd());
    let length = area.mapped().to_string();
    Command::new("numactl")
        .args(["--length", &length, "--file", &file])
        .args(arguments)
        .output()
        .expect("numactl travels with this boot")
}

/// What it prints, one line a part: the part's bytes, and what it says of them.
fn parts(output: &Output) -> Vec<(std::ops::Range<usize>, String)> {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (range, said) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?}"));
            let (start, end) = range.split_once('-').unwrap();
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            (number(start)..number(end), said.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

fn cases() -> [(Policy, &'static [&'static str], &'static str); 4] {
    [
        (Policy::Bind(nodes([1])), &["--membind", "1"], "bind : 1"),
        (Policy::Bind(nodes([0, 3])), &["--membind", "0,3"], "bind : 0 3"),
        (Policy::Interleave(nodes([0, 2, 3])), &["--interleave", "0,2,3"], "interleave : 0 2 3"),
        (Policy::Preferred(node(2)), &["--preferred", "2"], "prefer : 2"),
    ]
}

#[test]
fn numactl_sees_the_policy_that_was_asked() {
    guest!();
    for (policy, _, expected) in cases() {
        let area = areas::builder(2 * MIB).place(policy).shared().unwrap();
        let reported = parts(&numactl(&area, &["--dump"]));
        assert_eq!(reported.len(), 1, "{policy}: {reported:?}");
        assert_eq!(reported[0].0, 0..2 * MIB);
        let said = reported[0].1.replace("preferred", "prefer");
        assert_eq!(said, expected, "{policy}");
        assert_eq!(area.residency().unwrap().resident(), 0, "asking for the policy takes no page");
    }
}

#[test]
fn numactl_finds_each_page_where_we_measured_it() {
    guest!();
    for (policy, ..) in cases() {
        let mut area = areas::builder(2 * MIB).place(policy).shared().unwrap();
        area.populate().unwrap();
        let ours = expand(&area.residency().unwrap(), PAGE);
        let mut theirs = vec![u32::MAX; ours.len()];
        for (range, said) in parts(&numactl(&area, &["--dump-nodes"])) {
            theirs[range.start / PAGE..range.end / PAGE].fill(said.parse().unwrap());
        }
        assert_eq!(theirs, ours, "{policy}");
    }
}

#[test]
fn numactl_verifies_what_we_placed() {
    guest!();
    // Verifying sets the policy first, and numactl 2.0.16 cannot set "preferred" on a file: its own
    // mbind is EINVAL.
    let can_be_set = |policy: &Policy| !matches!(policy, Policy::Preferred(_));
    for (policy, arguments, _) in cases().into_iter().filter(|(policy, ..)| can_be_set(policy)) {
        let mut area = areas::builder(2 * MIB).place(policy).shared().unwrap();
        area.populate().unwrap();
        let before = area.residency().unwrap();
        let output = numactl(&area, &[arguments, &["--verify"]].concat());
        assert!(output.status.success() && output.stderr.is_empty(), "{policy}: {output:?}");
        assert!(output.stdout.is_empty(), "it prints what does not agree: {policy}: {output:?}");
        // It agreed with what was there: nothing was moved for it.
        assert_eq!(area.residency().unwrap(), before);
        assert!(area.verify().unwrap().holds());
    }
}
