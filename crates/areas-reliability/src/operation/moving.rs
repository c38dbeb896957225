//! Another process's area is moved: its pages, and its policy. (On a machine of one node no page
//! has anywhere to go; all else is as it is on others.)

use anyhow::{Context as _, Result};
use areas::registry::{self, Source};
use areas::{Node, Policy};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::finding::know;
use super::{Act, With, checked, is};
use crate::contents::{NAMES, SIZE, has_pattern};

/// The bystander's area, the policy that it has before, and the one that it is to have.
struct Moving {
    source: Source,
    before: Policy,
    then: Policy,
}

impl Moving {
    fn is_whole(&self) -> Result<(), String> {
        has_pattern(&checked(self.source.open_read_only())?, NAMES[0], SIZE)
    }
}

fn moving() -> Result<Box<dyn Act>> {
    let nodes = areas::allowed_nodes()?;
    let (first, last) = (nodes.first().context("no node")?, nodes.iter().next_back().context("no node")?);
    let it = Moving {
        source: registry::find(NAMES[0])?,
        before: Policy::Preferred(first),
        then: Policy::Bind(last.into()),
    };
    // What another run has moved.
    it.source.migrate(it.before)?;
    know(NAMES[0])?;
    With::new(it, |it| it.source.migrate(it.then).map(drop), |it| is_there(it))
        .unchanged(|it| {
            // Pages that were moved already stay where they are: the next try goes on from there.
            let policies = checked(it.source.policies())?;
            let known = policies == [it.before] || policies == [it.then];
            is(known, || format!("its policies are {policies:?}"))?;
            it.is_whole()
        })
        .boxed()
}

fn is_there(it: &Moving) -> Result<(), String> {
    let policies = checked(it.source.policies())?;
    is(policies == [it.then], || format!("its policies are {policies:?}"))?;
    let residency = checked(checked(it.source.inspect())?.residency())?;
    let node: Option<Node> = it.then.nodes().and_then(|nodes| nodes.first());
    let there = node.map_or(0, |node| residency.on(node));
    is(there == SIZE as u64, || format!("{there} bytes of it are on {node:?}: {residency}"))?;
    it.is_whole()
}

/// With all that root may.
pub(super) fn with_privilege() -> Result<Box<dyn Act>> {
    moving()
}

/// As an ordinary user: through its holder.
pub(super) fn without_privilege() -> Result<Box<dyn Act>> {
    let it = moving()?;
    let mut sets = capabilities(None)?;
    // It stays permitted, so that whoever could look into this process and could be looked into by
    // it still can.
    sets.effective.remove(CapabilitySet::SYS_NICE);
    set_capabilities(None, sets)?;
    Ok(it)
}
