//! Sandboxes: whether there is a filter of system calls, and which of the calls that areas make it
//! refuses, or kills for.

use areas::machine::Answer;

use super::check::{Check, Group, State};
use super::facts::Facts;

pub(super) fn group(facts: &Facts) -> Group {
    let mut checks = vec![filter(facts)];
    match facts.why_untried() {
        Some(why) => checks.push(Check::unknown("sandbox.calls", "system calls", why)),
        None => checks.extend(USES.iter().map(|of| of.check(facts))),
    }
    Group { title: "sandbox", checks }
}

fn filter(facts: &Facts) -> Check {
    let (id, title) = ("sandbox.filter", "filter");
    let count = facts.status("Seccomp_filters").ok().filter(|count| count != "0");
    match facts.status("Seccomp").as_deref() {
        Ok("0") => Check::fine(id, title, "no filter of system calls"),
        Ok("1") => Check::broken(id, title, "strict seccomp: nothing but reading and writing is allowed"),
        Ok("2") => {
            let how_many = count.map_or(String::new(), |count| format!(" ({count} of them)"));
            let finding = format!(
                "this process has a seccomp filter{how_many}; pidfd_getfd and cachestat are left out because of it, \
                 unless AREAS_WITHOUT says otherwise"
            );
            Check::remark(id, title, finding).words("what it does to each call stands below")
        }
        Ok(odd) => Check::unknown(id, title, format!("/proc/self/status says that Seccomp is {odd:?}")),
        // A kernel without seccomp has no such line.
        Err(why) if facts.status("Name").is_ok() => {
            Check::fine(id, title, format!("the kernel has no seccomp: {why}"))
        }
        Err(why) => Check::unknown(id, title, why.to_string()),
    }
}

/// What some calls are for.
struct Use {
    id: &'static str,
    title: &'static str,
    calls: &'static [&'static str],
    /// What is lost without them.
    cost: &'static str,
    /// How bad that is.
    without: State,
    /// What lets them through.
    allow: &'static str,
}

pub(super) const PROFILE: &str =
    "a container's profile that allows them: `--security-opt seccomp=PROFILE.json`";
const NICE: &str = "a container with the capability: `--cap-add SYS_NICE`";

const fn needed(
    id: &'static str,
    title: &'static str,
    calls: &'static [&'static str],
    cost: &'static str,
) -> Use {
    Use { id, title, calls, cost, without: State::Broken, allow: PROFILE }
}

const fn useful(
    id: &'static str,
    title: &'static str,
    calls: &'static [&'static str],
    cost: &'static str,
) -> Use {
    Use { without: State::Remark, ..needed(id, title, calls, cost) }
}

const USES: [Use; 15] = [
    needed(
        "sandbox.objects",
        "shared areas",
        &["memfd_create", "ftruncate", "fallocate", "fcntl", "fchmod"],
        "no shared areas",
    ),
    needed("sandbox.mappings", "mappings", &["mmap", "munmap", "mprotect", "madvise"], "no areas"),
    needed(
        "sandbox.registry",
        "names",
        &[
            "openat",
            "readlinkat",
            "getdents64",
            "mkdirat",
            "symlinkat",
            "unlinkat",
            "flock",
            "pread64",
            "pwrite64",
        ],
        "no names: unnamed areas work",
    ),
    useful("sandbox.statx", "looking at files", &["statx"], "fstat is called instead"),
    needed(
        "sandbox.processes",
        "signals and limits",
        &["kill", "prlimit64", "sched_setaffinity"],
        "errors that name the call",
    ),
    needed("sandbox.waiting", "waiting", &["futex"], "nothing can wait"),
    useful(
        "sandbox.sockets",
        "handing over",
        &["socket", "bind", "sendmsg", "recvmsg"],
        "areas cannot be handed to other processes (`areas offer`, transfers)",
    ),
    useful(
        "sandbox.descriptors",
        "quick opening",
        &["pidfd_open", "pidfd_getfd"],
        "areas are opened through /proc: two calls more",
    ),
    useful(
        "sandbox.copying",
        "resizable areas",
        &["process_vm_writev"],
        "resizable areas, and hugetlb pages, cannot be read by safe calls",
    ),
    useful("sandbox.locks", "locks", &["mlock", "mlock2", "munlock"], "locks are an error"),
    Use {
        allow: NICE,
        ..useful("sandbox.placement", "placement", &["mbind", "set_mempolicy"], "policies are an error")
    },
    Use {
        allow: NICE,
        ..useful(
            "sandbox.policies",
            "asking for policies",
            &["get_mempolicy"],
            "the policy of an area is not reported",
        )
    },
    Use {
        allow: NICE,
        ..useful("sandbox.home-node", "home nodes", &["set_mempolicy_home_node"], "a home node is an error")
    },
    Use {
        allow: NICE,
        ..useful(
            "sandbox.nodes",
            "nodes of pages",
            &["move_pages"],
            "nodes of pages are reported as totals, and `areas move` is an error",
        )
    },
    useful(
        "sandbox.resident",
        "bytes in RAM",
        &["cachestat", "mincore"],
        "of two ways to count bytes in RAM one is left, or none",
    ),
];

