//! A layer that lays blocks of pages on nodes in turn.

use std::fmt;

use super::parts::map_placed_by;
use super::{Provider, Request, resolve};
use crate::error::{Errno, Error, ErrorKind, Rejected, Result};
use crate::mapping::Mapping;
use crate::nodes::{Node, NodeSet, Placement, Policy};

/// Blocks of so many pages, the first on the first node, the next on the next one, and round:
/// exactly, whichever thread touches them first.
///
/// It is interleaving with a grain of one's own, and with a known beginning. Each block is a range
/// with a policy of its own (bind), and so a mapping of the kernel's: 65,530 of them fit a process,
/// so large areas want large blocks.
#[derive(Clone)]
pub struct Striped<P> {
    inner: P,
    nodes: NodeSet,
    pages: usize,
}

impl<P> Striped<P> {
    /// Blocks of `pages` pages (of the size that the mapping has) on each of the nodes in turn.
    pub const fn new(inner: P, nodes: NodeSet, pages: usize) -> Self {
        Striped { inner, nodes, pages }
    }
}

/// The blocks of a range of `span` bytes: which bytes go to which node.
pub(crate) fn blocks(
    span: usize,
    block: usize,
    nodes: &[Node],
) -> impl Iterator<Item = (std::ops::Range<usize>, Node)> {
    (0..span)
        .step_by(block.max(1))
        .zip(nodes.iter().copied().cycle())
        .map(move |(start, node)| (start..span.min(start.saturating_add(block)), node))
}

impl<P: Provider> Provider for Striped<P> {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let what = || {
            format!(
                "stripe {} bytes over nodes {} in blocks of {} pages",
                request.size(),
                self.nodes,
                self.pages
            )
        };
        if self.pages == 0 {
            return Err(Error::new(ErrorKind::InvalidInput, what()).with_facts("a block has no page"));
        }
        let whole = resolve(Placement::new(Policy::Interleave(self.nodes)))?;
        let nodes: Vec<Node> = whole.policy().nodes().unwrap_or_default().iter().collect();
        map_placed_by(&self.inner, request, what, |mapping| {
            let block = self.pages.saturating_mul(mapping.page_size().bytes());
            for (range, node) in blocks(mapping.span(), block, &nodes) {
                let placement = Placement::new(Policy::Bind(NodeSet::single(node)));
                mapping.place(range, &placement).map_err(|error| match error.errno() {
                    Some(Errno::NOMEM) => error.with_remedy(
                        "each block is a mapping of its own, and vm.max_map_count limits them: use larger blocks",
                    ),
                    _ => error,
                })?;
            }
            Ok(())
        })
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        self.inner.unmap(mapping)
    }
}

impl<P: fmt::Debug> fmt::Debug for Striped<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.striped({}, {})", self.inner, self.nodes, self.pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_go_round_and_end_with_the_range() {
        let node = |id| Node::new(id).unwrap();
        let nodes = [node(0), node(3)];
        let reported: Vec<_> = blocks(10, 4, &nodes).collect();
        assert_eq!(reported, [(0..4, node(0)), (4..8, node(3)), (8..10, node(0))]);
        assert_eq!(blocks(0, 4, &nodes).count(), 0);
        assert_eq!(blocks(10, usize::MAX, &nodes).collect::<Vec<_>>(), [(0..10, node(0))]);
    }
}
