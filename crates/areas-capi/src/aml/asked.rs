//! What an area asks of a place: a policy and nodes, from whichever interface; and a range held
//! against it.

#![expect(unsafe_code, reason = "reads C's bitmasks; each block has its proof")]

use std::ffi::c_int;
use std::fmt;
use std::ptr::NonNull;

use areas::{Error, ErrorKind, NodeSet, Placement, Policy, Result, range};

use super::nodes::{self, Bitmask};

/// What an area asks of a place: AML's policies, in either interface's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestedPolicy {
    Default,
    Bind,
    Preferred,
    Interleave,
    /// The node of the thread that touches a page first.
    Local,
    WeightedInterleave,
}

impl RequestedPolicy {
    /// From `enum aml_area_linux_policy`.
    pub(super) fn of(policy: c_int) -> Result<Self> {
        match policy {
            0 => Ok(RequestedPolicy::Default),
            1 => Ok(RequestedPolicy::Bind),
            2 => Ok(RequestedPolicy::Preferred),
            3 => Ok(RequestedPolicy::Interleave),
            other => Err(Error::new(ErrorKind::InvalidInput, format!("use policy {other}"))
                .with_facts("no policy of AML has that number")
                .with_remedy("take one of AML_AREA_LINUX_POLICY_{DEFAULT,BIND,PREFERRED,INTERLEAVE}")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            RequestedPolicy::Default => "default",
            RequestedPolicy::Bind => "bind",
            RequestedPolicy::Preferred => "preferred",
            RequestedPolicy::Interleave => "interleave",
            RequestedPolicy::Local => "first touch",
            RequestedPolicy::WeightedInterleave => "weighted interleave",
        }
    }

    fn over(self, nodes: NodeSet) -> Policy {
        match self {
            RequestedPolicy::Default => Policy::Default,
            RequestedPolicy::Bind => Policy::Bind(nodes),
            RequestedPolicy::Interleave => Policy::Interleave(nodes),
            RequestedPolicy::Local => Policy::Local,
            RequestedPolicy::WeightedInterleave => Policy::WeightedInterleave(nodes),
            RequestedPolicy::Preferred => match nodes.first() {
                Some(only) if nodes.len() == 1 => Policy::Preferred(only),
                _ => Policy::PreferredMany(nodes),
            },
        }
    }

    /// Whether it names nodes: pages of the others are right wherever they are.
    fn names_nodes(self) -> bool {
        !matches!(self, RequestedPolicy::Default | RequestedPolicy::Local)
    }

    /// What a kernel before 5.15 can do of it, where that is something else: prefer the first of
    /// several nodes.
    fn on_older_kernels(self, nodes: NodeSet) -> Option<Policy> {
        nodes.first().filter(|_| self == RequestedPolicy::Preferred && nodes.len() > 1).map(Policy::Preferred)
    }
}

/// Placement as an area's data has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) policy: RequestedPolicy,
    /// `None` for all that are allowed.
    nodes: Option<NodeSet>,
    /// Whether the nodes were looked at when the area was made.
    known: bool,
}

impl Asked {
    /// # Safety
    /// `nodeset` is NULL or a bitmask with its words.
    pub(super) unsafe fn new(policy: RequestedPolicy, nodeset: *const Bitmask) -> Result<Self> {
        // SAFETY: NULL or a bitmask (the caller's promise).
        let Some(mask) = (unsafe { nodeset.as_ref() }) else {
            return Ok(Asked { policy, nodes: None, known: false });
        };
        // SAFETY: it has its words (the caller's promise).
        let nodes = unsafe { mask.nodes() }?;
        Ok(Asked { policy, nodes: Some(nodes), known: nodes::is_known(nodeset, nodes) })
    }

    pub(super) fn of(policy: RequestedPolicy, nodes: Option<NodeSet>, known: bool) -> Self {
        Asked { policy, nodes, known }
    }

    /// The nodes, all of them allowed and at least one. Asks the kernel only where no call has yet.
    fn resolved(&self) -> Result<NodeSet> {
        match self.nodes {
            _ if !self.policy.names_nodes() => Ok(NodeSet::EMPTY),
            Some(nodes) if self.known && !nodes.is_empty() => Ok(nodes),
            Some(nodes) => check_allowed(nodes),
            None => areas::allowed_nodes(),
        }
    }

    /// Places a range in which nothing is yet.
    pub(super) fn place(&self, start: NonNull<u8>, size: usize) -> Result<()> {
        self.place_by(|policy| range::place(start, size, policy))
    }

    /// Places a range, and moves what is there already. The default policy asks for no nodes, so
    /// that each page is where it may be.
    pub(super) fn place_and_move(&self, start: NonNull<u8>, size: usize) -> Result<()> {
        self.place_by(|placement| match self.policy.names_nodes() {
            true => range::place_and_move(start, size, placement),
            false => range::place(start, size, placement),
        })
    }

    fn place_by(&self, place: impl Fn(&Placement) -> Result<()>) -> Result<()> {
        let nodes = self.resolved()?;
        let unsupported = |error: &Error| error.kind() == ErrorKind::Unsupported;
        let placed = match (place(&self.policy.over(nodes).into()), self.policy.on_older_kernels(nodes)) {
            (Err(error), Some(older)) if unsupported(&error) => place(&older.into()),
            (placed, _) => placed,
        };
        match placed {
            // Of our own areas no call has looked since they were made: the cpuset may have
            // changed.
            Err(error) if self.known && unsupported(&error) => check_allowed(nodes).and(Err(error)),
            placed => placed,
        }
    }

    /// Whether the policy of all of the range is the area's, and all of its pages that are in RAM
    /// are on the area's nodes.
    pub(super) fn holds(&self, start: NonNull<u8>, size: usize) -> Result<bool> {
        let nodes = match self.nodes {
            Some(nodes) => nodes,
            None => areas::allowed_nodes()?,
        };
        let asked = self.policy.over(nodes);
        let older = self.policy.on_older_kernels(nodes);
        let obeyed = |policy: &Policy| *policy == asked || Some(*policy) == older;
        if !range::policies(start, size)?.iter().all(|(_, policy)| obeyed(policy)) {
            return Ok(false);
        }
        if !self.policy.names_nodes() {
            return Ok(true);
        }
        let found = range::residency(start, size)?;
        if found.nodes().any(|(node, _)| !nodes.contains(node)) {
            return Ok(false);
        }
        // Totals will do, if they are of all.
        if found.node_unknown() > 0 { found.all_located().map(|_| true) } else { Ok(true) }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.policy.name();
        match self.nodes {
            Some(nodes) => write!(f, "policy {name}, nodes {nodes}"),
            None => write!(f, "policy {name}, nodes all allowed"),
        }
    }
}

/// The nodes, if all are allowed and there is one.
///
/// # Errors
/// [`ErrorKind::NodeNotAllowed`], which the kernel does not report as long as one of them is
/// allowed; [`ErrorKind::InvalidInput`] for none.
pub(super) fn check_allowed(nodes: NodeSet) -> Result<NodeSet> {
    Placement::new(Policy::Bind(nodes)).resolve(areas::allowed_nodes()?).map(|_| nodes)
}
