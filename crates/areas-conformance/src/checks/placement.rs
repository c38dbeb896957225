//! On which nodes: the policy that the kernel has, and where pages are once they are there.

use areas::{Extent, Mapping, Node, NodeSet, Object, PageSize, Placement, Policy, Request};

use super::{Bench, Check};
use crate::maps;
use crate::notes::Notes;

pub(super) const PLACEMENT: Check = Check {
    name: "placement",
    expected: "the kernel has the policy that was asked for, for all of it, and pages are where it says; or it is an error",
    run: placement,
};

/// A policy for each allowed node (a few, if there are many), and some for all of them.
fn policies(allowed: NodeSet) -> Vec<Policy> {
    let mut nodes: Vec<Node> = allowed.iter().take(4).collect();
    nodes.extend(allowed.last().filter(|last| !nodes.contains(last)));
    let mut policies: Vec<Policy> = nodes.iter().map(|&node| Policy::Bind(NodeSet::single(node))).collect();
    policies.extend(nodes.last().map(|&node| Policy::Preferred(node)));
    policies.extend([Policy::Interleave(NodeSet::ALL), Policy::PreferredMany(NodeSet::ALL)]);
    policies
}

fn placement(bench: &Bench<'_>, notes: &mut Notes) {
    let Some(allowed) = notes.expect("the nodes that may be used", areas::allowed_nodes()) else { return };
    let size = bench.medium();
    let object = Object::create("conformance", size, Extent::Fixed, PageSize::base());
    let Some(object) = notes.expect("an object for the check", object) else { return };
    let (mut given, mut refused) = (Vec::new(), Vec::new());
    for policy in policies(allowed) {
        let Some(resolved) = notes.expect("the policy", Placement::new(policy).resolve(allowed)) else {
            continue;
        };
        let mut kept = false;
        for (kind, request) in [("private", Request::new(size)), ("shared", Request::object(&object))] {
            if let Ok(mapping) = bench.map(&request.placed(policy)) {
                kept = true;
                if let Err(wrong) = has_policy(&mapping, resolved.policy()) {
                    notes.wrong(format!("{kind} memory as {policy}: {wrong}"));
                    kept = false;
                }
            }
        }
        let list = if kept { &mut given } else { &mut refused };
        list.push(policy.to_string());
        if kept && policy.is_strict() {
            measured(bench, policy, notes);
        }
    }
    super::protection::note(notes, &given, &refused);
}

/// Whether the first page and all that the kernel shows has the policy.
fn has_policy(mapping: &Mapping, expected: Policy) -> Result<(), String> {
    let seen = mapping.policy().map_err(|error| error.to_string())?;
    if seen != expected {
        return Err(format!("the kernel has {seen}"));
    }
    let shown = match expected {
        Policy::Bind(_) => "bind:",
        Policy::Preferred(_) => "prefer:",
        Policy::PreferredMany(_) => "prefer (many):",
        Policy::Interleave(_) => "interleave:",
        _ => return Ok(()),
    };
    match maps::policies(&maps::range(mapping)).iter().find(|policy| !policy.starts_with(shown)) {
        None => Ok(()),
        Some(other) => Err(format!("a part of it has {other}")),
    }
}

/// Populates an area, and asks where each page is.
fn measured(bench: &Bench<'_>, policy: Policy, notes: &mut Notes) {
    let Ok(mut area) = areas::builder(bench.medium()).place(policy).provider(bench.provider).private() else {
        return;
    };
    let verified = area.populate().and_then(|()| area.verify());
    if let Some(answer) = notes.expect(&format!("populating as {policy}"), verified)
        && !answer.holds()
    {
        notes.wrong(format!("as {policy}: {answer}"));
    }
}

pub(super) const UNKNOWN_NODE: Check = Check {
    name: "unknown-node",
    expected: "a node that is not there is an error, alone or among others, and so is an empty set",
    run: unknown_node,
};

fn unknown_node(bench: &Bench<'_>, notes: &mut Notes) {
    let Some(allowed) = notes.expect("the nodes that may be used", areas::allowed_nodes()) else { return };
    let Some(unknown) = (NodeSet::ALL - allowed).last() else {
        notes.not_here("this machine has all nodes that there can be");
        return;
    };
    let policies = [
        Policy::Bind(NodeSet::single(unknown)),
        Policy::Bind(allowed.with(unknown)),
        Policy::Interleave(allowed.with(unknown)),
        Policy::Preferred(unknown),
        Policy::Bind(NodeSet::EMPTY),
    ];
    for policy in policies {
        match bench.map(&bench.request(bench.small()).placed(policy)) {
            Err(error) => notes.seen(format!("refused: {:?}", error.kind())),
            Ok(mapping) => {
                let has =
                    mapping.policy().map_or_else(|error| error.to_string(), |policy| policy.to_string());
                notes.wrong(format!("asked for {policy}, got memory with the policy {has}"));
            }
        }
    }
}
