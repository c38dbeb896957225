//! What of `areas ls` can be chosen: rows, columns, their order; and what is reported beside them.

use serde_json::Value;

use crate::harness::{Holder, Registry, within};

/// Three areas: `b` of 1 MiB, all in RAM; `a` of 3 MiB, which may grow; `c d` of 2 MiB, of which
/// nothing is in RAM.
fn three(registry: &Registry) -> [Holder; 3] {
    [
        registry.hold(["create", "--name", "b", "--size", "1M", "--populate"]),
        registry.hold(["create", "--name", "a", "--size", "3M", "--growable", "1.5G"]),
        registry.hold(["create", "--name", "c d", "--size", "0x200000"]),
    ]
}

fn rows(registry: &Registry, arguments: &[&str]) -> Vec<String> {
    let ran = registry.run(["ls", "--no-headings"].iter().chain(arguments));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    ran.stdout().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn sorted_by_any_column() {
    let registry = Registry::new();
    let holders = three(&registry);
    for (by, expected) in [("name", ["a", "b", "c d"]), ("size", ["a", "c d", "b"])] {
        assert_eq!(rows(&registry, &["--columns", "name", "--sort", by]), expected, "{by}");
        let other_way: Vec<&str> = expected.into_iter().rev().collect();
        assert_eq!(rows(&registry, &["--columns", "name", "--sort", by, "--reverse"]), other_way, "{by}");
    }
    let mut turned = rows(&registry, &["--columns", "name", "--reverse"]);
    turned.reverse();
    assert_eq!(turned, rows(&registry, &["--columns", "name"]));
    assert_eq!(rows(&registry, &["--columns", "name", "--sort", "ram"])[0], "b");
    assert_eq!(rows(&registry, &["--columns", "name", "--sort", "max"])[0], "a");
    assert_eq!(rows(&registry, &["--columns", "name", "--sort", "created"]), ["b", "a", "c d"]);
    let pids = rows(&registry, &["--columns", "pid", "--sort", "pid"]);
    let mut expected: Vec<u32> = holders.iter().map(Holder::pid).collect();
    expected.sort_unstable();
    assert_eq!(pids, expected.iter().map(u32::to_string).collect::<Vec<_>>());
    // JSON and ids in the same order.
    let list: Value =
        serde_json::from_str(&registry.run(["ls", "--json", "--sort", "size"]).stdout()).unwrap();
    let sizes: Vec<u64> =
        list["areas"].as_array().unwrap().iter().map(|area| area["size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [3 << 20, 2 << 20, 1 << 20]);
    let ids = registry.run(["ls", "-q", "--sort", "size"]).stdout();
    let expected: String =
        list["areas"].as_array().unwrap().iter().map(|area| format!("{}\n", area["id"])).collect();
    assert_eq!(ids, expected);
    let ran = registry.run(["ls", "--sort", "colour"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

/// More than what is counted unasked, of several processes.
#[test]
fn many_are_reported_in_their_order_each_as_it_is() {
    const MANY: usize = 1200;
    let registry = Registry::new();
    let pages = |number: usize| 1 + number % 7;
    let put = |numbers: std::ops::Range<usize>| {
        let files = numbers.map(|number| registry.file_of(&format!("n{number}"), pages(number) * 4096));
        let mut arguments = vec![std::path::PathBuf::from("put")];
        arguments.extend(files);
        registry.hold(&arguments)
    };
    let holders = [put(0..MANY / 2), put(MANY / 2..MANY)];
    let ids: Vec<String> = registry.run(["ls", "-q"]).stdout().lines().map(str::to_owned).collect();
    assert_eq!(ids.len(), MANY);
    assert_eq!(rows(&registry, &["--columns", "id"]), ids);
    let areas = registry.list();
    assert_eq!(areas.len(), MANY);
    for (area, id) in areas.iter().zip(&ids) {
        assert_eq!(area["id"].to_string(), *id);
        let number: usize = area["name"].as_str().unwrap()[1..].parse().unwrap();
        let bytes = (pages(number) * 4096) as u64;
        assert_eq!((area["size"].as_u64(), area["resident"].as_u64()), (Some(bytes), Some(bytes)), "{area}");
        assert_eq!(area["pid"].as_u64(), Some(u64::from(holders[number * 2 / MANY].pid())), "{area}");
    }
}

#[test]
fn columns_and_bytes_as_asked() {
    let registry = Registry::new();
    let _holders = three(&registry);
    let reported = rows(&registry, &["--bytes", "--sort", "name", "--columns", "name,size,max,pages,policy"]);
    assert_eq!(
        reported,
        ["a 3145728 1610612736 4096 default", "b 1048576 4096 default", "c d 2097152 4096 default"]
    );
    let reported = rows(&registry, &["--sort", "name", "--columns", "name,max,lock,prot"]);
    assert_eq!(reported[0], "a 1.50 GiB none rw-");
    // Each thing that a column may be is reported, and none is empty but where there is nothing.
    let every = "id,name,size,ram,nodes,lock,prot,pid,command,object,mapped,max,created,policy,pages,address";
    let text = registry.run(["ls", "a", "--columns", every]).stdout();
    let heading = text.lines().next().unwrap();
    for name in ["ID", "NAME", "OBJECT", "MAPPED", "MAX", "CREATED", "POLICY", "PAGES", "ADDRESS"] {
        assert!(heading.contains(name), "{text}");
    }
    assert!(text.contains("0x") && text.contains('Z'), "{text}");
}

#[test]
fn rows_as_asked() {
    let registry = Registry::new();
    let holders = three(&registry);
    assert_eq!(rows(&registry, &["[ab]", "--columns", "name", "--sort", "name"]), ["a", "b"]);
    assert_eq!(rows(&registry, &["c*", "b", "--columns", "name", "--sort", "name"]), ["b", "c d"]);
    let pid = holders[1].pid().to_string();
    assert_eq!(rows(&registry, &["--pid", &pid, "--columns", "name"]), ["a"]);
    let id = rows(&registry, &["a", "--columns", "id"])[0].clone();
    assert_eq!(rows(&registry, &[&id, "--columns", "name"]), ["a"]);
    for missing in ["x", "x*", "2147483647"] {
        let ran = registry.run(["ls", missing]);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.stderr.contains("no such area"), "{ran:?}");
    }
    let ran = registry.run(["ls", "[a"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("as a pattern of names"), "{ran:?}");
}

/// A clone that `open()` has made is published by no process: when the maker ends, it is reported
/// all the same.
#[test]
fn what_no_process_publishes_is_in_the_last_line() {
    let registry = Registry::new();
    let area = areas::builder(5 << 20).shared().unwrap();
    area.write_at(0, &[1; 8192]).unwrap();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let text = registry.run(["ls"]).stdout();
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("1 area, 0 B in RAM; not published: "), "{text}");
    assert!(last.contains(" allocated (ls --all); registry ") && last.contains(" of user "), "{text}");
    assert!(last.contains(registry.path().to_str().unwrap()), "{text}");
    let list: Value = serde_json::from_str(&registry.run(["ls", "--json"]).stdout()).unwrap();
    assert!(list["total"]["not_published"]["memories"].as_u64().unwrap() >= 1, "{list}");
    assert!(list["registry"].as_str().unwrap().starts_with(registry.path().to_str().unwrap()), "{list}");
    let all: Value = serde_json::from_str(&registry.run(["ls", "--all", "--json"]).stdout()).unwrap();
    let ours =
        all["unpublished"].as_array().unwrap().iter().find(|memory| memory["size"] == 5 << 20).unwrap();
    assert_eq!(ours["allocated"], 8192);
    assert!(ours["object"].as_str().unwrap().contains(':'), "{ours}");
}

#[test]
fn the_command_behind_the_dashes_is_reported() {
    let registry = Registry::new();
    let file = registry.file_of("file", 4096);
    let mut command =
        registry.areas(["put", file.to_str().unwrap(), "--name", "x", "--", "/bin/sleep", "100"]);
    let mut child = command.spawn().unwrap();
    let reported = || registry.run(["ls", "--no-headings", "--columns", "command"]).stdout();
    let right = within(std::time::Duration::from_secs(10), || reported() == "areas -- sleep\n");
    assert_eq!(registry.list()[0]["command"], "areas -- sleep");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    child.wait().unwrap();
    assert!(right);
}

#[test]
fn a_name_of_two_memories_is_reported() {
    let registry = Registry::new();
    let _older = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let shown = registry.run(["show", "x"]).stdout();
    assert!(!shown.contains("same name"), "{shown}");
    let _younger = registry.hold(["create", "--name", "x", "--size", "2M"]);
    let other = registry.list().iter().find(|area| area["size"] == 2 << 20).unwrap()["id"].clone();
    assert_eq!(registry.show("x")["namesakes"], serde_json::json!([other]));
    let shown = registry.run(["show", "x"]).stdout();
    assert!(
        shown.contains(&format!("same name   other memory: area {other}; the name finds the oldest")),
        "{shown}"
    );
}
