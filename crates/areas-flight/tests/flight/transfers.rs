//! What comes over: bytes, names, notes, placement; through failures of the connection, the server
//! and the receiver.

use serde_json::json;

use crate::harness::{Held, Machine, SOON, assert_freed, bytes_of, objects_of, within};
use crate::proxy::Proxy;

/// Enough that it takes several ranges of several chunks.
const MANY: usize = (20 << 20) + 12_345;

fn location(port: u16, name: &str) -> String {
    format!("127.0.0.1:{port}/{name}")
}

fn fetch<'a>(there: &'a Machine, location: &'a str) -> Vec<String> {
    let token = there.token();
    ["fetch", location, "--token-file", token.to_str().unwrap()].map(str::to_owned).to_vec()
}

#[test]
fn two_commands_bring_an_area_over() {
    let (there, here) = (Machine::new(), Machine::new());
    for len in [1, 7, 4096, 2 << 20, MANY] {
        let bytes = bytes_of(len);
        let _held = there.put("models/a", &bytes);
        let (_server, port) = there.serve(&["models/a"]);
        let location = location(port, "models/a");
        let fetched = here.hold(fetch(&there, &location));
        assert!(here.bytes("models/a") == bytes, "{len} bytes differ");
        let shown = here.show("models/a");
        assert_eq!(
            (&shown["size"], &shown["frozen"], &shown["pid"]),
            (&json!(len), &json!(true), &json!(fetched.child.id()))
        );
        assert_eq!(shown["resident"], json!(len.next_multiple_of(4096)), "{shown}");
        assert!(fetched.all_children().is_empty(), "who fetched has ended");
    }
    here.assert_empty();
}

#[test]
fn placed_named_noted_and_as_long_as_a_command() {
    let (there, here) = (Machine::new(), Machine::new());
    let path = there.file("data");
    std::fs::write(&path, bytes_of(MANY)).unwrap();
    let put = ["put", path.to_str().unwrap(), "--name", "a", "--freeze", "--note", "shape=(3,4)"];
    let _held = there.hold(put);
    let (_server, port) = there.serve(&["a"]);
    let location = location(port, "a");
    let mut arguments = fetch(&there, &location);
    arguments.extend(
        ["--name", "b", "--policy", "interleave", "--streams", "1", "--quiet", "--"].map(str::to_owned),
    );
    arguments.push(crate::harness::areas_command().to_str().unwrap().to_owned());
    arguments.extend(["show", "b", "--json"].map(str::to_owned));
    let ran = here.run(arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let shown: serde_json::Value = serde_json::from_slice(&ran.output).unwrap();
    assert_eq!((&shown["note"], &shown["frozen"]), (&json!("shape=(3,4)"), &json!(true)));
    assert!(shown["policy"].as_str().unwrap().starts_with("interleave"), "{shown}");
    assert_eq!(shown["misplaced"], json!(0));
    here.assert_empty();
}

#[test]
fn an_area_of_this_registry_is_cloned_and_nothing_is_sent() {
    let here = Machine::new();
    let _held = here.put("a", &bytes_of(MANY));
    let (_server, port) = here.serve(&["--all"]);
    let source = here.show("a")["object"].clone();
    // The token of this machine's own server is found by itself.
    let location = location(port, "a");
    let mut cloned = here.hold(["fetch", &location, "--name", "b"]);
    assert_eq!(here.show("b")["object"], source);
    cloned.kill();
    assert!(cloned.errors().contains("nothing was sent"));
    let copied = here.hold(["fetch", &location, "--name", "c", "--copy"]);
    assert_ne!(here.show("c")["object"], source);
    // What is to be elsewhere is not a clone.
    let _placed = here.hold(["fetch", &location, "--name", "d", "--nodes", "0"]);
    assert_ne!(here.show("d")["object"], source);
    drop(copied);
}

#[test]
fn it_goes_on_after_a_lost_connection() {
    let (there, here) = (Machine::new(), Machine::new());
    let bytes = bytes_of(MANY);
    let _held = there.put("a", &bytes);
    let (_server, port) = there.serve(&["a"]);
    let proxy = Proxy::new(port, 9 << 20);
    let location = location(proxy.port, "a");
    let mut fetching = Held::started(&mut here.areas(fetch(&there, &location)));
    proxy.wait_until_stopped();
    here.assert_empty();
    proxy.cut();
    proxy.let_pass(u64::MAX);
    assert!(within(SOON, || here.run(["show", "a"]).code == Some(0)), "{:?}", fetching.errors());
    assert!(here.bytes("a") == bytes);
    // What had come did not come again: a chunk of each range at most.
    assert!(proxy.came() < (MANY as u64) + (12 << 20), "{}", proxy.came());
    fetching.kill();
    let errors = fetching.errors();
    assert!(
        errors.contains("connection lost at byte") && errors.contains("the checksum is right"),
        "{errors}"
    );
}

#[test]
fn it_goes_on_with_a_server_that_was_started_again() {
    let (there, here) = (Machine::new(), Machine::new());
    let bytes = bytes_of(MANY);
    let _held = there.put("a", &bytes);
    let (mut server, port) = there.serve(&["a"]);
    let proxy = Proxy::new(port, 9 << 20);
    let location = location(proxy.port, "a");
    let mut fetching = Held::started(&mut here.areas(fetch(&there, &location)));
    proxy.wait_until_stopped();
    server.kill();
    proxy.cut();
    let (_again, port) = there.serve(&["a"]);
    proxy.point_to(port);
    proxy.let_pass(u64::MAX);
    assert!(within(SOON, || here.run(["show", "a"]).code == Some(0)), "{:?}", fetching.errors());
    assert!(here.bytes("a") == bytes);
}

#[test]
fn another_area_of_that_name_is_no_continuation() {
    let (there, here) = (Machine::new(), Machine::new());
    let held = there.put("a", &bytes_of(MANY));
    let (_server, port) = there.serve(&["a", "--token-file", there.token().to_str().unwrap()]);
    let proxy = Proxy::new(port, 9 << 20);
    let location = location(proxy.port, "a");
    let mut fetching = Held::started(&mut here.areas(fetch(&there, &location)));
    proxy.wait_until_stopped();
    drop(held);
    let _other = there.put("a", &vec![7; MANY]);
    proxy.cut();
    proxy.let_pass(u64::MAX);
    let ran = fetching.ended();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("another area of that name"), "{ran:?}");
    here.assert_empty();
}

