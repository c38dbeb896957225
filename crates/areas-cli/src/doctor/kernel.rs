//! The kernel: which version, which features it lacks, and what each of these costs. Features are
//! tried, versions never compared.

use areas::machine::Answer;

use super::calls::{PROFILE, is_filtered};
use super::check::{Check, Group, State};
use super::facts::Facts;

pub(super) fn group(facts: &Facts) -> Group {
    let mut checks = vec![version(facts)];
    match facts.why_untried() {
        Some(why) => checks.push(Check::unknown("kernel.features", "features", why)),
        None => checks.extend(FEATURES.iter().map(|feature| feature.check(facts))),
    }
    Group { title: "kernel", checks }
}

fn version(facts: &Facts) -> Check {
    match facts.text("/proc/sys/kernel/osrelease") {
        Ok(release) => Check::fine("kernel.version", "version", format!("Linux {release}")),
        Err(why) => Check::unknown("kernel.version", "version", why.to_string()),
    }
}

/// Something that kernels have from some version on.
struct Feature {
    id: &'static str,
    title: &'static str,
    /// Which of the things that are tried shows it.
    probe: &'static str,
    /// The version that brought it.
    since: &'static str,
    /// What is lost without it.
    cost: &'static str,
    /// How bad that is.
    without: State,
}

const fn feature(
    id: &'static str,
    title: &'static str,
    probe: &'static str,
    since: &'static str,
    cost: &'static str,
) -> Feature {
    Feature { id, title, probe, since, cost, without: State::Remark }
}

const FEATURES: [Feature; 13] = [
    Feature {
        without: State::Broken,
        ..feature(
            "kernel.populate",
            "populating",
            "MADV_POPULATE_WRITE",
            "5.14",
            "areas can be neither populated nor measured: no `--populate`, no `lock full`, no pages in `areas show`",
        )
    },
    feature(
        "kernel.collapse",
        "huge pages on demand",
        "MADV_COLLAPSE",
        "6.1",
        "shared areas get transparent huge pages only where shmem_enabled is set",
    ),
    feature(
        "kernel.noexec-seal",
        "never executable",
        "MFD_NOEXEC_SEAL",
        "6.3",
        "memory objects are not sealed against being executed as files",
    ),
    feature("kernel.mlock2", "lock on touch", "mlock2", "4.4", "`--lock lazy` is an error"),
    feature(
        "kernel.pidfd-getfd",
        "taking descriptors",
        "pidfd_getfd",
        "5.6",
        "an area of another process is opened through /proc each time: two calls more",
    ),
    feature(
        "kernel.cachestat",
        "counting pages",
        "cachestat",
        "6.5",
        "bytes in RAM are counted on a mapping (mincore), swapped ones among them",
    ),
    feature(
        "kernel.pagemap-scan",
        "page sizes",
        "PAGEMAP_SCAN",
        "6.7",
        "huge pages are reported as a total, not page by page",
    ),
    feature(
        "kernel.procmap-query",
        "asking for mappings",
        "PROCMAP_QUERY",
        "6.11",
        "what is mapped where is read from the text of maps, which takes longer the more mappings there are",
    ),
    feature(
        "kernel.preferred-many",
        "preferred-many",
        "MPOL_PREFERRED_MANY",
        "5.15",
        "`--policy preferred-many` is an error; `preferred` takes one node",
    ),
    feature(
        "kernel.weighted-interleave",
        "weighted-interleave",
        "MPOL_WEIGHTED_INTERLEAVE",
        "6.9",
        "`--policy weighted-interleave` is an error; `interleave` gives each node the same share",
    ),
    feature(
        "kernel.home-node",
        "home node",
        "set_mempolicy_home_node",
        "5.17",
        "a home node is an error: which of several nodes comes first cannot be said",
    ),
    feature(
        "kernel.balanced-bind",
        "balanced bind",
        "balanced bind",
        "5.15",
        "`--balanced` is an error: pages that have a policy stay where they are",
    ),
    feature(
        "kernel.balanced-preferred-many",
        "balanced preferred-many",
        "balanced preferred-many",
        "6.10",
        "`--balanced` works with `bind` only",
    ),
];

impl Feature {
    fn check(&self, facts: &Facts) -> Check {
        let Feature { id, title, since, cost, without, .. } = *self;
        let errno = match facts.answer(self.probe) {
            Some(Answer::Works(_)) => return Check::fine(id, title, "the kernel has it"),
            Some(Answer::Refused(errno)) => errno.to_string(),
            // What sandboxes do is reported where sandboxes are.
            Some(Answer::Kills | Answer::Silent) => {
                return Check::unknown(id, title, "a sandbox keeps it from being tried");
            }
            _ => return Check::unknown(id, title, "it was not tried"),
        };
        match errno.as_str() {
            // A filter may answer so as well.
            "ENOSYS" if is_filtered(facts) => {
                let hidden = format!("the kernel does not have it, or the filter hides it ({errno}): {cost}");
                let check = Check::fine(id, title, hidden).in_state(without);
                check.words(format!("boot Linux {since} or later; if it is one: {PROFILE}"))
            }
            "EINVAL" | "ENOSYS" | "ENOTTY" => {
                let missing = format!("the kernel does not have it ({errno}): {cost}");
                Check::fine(id, title, missing)
                    .in_state(without)
                    .words(format!("boot Linux {since} or later"))
            }
            // By a sandbox, or for want of a descriptor.
            _ => {
                Check::unknown(id, title, format!("it cannot be tried: {} is refused ({errno})", self.probe))
            }
        }
    }
}
