//! `move`, `resize`, `wait`, and the options that came with them: what is there changes for all who
//! have it, and is measured.

use areas_testing::{descriptors, maps};
use serde_json::Value;

use crate::harness::{Holder, Registry};

#[test]
fn a_growable_area_grows_and_does_not_shrink() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "ring", "--size", "1M", "--growable", "8M"]);
    let ran = registry.run(["resize", "ring", "3M"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout().contains("\"ring\": 3.00 MiB, was 1.00 MiB"), "{ran:?}");
    assert_eq!(registry.show("ring")["size"], 3 << 20);
    let ran = registry.run(["resize", "ring", "1M"]);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("can only grow") && ran.stderr.contains("--resizable"), "{ran:?}");
    let ran = registry.run(["resize", "ring", "9M"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("8 MiB"), "{ran:?}");
    assert_eq!(registry.show("ring")["size"], 3 << 20);
    assert_eq!(registry.run(["resize", "absent", "1M"]).code, Some(3));
}

#[test]
fn a_resizable_area_shrinks_as_well() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "r", "--size", "1M", "--resizable", "4M", "--populate"]);
    let area = registry.show("r");
    assert_eq!(
        (&area["resizable"], &area["reserve"], &area["resident"]),
        (&true.into(), &(4 << 20).into(), &(1 << 20).into())
    );
    assert_eq!(registry.run(["resize", "r", "8K", "--quiet"]).stdout(), "");
    let area = registry.show("r");
    assert_eq!((&area["size"], &area["resident"]), (&8192.into(), &8192.into()), "what is cut off is freed");
    assert_eq!(registry.run(["resize", "r", "4M"]).code, Some(0));
    // Beyond the holder's addresses: it is in the way, and is named.
    let ran = registry.run(["resize", "r", "16M"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(&format!("area {}", area["id"])), "{ran:?}");
    assert_eq!(registry.run(["cat", "r", "--length", "4"]).stdout(), "\0\0\0\0");
    let usage =
        registry.run(["create", "--name", "x", "--size", "1M", "--growable", "2M", "--resizable", "2M"]);
    assert_eq!(usage.code, Some(2));
}

/// The holder's descriptor of its only area, as another process of the same user may open it.
fn memory_of(holder: &Holder) -> (std::fs::File, usize) {
    let maps = maps::of(holder.pid()).unwrap();
    let mapped =
        maps.iter().find(|vma| vma.path.starts_with("/memfd:area:")).expect("mapped there").range().len();
    let mut open = descriptors::of(holder.pid()).unwrap().into_iter();
    let path = open.find(|one| one.target.starts_with("/memfd:area:")).expect("open there").path;
    (std::fs::File::options().read(true).write(true).open(path).unwrap(), mapped)
}

/// Another process may make it larger than the machine's RAM and swap. That can be undone, without
/// mapping it.
#[test]
fn an_area_that_was_made_larger_than_any_machine_shrinks() {
    let registry = Registry::new();
    let holder = registry.hold(["create", "--name", "r", "--size", "1M", "--resizable", "4M"]);
    let (object, mapped) = memory_of(&holder);
    object.set_len(1 << 50).unwrap();
    let area = registry.show("r");
    assert_eq!((&area["size"], &area["mapped"]), (&(1_u64 << 50).into(), &mapped.into()));
    let ran = registry.run(["resize", "r", "1M"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout().contains("1.00 MiB, was 1.00 PiB"), "{ran:?}");
    assert_eq!(object.metadata().unwrap().len(), 1 << 20);
    // And to the size that it has, which is not an error and no change.
    assert_eq!(registry.run(["resize", "r", "1M"]).code, Some(0));
    assert_eq!(registry.run(["resize", "r", "0"]).code, Some(2));
    assert_eq!(object.metadata().unwrap().len(), 1 << 20);
}

/// The seal of a growable area does not know its maximum.
#[test]
fn no_more_is_said_to_be_mapped_than_the_holder_has_mapped() {
    let registry = Registry::new();
    let holder = registry.hold(["create", "--name", "g", "--size", "1M", "--growable", "4M"]);
    let (object, mapped) = memory_of(&holder);
    assert_eq!(mapped, 4 << 20);
    object.set_len(1 << 30).unwrap();
    let area = registry.show("g");
    assert_eq!(
        (&area["size"], &area["mapped"], &area["reserve"]),
        (&(1 << 30).into(), &mapped.into(), &mapped.into())
    );
    assert_eq!(registry.list()[0]["mapped"], mapped);
}

#[test]
fn a_fixed_area_has_its_size() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "fixed", "--size", "1M"]);
    // The area cannot, which is no wrong usage of the command.
    for size in ["2M", "4K"] {
        let ran = registry.run(["resize", "fixed", size]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("its size is fixed at 1.00 MiB"), "{ran:?}");
        assert!(ran.stderr.contains("--growable MAX"), "{ran:?}");
    }
    assert_eq!(registry.show("fixed")["size"], 1 << 20);
}

