//! `areas nodes`: the machine's memory nodes, and which of them may be used.

use std::process::ExitCode;

use areas::topology::{Access, HugePool, NodeInfo};
use areas::{Bytes, Node, NodeSet, Topology};
use serde::Serialize;

use crate::args::Nodes;
use crate::failure::Result;
use crate::output;
use crate::output::json::{self, in_order};
use crate::output::style::Terminal;
use crate::output::table::{Holds, Table};

pub(crate) fn run(nodes: &Nodes) -> Result<ExitCode> {
    let topology = Topology::read()?;
    let allowed = areas::allowed_nodes()?;
    if nodes.json {
        let nodes = topology.nodes().iter().map(|info| NodeJson::new(info, allowed)).collect();
        json::print(NodesJson { nodes }, false)?;
    } else {
        output::print(&table(topology.nodes(), allowed).render(Terminal::stdout()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A node a row; columns of which the kernel tells nothing are left out.
fn table(nodes: &[NodeInfo], allowed: NodeSet) -> Table {
    let mut table = Table::new([
        ("NODE", Holds::Numbers),
        ("ALLOWED", Holds::Words),
        ("CPUS", Holds::Text),
        ("MEMORY", Holds::Numbers),
        ("FREE", Holds::Numbers),
        ("HUGE FREE/ALL", Holds::Text),
        ("DISTANCES", Holds::Text),
        ("TIER", Holds::Numbers),
        ("WEIGHT", Holds::Numbers),
        ("READ", Holds::Numbers),
        ("WRITE", Holds::Numbers),
        ("LATENCY", Holds::Numbers),
    ]);
    for info in nodes {
        let bytes = |bytes: Option<u64>| bytes.map_or("?".to_owned(), |bytes| format!("{:#}", Bytes(bytes)));
        let memory = info.memory.filter(|_| info.has_memory);
        let best = info.access.first();
        let rate = |rate: Option<u64>| rate.map_or(String::new(), |rate| format!("{rate} MB/s"));
        let said = |number: Option<u32>| number.map_or(String::new(), |number| number.to_string());
        table.row([
            info.node.to_string(),
            state(info, allowed).to_owned(),
            info.cpus.to_string(),
            if info.has_memory { bytes(memory.map(|memory| memory.total)) } else { "none".to_owned() },
            if info.has_memory { bytes(memory.map(|memory| memory.free)) } else { String::new() },
            info.huge_pools.iter().map(pool).collect::<Vec<_>>().join(", "),
            info.distances().map(|(_, distance)| distance.to_string()).collect::<Vec<_>>().join(" "),
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

fn state(info: &NodeInfo, allowed: NodeSet) -> &'static str {
    match (info.online, allowed.contains(info.node)) {
        (false, _) => "offline",
        (true, true) => "yes",
        (true, false) => "no",
    }
}

fn pool(pool: &HugePool) -> String {
    // 2M, 1G: as --huge has it.
    let size = Bytes(pool.page_size).to_string().replace(' ', "").replace("iB", "");
    format!("{size} {}/{}", pool.free, pool.total)
}

#[derive(Debug, Serialize)]
struct NodesJson {
    nodes: Vec<NodeJson>,
}

#[derive(Debug, Serialize)]
struct NodeJson {
    node: u32,
    online: bool,
    allowed: bool,
    has_memory: bool,
    cpus: String,
    memory: Option<u64>,
    free: Option<u64>,
    available: Option<u64>,
    shared: Option<u64>,
    huge_pools: Vec<PoolJson>,
    #[serde(serialize_with = "in_order")]
    distances: Option<Vec<(Node, u32)>>,
    tier: Option<u32>,
    weight: Option<u8>,
    access: Vec<AccessJson>,
}

impl NodeJson {
    fn new(info: &NodeInfo, allowed: NodeSet) -> Self {
        let memory = info.memory;
        let distances: Vec<_> = info.distances().collect();
        NodeJson {
            node: info.node.get(),
            online: info.online,
            allowed: allowed.contains(info.node),
            has_memory: info.has_memory,
            cpus: if info.cpus.is_empty() { String::new() } else { info.cpus.to_string() },
            memory: memory.map(|memory| memory.total),
            free: memory.map(|memory| memory.free),
            available: memory.map(|memory| memory.available()),
            shared: memory.map(|memory| memory.shared),
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
    total: u64,
    free: u64,
    surplus: u64,
}

impl From<&HugePool> for PoolJson {
    fn from(pool: &HugePool) -> Self {
        let HugePool { page_size, total, free, surplus, .. } = *pool;
        PoolJson { page_size, total, free, surplus }
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

impl From<&Access> for AccessJson {
    fn from(access: &Access) -> Self {
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
