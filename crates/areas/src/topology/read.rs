//! Reads a topology from a tree that looks like `/sys`.

use std::path::Path;

use super::cpuset::{self, CpuSet};
use super::file::{self, Folder, Notes};
use super::node_info::{
    CacheIndexing, CacheWrites, HugePool, Memory, MemoryPerformance, MemorySideCache, NodeInfo,
};
use super::{Topology, meminfo};
use crate::error::{Error, ErrorKind, Result};
use crate::nodes::list::{self, excerpt};
use crate::nodes::{Node, NodeSet};

/// How often nodes may come or go while they are read before that is an outdated answer.
const TRIES: usize = 3;

pub(super) fn topology(root: &Path) -> Result<Topology> {
    let mut read = None;
    for _ in 0..TRIES {
        let notes = Notes::default();
        let tree = Tree::of(root, &notes);
        if !tree.nodes.exists() {
            let topology = tree.without_numa()?;
            return Ok(Topology { oddities: notes.into_inner(), ..topology });
        }
        let before = tree.online();
        let topology = tree.with_numa(before);
        let after = tree.online();
        let oddities = notes.into_inner();
        if topology.nodes.is_empty() {
            let reported = oddities.first().map_or("it names no node".to_owned(), ToString::to_string);
            let folder = root.join("devices/system/node");
            return Err(Error::new(ErrorKind::Io, format!("read {}", folder.display())).with_facts(reported));
        }
        read = Some(Topology { oddities, ..topology });
        if before == after {
            break;
        }
    }
    read.ok_or_else(|| Error::new(ErrorKind::Io, format!("read the memory nodes of {}", root.display())))
}

/// The folders that matter.
struct Tree<'a> {
    root: Folder<'a>,
    nodes: Folder<'a>,
    cpus: Folder<'a>,
    tiers: Folder<'a>,
    weights: Folder<'a>,
}

