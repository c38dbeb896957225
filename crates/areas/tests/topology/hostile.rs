//! Trees that lie: what they lie about is unknown, the file is named, and all else stands. Never a
//! panic, never a wait.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use areas::place::Targets;
use areas::{ErrorKind, Topology};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::tree::{NODES, Tree};

/// What a small machine reports, fact by fact, each with its name: to see what a change of one file
/// has changed.
fn facts(topology: &Topology) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut add = |name: String, value: String| drop(facts.insert(name, value));
    add("online".to_owned(), topology.online().to_string());
    add("possible".to_owned(), topology.possible().to_string());
    add("cpus".to_owned(), topology.cpus().to_string());
    for info in topology.nodes() {
        let node = info.node;
        add(format!("{node} has_memory"), format!("{:?}", info.has_memory));
        add(format!("{node} cpus"), info.cpus.to_string());
        add(format!("{node} memory"), format!("{:?}", info.memory));
        add(format!("{node} pools"), format!("{:?}", info.huge_pools));
        add(format!("{node} access"), format!("{:?}", info.access));
        add(format!("{node} caches"), format!("{:?}", info.memory_side_caches));
        add(format!("{node} tier"), format!("{:?}", info.tier));
        add(format!("{node} weight"), format!("{:?}", info.weight));
        add(format!("{node} distances"), format!("{:?}", info.distances().collect::<Vec<_>>()));
    }
    facts
}

/// The names of the facts that differ.
fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> String {
    let names = before.keys().chain(after.keys()).collect::<BTreeSet<_>>();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    changed.cloned().collect::<Vec<_>>().join(", ")
}

/// A file, what stands in it, what is said of it, and the facts that change.
type Nonsense = (&'static str, &'static [u8], &'static str, &'static str);

/// More than is read of a file.
static LONG: [u8; 80_000] = {
    let mut long = [b'0'; 80_000];
    let mut at = 1;
    while at < long.len() {
        long[at] = b',';
        at += 2;
    }
    long
};

const IN_LISTS: &[Nonsense] = &[
    ("devices/system/node/online", b"0-x\n", "\"x\" is not a number", ""),
    ("devices/system/node/online", b"\n", "it names no node", ""),
    ("devices/system/node/online", b"0,1024\n", "1024 is above 1023", ""),
    ("devices/system/node/online", &LONG, "it is longer than 65536 bytes", ""),
    ("devices/system/node/online", b"\xff\xfe", "\"\u{fffd}\u{fffd}\" is not text", ""),
    ("devices/system/node/possible", b"7-0", "the range 7-0 runs backwards", "possible"),
    ("devices/system/node/has_memory", b"\0x", "is not a number", ""),
    ("devices/system/cpu/online", b"0-99999\n", "99999 is above 8191", "4 cpus, cpus"),
    ("devices/system/node/has_generic_initiator", b"6-\n", "a number is missing", ""),
];

const OF_ONE_NODE: &[Nonsense] = &[
    ("devices/system/node/node0/cpulist", b"0-1 \n", "\"1 \" is not a number", "0 cpus"),
    ("devices/system/node/node0/meminfo", b"", "it has no MemTotal", "0 memory"),
    (
        "devices/system/node/node0/meminfo",
        b"Node 0 MemTotal: 99999999999999999999 kB\n",
        "has no size in kB",
        "0 memory",
    ),
    (
        "devices/system/node/node0/distance",
        b"10 20\n",
        "\"10 20\\n\" has 2 distances, and nodes 0,4,6 are online",
        "0 distances",
    ),
    ("devices/system/node/node0/distance", b"10 -20 30\n", "\"-20\" is not a number", "0 distances"),
    (
        "devices/system/node/node4/hugepages/hugepages-2048kB/nr_hugepages",
        b"-1\n",
        "\"-1\\n\" is not a number",
        "4 pools",
    ),
    (
        "devices/system/node/node0/access1/initiators/read_bandwidth",
        b"fast\n",
        "\"fast\\n\" is not a number",
        "0 access",
    ),
    (
        "devices/system/node/node0/access1/initiators/read_latency",
        b"99999999999999999999\n",
        "\"99999999999999999999\" is more than 2^64 - 1",
        "0 access",
    ),
    (
        "devices/system/node/node0/memory_side_cache/index1/size",
        b"16 GB\n",
        "\"16 GB\\n\" is not a number",
        "0 caches",
    ),
];

const ELSEWHERE: &[Nonsense] = &[
    (
        "devices/virtual/memory_tiering/memory_tier4/nodelist",
        b"all\n",
        "\"all\" is not a number",
        "0 tier, 4 tier",
    ),
    (
        "kernel/mm/mempolicy/weighted_interleave/node0",
        b"0\n",
        "\"0\\n\" is not a weight from 1 to 255",
        "0 weight",
    ),
    (
        "kernel/mm/mempolicy/weighted_interleave/node0",
        b"256\n",
        "\"256\\n\" is not a weight from 1 to 255",
        "0 weight",
    ),
];

#[test]
fn nonsense_in_one_file_is_one_unknown_that_is_named() {
    let plain = facts(&Tree::small_machine().read());
    for &(path, content, why, differs) in [IN_LISTS, OF_ONE_NODE, ELSEWHERE].into_iter().flatten() {
        let tree = Tree::small_machine().with(path, content);
        let topology = tree.read();
        let odd = &topology.oddities()[0];
        assert_eq!(odd.file, tree.0.join(path), "{odd}");
        assert!(odd.why.contains(why) && odd.why.len() < 300, "{odd}");
        let node = path.strip_prefix("devices/system/node/node").and_then(|rest| rest.split('/').next());
        assert_eq!(odd.node.map(|node| node.to_string()).as_deref(), node, "{odd}");
        assert!(topology.oddities().len() <= 2, "{:?}", topology.oddities());
        assert_eq!(changed(&plain, &facts(&topology)), differs, "{path}: {odd}");
    }
}