/// The calls that the library leaves out where it is asked to.
const CAN_BE_LEFT_OUT: [&str; 4] = ["pidfd_getfd", "cachestat", "mincore", "move_pages"];

/// What a filter answers with ENOSYS, as podman's does, and what a kernel lacks, look the same.
const MISSING_OR_HIDDEN: &str = "not in this kernel, or hidden by the filter (ENOSYS)";

/// Whether this process has a filter of system calls.
pub(super) fn is_filtered(facts: &Facts) -> bool {
    facts.status("Seccomp").is_ok_and(|mode| mode != "0")
}

/// The calls for which this process would be killed, or never be answered.
pub(super) fn deadly(facts: &Facts) -> Vec<&'static str> {
    let calls = USES.iter().flat_map(|of| of.calls.iter().copied());
    calls.filter(|call| matches!(facts.answer(call), Some(Answer::Kills | Answer::Silent))).collect()
}

/// The results of the calls of a use that did not work.
#[derive(Default)]
struct Failed {
    killed: Vec<&'static str>,
    silent: Vec<&'static str>,
    refused: Vec<String>,
    missing: Vec<&'static str>,
    unasked: Vec<&'static str>,
}

impl Use {
    fn check(&self, facts: &Facts) -> Check {
        let Use { id, title, cost, without, allow, .. } = *self;
        let failed = self.failed(facts);
        let filtered = is_filtered(facts);
        let parts: Vec<String> = [
            (failed.killed.join(", "), "killed for"),
            (failed.silent.join(", "), "never answered"),
            (failed.refused.join(", "), "refused"),
            (failed.missing.join(", "), if filtered { MISSING_OR_HIDDEN } else { "not in this kernel" }),
        ]
        .into_iter()
        .filter(|(calls, _)| !calls.is_empty())
        .map(|(calls, what)| format!("{what}: {calls}"))
        .collect();
        if parts.is_empty() {
            return match failed.unasked.as_slice() {
                [] => Check::fine(id, title, format!("allowed: {}", self.calls.join(", "))),
                calls => Check::unknown(id, title, format!("not tried: {}", calls.join(", "))),
            };
        }
        let finding = format!("{}; {cost}", parts.join("; "));
        let deadly: Vec<&str> = failed.killed.iter().chain(&failed.silent).copied().collect();
        let only_missing = deadly.is_empty() && failed.refused.is_empty();
        // What a kernel lacks is reported among its features.
        let state = if deadly.is_empty() { without } else { State::Broken };
        let check =
            Check::fine(id, title, finding).in_state(if only_missing { State::Remark } else { state });
        if only_missing {
            let check = check.words("boot a later kernel, or one that is built with NUMA");
            return if filtered { check.words(format!("if it is one: {PROFILE}")) } else { check };
        }
        let can_be_left_out: Vec<&str> =
            deadly.iter().copied().filter(|call| CAN_BE_LEFT_OUT.contains(call)).collect();
        let check = match can_be_left_out.as_slice() {
            [] => check,
            calls => check.shell(format!("export AREAS_WITHOUT={}", calls.join(","))),
        };
        check.words(format!(
            "allow them: {allow}; in a systemd unit SystemCallFilter=@system-service {}",
            self.calls.join(" ")
        ))
    }

    fn failed(&self, facts: &Facts) -> Failed {
        let mut failed = Failed::default();
        for &call in self.calls {
            match facts.answer(call) {
                Some(Answer::Works(_)) => {}
                Some(Answer::Kills) => failed.killed.push(call),
                Some(Answer::Silent) => failed.silent.push(call),
                Some(Answer::Refused(errno)) if errno.to_string() == "ENOSYS" => failed.missing.push(call),
                Some(Answer::Refused(errno)) => failed.refused.push(format!("{call} ({errno})")),
                _ => failed.unasked.push(call),
            }
        }
        failed
    }
}

/// The calls that are looked at, for the page that describes them.
#[cfg(test)]
pub(super) fn calls() -> impl Iterator<Item = &'static str> {
    USES.iter().flat_map(|of| of.calls.iter().copied())
}
