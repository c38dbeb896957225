//! Trees that lie: an error that names the file, never a panic, never a wait.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use areas::place::Targets;
use areas::{Kind, Topology};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::tree::{NODES, Tree};

#[test]
fn nonsense_is_an_error_that_names_the_file() {
    let long = "0,".repeat(40_000);
    let cases: [(&str, &[u8], &str); 18] = [
        ("devices/system/node/online", b"0-x\n", "\"x\" is not a number"),
        ("devices/system/node/online", b"0,1024\n", "1024 is above 1023"),
        ("devices/system/node/online", long.as_bytes(), "it is longer than 65536 bytes"),
        ("devices/system/node/online", b"\xff\xfe", "\"\u{fffd}\u{fffd}\" is not text"),
        ("devices/system/node/possible", b"7-0", "the range 7-0 runs backwards"),
        ("devices/system/node/has_memory", b"\0", "is not a number"),
        ("devices/system/cpu/online", b"0-99999\n", "99999 is above 8191"),
        ("devices/system/node/node0/cpulist", b"0-1 \n", "\"1 \" is not a number"),
        ("devices/system/node/node0/meminfo", b"", "it has no MemTotal"),
        (
            "devices/system/node/node0/meminfo",
            b"Node 0 MemTotal: 99999999999999999999 kB\n",
            "has no size in kB",
        ),
        (
            "devices/system/node/node0/distance",
            b"10 20\n",
            "\"10 20\\n\" has 2 distances, and nodes 0,4,6 are online",
        ),
        ("devices/system/node/node0/distance", b"10 -20 30\n", "\"-20\" is not a number"),
        (
            "devices/system/node/node4/hugepages/hugepages-2048kB/nr_hugepages",
            b"-1\n",
            "\"-1\\n\" is not a number",
        ),
        (
            "devices/system/node/node0/access1/initiators/read_bandwidth",
            b"fast\n",
            "\"fast\\n\" is not a number",
        ),
        (
            "devices/system/node/node0/access1/initiators/read_latency",
            b"99999999999999999999\n",
            "\"99999999999999999999\" is more than 2^64 - 1",
        ),
        ("devices/virtual/memory_tiering/memory_tier4/nodelist", b"all\n", "\"all\" is not a number"),
        ("kernel/mm/mempolicy/weighted_interleave/node0", b"0\n", "\"0\\n\" is no weight from 1 to 255"),
        ("kernel/mm/mempolicy/weighted_interleave/node0", b"256\n", "\"256\\n\" is no weight from 1 to 255"),
    ];
    for (path, content, why) in cases {
        let tree = Tree::small_machine().with(path, content);
        let error = Topology::read_from(&tree.0).expect_err(path);
        assert_eq!(error.kind(), Kind::Io, "{path}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("cannot read {}: ", tree.0.join(path).display())), "{text}");
        assert!(text.contains(why), "{text}");
        assert!(text.len() < 400, "{text}");
    }
    // Here the name itself is nonsense: the error names the folder.
    let folders = [
        ("node99999999999", "", "99999999999 is above 1023"),
        ("node0/access1/initiators/node1024", "node0/access1/initiators", "1024 is above 1023"),
        (
            "node4/hugepages/hugepages-2047kB",
            "node4/hugepages/hugepages-2047kB",
            "2047 kB is not the size of a page",
        ),
    ];
    for (path, named, why) in folders {
        let tree = Tree::small_machine().with(&format!("{NODES}/{path}/file"), "");
        let named: PathBuf = tree.0.join(NODES).join(named).components().collect();
        let error = Topology::read_from(&tree.0).expect_err(path);
        assert_eq!(error.to_string(), format!("cannot read {}: {why}", named.display()));
    }
}

#[test]
fn files_that_are_no_files() {
    let online = |tree: &Tree| tree.0.join(NODES).join("online");
    let endless = Tree::small_machine();
    fs::remove_file(online(&endless)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", online(&endless)).unwrap();
    let error = Topology::read_from(&endless.0).unwrap_err();
    assert!(error.to_string().contains("it is longer than 65536 bytes"), "{error}");

    let folder = Tree::small_machine();
    fs::remove_file(online(&folder)).unwrap();
    fs::create_dir(online(&folder)).unwrap();
    let error = Topology::read_from(&folder.0).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read {}: read: EISDIR", online(&folder).display()));

    // A pipe with nobody behind it: an empty file, and above all no waiting.
    let pipe = Tree::small_machine();
    fs::remove_file(online(&pipe)).unwrap();
    assert!(Command::new("mkfifo").arg(online(&pipe)).status().unwrap().success());
    let error = Topology::read_from(&pipe.0).unwrap_err();
    assert!(error.to_string().contains("distances, and nodes none are online"), "{error}");
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
        match read {
            Ok(topology) => {
                let targets = Targets::of(&topology).or_distance();
                let _ = (targets.nearest(), targets.most_free(), targets.highest_bandwidth());
                let _ = targets.from_cpu(0).lowest_latency();
            }
            Err(error) => prop_assert!(error.to_string().contains(&tree.0.display().to_string())),
        }
        Ok(())
    };
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config).run(&changes, check).unwrap();
}
