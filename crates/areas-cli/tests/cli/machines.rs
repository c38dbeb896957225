//! `areas nodes` of machines that are not this one: trees that look like `/sys`, and what of them
//! is odd. And what is reported where a sandbox hides which page is where.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Ran, Registry};

const NODE: &str = "devices/system/node";

/// A tree with these files.
pub(crate) fn tree(registry: &Registry, files: &[(&str, &str)]) -> PathBuf {
    let root = registry.file("sys");
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn text(registry: &Registry, root: &Path) -> (String, String) {
    let ran = registry.run(["nodes".as_ref(), "--sysfs".as_ref(), root.as_os_str()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    (ran.stdout(), ran.stderr)
}

fn json(registry: &Registry, root: &Path) -> Value {
    let ran = registry.run(["nodes".as_ref(), "--json".as_ref(), "--sysfs".as_ref(), root.as_os_str()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    serde_json::from_str(&ran.stdout()).unwrap()
}

/// Two sockets whose large memory has fast memory in front of it, and a node of memory alone that
/// has none.
pub(crate) const CACHED: [(&str, &str); 26] = [
    ("devices/system/node/online", "0-2\n"),
    ("devices/system/node/has_memory", "0-2\n"),
    ("devices/system/cpu/online", "0-63\n"),
    ("devices/system/cpu/present", "0-63\n"),
    ("devices/system/node/node0/cpulist", "0-31\n"),
    ("devices/system/node/node0/distance", "10 21 17\n"),
    ("devices/system/node/node0/meminfo", "Node 0 MemTotal: 528482304 kB\nNode 0 MemFree: 501219328 kB\n"),
    ("devices/system/node/node0/memory_side_cache/index1/size", "103079215104\n"),
    ("devices/system/node/node0/memory_side_cache/index1/line_size", "64\n"),
    ("devices/system/node/node0/memory_side_cache/index1/indexing", "0\n"),
    ("devices/system/node/node0/memory_side_cache/index1/write_policy", "0\n"),
    ("devices/system/node/node1/cpulist", "32-63\n"),
    ("devices/system/node/node1/distance", "21 10 28\n"),
    ("devices/system/node/node1/meminfo", "Node 1 MemTotal: 528482304 kB\nNode 1 MemFree: 520093696 kB\n"),
    ("devices/system/node/node1/memory_side_cache/index1/size", "103079215104\n"),
    ("devices/system/node/node1/memory_side_cache/index1/line_size", "64\n"),
    ("devices/system/node/node1/memory_side_cache/index1/indexing", "0\n"),
    ("devices/system/node/node1/memory_side_cache/index1/write_policy", "0\n"),
    ("devices/system/node/node2/cpulist", "\n"),
    ("devices/system/node/node2/distance", "17 28 10\n"),
    ("devices/system/node/node2/meminfo", "Node 2 MemTotal: 268435456 kB\nNode 2 MemFree: 268173312 kB\n"),
    ("devices/system/node/node2/access1/initiators/node0/uevent", ""),
    ("devices/system/node/node2/access1/initiators/read_bandwidth", "48000\n"),
    ("devices/system/node/node2/access1/initiators/read_latency", "220\n"),
    ("devices/virtual/memory_tiering/memory_tier4/nodelist", "0-1\n"),
    ("devices/virtual/memory_tiering/memory_tier22/nodelist", "2\n"),
];

#[test]
fn memory_side_caches_are_shown() {
    let registry = Registry::new();
    let root = tree(&registry, &CACHED);
    let (table, errors) = text(&registry, &root);
    assert_eq!(errors, "");
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/command.md")).unwrap();
    assert!(page.contains(&table), "docs/command.md shows another table than this:\n{table}");
    let report = json(&registry, &root);
    let cache = json!([{
        "level": 1, "size": 96_u64 << 30, "line_size": 64, "indexing": "direct", "write_policy": "write-back",
    }]);
    assert_eq!(report["nodes"][1]["memory_side_caches"], cache);
    assert_eq!(report["nodes"][2]["memory_side_caches"], json!([]));
    assert_eq!(
        report["nodes"][0]["allowed"],
        Value::Null,
        "which of another machine's may be used is not known"
    );
    assert_eq!((&report["oddities"], &report["cpus_without_node"]), (&json!([]), &json!("")));
}

/// The spaces of a machine whose firmware reports bandwidths of some nodes, seen from all of it and
/// from one of its CPUs.
#[test]
fn memory_spaces_are_shown() {
    let registry = Registry::new();
    let mut files = CACHED.to_vec();
    files.extend([
        ("devices/system/node/node0/access1/initiators/node0/uevent", ""),
        ("devices/system/node/node0/access1/initiators/read_bandwidth", "131072\n"),
        ("devices/system/node/node1/access1/initiators/node1/uevent", ""),
        ("devices/system/node/node1/access1/initiators/read_bandwidth", "131072\n"),
        ("devices/system/node/node1/access1/initiators/read_latency", "90\n"),
    ]);
    let root = tree(&registry, &files);
    let (table, errors) = text(&registry, &root);
    assert_eq!(errors, "");
    insta::assert_snapshot!(table.split_once("\n\n").unwrap().1, @"
    SPACE              NODES  UNKNOWN  BY
    all                0-2
    highest-capacity   0-1             504 GiB
    highest-bandwidth  0-1             131072 MB/s, HMAT access1
    lowest-latency     1-2    0        node 1: 90 ns, HMAT access1; node 2: 220 ns, HMAT access1
    ");
    let report = json(&registry, &root);
    assert_eq!(
        report["spaces"][0],
        json!({ "space": "all", "nodes": [0, 1, 2], "unknown": [], "figures": [], "why": null })
    );
    assert_eq!(report["spaces"][2]["nodes"], json!([0, 1]));
    assert_eq!(
        report["spaces"][2]["figures"][1],
        json!({ "node": 1, "value": 131_072, "source": "HMAT access1" })
    );
    let sysfs = ["nodes".as_ref(), "--sysfs".as_ref(), root.as_os_str()];
    let from = |from: &str| registry.run([&sysfs[..], &["--from".as_ref(), from.as_ref()]].concat());
    insta::assert_snapshot!(from("cpu40").stdout().split_once("\n\n").unwrap().1, @"
    SPACE              NODES  UNKNOWN  BY
    all                0-2
    highest-capacity   0-1             504 GiB
    highest-bandwidth  1      0,2      131072 MB/s, HMAT access1
    lowest-latency     1      0,2      90 ns, HMAT access1
    ");
    insta::assert_snapshot!(from("node2").stdout().split_once("\n\n").unwrap().1, @"
    SPACE              NODES  BY
    all                0-2
    highest-capacity   0-1    504 GiB
    highest-bandwidth  ?      the kernel does not report the bandwidth of nodes 0-2
    lowest-latency     ?      the kernel does not report the latency of nodes 0-2
    ");
    insta::assert_snapshot!(from("node3").stderr, @"
    areas: cannot choose a node among all for node 3: node 3 does not exist; nodes 0-2 are online
      help: `areas nodes` lists the nodes of this machine
    ");
    insta::assert_snapshot!(from("cpu64").stderr, @"
    areas: cannot choose a node among all for CPU 64: CPU 64 is on no node; CPUs 0-63 are online
    ");
    assert_eq!((from("node3").code, from("cpu64").code, from("3").code), (Some(1), Some(2), Some(2)));
    let machine_readable =
        registry.run([&sysfs[..], &["--from", "node2", "--json"].map(AsRef::as_ref)].concat());
    let report: Value = serde_json::from_str(&machine_readable.stdout()).unwrap();
    assert_eq!(report["spaces"][3]["nodes"], Value::Null);
    assert_eq!(report["spaces"][3]["why"], "the kernel does not report the latency of nodes 0-2");
}

#[test]
fn what_cannot_be_read_is_unknown_and_said_so() {
    let registry = Registry::new();
    let mut files = CACHED.to_vec();
    files.extend([
        ("devices/system/cpu/online", "0-2,32-64\n\0"),
        ("devices/system/cpu/present", "0-65\n"),
        ("devices/system/node/has_memory", "0,2,5\n"),
        ("devices/system/node/node0/meminfo", "Node 0 MemTotal: 528482304 kB\n"),
        ("devices/system/node/node1/memory_side_cache/index1/size", "96 GB\n"),
        ("devices/system/node/node2/distance", "17 28\n"),
        ("devices/system/node/node2/cpulist", "none?\n"),
    ]);
    let root = tree(&registry, &files);
    let (table, errors) = text(&registry, &root);
    insta::assert_snapshot!(table, @"
    NODE  CPUS                 MEMORY     FREE  CACHE            DISTANCES  TIER        READ  LATENCY
       0  0-2 (3-31 offline)  504 GiB        ?  96.0 GiB direct  10 21 17      4
       1  32-63               504 GiB  496 GiB  ? direct         21 10 28      4
       2  ?                   256 GiB  256 GiB                   ?            22  48000 MB/s   220 ns
    CPU 64 is in no node
    CPU 65 is offline

    SPACE              NODES  UNKNOWN  BY
    all                0-2
    highest-capacity   0-1             504 GiB
    highest-bandwidth  2      0-1      48000 MB/s, HMAT access1
    lowest-latency     2      0-1      220 ns, HMAT access1
    ");
    let errors = errors.replace(&root.display().to_string(), "[SYS]");
    insta::assert_snapshot!(errors, @r#"
    areas: [SYS]/devices/system/node/has_memory: it has node 5: not online
    areas: [SYS]/devices/system/node/node0/meminfo: it has no MemFree: "Node 0 MemTotal: 528482304 kB\n"
    areas: [SYS]/devices/system/node/node1/memory_side_cache/index1/size: "96 GB\n" is not a number
    areas: [SYS]/devices/system/node/node2/cpulist: "none?" is not a number
    areas: [SYS]/devices/system/node/node2/distance: "17 28\n" has 2 distances, and nodes 0-2 are online
    areas: [SYS]/devices/system/node/has_memory: it does not have node 1: meminfo reports memory
    "#);
    let report = json(&registry, &root);
    assert_eq!(report["nodes"][0]["free"], Value::Null);
    assert_eq!(report["nodes"][0]["available"], Value::Null);
    assert_eq!(report["nodes"][0]["memory"], 528_482_304_u64 << 10);
    assert_eq!(report["nodes"][0]["offline_cpus"], "3-31");
    assert_eq!(report["nodes"][1]["memory_side_caches"][0]["size"], Value::Null);
    assert_eq!((&report["cpus_without_node"], &report["offline_cpus"]), (&json!("64"), &json!("3-31,65")));
    let odd = report["oddities"].as_array().unwrap();
    assert_eq!(odd.len(), errors.lines().count());
    let first = odd.iter().find(|odd| odd["node"] == 0).unwrap();
    assert_eq!(first["file"], root.join(NODE).join("node0/meminfo").to_str().unwrap());
    assert!(first["why"].as_str().unwrap().starts_with("it has no MemFree"));
}

/// A name in it that a terminal would obey, and more that is odd than anybody reads.
#[test]
fn a_tree_that_is_odd_all_over() {
    let registry = Registry::new();
    let paths: Vec<String> = (0..40).map(|id| format!("{NODE}/node{id}/distance")).collect();
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "\u{1b}[2J\n")).collect();
    let root = tree(&registry, &files);
    let odd = registry.file("\u{1b}[31msys");
    fs::rename(root, &odd).unwrap();
    let (table, errors) = text(&registry, &odd);
    assert_eq!(table.split_once("\n\n").unwrap().0.lines().count(), 41);
    assert_eq!(errors.lines().count(), 11);
    assert!(errors.ends_with("areas: and 30 more: --json lists all\n"), "{errors}");
    assert!(!errors.contains('\u{1b}') && errors.contains("is not a number"), "{errors}");
    assert_eq!(json(&registry, &odd)["oddities"].as_array().unwrap().len(), 40);

    let ran = registry.run(["nodes".as_ref(), "--sysfs".as_ref(), registry.file("nothing").as_os_str()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("neither devices/system/node nor devices/system/cpu"), "{ran:?}");
}

/// As in a container: the totals are those of each page together.
#[test]
fn nodes_of_areas_without_move_pages() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M", "--populate"]);
    let plain = registry.show("x");
    assert_eq!((&plain["node_unknown"], &plain["page_nodes_known"]), (&json!(0), &json!(true)));
    let contained = |arguments: &[&str]| {
        let ran = Ran::of(registry.areas(arguments).env("AREAS_WITHOUT", "move_pages"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
        ran.stdout()
    };
    let report: Value = serde_json::from_str(&contained(&["show", "x", "--map", "--json"])).unwrap();
    let nodes = plain["nodes"].as_object().unwrap();
    assert_eq!(report["nodes"].as_object().unwrap(), nodes);
    assert_eq!(report["node_unknown"], 0);
    assert_eq!(report["page_nodes_known"], nodes.len() == 1);
    let text = contained(&["show", "x"]);
    let (node, _) = nodes.iter().next().unwrap();
    assert!(text.contains(&format!("  on node     {node}: ")), "{text}");
    assert_eq!(text.contains("which page is where is unknown"), nodes.len() > 1, "{text}");
    assert!(!contained(&["ls"]).contains('?'));
}
