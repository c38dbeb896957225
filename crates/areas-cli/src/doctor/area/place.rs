//! Where an area's pages are, held against where they were asked to be; and why they are elsewhere.

use areas::{Bytes, NodeSet, PageSize, Placement, Policy, Topology, Verification};

use super::super::check::Check;
use super::super::{huge, numa};
use super::Looked;

pub(super) fn checks(looked: &Looked<'_>) -> Vec<Check> {
    if looked.info.physical.is_some() {
        return vec![Check::fine(
            "area.place",
            "nodes",
            "memory that was reserved when the machine booted has no policy",
        )];
    }
    let mut checks = vec![policy(looked), placed(looked)];
    checks.extend(cpuset(looked));
    checks
}

/// Whether the kernel goes by what was asked.
fn policy(looked: &Looked<'_>) -> Check {
    let (id, title) = ("area.policy", "policy");
    let asked = looked.info.placement;
    match looked.policies.as_deref() {
        Ok([now]) if *now == asked.policy() => Check::fine(id, title, asked.to_string()),
        Ok([now]) => Check::remark(
            id,
            title,
            format!(
                "{now} now; its holder asked for {asked}: another process changed its placement, or a cpuset did"
            ),
        )
        .shell(move_line(looked, &asked)),
        Ok(several) => {
            let several: Vec<String> = several.iter().map(Policy::to_string).collect();
            Check::fine(id, title, format!("parts of it have policies of their own: {}", several.join(", ")))
        }
        Err(error) => Check::unknown(id, title, format!("{asked} was asked for; {error}")),
    }
}

/// The line that moves its pages to where they are to be.
fn move_line(looked: &Looked<'_>, placement: &Placement) -> String {
    let target = looked.target();
    let balanced = if placement.is_balanced() { " --balanced" } else { "" };
    match placement.policy().nodes() {
        Some(nodes) if !nodes.is_all() => {
            format!("areas move {target} --policy {} --nodes {nodes}{balanced}", placement.policy().name())
        }
        _ => format!("areas move {target} --policy {}{balanced}", placement.policy().name()),
    }
}

fn placed(looked: &Looked<'_>) -> Check {
    let (id, title) = ("area.place", "nodes");
    let residency = match &looked.residency {
        Ok(residency) => residency,
        Err(error) => return Check::unknown(id, title, error.to_string()),
    };
    let shares = shares(residency.nodes().map(|(node, bytes)| (node.get(), bytes)));
    if looked.policies.as_ref().is_ok_and(|policies| policies.len() > 1) {
        return Check::unknown(id, title, format!("{shares}: which part was to be where is not compared"));
    }
    let placement = looked.placement();
    let verification = match looked.info.verify(residency.clone(), placement) {
        Ok(verification) => verification,
        Err(error) => return Check::unknown(id, title, format!("{shares}; {error}")),
    };
    if verification.holds() {
        let finding = match placement.policy().nodes() {
            None => format!("{shares}: where its pages were touched first, as was asked"),
            Some(_) => format!("{shares}: all that is in RAM is where it was asked to be"),
        };
        return Check::fine(id, title, finding);
    }
    let finding = format!("requested {placement}, and {shares}: {}", in_place(&verification));
    why(looked, &placement, &verification, Check::broken(id, title, finding))
        .shell(move_line(looked, &placement))
}

/// `25.0 % of 8.00 MiB are in place`
fn in_place(verification: &Verification) -> String {
    format!(
        "{:.1} % of {:#} in RAM are in place",
        verification.share() * 100.0,
        Bytes(verification.in_place() + verification.elsewhere())
    )
}

