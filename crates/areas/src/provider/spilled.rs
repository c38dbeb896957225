//! A layer that fills nodes one after the other.

use std::fmt;

use super::parts::map_placed_by;
use super::{Provider, Request};
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::mapping::Mapping;
use crate::nodes::{Node, NodeSet, Placement, Policy};
use crate::page::PageSize;
use crate::size::Bytes;
use crate::topology::Topology;

/// An ordered list of nodes, filled one after the other: as much of the area on the first as it has
/// room for, the next part on the second, and so on.
///
/// The kernel's own "preferred" knows one node and then goes where it likes. Here the area is cut,
/// when it is mapped, by what each node has free then: one system call a node. Each part prefers
/// its node, so that a wrong guess (the memory was taken concurrently) spills instead of waking the
/// out-of-memory killer; a measurement shows it.
#[derive(Clone)]
pub struct Spilled<P> {
    inner: P,
    order: Vec<Node>,
}

impl<P> Spilled<P> {
    /// These nodes, in this order.
    pub fn new(inner: P, order: impl IntoIterator<Item = Node>) -> Self {
        Spilled { inner, order: order.into_iter().collect() }
    }
}

/// What is left free on each node for others: the kernel spills before the last page, and so does
/// this.
pub(crate) const LEFT_FREE: u64 = 16 << 20;

impl<P: Provider> Provider for Spilled<P> {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let list = self.order.iter().map(Node::to_string).collect::<Vec<_>>().join(", ");
        let what = || format!("map {} on nodes {list}, one after the other", Bytes::from(request.size()));
        let allowed = super::allowed_nodes()?;
        let asked: NodeSet = self.order.iter().copied().collect();
        if asked.is_empty() || asked.len() != self.order.len() {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts("the list is empty, or names a node twice"));
        }
        // The same check as for every placement: nodes that are not allowed are an error.
        let _ = Placement::new(Policy::Bind(asked)).resolve(allowed)?;
        let topology = Topology::read()?;
        map_placed_by(&self.inner, request, what, |mapping| self.cut(mapping, &topology))
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        self.inner.unmap(mapping)
    }
}

impl<P> Spilled<P> {
    /// Gives each node as much as it has room for, in their order; the last one gets the rest.
    fn cut(&self, mapping: &mut Mapping, topology: &Topology) -> Result<()> {
        let page = mapping.page_size();
        let mut start = 0;
        for (index, &node) in self.order.iter().enumerate() {
            let rest = mapping.span() - start;
            let room = match (page == PageSize::base(), topology.node(node)) {
                (true, Some(info)) => {
                    let available = info.memory.and_then(|memory| memory.available());
                    available.unwrap_or(0).saturating_sub(LEFT_FREE)
                }
                (false, Some(info)) => info
                    .huge_pool(page.bytes() as u64)
                    .map_or(0, |pool| pool.free.unwrap_or(0).saturating_mul(pool.page_size)),
                (_, None) => 0,
            };
            let room = usize::try_from(room).unwrap_or(usize::MAX) / page.bytes() * page.bytes();
            let last = index + 1 == self.order.len();
            let len = if last { rest } else { rest.min(room) };
            // Cut between huge pages, so that none is lost to the cut.
            let huge = PageSize::transparent().bytes();
            let behind = (mapping.as_ptr().addr() + start + len) % huge;
            let len = if page == PageSize::base() && len < rest && len > behind { len - behind } else { len };
            if len > 0 {
                mapping.place(start..start + len, &Placement::new(Policy::Preferred(node)))?;
            }
            start += len;
        }
        debug_assert_eq!(start, mapping.span());
        Ok(())
    }
}

impl<P: fmt::Debug> fmt::Debug for Spilled<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.order.iter().map(Node::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "{:?}.spilled([{list}])", self.inner)
    }
}