impl<'a> Tree<'a> {
    fn of(root: &Path, notes: &'a Notes) -> Self {
        let root = Folder::at(root, notes);
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
            let root = self.root.path();
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("read the memory nodes of {}", root.display()),
            )
            .with_facts("it has neither devices/system/node nor devices/system/cpu")
            .with_remedy(match root == Path::new("/sys") {
                true => "mount it: `mount -t sysfs sysfs /sys`",
                false => "name the very folder that is a copy of /sys: the one that has `devices` in it",
            }));
        }
        let cpus = self.online_cpus().unwrap_or_default();
        let offline_cpus = self.present_cpus().difference(&cpus);
        let memory = if self.root.path() == Path::new("/sys") {
            meminfo_of(&self.root.elsewhere("/proc"))
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
                has_memory: Some(true),
                has_generic_initiator: false,
                cpus: cpus.clone(),
                offline_cpus: offline_cpus.clone(),
                memory,
                huge_pools: huge_pools(&self.root.sub("kernel/mm/hugepages")),
                access: Vec::new(),
                memory_side_caches: Vec::new(),
                tier: None,
                weight: None,
                distances: vec![(node, 10)],
            }],
            cpus,
            offline_cpus,
            oddities: Vec::new(),
        })
    }

    /// `online` is what the file of that name says.
    fn with_numa(&self, online: Option<NodeSet>) -> Topology {
        let shown: NodeSet = node_entries(&self.nodes);
        let online = online.unwrap_or(shown);
        let possible = self.nodes.parse("possible", NodeSet::from_kernel_list).unwrap_or(online) | online;
        let online_cpus = self.online_cpus();
        let facts = Shared {
            online,
            columns: [online, shown, possible],
            has_memory: self.has_memory(online),
            generic_initiators: self.nodes.parse("has_generic_initiator", NodeSet::from_kernel_list),
            tiers: self.tiers(),
        };
        let nodes: Vec<NodeInfo> =
            (online | shown).iter().map(|node| self.node(node, &facts, online_cpus.as_ref())).collect();
        self.note_unlisted_memory(&nodes, &facts);
        let cpus = online_cpus.unwrap_or_else(|| CpuSet::union(nodes.iter().map(|info| &info.cpus)));
        let offline = nodes.iter().map(|info| &info.offline_cpus);
        let present = self.present_cpus().difference(&cpus);
        let offline_cpus = CpuSet::union(offline.chain([&present]));
        let root = self.root.path().to_owned();
        Topology { root, is_numa: true, possible, cpus, offline_cpus, nodes, oddities: Vec::new() }
    }

    /// The nodes that the kernel says are online. A machine has one at least.
    fn online(&self) -> Option<NodeSet> {
        self.nodes.parse("online", |text| match NodeSet::from_kernel_list(text)? {
            NodeSet::EMPTY => Err("it names no node".to_owned()),
            nodes => Ok(nodes),
        })
    }

    /// The CPUs that are online: by one list of all, else by what is said of each.
    fn online_cpus(&self) -> Option<CpuSet> {
        let listed = self.cpus.parse("online", |text| {
            let cpus = CpuSet::from_kernel_list(text)?;
            if cpus.is_empty() { Err("it names no CPU".to_owned()) } else { Ok(cpus) }
        });
        listed.or_else(|| {
            let mut cpus = self.cpus.numbered("cpu", "", cpuset::MAX);
            // One that cannot be taken offline has no such file.
            cpus.retain(|cpu| self.cpus.sub(format!("cpu{cpu}")).number("online") != Some(0));
            Some(CpuSet::of(&cpus)).filter(|cpus| !cpus.is_empty())
        })
    }

    /// The CPUs that are there, online or not.
    fn present_cpus(&self) -> CpuSet {
        let listed = self.cpus.parse("present", CpuSet::from_kernel_list);
        listed.unwrap_or_else(|| CpuSet::of(&self.cpus.numbered("cpu", "", cpuset::MAX)))
    }

    /// The nodes that one file says have memory, and that file's name. Some kernels and captured
    /// trees leave nodes in it that have gone offline.
    fn has_memory(&self, online: NodeSet) -> Option<(NodeSet, &'static str)> {
        let (nodes, name) = ["has_memory", "has_normal_memory"]
            .into_iter()
            .find_map(|name| Some((self.nodes.parse(name, NodeSet::from_kernel_list)?, name)))?;
        let stale = nodes - online;
        if !stale.is_empty() {
            self.nodes.note(name, format!("it has {}: not online", stale.in_words()));
        }
        Some((nodes, name))
    }

    fn tiers(&self) -> Vec<(u32, NodeSet)> {
        let tiers = self.tiers.numbered("memory_tier", "", u32::MAX).into_iter();
        let nodes = |tier| {
            let folder = self.tiers.sub(format!("memory_tier{tier}"));
            Some((tier, folder.parse("nodelist", NodeSet::from_kernel_list)?))
        };
        tiers.filter_map(nodes).collect()
    }

    fn node(&self, node: Node, facts: &Shared, online_cpus: Option<&CpuSet>) -> NodeInfo {
        let folder = self.nodes.of_node(node);
        let memory = meminfo_of(&folder);
        let (cpus, offline_cpus) = cpus(&folder, online_cpus);
        NodeInfo {
            node,
            online: facts.online.contains(node),
            // What the node itself says is believed before what a list says of it.
            has_memory: match memory.and_then(|memory| memory.total) {
                Some(total) => Some(total > 0),
                None => facts.has_memory.map(|(nodes, _)| nodes.contains(node)),
            },
            has_generic_initiator: facts.generic_initiators.is_some_and(|nodes| nodes.contains(node)),
            cpus,
            offline_cpus,
            memory,
            huge_pools: huge_pools(&folder.sub("hugepages")),
            access: access(&folder),
            memory_side_caches: memory_side_caches(&folder.sub("memory_side_cache")),
            tier: facts.tiers.iter().find(|(_, nodes)| nodes.contains(node)).map(|&(tier, _)| tier),
            weight: self.weights.parse(&format!("node{node}"), weight),
            distances: distances(&folder, facts),
        }
    }

    /// Nodes of which the list and their own `meminfo` disagree.
    fn note_unlisted_memory(&self, nodes: &[NodeInfo], facts: &Shared) {
        let Some((listed, name)) = facts.has_memory else { return };
        let those = |has: bool| -> NodeSet {
            let odd = |info: &&NodeInfo| {
                info.online && info.has_memory == Some(has) && listed.contains(info.node) != has
            };
            nodes.iter().filter(odd).map(|info| info.node).collect()
        };
        for (nodes, says, but) in
            [(those(true), "does not have", "memory"), (those(false), "has", "no memory")]
        {
            if !nodes.is_empty() {
                self.nodes.note(name, format!("it {says} {}: meminfo reports {but}", nodes.in_words()));
            }
        }
    }
}

