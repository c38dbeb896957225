//! Reads a topology from a tree that looks like `/sys`.

use std::path::Path;

use super::cpuset::CpuSet;
use super::file::{self, Folder};
use super::node_info::{Access, HugePool, NodeInfo};
use super::{Topology, meminfo};
use crate::error::{Error, Kind, Result};
use crate::place::list::{self, excerpt};
use crate::place::{Node, NodeSet};

/// How often nodes may come or go while they are read before that is an error, or an outdated answer.
const TRIES: usize = 3;

pub(super) fn topology(root: &Path) -> Result<Topology> {
    let tree = Tree::of(root);
    if !tree.nodes.exists() {
        return tree.without_numa();
    }
    for _ in 1..TRIES {
        let before = tree.online();
        let read = tree.with_numa();
        if before.is_ok() && before.ok() == tree.online().ok() {
            return read;
        }
    }
    tree.with_numa()
}

/// The folders that matter.
struct Tree {
    root: Folder,
    nodes: Folder,
    cpus: Folder,
    tiers: Folder,
    weights: Folder,
}

impl Tree {
    fn of(root: &Path) -> Self {
        let root = Folder::at(root);
        Tree {
            nodes: root.sub("devices/system/node"),
            cpus: root.sub("devices/system/cpu"),
            tiers: root.sub("devices/virtual/memory_tiering"),
            weights: root.sub("kernel/mm/mempolicy/weighted_interleave"),
            root,
        }
    }

    /// A kernel without NUMA: everything is node 0.
    fn without_numa(&self) -> Result<Topology> {
        if !self.cpus.exists() {
            let root = self.root.path().display();
            return Err(Error::new(Kind::Unsupported, format!("read the memory nodes of {root}"))
                .detail("it has neither devices/system/node nor devices/system/cpu")
                .help("mount it: `mount -t sysfs sysfs /sys`; or name another root"));
        }
        let cpus = self.cpus.parse("online", CpuSet::from_kernel_list)?.unwrap_or_default();
        let memory = if self.root.path() == Path::new("/sys") {
            Folder::at("/proc").parse("meminfo", meminfo::parse)?
        } else {
            None
        };
        let node = Node::of::<0>();
        Ok(Topology {
            root: self.root.path().to_owned(),
            is_numa: false,
            possible: NodeSet::single(node),
            nodes: vec![NodeInfo {
                node,
                online: true,
                has_memory: true,
                has_generic_initiator: false,
                cpus: cpus.clone(),
                memory,
                huge_pools: huge_pools(&self.root.sub("kernel/mm/hugepages"))?,
                access: Vec::new(),
                tier: None,
                weight: None,
                distances: vec![(node, 10)],
            }],
            cpus,
        })
    }

    fn with_numa(&self) -> Result<Topology> {
        let shown: NodeSet = node_entries(&self.nodes)?;
        let online = self.online()?.unwrap_or(shown);
        let possible = self.nodes.parse("possible", NodeSet::from_kernel_list)?.unwrap_or(online) | online;
        let online_cpus = self.cpus.parse("online", CpuSet::from_kernel_list)?;
        let facts = Shared {
            online,
            possible,
            has_memory: self.has_memory()?,
            generic_initiators: self.nodes.parse("has_generic_initiator", NodeSet::from_kernel_list)?,
            tiers: self.tiers()?,
        };
        let nodes: Vec<NodeInfo> = (online | shown)
            .iter()
            .map(|node| self.node(node, &facts, online_cpus.as_ref()))
            .collect::<Result<_>>()?;
        let cpus = online_cpus.unwrap_or_else(|| CpuSet::union(nodes.iter().map(|info| &info.cpus)));
        Ok(Topology { root: self.root.path().to_owned(), is_numa: true, possible, cpus, nodes })
    }

    fn online(&self) -> Result<Option<NodeSet>> {
        self.nodes.parse("online", NodeSet::from_kernel_list)
    }

    fn has_memory(&self) -> Result<Option<NodeSet>> {
        match self.nodes.parse("has_memory", NodeSet::from_kernel_list)? {
            Some(nodes) => Ok(Some(nodes)),
            None => self.nodes.parse("has_normal_memory", NodeSet::from_kernel_list),
        }
    }

    fn tiers(&self) -> Result<Vec<(u32, NodeSet)>> {
        let mut tiers = Vec::new();
        for tier in self.tiers.numbered("memory_tier", "", u32::MAX)? {
            let folder = self.tiers.sub(format!("memory_tier{tier}"));
            if let Some(nodes) = folder.parse("nodelist", NodeSet::from_kernel_list)? {
                tiers.push((tier, nodes));
            }
        }
        Ok(tiers)
    }