/// `node 0 has 6.00 MiB (75 %), node 1 2.00 MiB (25 %)`
fn shares(nodes: impl Iterator<Item = (u32, u64)>) -> String {
    let nodes: Vec<(u32, u64)> = nodes.filter(|(_, bytes)| *bytes > 0).collect();
    let total = nodes.iter().map(|(_, bytes)| bytes).sum::<u64>().max(1);
    match nodes.as_slice() {
        [] => "nothing of it is in RAM".to_owned(),
        [(node, bytes)] => format!("node {node} has all {:#}", Bytes(*bytes)),
        several => {
            let each = several.iter().map(|(node, bytes)| {
                format!("node {node} has {:#} ({} %)", Bytes(*bytes), bytes * 100 / total)
            });
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

/// Why pages are elsewhere: what can be seen of it, and what mends that before they are moved.
fn why(looked: &Looked<'_>, placement: &Placement, verification: &Verification, mut check: Check) -> Check {
    let topology = Topology::read_from(looked.facts.path("/sys")).ok();
    let page = looked.info.page_size;
    let missed: NodeSet = verification.misplaced().iter().fold(NodeSet::EMPTY, |sum, part| {
        sum | (part.asked & placement.policy().nodes().unwrap_or(NodeSet::ALL))
    });
    let pools = huge::of_nodes(topology.as_ref(), page.bytes() as u64);
    let mut seen = false;
    for node in missed.iter() {
        let pool = pools.iter().find(|(number, _)| *number == node.get()).map(|(_, pool)| pool);
        if page != PageSize::base()
            && let Some(pool) = pool
            && pool.free == Some(0)
        {
            let wanted: u64 = verification
                .misplaced()
                .iter()
                .filter(|part| part.asked.contains(node))
                .map(|part| part.range.len() as u64)
                .sum();
            let pages = wanted.div_ceil(page.bytes() as u64).saturating_add(pool.total.unwrap_or(0));
            let name = format!("hugepages-{}kB", page.bytes() / 1024);
            check.finding += &format!("; node {node}'s pool of {page} pages has none free");
            check = check.root(format!(
                "echo {pages} > /sys/devices/system/node/node{node}/hugepages/{name}/nr_hugepages"
            ));
            seen = true;
            continue;
        }
        let memory = topology.as_ref().and_then(|topology| topology.node(node)).and_then(|info| info.memory);
        if let Some(memory) = memory
            && let (Some(total), Some(free)) = (memory.total, memory.free)
            && free < total / 50
        {
            check.finding += &format!("; node {node} is full ({:#} of {:#} free)", Bytes(free), Bytes(total));
            seen = true;
        }
    }
    if !seen {
        check.finding +=
            "; they were there before it was placed, or another process moved them (migratepages)";
    }
    check
}

/// Whether the nodes that were asked for may be used by its holder.
fn cpuset(looked: &Looked<'_>) -> Option<Check> {
    let (id, title) = ("area.cpuset", "nodes that may be used");
    let asked = looked.info.placement.policy().nodes().filter(|nodes| !nodes.is_all())?;
    let allowed = match looked.facts.status_of(&looked.info.pid.to_string(), "Mems_allowed_list") {
        Ok(text) => text.parse::<NodeSet>().map_err(|_| format!("Mems_allowed_list is {text:?}")),
        Err(why) => Err(why.to_string()),
    };
    let allowed = match allowed {
        Ok(allowed) => allowed,
        Err(why) => return Some(Check::unknown(id, title, why)),
    };
    let left_out = asked - allowed;
    if left_out.is_empty() {
        return Some(Check::fine(id, title, format!("{} may use {allowed}", looked.holder())));
    }
    let finding = format!(
        "{asked} was requested, and the cpuset of {} allows {allowed}: nothing comes from {left_out}",
        looked.holder()
    );
    let check = match numa::cpuset_file(looked.facts, &looked.info.pid.to_string()) {
        Some(file) => Check::broken(id, title, finding).root(format!("echo {} > {file}", asked | allowed)),
        None => Check::broken(id, title, finding),
    };
    let check = check.words("AllowedMemoryNodes= in the systemd unit; `--cpuset-mems` of the container");
    Some(check.shell(move_line(looked, &looked.info.placement)))
}
