//! `areas nodes`: the machine's memory nodes, and which of them may be used.

pub(crate) mod args;

use std::process::ExitCode;

use areas::place::{MemorySpace, Ranked, Space, Targets};
use areas::topology::{
    CacheIndexing, CpuSet, HugePool, MemoryPerformance, MemorySideCache, NodeInfo, Oddity,
};
use areas::{Bytes, Error, Node, NodeSet, Topology, escape_invisible};
use serde::Serialize;

use crate::choice::{self, Origin};
use crate::failure::Result;
use crate::output;
use crate::output::json::{self, in_order};
use crate::output::style::Terminal;
use crate::output::table::{Holds, Table};
use args::Nodes;

pub(crate) fn run(nodes: &Nodes) -> Result<ExitCode> {
    let (topology, allowed) = match &nodes.sysfs {
        // Which nodes of another machine may be used is not known.
        Some(root) => (Topology::read_from(root)?, None),
        None => (Topology::read()?, Some(areas::allowed_nodes()?)),
    };
    let spaces = spaces(&topology, allowed, nodes.from)?;
    if nodes.json {
        json::print(NodesJson::new(&topology, allowed, &spaces), false)?;
        return Ok(ExitCode::SUCCESS);
    }
    let table = table(&topology, allowed).render(Terminal::stdout());
    let spaces = spaces_table(&spaces).render(Terminal::stdout());
    output::print(&(table + &beside_nodes(&topology) + "\n" + &spaces))?;
    let oddities = topology.oddities();
    for oddity in oddities.iter().take(MAX_ODDITIES) {
        output::complain(&oddity.to_string());
    }
    if oddities.len() > MAX_ODDITIES {
        output::complain(&format!("and {} more: --json lists all", oddities.len() - MAX_ODDITIES));
    }
    Ok(ExitCode::SUCCESS)
}

/// The memory spaces, or why one is not known.
type Spaces = Vec<(Space, Result<MemorySpace, Error>)>;

/// Which nodes are in which memory space: of those that may be used.
fn spaces(topology: &Topology, allowed: Option<NodeSet>, from: Option<Origin>) -> Result<Spaces> {
    let mut targets = Targets::of(topology);
    if let Some(allowed) = allowed {
        targets = targets.within(allowed);
    }
    if let Some(from) = from {
        targets = from.ask(targets);
        // Where there is no such CPU or node, that is said once.
        targets.space(Space::All)?;
    }
    Ok(Space::LIST.into_iter().map(|space| (space, targets.space(space))).collect())
}

/// A space a row: its nodes, what they were chosen by, and of which that is not known.
fn spaces_table(spaces: &Spaces) -> Table {
    let mut table = Table::new([
        ("SPACE", Holds::Words),
        ("NODES", Holds::Words),
        ("UNKNOWN", Holds::Words),
        ("BY", Holds::Text),
    ]);
    for (space, found) in spaces {
        let row = match found {
            Ok(found) => [
                found.nodes().to_string(),
                if found.unknown().is_empty() { String::new() } else { found.unknown().to_string() },
                choice::figures(found),
            ],
            Err(error) => ["?".to_owned(), String::new(), why(error)],
        };
        table.row([space.to_string()].into_iter().chain(row));
    }
    table.without_empty_columns()
}

/// Why a space is not known, without what was tried.
fn why(error: &Error) -> String {
    error.facts().map_or_else(|| error.to_string(), str::to_owned)
}

/// More are reported in JSON only.
const MAX_ODDITIES: usize = 10;

/// The CPUs that are in no row of the table.
fn beside_nodes(topology: &Topology) -> String {
    let mut text = String::new();
    let mut add = |cpus: &CpuSet, what: &str| match cpus.len() {
        0 => {}
        1 => text += &format!("CPU {cpus} is {what}\n"),
        _ => text += &format!("CPUs {cpus} are {what}\n"),
    };
    add(&topology.cpus_without_node(), "in no node");
    let shown = topology.nodes().iter().map(|info| &info.offline_cpus);
    let offline = shown.fold(topology.offline_cpus().clone(), |rest, shown| rest.difference(shown));
    add(&offline, "offline");
    text
}