/// Facts that one file has of all nodes.
struct Shared {
    online: NodeSet,
    /// The nodes that a line of distances may be about.
    columns: [NodeSet; 3],
    has_memory: Option<(NodeSet, &'static str)>,
    generic_initiators: Option<NodeSet>,
    tiers: Vec<(u32, NodeSet)>,
}

fn node_entries(folder: &Folder<'_>) -> NodeSet {
    folder.numbered("node", "", Node::MAX.get()).into_iter().filter_map(Node::checked).collect()
}

/// What `meminfo` in a folder says; what it does not say, and should, is noted.
fn meminfo_of(folder: &Folder<'_>) -> Option<Memory> {
    const NAME: &str = "meminfo";
    let (memory, odd) = folder.parse(NAME, |text| Ok(meminfo::read(text)))?;
    odd.into_iter().for_each(|why| folder.note(NAME, why));
    Some(memory)
}

/// A node's CPUs: those that are online, and those that are not.
fn cpus(node: &Folder<'_>, online: Option<&CpuSet>) -> (CpuSet, CpuSet) {
    // An entry for each CPU that is there, online or not.
    let entries = CpuSet::of(&node.numbered("cpu", "", cpuset::MAX));
    let listed = node
        .parse("cpulist", CpuSet::from_kernel_list)
        .or_else(|| node.parse("cpumap", CpuSet::from_kernel_mask));
    // Old kernels list CPUs that are offline, too.
    let listed = listed.unwrap_or_else(|| entries.clone());
    match online {
        Some(online) => {
            (listed.intersection(online), CpuSet::union([&listed, &entries].into_iter()).difference(online))
        }
        None => (listed, CpuSet::default()),
    }
}

/// A line of distances, one for each online node.
fn distances(node: &Folder<'_>, facts: &Shared) -> Vec<(Node, u32)> {
    let distances = node.parse("distance", |text| {
        let numbers = text.split_ascii_whitespace().map(|number| list::number(number, u32::MAX));
        let numbers = numbers.collect::<Result<Vec<u32>, _>>()?;
        // Trees with a node taken offline by hand still have its column.
        match facts.columns.into_iter().find(|nodes| nodes.len() == numbers.len()) {
            Some(nodes) => Ok(nodes.iter().zip(numbers).collect()),
            None => Err(format!(
                "{} has {} distances, and nodes {} are online",
                excerpt(text),
                numbers.len(),
                facts.online
            )),
        }
    });
    distances.unwrap_or_default()
}

fn huge_pools(folder: &Folder<'_>) -> Vec<HugePool> {
    let mut pools = Vec::new();
    for kib in folder.numbered("hugepages-", "kB", u32::MAX) {
        let name = format!("hugepages-{kib}kB");
        if !kib.is_power_of_two() {
            folder.note(&name, format!("{kib} kB is not the size of a page"));
            continue;
        }
        let pool = folder.sub(name);
        pools.push(HugePool {
            page_size: u64::from(kib) << 10,
            total: pool.number("nr_hugepages"),
            free: pool.number("free_hugepages"),
            surplus: pool.number("surplus_hugepages"),
        });
    }
    pools
}

fn access(node: &Folder<'_>) -> Vec<MemoryPerformance> {
    let mut all = Vec::new();
    for class in [1, 0] {
        let folder = node.sub(format!("access{class}/initiators"));
        let initiators = node_entries(&folder);
        if initiators.is_empty() {
            continue;
        }
        let reported = |name| folder.number(name).filter(|&value| value != 0);
        all.push(MemoryPerformance {
            class,
            initiators,
            read_bandwidth: reported("read_bandwidth"),
            write_bandwidth: reported("write_bandwidth"),
            read_latency: reported("read_latency"),
            write_latency: reported("write_latency"),
        });
    }
    all
}

fn memory_side_caches(folder: &Folder<'_>) -> Vec<MemorySideCache> {
    let levels = folder.numbered("index", "", u32::MAX).into_iter();
    let cache = |level| {
        let cache = folder.sub(format!("index{level}"));
        let reported = |name| cache.number(name).filter(|&value| value != 0);
        MemorySideCache {
            level,
            size: reported("size"),
            line_size: reported("line_size"),
            indexing: cache.number("indexing").map(|number| match number {
                0 => CacheIndexing::Direct,
                1 => CacheIndexing::Indexed,
                _ => CacheIndexing::Other,
            }),
            write_policy: cache.number("write_policy").map(|number| match number {
                0 => CacheWrites::Back,
                1 => CacheWrites::Through,
                _ => CacheWrites::Other,
            }),
        }
    };
    levels.map(cache).collect()
}

fn weight(text: &str) -> Result<u8, String> {
    match u8::try_from(file::number(text)?) {
        Ok(weight @ 1..) => Ok(weight),
        _ => Err(format!("{} is not a weight from 1 to 255", excerpt(text))),
    }
}
