//! Where memory shall be, and where it is: asked, granted and measured are three things.
//!
//! On a machine with one NUMA node everything is on that one; with more you see the difference.
//!
//! `cargo run --example placement`

#![expect(clippy::print_stdout, reason = "an example talks")]

use areas::{ErrorKind, Node, NodeSet, Policy, allowed_nodes};

const SIZE: usize = 8 << 20;

fn main() -> areas::Result<()> {
    let allowed = match allowed_nodes() {
        Ok(allowed) => allowed,
        // A container may forbid even the question. The error says what to do about it.
        Err(error) if error.kind() == ErrorKind::NotPermitted => {
            println!("{error:#}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    println!("nodes that we may use: {allowed}");

    let first = allowed.first().unwrap_or(Node::of::<0>());
    let policies = [Policy::Local, Policy::Bind(NodeSet::single(first)), Policy::Interleave(NodeSet::ALL)];
    for policy in policies {
        let mut area = match areas::builder(SIZE).place(policy).shared() {
            Ok(area) => area,
            Err(error) if [ErrorKind::NotPermitted, ErrorKind::Unsupported].contains(&error.kind()) => {
                println!("{policy}: {error:#}");
                continue;
            }
            Err(error) => return Err(error),
        };
        area.populate()?;
        // `ALL` stands for the nodes that were allowed when it was mapped.
        println!("{policy} became {}:", area.placement());
        for (node, bytes) in area.residency()?.nodes() {
            println!("  node {node}: {:#}", areas::Bytes(bytes));
        }
    }

    // A node that is not there is an error. (The kernel itself would ignore it, as long as another
    // one is left.)
    if let Err(error) = areas::builder(SIZE).place(Policy::Bind(NodeSet::single(Node::MAX))).shared() {
        println!("{error:#}");
    }
    Ok(())
}
