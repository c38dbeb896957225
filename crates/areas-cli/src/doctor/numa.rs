//! NUMA: the nodes, which of them this process may use, what the kernel moves by itself, and what
//! the firmware reports.

use areas::{NodeSet, Topology, machine};

use super::check::{Check, Group, State};
use super::facts::Facts;
use super::quoted;

pub(super) fn group(facts: &Facts) -> Group {
    let title = "nodes";
    let topology = match Topology::read_from(facts.path("/sys")) {
        Ok(topology) => topology,
        Err(error) => {
            return Group {
                title,
                checks: vec![Check::unknown("numa.nodes", "nodes", there(facts, &error.to_string()))],
            };
        }
    };
    let mut checks = vec![nodes(&topology), allowed(facts, &topology)];
    checks.extend(odd(facts, &topology));
    checks.push(balancing(facts));
    if topology.with_memory().len() > 1 {
        checks.extend([tiers(facts, &topology), reported(&topology), reclaim(facts)]);
    }
    Group { title, checks }
}

/// A text with paths as they are on that machine.
fn there(facts: &Facts, text: &str) -> String {
    match facts.is_here() {
        true => text.to_owned(),
        false => text.replace(&*facts.root().to_string_lossy(), ""),
    }
}

fn nodes(topology: &Topology) -> Check {
    let (id, title) = ("numa.nodes", "nodes");
    if !topology.is_numa() {
        return Check::remark(id, title, "this kernel knows no nodes: policies are an error")
            .words("boot a kernel with CONFIG_NUMA");
    }
    let (memory, cpus) = (topology.with_memory(), topology.with_cpus());
    let without_cpus = memory - cpus;
    let mut finding = match memory.len() {
        1 => format!("node {memory} has all memory: policies make no difference here"),
        _ => format!("nodes {memory} have memory"),
    };
    if !without_cpus.is_empty() {
        finding += &format!(", {without_cpus} without CPUs");
    }
    Check::fine(id, title, finding)
}

fn odd(facts: &Facts, topology: &Topology) -> Option<Check> {
    let first = there(facts, &topology.oddities().first()?.to_string());
    let more = match topology.oddities().len() {
        1 => String::new(),
        count => format!(" (and {} more: `areas nodes` lists all)", count - 1),
    };
    Some(Check::unknown("numa.odd", "what makes no sense", format!("{first}{more}")))
}

fn allowed(facts: &Facts, topology: &Topology) -> Check {
    let (id, title) = ("numa.cpuset", "nodes that may be used");
    let text = match facts.status("Mems_allowed_list") {
        Ok(text) => text,
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    let Ok(allowed) = text.parse::<NodeSet>() else {
        return Check::unknown(id, title, format!("/proc/self/status says {text:?}"));
    };
    let left_out = topology.with_memory() - allowed;
    if left_out.is_empty() {
        return Check::fine(id, title, format!("all that have memory ({})", topology.with_memory()));
    }
    let finding = format!("its cpuset allows {allowed}; there is memory on {left_out}, too");
    let check = Check::remark(id, title, finding);
    let check = match cpuset_file(facts, "self") {
        Some(file) => check.root(format!("echo {} > {file}", topology.with_memory() | allowed)),
        None => check,
    };
    check.words("AllowedMemoryNodes= in the systemd unit; `--cpuset-mems` of the container")
}

/// The file that sets the nodes of a process's group.
pub(super) fn cpuset_file(facts: &Facts, process: &str) -> Option<String> {
    let folder = machine::folder_of(facts.root(), process, "cpuset")?;
    Some(quoted(&facts.shown(&folder).join("cpuset.mems").display().to_string()))
}

fn balancing(facts: &Facts) -> Check {
    let (id, title) = ("numa.balancing", "balancing");
    match facts.number("/proc/sys/kernel/numa_balancing") {
        Ok(0) => Check::fine(id, title, "kernel.numa_balancing is 0: pages stay where they are"),
        Ok(mode) => Check::remark(
            id,
            title,
            format!(
                "kernel.numa_balancing is {mode}: areas with policy `default` move to the node of the CPU that uses them; those with a policy \
                 stay, unless `--balanced` was asked for"
            ),
        )
        .root("sysctl kernel.numa_balancing=0"),
        Err(why) if facts.lacks(&why) => Check::fine(id, title, "the kernel balances nothing: pages stay where they are"),
        Err(why) => Check::unknown(id, title, why.to_string()),
    }
}

fn tiers(facts: &Facts, topology: &Topology) -> Check {
    let (id, title) = ("numa.tiers", "tiers");
    let mut tiers: Vec<u32> = topology.nodes().iter().filter_map(|info| info.tier).collect();
    tiers.sort_unstable();
    tiers.dedup();
    let each: Vec<String> = tiers
        .iter()
        .map(|tier| {
            let nodes: NodeSet = topology
                .nodes()
                .iter()
                .filter(|info| info.tier == Some(*tier))
                .map(|info| info.node)
                .collect();
            format!("{tier}: {nodes}")
        })
        .collect();
    let tiers = match each.len() {
        0 => "the kernel reports none".to_owned(),
        1 => format!("all nodes are in one ({})", each.join(", ")),
        _ => each.join("; "),
    };
    match facts.text("/sys/kernel/mm/numa/demotion_enabled").as_deref() {
        Ok("true" | "1") => {
            let finding =
                format!("{tiers}; demotion_enabled is true: what is not used moves to a slower node");
            Check::remark(id, title, finding).root("echo false > /sys/kernel/mm/numa/demotion_enabled")
        }
        _ => Check::fine(id, title, tiers),
    }
}

/// Whether the firmware reports how fast nodes are.
fn reported(topology: &Topology) -> Check {
    let (id, title) = ("numa.hmat", "speed of nodes");
    let with_memory: Vec<_> = topology.nodes().iter().filter(|info| info.has_memory != Some(false)).collect();
    let silent: NodeSet =
        with_memory.iter().filter(|info| info.access.is_empty()).map(|info| info.node).collect();
    if silent.is_empty() {
        return Check::fine(id, title, "the firmware reports bandwidth and latency (HMAT)");
    }
    let finding = format!(
        "of {} the firmware reports neither bandwidth nor latency (no HMAT): `--nodes highest-bandwidth` and \
         `lowest-latency` leave them out",
        if silent.len() == 1 { format!("node {silent}") } else { format!("nodes {silent}") }
    );
    Check::remark(id, title, finding).words(
        "choose nodes by number or by distance: `areas nodes`; some firmwares have a switch for ACPI HMAT",
    )
}

fn reclaim(facts: &Facts) -> Check {
    let (id, title) = ("numa.reclaim", "reclaim");
    match facts.number("/proc/sys/vm/zone_reclaim_mode") {
        Ok(0) => Check::fine(id, title, "vm.zone_reclaim_mode is 0: a full node is passed over"),
        Ok(mode) => Check::fine(
            id,
            title,
            format!("vm.zone_reclaim_mode is {mode}: a full node is cleared before another is taken from"),
        )
        .in_state(State::Remark)
        .root("sysctl vm.zone_reclaim_mode=0"),
        Err(why) if facts.lacks(&why) => Check::fine(id, title, "the kernel has no vm.zone_reclaim_mode"),
        Err(why) => Check::unknown(id, title, why.to_string()),
    }
}