    fn node(&self, node: Node, facts: &Shared, online_cpus: Option<&CpuSet>) -> Result<NodeInfo> {
        let folder = self.nodes.sub(format!("node{node}"));
        let memory = folder.parse("meminfo", meminfo::parse)?;
        let cpus = cpus(&folder)?;
        Ok(NodeInfo {
            node,
            online: facts.online.contains(node),
            has_memory: match facts.has_memory {
                Some(nodes) => nodes.contains(node),
                None => memory.is_some_and(|memory| memory.total > 0),
            },
            has_generic_initiator: facts.generic_initiators.is_some_and(|nodes| nodes.contains(node)),
            // Old kernels list CPUs that are offline, too.
            cpus: online_cpus.map_or(cpus.clone(), |online| cpus.intersection(online)),
            memory,
            huge_pools: huge_pools(&folder.sub("hugepages"))?,
            access: access(&folder)?,
            tier: facts.tiers.iter().find(|(_, nodes)| nodes.contains(node)).map(|&(tier, _)| tier),
            weight: self.weights.parse(&format!("node{node}"), weight)?,
            distances: distances(&folder, facts)?,
        })
    }
}

/// Facts that one file tells of all nodes.
struct Shared {
    online: NodeSet,
    possible: NodeSet,
    has_memory: Option<NodeSet>,
    generic_initiators: Option<NodeSet>,
    tiers: Vec<(u32, NodeSet)>,
}

fn node_entries(folder: &Folder) -> Result<NodeSet> {
    let numbers = folder.numbered("node", "", Node::MAX.get())?;
    Ok(numbers.into_iter().filter_map(Node::checked).collect())
}

fn cpus(node: &Folder) -> Result<CpuSet> {
    match node.parse("cpulist", CpuSet::from_kernel_list)? {
        Some(cpus) => Ok(cpus),
        None => Ok(node.parse("cpumap", CpuSet::from_kernel_mask)?.unwrap_or_default()),
    }
}

/// A line of distances, one for each online node.
fn distances(node: &Folder, facts: &Shared) -> Result<Vec<(Node, u32)>> {
    const NAME: &str = "distance";
    let line = node.parse(NAME, |text| {
        let numbers = text.split_ascii_whitespace().map(|number| list::number(number, u32::MAX));
        Ok((numbers.collect::<Result<Vec<u32>, _>>()?, excerpt(text)))
    })?;
    let Some((numbers, text)) = line else { return Ok(Vec::new()) };
    // Trees with a node taken offline by hand still have its column.
    let columns = [facts.online, facts.possible].into_iter().find(|nodes| nodes.len() == numbers.len());
    match columns {
        Some(nodes) => Ok(nodes.iter().zip(numbers).collect()),
        None => Err(node.malformed(
            NAME,
            format!("{text} has {} distances, and nodes {} are online", numbers.len(), facts.online),
        )),
    }
}

fn huge_pools(folder: &Folder) -> Result<Vec<HugePool>> {
    let mut pools = Vec::new();
    for kib in folder.numbered("hugepages-", "kB", u32::MAX)? {
        let name = format!("hugepages-{kib}kB");
        if !kib.is_power_of_two() {
            return Err(folder.malformed(&name, format!("{kib} kB is not the size of a page")));
        }
        let pool = folder.sub(name);
        let counts =
            (pool.number("nr_hugepages")?, pool.number("free_hugepages")?, pool.number("surplus_hugepages")?);
        if let (Some(total), Some(free), Some(surplus)) = counts {
            pools.push(HugePool { page_size: u64::from(kib) << 10, total, free, surplus });
        }
    }
    Ok(pools)
}

fn access(node: &Folder) -> Result<Vec<Access>> {
    let mut all = Vec::new();
    for class in [1, 0] {
        let folder = node.sub(format!("access{class}/initiators"));
        let initiators = node_entries(&folder)?;
        if initiators.is_empty() {
            continue;
        }
        let told = |name| Ok::<_, Error>(folder.number(name)?.filter(|&value| value != 0));
        all.push(Access {
            class,
            initiators,
            read_bandwidth: told("read_bandwidth")?,
            write_bandwidth: told("write_bandwidth")?,
            read_latency: told("read_latency")?,
            write_latency: told("write_latency")?,
        });
    }
    Ok(all)
}

fn weight(text: &str) -> Result<u8, String> {
    match u8::try_from(file::number(text)?) {
        Ok(weight @ 1..) => Ok(weight),
        _ => Err(format!("{} is no weight from 1 to 255", excerpt(text))),
    }
}
