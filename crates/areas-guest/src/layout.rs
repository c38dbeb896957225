//! What the guest's memory looks like: nodes, distances, latencies and bandwidths, read from the
//! command line and turned into QEMU's arguments. Everything that can be wrong with a layout is
//! reported here, before a guest is started.

use std::str::FromStr;

/// Two nodes with CPUs, one large slow node and one small fast node without.
pub(crate) const NODES: &str = "2:512 1:512 0:768 0:256";
/// Both CPU-less nodes hang off node 0. By distance alone the fast node looks worse than local
/// memory, as it does on real machines: only the HMAT says that it is better.
const DIST: &str = "10,20,30,12;20,10,36,22;30,36,10,40;12,22,40,10";
/// Nanoseconds, one row for each node with CPUs.
const LAT: &str = "90,140,300,60;140,90,360,80";
/// MB/s, one row for each node with CPUs.
const BW: &str = "100000,50000,20000,400000;50000,100000,15000,200000";

/// One node: how many CPUs and how much memory it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) cpus: u32,
    pub(crate) mib: u32,
}

/// The nodes of a guest, those with CPUs first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nodes(Vec<Node>);

impl FromStr for Nodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let nodes = text
            .split_whitespace()
            .map(|word| {
                let (cpus, mib) = word
                    .split_once(':')
                    .ok_or_else(|| format!("'{word}' is not CPUS:MIB, for example 2:512 or 0:256"))?;
                let number = |part: &str| {
                    part.parse::<u32>()
                        .map_err(|error| format!("'{part}' in '{word}' is not a number: {error}"))
                };
                Ok(Node { cpus: number(cpus)?, mib: number(mib)? })
            })
            .collect::<Result<Vec<_>, String>>()?;
        if nodes.first().is_none_or(|first| first.cpus == 0 || first.mib == 0) {
            return Err("the first node needs a CPU and memory: the kernel boots from it".into());
        }
        // Linux numbers nodes with CPUs first, so any other order would not come out as it was
        // asked.
        if nodes.windows(2).any(|pair| pair[0].cpus == 0 && pair[1].cpus > 0) {
            return Err("nodes with CPUs must come before those without".into());
        }
        if let Some(empty) = nodes.iter().position(|node| node.cpus == 0 && node.mib == 0) {
            return Err(format!("node {empty} has neither a CPU nor memory"));
        }
        Ok(Self(nodes))
    }
}

/// Numbers by row and column: `1,2;3,4`. A cell `-` is left out of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matrix(Vec<Vec<Option<u32>>>);

impl FromStr for Matrix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let cell = |cell: &str| match cell.trim() {
            "-" => Ok(None),
            number => number
                .parse()
                .map(Some)
                .map_err(|error| format!("'{number}' is neither a number nor '-': {error}")),
        };
        text.split(';').map(|row| row.split(',').map(cell).collect()).collect::<Result<_, _>>().map(Self)
    }
}

/// A checked machine: every table has the shape that the nodes ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    nodes: Vec<Node>,
    dist: Option<Matrix>,
    hmat: bool,
    lat: Option<Matrix>,
    bw: Option<Matrix>,
}

impl Layout {
    /// The layout for what was asked. Without nodes it is the default one, whose tables stand in
    /// for those not given.
    pub(crate) fn new(
        nodes: Option<Nodes>,
        dist: Option<Matrix>,
        hmat: bool,
        lat: Option<Matrix>,
        bw: Option<Matrix>,
    ) -> Result<Self, String> {
        let layout = match nodes {
            Some(Nodes(nodes)) => Self { hmat: hmat || lat.is_some() || bw.is_some(), nodes, dist, lat, bw },
            None => Self {
                nodes: NODES.parse::<Nodes>()?.0,
                dist: Some(dist.map_or_else(|| DIST.parse(), Ok)?),
                hmat: true,
                lat: Some(lat.map_or_else(|| LAT.parse(), Ok)?),
                bw: Some(bw.map_or_else(|| BW.parse(), Ok)?),
            },
        };
        layout.check()?;
        Ok(layout)
    }