#[test]
fn an_address_is_taken_or_refused() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "there", "--size", "1M", "--at", "0x600000000000"]);
    assert_eq!(registry.show("there")["address"], 0x6000_0000_0000_u64);
    let ran = registry.run(["create", "--name", "odd", "--size", "1M", "--at", "4097"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("not a multiple of the page size"), "{ran:?}");
    assert_eq!(registry.run(["create", "--name", "x", "--size", "1M", "--at", "here"]).code, Some(2));
}

#[test]
fn who_waits_is_notified() {
    let registry = Registry::new();
    let mut waiting = registry.areas(["wait", "late", "--timeout", "60", "--json"]);
    let waiter = waiting.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let _holder = registry.hold(["create", "--name", "late", "--size", "1M"]);
    let output = waiter.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["name"], &found["id"]), (&"late".into(), &registry.show("late")["id"]));
    let ran = registry.run(["wait", "late"]);
    assert_eq!(ran.code, Some(0));
    let ran = registry.run(["wait", "never", "--timeout", "0.05"]);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(4), ""), "{ran:?}");
    assert!(
        ran.stderr.starts_with("areas: cannot wait for area \"never\": no process published it within 50ms"),
        "{ran:?}"
    );
}

#[test]
fn pages_are_moved_and_measured() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "data", "--size", "1M", "--populate"]);
    let node = registry.show("data")["nodes"].as_object().unwrap().keys().next().unwrap().clone();
    // To where they are: nothing to do, and everything in place. (Between nodes: in the guest.)
    let ran = registry.run(["move", "data", "--nodes", &node, "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!(
        (&report["moved"], &report["in_place"], &report["elsewhere"]),
        (&0.into(), &(1 << 20).into(), &0.into())
    );
    assert_eq!((&report["stayed"], &report["placed"]), (&serde_json::json!([]), &true.into()));
    // What is reported from then on is the policy that the kernel has, not the one that its holder
    // asked for.
    let bind = format!("bind:{node}");
    assert_eq!(registry.show("data")["policy"], bind);
    assert!(registry.run(["show", "data"]).stdout().contains(&format!("policy      {bind}\n")));
    let listed: Value = serde_json::from_str(&registry.run(["ls", "--json"]).stdout()).unwrap();
    assert_eq!(listed["areas"][0]["policy"], bind);
    assert_eq!(registry.run(["move", "data", "--policy", "interleave", "--nodes", &node]).code, Some(0));
    assert_eq!(registry.show("data")["policy"], format!("interleave:{node}"));
    let ran = registry.run(["move", "data", "--nodes", "1000"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("node 1000 does not exist or may not be used"), "{ran:?}");
    let ran = registry.run(["move", "data"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--nodes"), "{ran:?}");
}

#[test]
fn nodes_by_what_they_are_good_at() {
    let registry = Registry::new();
    for word in ["fastest", "nearest", "most-free"] {
        let ran = registry.shell(&format!("areas create --name x --size 1M --nodes {word} -- areas show x"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("areas: {word} is node ")), "{ran:?}");
        let node =
            ran.stderr.trim_start_matches(&format!("areas: {word} is node ")).split(' ').next().unwrap();
        assert!(ran.stdout().contains(&format!("policy      bind:{node}\n")), "{ran:?}");
    }
    assert_eq!(registry.run(["create", "--name", "x", "--size", "1M", "--nodes", "slowest"]).code, Some(2));
}

#[test]
fn a_map_of_what_is_there() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "holes", "--size", "64K", "--growable", "1M"]);
    let _full = registry.hold(["create", "--name", "full", "--size", "64K", "--lock", "full"]);
    let picture = |name: &str| {
        let text = registry.run(["show", name, "--map"]).stdout();
        text.split_once("\n\n").unwrap().1.to_owned()
    };
    let holes = picture("holes");
    let expected = format!("{:>10}  {}", "0 B", vec![". ".repeat(8); 2].join(" ").trim_end());
    assert_eq!(holes.lines().next().unwrap(), expected);
    assert!(holes.contains(". hole") && holes.contains("64.0 KiB, 100 %"), "{holes}");
    let full = picture("full");
    let area = registry.show("full");
    let node = area["nodes"].as_object().unwrap().keys().next().unwrap();
    assert!(full.starts_with(&format!("{:>10}  {node}!{node}!", "0 B")), "{full}");
    assert!(full.contains("! locked") && full.contains(&format!("node {node}")), "{full}");
    let json: Value =
        serde_json::from_str(&registry.run(["show", "full", "--map", "--json"]).stdout()).unwrap();
    let expected = serde_json::json!([{
        "offset": 0, "length": 65536, "state": "resident", "node": node.parse::<u32>().unwrap(), "page_size": 4096
    }]);
    assert_eq!(json["map"], expected);
    assert!(registry.show("full").get("map").is_none(), "only where it was asked for");
}