/// Here the name itself is nonsense: the folder is named.
#[test]
fn nonsense_in_a_name_names_the_folder() {
    let plain = facts(&Tree::small_machine().read());
    let folders = [
        ("node99999999999", "", "99999999999 is above 1023", ""),
        ("node0/access1/initiators/node1024", "node0/access1/initiators", "1024 is above 1023", ""),
        (
            "node4/hugepages/hugepages-2047kB",
            "node4/hugepages/hugepages-2047kB",
            "2047 kB is not the size of a page",
            "",
        ),
        (
            "node6/memory_side_cache/index4294967296",
            "node6/memory_side_cache",
            "4294967296 is above 4294967295",
            "",
        ),
    ];
    for (path, named, why, differs) in folders {
        let tree = Tree::small_machine().with(&format!("{NODES}/{path}/file"), "");
        let named: PathBuf = tree.0.join(NODES).join(named).components().collect();
        let topology = tree.read();
        let odd: Vec<String> = topology.oddities().iter().map(ToString::to_string).collect();
        assert_eq!(odd, [format!("{}: {why}", named.display())]);
        assert_eq!(changed(&plain, &facts(&topology)), differs, "{path}");
    }
}

/// Of a tree that has no node at all, nothing is left: an error, which names the file.
#[test]
fn no_node_at_all_is_an_error() {
    let tree = Tree::empty().with(&format!("{NODES}/online"), "?\n");
    let error = Topology::read_from(&tree.0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let folder = tree.0.join(NODES);
    let expected = format!(
        "cannot read {}: {}: \"?\" is not a number",
        folder.display(),
        folder.join("online").display()
    );
    assert_eq!(error.to_string(), expected);
    let tree = Tree::empty().with(&format!("{NODES}/uevent"), "");
    assert!(Topology::read_from(&tree.0).unwrap_err().to_string().ends_with(": it names no node"));
}

/// A tree that is odd all over is reported in part.
#[test]
fn many_oddities_are_not_kept_all() {
    let mut tree = Tree::empty().with(&format!("{NODES}/online"), "0-299\n");
    for id in 0..300 {
        tree = tree.with(&format!("{NODES}/node{id}/meminfo"), "?");
    }
    let topology = tree.read();
    assert_eq!((topology.nodes().len(), topology.oddities().len()), (300, 256));
}

#[test]
fn files_that_are_no_files() {
    let online = |tree: &Tree| tree.0.join(NODES).join("online");
    let endless = Tree::small_machine();
    fs::remove_file(online(&endless)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", online(&endless)).unwrap();
    let plain = facts(&Tree::small_machine().read());
    let odd = |tree: &Tree| {
        let topology = tree.read();
        assert_eq!(changed(&plain, &facts(&topology)), "", "the folders say which nodes there are");
        let odd: Vec<String> = topology.oddities().iter().map(ToString::to_string).collect();
        odd.join("; ")
    };
    let named = |tree: &Tree, why: &str| format!("{}: {why}", online(tree).display());
    assert_eq!(odd(&endless), named(&endless, "it is longer than 65536 bytes"));

    let folder = Tree::small_machine();
    fs::remove_file(online(&folder)).unwrap();
    fs::create_dir(online(&folder)).unwrap();
    assert_eq!(odd(&folder), named(&folder, "read: EISDIR"));

    // A pipe with no process behind it: an empty file, and above all no waiting.
    let pipe = Tree::small_machine();
    fs::remove_file(online(&pipe)).unwrap();
    assert!(Command::new("mkfifo").arg(online(&pipe)).status().unwrap().success());
    assert_eq!(odd(&pipe), named(&pipe, "it names no node"));
}

#[test]
fn no_content_makes_it_panic() {
    let files = [
        "devices/system/node/online",
        "devices/system/node/possible",
        "devices/system/node/has_memory",
        "devices/system/node/node4/cpulist",
        "devices/system/node/node4/meminfo",
        "devices/system/node/node4/distance",
        "devices/system/cpu/online",
        "devices/system/node/node6/access1/initiators/read_bandwidth",
        "devices/system/node/node4/memory_side_cache/index1/indexing",
        "devices/virtual/memory_tiering/memory_tier22/nodelist",
        "kernel/mm/mempolicy/weighted_interleave/node6",
    ];
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        "[-0-9, \n]{0,30}".prop_map(String::into_bytes),
        "(Node [0-9]+ )?Mem(Total|Free): *[0-9]{0,22}( kB)?\n".prop_map(String::into_bytes),
    ];
    let tree = Tree::small_machine();
    let changes = (prop::sample::select(files.to_vec()), content);
    let check = |(file, content): (&str, Vec<u8>)| {
        let original = fs::read(tree.0.join(file)).unwrap();
        fs::write(tree.0.join(file), content).unwrap();
        let read = Topology::read_from(&tree.0);
        fs::write(tree.0.join(file), original).unwrap();
        let topology = read.unwrap();
        prop_assert!(topology.nodes().len() >= 3, "the folders of nodes are there, whatever one file says");
        for odd in topology.oddities() {
            prop_assert!(odd.to_string().contains(&tree.0.display().to_string()));
        }
        let targets = Targets::of(&topology).or_distance();
        let _ = (targets.nearest(), targets.most_free(), targets.highest_bandwidth());
        let _ = targets.from_cpu(0).lowest_latency();
        Ok(())
    };
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config).run(&changes, check).unwrap();
}