/// A node a row; columns for which the kernel reports nothing are left out.
fn table(topology: &Topology, allowed: Option<NodeSet>) -> Table {
    let mut table = Table::new([
        ("NODE", Holds::Numbers),
        ("ALLOWED", Holds::Words),
        ("CPUS", Holds::Text),
        ("MEMORY", Holds::Numbers),
        ("FREE", Holds::Numbers),
        ("CACHE", Holds::Text),
        ("HUGE FREE/ALL", Holds::Text),
        ("DISTANCES", Holds::Text),
        ("TIER", Holds::Numbers),
        ("WEIGHT", Holds::Numbers),
        ("READ", Holds::Numbers),
        ("WRITE", Holds::Numbers),
        ("LATENCY", Holds::Numbers),
    ]);
    for info in topology.nodes() {
        let memory = info.memory;
        let (total, free) = match info.has_memory {
            Some(false) => ("none".to_owned(), String::new()),
            _ => (
                in_words(memory.and_then(|memory| memory.total)),
                in_words(memory.and_then(|memory| memory.free)),
            ),
        };
        let best = info.access.first();
        let rate = |rate: Option<u64>| rate.map_or(String::new(), |rate| format!("{rate} MB/s"));
        let said = |number: Option<u32>| number.map_or(String::new(), |number| number.to_string());
        table.row([
            info.node.to_string(),
            state(info, allowed).to_owned(),
            cpus(info, topology.oddities()),
            total,
            free,
            info.memory_side_caches.iter().map(cache).collect::<Vec<_>>().join(", "),
            info.huge_pools.iter().map(pool).collect::<Vec<_>>().join(", "),
            distances(info, topology.oddities()),
            said(info.tier),
            said(info.weight.map(u32::from)),
            rate(best.and_then(|access| access.read_bandwidth)),
            rate(best.and_then(|access| access.write_bandwidth)),
            best.and_then(|access| access.read_latency)
                .map_or(String::new(), |latency| format!("{latency} ns")),
        ]);
    }
    table.without_empty_columns()
}

fn in_words(bytes: Option<u64>) -> String {
    bytes.map_or("?".to_owned(), |bytes| format!("{:#}", Bytes(bytes)))
}

fn state(info: &NodeInfo, allowed: Option<NodeSet>) -> &'static str {
    match (info.online, allowed.map(|allowed| allowed.contains(info.node))) {
        (false, _) => "offline",
        (true, Some(true)) => "yes",
        (true, Some(false)) => "no",
        (true, None) => "",
    }
}

/// `10 20 17`
fn distances(info: &NodeInfo, oddities: &[Oddity]) -> String {
    match info.knows_distances(oddities) {
        false => "?".to_owned(),
        true => info.distances().map(|(_, distance)| distance.to_string()).collect::<Vec<_>>().join(" "),
    }
}

/// `0-3`, `0-1 (2-3 offline)`, `none`, or `?` where the files that have them cannot be read.
fn cpus(info: &NodeInfo, oddities: &[Oddity]) -> String {
    let online = if info.knows_cpus(oddities) { info.cpus.to_string() } else { "?".to_owned() };
    if info.offline_cpus.is_empty() { online } else { format!("{online} ({} offline)", info.offline_cpus) }
}

/// `16.0 GiB`, `16.0 GiB direct`: where each address has one place in it, what lies far apart may
/// push each other out.
fn cache(cache: &MemorySideCache) -> String {
    let direct = if cache.indexing == Some(CacheIndexing::Direct) { " direct" } else { "" };
    in_words(cache.size) + direct
}

fn pool(pool: &HugePool) -> String {
    // 2M, 1G: as --huge has it.
    let size = Bytes(pool.page_size).to_string().replace(' ', "").replace("iB", "");
    let count = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
    format!("{size} {}/{}", count(pool.free), count(pool.total))
}

#[derive(Debug, Serialize)]
struct NodesJson {
    nodes: Vec<NodeJson>,
    /// The memory spaces.
    spaces: Vec<SpaceJson>,
    /// CPUs that are online and in no node.
    cpus_without_node: String,
    /// All CPUs that are there and offline.
    offline_cpus: String,
    /// What could not be read, or makes no sense: what it should have said is null, or empty.
    oddities: Vec<OddityJson>,
}

impl NodesJson {
    fn new(topology: &Topology, allowed: Option<NodeSet>, spaces: &Spaces) -> Self {
        NodesJson {
            spaces: spaces.iter().map(|(space, found)| SpaceJson::new(*space, found)).collect(),
            nodes: topology
                .nodes()
                .iter()
                .map(|info| NodeJson::new(info, allowed, topology.oddities()))
                .collect(),
            cpus_without_node: cpu_list(&topology.cpus_without_node()),
            offline_cpus: cpu_list(topology.offline_cpus()),
            oddities: topology.oddities().iter().map(OddityJson::from).collect(),
        }
    }
}

fn cpu_list(cpus: &CpuSet) -> String {
    if cpus.is_empty() { String::new() } else { cpus.to_string() }
}

/// A memory space: nodes that are the best of those that may be used, by what the kernel or the
/// firmware says.
#[derive(Debug, Serialize)]
struct SpaceJson {
    space: &'static str,
    /// Null where nothing is known; `why` says so then.
    nodes: Option<Vec<u32>>,
    /// Nodes of which the figure is not known: they are left out.
    unknown: Option<Vec<u32>>,
    figures: Vec<FigureJson>,
    why: Option<String>,
}

/// What a node was chosen by: bytes, MB/s or ns, as the space has it.
#[derive(Debug, Serialize)]
struct FigureJson {
    node: u32,
    value: u64,
    source: String,
}

