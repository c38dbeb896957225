//! Moving the pages of an area that another process holds.

use anyhow::Result;
use areas::registry::{self, Source};
use areas::{NodeSet, Policy};

use super::{Act, With, is, told};
use crate::bystander::{NAMES, SIZE, has_pattern};

/// The area, and where its pages are to come from.
type Moving = (Source, Policy);

/// The bystander's first area, bound to all nodes. Its bytes stay what they are, whatever comes of it.
pub(super) fn move_bystanders() -> Result<Box<dyn Act>> {
    let source = registry::find(NAMES[0])?;
    With::new((source, Policy::Bind(NodeSet::ALL)), run, check).unchanged(bytes).boxed()
}

fn run((source, policy): &mut Moving) -> areas::Result<()> {
    let migration = source.migrate(*policy)?;
    if !migration.is_placed() {
        return Err(
            areas::Error::new(areas::Kind::Busy, "move the bystander's area").detail(migration.to_string())
        );
    }
    Ok(())
}

/// The kernel has the policy, and the bystander its bytes.
fn check(moving: &mut Moving) -> Result<(), String> {
    let policies = told(moving.0.policies())?;
    let bound = matches!(policies[..], [Policy::Bind(nodes)] if !nodes.is_empty());
    is(bound, || format!("the kernel has {policies:?}"))?;
    bytes(moving)
}

fn bytes((source, _): &mut Moving) -> Result<(), String> {
    has_pattern(&told(source.open_read_only())?, NAMES[0], SIZE)
}