#[test]
fn a_server_that_is_killed_leaves_nothing_published() {
    let (there, here) = (Machine::new(), Machine::new());
    let _held = there.put("a", &bytes_of(MANY));
    let (mut server, port) = there.serve(&["a"]);
    let proxy = Proxy::new(port, 9 << 20);
    let location = location(proxy.port, "a");
    let arguments = [fetch(&there, &location), ["--timeout", "1"].map(str::to_owned).to_vec()].concat();
    let mut fetching = Held::started(&mut here.areas(arguments));
    proxy.wait_until_stopped();
    let worker = fetching.all_children();
    let objects: Vec<u64> = worker.iter().flat_map(|&pid| objects_of(pid)).collect();
    server.kill();
    proxy.cut();
    proxy.let_pass(u64::MAX);
    let ran = fetching.ended();
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(
        ran.stderr.contains("nothing came for 1 s") && ran.stderr.contains("nothing was published"),
        "{ran:?}"
    );
    here.assert_empty();
    assert_freed(&objects);
}

#[test]
fn whoever_of_the_receivers_is_killed_all_memory_is_freed() {
    for kill_worker in [false, true] {
        let (there, here) = (Machine::new(), Machine::new());
        let _held = there.put("a", &bytes_of(MANY));
        let (_server, port) = there.serve(&["a"]);
        let proxy = Proxy::new(port, 9 << 20);
        let location = location(proxy.port, "a");
        let mut fetching = Held::started(&mut here.areas(fetch(&there, &location)));
        proxy.wait_until_stopped();
        let worker = fetching.all_children();
        let objects: Vec<u64> = worker.iter().flat_map(|&pid| objects_of(pid)).collect();
        if kill_worker {
            let pid = rustix::process::Pid::from_raw(i32::try_from(worker[0]).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            let ran = fetching.ended();
            assert_eq!(ran.code, Some(1), "{ran:?}");
            assert!(ran.stderr.contains("signal: 9"), "{ran:?}");
        } else {
            fetching.kill();
        }
        here.assert_empty();
        assert_freed(&objects);
    }
}