impl SpaceJson {
    fn new(space: Space, found: &Result<MemorySpace, Error>) -> Self {
        let ids = |nodes: NodeSet| nodes.iter().map(Node::get).collect();
        let known = found.as_ref().ok();
        let figure = |ranked: &Ranked| FigureJson {
            node: ranked.node.get(),
            value: ranked.value,
            source: ranked.source.to_string(),
        };
        SpaceJson {
            space: space.name(),
            nodes: known.map(|found| ids(found.nodes())),
            unknown: known.map(|found| ids(found.unknown())),
            figures: known.map(|found| found.figures().iter().map(figure).collect()).unwrap_or_default(),
            why: found.as_ref().err().map(why),
        }
    }
}

#[derive(Debug, Serialize)]
struct OddityJson {
    node: Option<u32>,
    file: String,
    why: String,
}

impl From<&Oddity> for OddityJson {
    fn from(oddity: &Oddity) -> Self {
        OddityJson {
            node: oddity.node.map(Node::get),
            file: escape_invisible(&oddity.file.to_string_lossy()).into_owned(),
            why: oddity.why.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct NodeJson {
    node: u32,
    online: bool,
    /// Null for another machine's.
    allowed: Option<bool>,
    has_memory: Option<bool>,
    /// Null where they are not known; empty for a node that has none.
    cpus: Option<String>,
    offline_cpus: String,
    memory: Option<u64>,
    free: Option<u64>,
    available: Option<u64>,
    shared: Option<u64>,
    memory_side_caches: Vec<CacheJson>,
    huge_pools: Vec<PoolJson>,
    #[serde(serialize_with = "in_order")]
    distances: Option<Vec<(Node, u32)>>,
    tier: Option<u32>,
    weight: Option<u8>,
    access: Vec<AccessJson>,
}

impl NodeJson {
    fn new(info: &NodeInfo, allowed: Option<NodeSet>, oddities: &[Oddity]) -> Self {
        let memory = info.memory;
        let distances: Vec<_> = info.distances().collect();
        NodeJson {
            node: info.node.get(),
            online: info.online,
            allowed: allowed.map(|allowed| allowed.contains(info.node)),
            has_memory: info.has_memory,
            cpus: info.knows_cpus(oddities).then(|| cpu_list(&info.cpus)),
            offline_cpus: cpu_list(&info.offline_cpus),
            memory: memory.and_then(|memory| memory.total),
            free: memory.and_then(|memory| memory.free),
            available: memory.and_then(|memory| memory.available()),
            shared: memory.and_then(|memory| memory.shared),
            memory_side_caches: info.memory_side_caches.iter().map(CacheJson::from).collect(),
            huge_pools: info.huge_pools.iter().map(PoolJson::from).collect(),
            distances: (!distances.is_empty()).then_some(distances),
            tier: info.tier,
            weight: info.weight,
            access: info.access.iter().map(AccessJson::from).collect(),
        }
    }
}

/// Counts are pages.
#[derive(Debug, Serialize)]
struct PoolJson {
    page_size: u64,
    total: Option<u64>,
    free: Option<u64>,
    surplus: Option<u64>,
}

impl From<&HugePool> for PoolJson {
    fn from(pool: &HugePool) -> Self {
        let HugePool { page_size, total, free, surplus, .. } = *pool;
        PoolJson { page_size, total, free, surplus }
    }
}

/// A cache in front of a node's memory. Sizes are bytes.
#[derive(Debug, Serialize)]
struct CacheJson {
    level: u32,
    size: Option<u64>,
    line_size: Option<u64>,
    /// `direct`, `indexed`, `other`.
    indexing: Option<String>,
    /// `write-back`, `write-through`, `other`.
    write_policy: Option<String>,
}

impl From<&MemorySideCache> for CacheJson {
    fn from(cache: &MemorySideCache) -> Self {
        CacheJson {
            level: cache.level,
            size: cache.size,
            line_size: cache.line_size,
            indexing: cache.indexing.map(|indexing| indexing.to_string()),
            write_policy: cache.write_policy.map(|policy| policy.to_string()),
        }
    }
}

/// Bandwidths are MB/s, latencies ns, as the firmware rates them for accesses from the initiators.
#[derive(Debug, Serialize)]
struct AccessJson {
    class: u8,
    initiators: Vec<u32>,
    read_bandwidth: Option<u64>,
    write_bandwidth: Option<u64>,
    read_latency: Option<u64>,
    write_latency: Option<u64>,
}

impl From<&MemoryPerformance> for AccessJson {
    fn from(access: &MemoryPerformance) -> Self {
        AccessJson {
            class: access.class,
            initiators: access.initiators.iter().map(Node::get).collect(),
            read_bandwidth: access.read_bandwidth,
            write_bandwidth: access.write_bandwidth,
            read_latency: access.read_latency,
            write_latency: access.write_latency,
        }
    }
}