    fn check(&self) -> Result<(), String> {
        let (all, with_cpus) = (self.nodes.len(), self.nodes.iter().filter(|node| node.cpus > 0).count());
        if let Some(Matrix(rows)) = &self.dist {
            if rows.len() != all || rows.iter().any(|row| row.len() != all) {
                return Err(format!("--dist needs {all} rows of {all} numbers, one for each node"));
            }
            for (from, row) in rows.iter().enumerate() {
                for (to, &distance) in row.iter().enumerate() {
                    let good = distance.is_some_and(|d| if from == to { d == 10 } else { d > 10 && d < 255 });
                    if !good {
                        return Err(format!(
                            "--dist from {from} to {to}: a node is 10 from itself and 11 to 254 from others"
                        ));
                    }
                }
            }
        }
        for (option, matrix) in [("--lat", &self.lat), ("--bw", &self.bw)] {
            let Some(Matrix(rows)) = matrix else { continue };
            if (rows.len() != with_cpus && rows.len() != all) || rows.iter().any(|row| row.len() != all) {
                return Err(format!(
                    "{option} needs {with_cpus} rows (one for each node with CPUs) of {all} numbers (one for each node)"
                ));
            }
            if rows.iter().flatten().any(|cell| *cell == Some(0)) {
                return Err(format!("{option}: 0 is not a measurement; leave a cell out with '-'"));
            }
        }
        // Linux rejects QEMU's whole HMAT then, and the test would see no attributes at all.
        if self.hmat && self.nodes.iter().any(|node| node.mib == 0) {
            return Err(
                "a node without memory makes Linux ignore the HMAT: give it memory or leave --hmat out"
                    .into(),
            );
        }
        Ok(())
    }

    /// Memory of all nodes.
    pub(crate) fn total_mib(&self) -> u64 {
        self.nodes.iter().map(|node| u64::from(node.mib)).sum()
    }

    fn distance(&self, from: usize, to: usize) -> u32 {
        let default = if from == to { 10 } else { 20 };
        self.dist.as_ref().and_then(|Matrix(rows)| rows[from][to]).unwrap_or(default)
    }

    /// The node with CPUs that is nearest to `to`: the HMAT calls it the initiator of a node
    /// without.
    fn nearest_initiator(&self, to: usize) -> usize {
        let with_cpus = (0..self.nodes.len()).filter(|&node| self.nodes[node].cpus > 0);
        with_cpus.min_by_key(|&from| self.distance(from, to)).unwrap_or(0)
    }

