//! What makes no sense: exit code 2, a message, and nothing done.

use crate::harness::Registry;

#[test]
fn wrong_usage_is_reported_and_ends_with_2() {
    let registry = Registry::new();
    let cases: [(&[&str], &str); 25] = [
        (&[], "Usage: areas"),
        (&["frobnicate"], "unrecognized subcommand 'frobnicate'"),
        (&["put", "-"], "give the name: `--name NAME`"),
        (&["put", "--name", "x"], "<FILE>..."),
        (&["put", "x", "--name", ""], "cannot name an area \"\": the name is empty"),
        (&["put", "x", "--name", "x", "--policy", "best"], "[possible values: default, local, bind, "),
        (&["put", "x", "--name", "x", "--nodes", "3-1"], "cannot read \"3-1\" as nodes"),
        (&["put", "x", "--name", "x", "--nodes", "1024"], "1024"),
        (&["put", "x", "--name", "x", "--nodes", "0-1023"], "it names each number that a node can have"),
        (&["put", "x", "--name", "x", "--huge", "4M"], "[possible values: auto, never, 2M, 1G]"),
        (&["put", "x", "--name", "x", "--policy", "local", "--nodes", "0"], "it takes no nodes"),
        (&["put", "x", "--name", "x", "--policy", "bind"], "it needs nodes, and none are given"),
        (&["put", "x", "--name", "x", "--policy", "preferred", "--nodes", "0-1"], "it takes one node"),
        (&["put", "x", "--name", "x", "--json", "--", "true"], "cannot be used with"),
        (&["create", "--name", "x", "--size", "much"], "cannot read \"much\" as a size"),
        (&["create", "--name", "x", "--size", "0"], "the size is 0"),
        (&["create", "--name", "x", "--size", "2M", "--growable", "1M"], "it may only grow to 1 MiB"),
        (&["create", "--name", "x", "--size", "9000P"], "more than"),
        (&["show", "name:"], "the name is empty"),
        (&["cat", "x", "--offset", "-1"], "unexpected argument '-1'"),
        (&["freeze", "x", "--timeout", "abc"], "it is not a number of seconds\n"),
        (&["drop", "x", "--timeout=-1"], "a time is not negative\n"),
        (&["take", "x", "--timeout", "1e400"], "it is not a number of seconds that a clock can count\n"),
        (&["top", "--once", "--interval", "nan"], "it is not a number of seconds"),
        (
            &["create", "--name", "x", "--size", "1M", "--at", "top"],
            "it is not an address: digits, or hexadecimal ones",
        ),
    ];
    for (arguments, message) in cases {
        let ran = registry.run(arguments);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(2), ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(message), "{arguments:?}: {ran:?}");
    }
    // What to do about a value is reported, too.
    let ran = registry.run(["put", "x", "--name", "x", "--nodes", "0-1023"]);
    assert!(ran.stderr.contains("\n  tip: write numbers from 0 to 1023 "), "{ran:?}");
    registry.assert_empty();
}

#[test]
fn what_is_not_there_ends_with_3() {
    let registry = Registry::new();
    for command in ["show", "cat"] {
        for area in ["nothing", "1", "0", "99999999999", "name:7"] {
            let ran = registry.run([command, area]);
            assert_eq!((ran.code, ran.stdout().as_str()), (Some(3), ""), "{command} {area}: {ran:?}");
            assert!(ran.stderr.starts_with("areas: cannot "), "{ran:?}");
            assert!(ran.stderr.contains("\n  help: `areas ls` lists "), "{ran:?}");
            if area == "nothing" || area == "name:7" || area == "1" {
                let folder = format!(
                    "there is no registry yet in {}, the folder of AREAS_DIR",
                    registry.path().display()
                );
                assert!(ran.stderr.contains(&folder), "{ran:?}");
            }
        }
    }
    // Looking makes nothing.
    assert_eq!(std::fs::read_dir(registry.path()).unwrap().count(), 0);
    let _holder = registry.hold(["create", "--name", "x", "--size", "64K"]);
    let ran = registry.run(["show", "nothing"]);
    let user = rustix::process::geteuid().as_raw();
    assert!(ran.stderr.contains(&format!("; looked in {}", registry.path().display())), "{ran:?}");
    assert!(ran.stderr.contains(&format!(", the registry of user {user}\n")), "{ran:?}");
}

#[test]
fn what_this_machine_cannot_do_ends_with_1() {
    let registry = Registry::new();
    let file = registry.file_of("file", 5000);
    let file = file.to_str().unwrap();
    // One page more than the pool has.
    let pool = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    let pages = pool.map_or(1, |text| text.trim().parse::<u64>().unwrap() + 1);
    let size = (pages << 21).to_string();
    let cases: [(&[&str], &str); 4] = [
        (&["put", file, "--name", "x", "--nodes", "1023"], "node 1023 does not exist or may not be used"),
        (
            &["put", file, "--name", "x", "--nodes", "0-1022"],
            "do not exist or may not be used; allowed nodes:",
        ),
        (&["create", "--name", "x", "--size", "7000P"], "the machine has"),
        (&["create", "--name", "x", "--size", &size, "--huge", "2M", "--", "true"], "pool"),
    ];
    for (arguments, message) in cases {
        let ran = registry.run(arguments);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(message), "{arguments:?}: {ran:?}");
    }
    registry.assert_empty();
}
