//! Who does not answer, or answers what makes no sense: no process is waited for longer than was
//! said, and it is reported who it was. And what comes of two who ask for the same.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::gate::{folder, held};
use crate::harness::{AREAS, Holder, Ran, Registry, within};

/// A holder whose address a process listens at, with its own process number, and says nothing. So
/// it is where a holder hangs. (It is made by who listens there, and becomes the holder, which
/// finds its address taken.)
fn silent_holder(registry: &Registry, backlog: u32) -> Holder {
    let script = "import os, socket, sys\n\
         name = f'\\0areas-holder-{os.stat(\"/proc/self/ns/pid\").st_ino}-{os.getpid()}'\n\
         s = socket.socket(socket.AF_UNIX)\n\
         s.bind(name)\n\
         s.listen(int(sys.argv[2]))\n\
         s.set_inheritable(True)\n\
         if sys.argv[2] == '0':\n\
         \x20   c = socket.socket(socket.AF_UNIX)\n\
         \x20   c.connect(name)\n\
         \x20   c.set_inheritable(True)\n\
         os.execv(sys.argv[1], ['areas', 'create', '--name', 'x', '--size', '1M'])\n";
    let mut command = registry.program("python3");
    Holder::start(command.args(["-c", script, AREAS, &backlog.to_string()]))
}

/// The time is that of all steps together, and whoever is silent is named. With a line that is
/// full, who asks cannot even connect.
#[test]
fn a_silent_holder_is_not_waited_for_longer_than_was_said() {
    let registry = Registry::new();
    for backlog in [64, 0] {
        let holder = silent_holder(&registry, backlog);
        let says = format!("process {} (areas), listens, and has not answered within 300ms", holder.pid());
        for (arguments, what) in [
            (&["freeze", "x", "--timeout", "0.3"][..], "cannot freeze area "),
            (&["rename", "x", "y", "--timeout", "0.3"], "cannot rename area "),
            (&["drop", "x", "--timeout", "0.3"], "cannot drop area "),
        ] {
            let ran = registry.run(arguments);
            assert_eq!((ran.code, ran.stdout().as_str()), (Some(4), ""), "{ran:?}");
            assert!(ran.stderr.contains(what) && ran.stderr.contains(&says), "{ran:?}");
        }
        assert_eq!(registry.show("x")["frozen"], false);
    }
}

/// Another one that holds the memory, and answers, does not make up for it: it still has it mapped
/// for writing.
#[test]
fn of_several_holders_the_silent_one_is_named() {
    let registry = Registry::new();
    let silent = silent_holder(&registry, 64);
    let _other = registry.hold(["hold", "x"]);
    let ran = registry.run(["freeze", "x", "--timeout", "0.5"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains(&format!("process {} (areas), listens", silent.pid())), "{ran:?}");
    drop(silent);
    assert!(within(Duration::from_secs(10), || registry.list().len() == 1));
    assert_eq!(registry.run(["freeze", "x", "--timeout", "20"]).code, Some(0));
}

/// Of two that want one name at once one gets it; the other one has what it had.
#[test]
fn of_two_renamings_to_one_name_one_is_done() {
    let registry = Registry::new();
    let _one = registry.hold(["create", "--name", "one", "--size", "64K"]);
    let _two = registry.hold(["create", "--name", "two", "--size", "64K"]);
    for _ in 0..10 {
        let before: Vec<Value> = ["one", "two"].iter().map(|name| registry.show(name)).collect();
        let ran: Vec<Ran> = std::thread::scope(|scope| {
            let rename = |name: &'static str| {
                let registry = &registry;
                scope
                    .spawn(move || registry.run(["rename", name, "wanted", "--exclusive", "--timeout", "20"]))
            };
            let threads = [rename("one"), rename("two")];
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winner = ran.iter().position(|ran| ran.code == Some(0)).unwrap();
        let loser = 1 - winner;
        assert_eq!(ran[loser].code, Some(1), "{:?}", ran[loser]);
        assert!(ran[loser].stderr.contains("leave out --exclusive"), "{:?}", ran[loser]);
        assert_eq!(registry.show("wanted")["object"], before[winner]["object"]);
        let name = ["one", "two"][loser];
        let kept = registry.show(name);
        assert_eq!((&kept["id"], &kept["object"]), (&before[loser]["id"], &before[loser]["object"]));
        assert_eq!(registry.list().len(), 2);
        let back = ["one", "two"][winner];
        assert_eq!(registry.run(["rename", "wanted", back]).code, Some(0));
    }
}

/// Another program that listens where an area is said to be offered: silent, or of other words.
#[test]
fn who_offers_no_area_gets_an_error() {
    let (_folder, socket) = folder();
    let socket = socket.to_str().unwrap();
    let registry = Registry::new();
    let script = "import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1])
s.listen()
print('listens', flush=True)
kept = []
while True:
    c, _ = s.accept()
    kept.append(c)
    if sys.argv[2] != 'silent': c.send(sys.argv[2].encode())";
    for (says, code, reported) in [
        ("silent", 4, "listens there, and has not answered within 300ms"),
        ("hello", 1, "sends is not an area of this version"),
        ("AREAno\u{1}", 1, "cannot take"),
    ] {
        let mut python = registry.program("python3");
        let listener = Holder::start(python.args(["-c", script, socket, says]));
        let ran = registry.run(["take", socket, "--timeout", "0.3", "--", "true"]);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(code), ""), "{says}: {ran:?}");
        assert!(
            ran.stderr.contains(reported) && ran.stderr.matches("cannot").count() == 1,
            "{says}: {ran:?}"
        );
        assert!(ran.stderr.contains(&format!("process {}", listener.pid())) || says != "silent", "{ran:?}");
        drop(listener);
        std::fs::remove_file(socket).unwrap();
    }
    let ran = registry.run(["take", socket, "--timeout", "0.1"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert_eq!(ran.stderr.matches("cannot take").count(), 1, "{ran:?}");
}

/// It is given once it was taken: not where the taker refuses what it sees.
#[test]
fn given_is_said_of_what_was_taken() {
    let (registry, _holder) = held(300_000, &[]);
    let (_folder, socket) = folder();
    let socket = socket.to_str().unwrap();
    let mut offer = registry.hold(["offer", "model", "--socket", socket, "--json"]);
    let mut next = || serde_json::from_str::<Value>(&offer.line()).unwrap();
    let ran = registry.run(["take", socket, "--name", "x", "--max-size", "4K", "--", "true"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let reported = next();
    assert_eq!((&reported["event"], &reported["reason"]), (&"left".into(), &().into()));
    let ran = registry.run(["take", socket, "--name", "x", "--", "true"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(next()["event"], "given");
    offer.signal(Signal::TERM);
    assert_eq!(offer.rest(), "");
    // As a line.
    let mut offer = registry.hold(["offer", "model", "--socket", socket]);
    for bound in [&["--max-size", "4K"][..], &[]] {
        let mut take = vec!["take", socket, "--name", "x"];
        take.extend(bound);
        registry.run(take.into_iter().chain(["--", "true"]));
    }
    offer.signal(Signal::TERM);
    assert_eq!(offer.wait(), 143);
    let reported = offer.errors();
    let given: Vec<&str> =
        reported.lines().filter(|line| line.starts_with("areas: given to process ")).collect();
    assert!(reported.contains("it left without taking what was sent") && given.len() == 1, "{reported}");
}
