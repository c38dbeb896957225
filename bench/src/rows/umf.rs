//! Beside oneAPI's Unified Memory Framework: memory on a node from its provider over the operating
//! system, and its handles for other processes.
//!
//! Optional: its library is in a wheel of PyPI (`umf`). Where it cannot be had, the row says so and
//! is skipped.

use anyhow::{Result, ensure};
use areas::{Node, NodeSet, Policy, Provider as _, Request, System, registry};

use super::bytes;
use crate::agent::Agent;
use crate::bench::{Bench, Contest, SHORT};
use crate::measure::Side;
use crate::peers::{Library, Work};

/// Its share of the peer's time that ours is to take at most, where the library is what is
/// compared. (Touching pages is the kernel's work, and the same.)
const TARGET: f64 = 1.02;
/// What the holder's area has.
const HELD: usize = 4096;

/// The holder of a handle, until this goes.
struct Holder<'a>(&'a Library);

impl<'a> Holder<'a> {
    fn start(umf: &'a Library) -> Result<Self> {
        umf.call("peer_hold", Work::of_size(HELD))?;
        Ok(Holder(umf))
    }
}

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        let _ = self.0.call("peer_unlink", Work::of_size(HELD));
    }
}

pub fn run(bench: &mut Bench) -> Result<()> {
    let Some(umf) = bench.library("umf") else { return Ok(()) };
    let node = Node::new(0)?;
    ensure!(areas::allowed_nodes()?.contains(node), "the peer takes memory of node 0, which is not allowed");
    let bind = Policy::Bind(NodeSet::from(node));
    for size in [64 << 10, 1 << 20, 64 << 20] {
        for touched in [false, true] {
            let work = Work::of_size(size).touching(touched);
            let ours = Side::each("System::map", move || {
                let mapping = System::new().map(&Request::new(size).placed(bind))?;
                if touched {
                    super::sharing::touch(mapping.as_ptr(), size);
                }
                Ok(mapping.unmap()?)
            });
            let case = format!("{}{}", bytes(size), if touched { ", each page touched" } else { "" });
            bench.contest(Contest::new(case, SHORT, ours).counted().against(
                umf.side("UMF's OS provider, bind", "peer_map_place", work)?,
                (!touched).then_some(TARGET),
            ))?;
        }
    }
    let mut agent = Agent::start(None)?;
    agent.ask("hold bench-umf 1")?;
    let _holder = match Holder::start(&umf) {
        Ok(holder) => holder,
        Err(error) => {
            bench.skip("UMF's handles", format!("no process could make one: {error:#}"));
            return Ok(());
        }
    };
    let ours = Side::each("find, open, drop", || {
        drop(registry::find("bench-umf-0")?.open()?);
        Ok(())
    });
    bench.contest(
        Contest::new("another process's memory, 4 KiB, opened and closed", SHORT, ours).counted().against(
            umf.side("UMF's IPC handle (no name: it is passed by hand)", "peer_find", Work::of_size(HELD))?,
            None,
        ),
    )
}