    /// QEMU's arguments for this machine.
    pub(crate) fn qemu_args(&self) -> Vec<String> {
        let mut args = vec!["-machine".into(), if self.hmat { "q35,hmat=on" } else { "q35" }.into()];
        args.extend(["-smp".into(), self.smp(), "-m".into(), format!("{}M", self.total_mib())]);
        let mut next_cpu = 0;
        for (id, node) in self.nodes.iter().enumerate() {
            let mut numa = format!("node,nodeid={id}");
            if node.mib > 0 {
                args.extend(["-object".into(), format!("memory-backend-ram,id=m{id},size={}M", node.mib)]);
                numa += &format!(",memdev=m{id}");
            }
            if node.cpus > 0 {
                numa += &format!(",cpus={next_cpu}-{}", next_cpu + node.cpus - 1);
                next_cpu += node.cpus;
            } else if self.hmat {
                numa += &format!(",initiator={}", self.nearest_initiator(id));
            }
            args.extend(["-numa".into(), numa]);
        }
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                if self.dist.is_some() {
                    let distance = self.distance(from, to);
                    args.extend(["-numa".into(), format!("dist,src={from},dst={to},val={distance}")]);
                }
                if self.hmat && self.nodes[from].cpus > 0 {
                    args.extend(self.hmat_args(from, to));
                }
            }
        }
        args
    }

    /// One entry of the HMAT. Where no numbers were given they follow the distance, so that a far
    /// node is slow.
    fn hmat_args(&self, from: usize, to: usize) -> Vec<String> {
        let distance = self.distance(from, to);
        let cell = |table: &Option<Matrix>, default| match table {
            Some(Matrix(rows)) => rows[from][to],
            None => Some(default),
        };
        let entry = format!("hmat-lb,initiator={from},target={to},hierarchy=memory,data-type=access-");
        let mut args = Vec::new();
        if let Some(ns) = cell(&self.lat, 10 * distance) {
            args.extend(["-numa".into(), format!("{entry}latency,latency={ns}")]);
        }
        if let Some(mb) = cell(&self.bw, 200_000 / distance) {
            args.extend(["-numa".into(), format!("{entry}bandwidth,bandwidth={mb}M")]);
        }
        args
    }

    /// CPUs as sockets: one a node where all have the same number, else one a CPU, since QEMU wants
    /// them equal.
    fn smp(&self) -> String {
        let cpus: Vec<u32> = self.nodes.iter().map(|node| node.cpus).filter(|&cpus| cpus > 0).collect();
        let total: u32 = cpus.iter().sum();
        if cpus.iter().all(|&each| each == cpus[0]) {
            format!("{total},sockets={},cores={},threads=1", cpus.len(), cpus[0])
        } else {
            format!("{total},sockets={total},cores=1,threads=1")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(nodes: &str, dist: Option<&str>, hmat: bool, lat: Option<&str>) -> Result<Layout, String> {
        let matrix = |text: Option<&str>| text.map(str::parse).transpose();
        Layout::new(Some(nodes.parse()?), matrix(dist)?, hmat, matrix(lat)?, None)
    }

    #[test]
    fn good_layouts_become_arguments() {
        let args = |nodes, dist, hmat, lat| layout(nodes, dist, hmat, lat).unwrap().qemu_args().join(" ");
        assert_eq!(
            args("1:64", None, false, None),
            "-machine q35 -smp 1,sockets=1,cores=1,threads=1 -m 64M -object memory-backend-ram,id=m0,size=64M \
             -numa node,nodeid=0,memdev=m0,cpus=0-0"
        );
        let two = args("2:64 2:32", Some("10,21;21,10"), false, None);
        assert!(two.contains("-smp 4,sockets=2,cores=2,threads=1 -m 96M"), "{two}");
        assert!(two.contains("node,nodeid=1,memdev=m1,cpus=2-3"), "{two}");
        assert!(two.contains("dist,src=0,dst=1,val=21"), "{two}");
        assert!(!two.contains("hmat"), "{two}");
        let uneven = args("2:64 1:64 0:64", None, true, None);
        assert!(uneven.contains("-smp 3,sockets=3,cores=1,threads=1"), "{uneven}");
        assert!(
            uneven.contains("initiator=0,target=1,hierarchy=memory,data-type=access-latency,latency=200")
        );
        assert!(
            uneven.contains(
                "initiator=0,target=0,hierarchy=memory,data-type=access-bandwidth,bandwidth=20000M"
            )
        );
        let left_out = args("1:64 0:64", None, false, Some("80,-"));
        assert!(
            left_out.contains("target=0,hierarchy=memory,data-type=access-latency,latency=80"),
            "{left_out}"
        );
        assert!(!left_out.contains("target=1,hierarchy=memory,data-type=access-latency"), "{left_out}");
        let memoryless = args("1:64 1:0", None, false, None);
        assert!(memoryless.contains("-numa node,nodeid=1,cpus=1-1"), "{memoryless}");
    }

    #[test]
    fn a_node_without_cpus_belongs_to_the_nearest_with() {
        let far = layout("1:64 1:64 0:64", Some("10,20,40;20,10,15;40,15,10"), true, None).unwrap();
        assert!(far.qemu_args().contains(&"node,nodeid=2,memdev=m2,initiator=1".to_owned()));
    }

    #[test]
    fn the_default_has_a_fast_and_a_slow_node() {
        let default = Layout::new(None, None, false, None, None).unwrap();
        let args = default.qemu_args().join(" ");
        assert_eq!(default.total_mib(), 2048);
        assert!(args.contains("q35,hmat=on"), "{args}");
        assert!(
            args.contains(
                "initiator=0,target=3,hierarchy=memory,data-type=access-bandwidth,bandwidth=400000M"
            )
        );
        assert!(args.contains("initiator=1,target=2,hierarchy=memory,data-type=access-latency,latency=360"));
    }

    #[test]
    fn bad_layouts_say_what_is_wrong() {
        let check = |nodes, dist, hmat, lat, expected: &str| {
            let error = layout(nodes, dist, hmat, lat).unwrap_err();
            assert!(error.contains(expected), "{nodes:?} {dist:?} {lat:?}: {error}");
        };
        check("", None, false, None, "first node needs a CPU");
        check("2", None, false, None, "'2' is not CPUS:MIB");
        check("2:x", None, false, None, "'x' in '2:x' is not a number");
        check("1:-5", None, false, None, "'-5' in '1:-5' is not a number");
        check("0:64 1:64", None, false, None, "first node needs a CPU");
        check("1:64 0:64 1:64", None, false, None, "must come before");
        check("1:64 0:0", None, false, None, "node 1 has neither");
        check("1:64 1:64", Some("10,20"), false, None, "2 rows of 2 numbers");
        check("1:64 1:64", Some("10,20;20,11"), false, None, "from 1 to 1");
        check("1:64 1:64", Some("10,300;20,10"), false, None, "from 0 to 1");
        check("1:64 1:64", Some("10,-;20,10"), false, None, "from 0 to 1");
        check("1:64 1:64", Some("10,y;20,10"), false, None, "'y' is neither a number");
        check("1:64 0:64", None, false, Some("10"), "--lat needs 1 rows");
        check("1:64 0:64", None, false, Some("10,0"), "0 is not a measurement");
        check("1:64 1:0", None, true, None, "ignore the HMAT");
    }
}
