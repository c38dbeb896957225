//! The same memory in several containers: at a socket in a volume, and in one pid namespace.

use areas_testing::meminfo;
use serde_json::Value;

use crate::harness::{Holder, Ran};
use crate::podman::{MODEL, Podman};

/// The volume of most examples.
const SHARED: [&str; 2] = ["--volume", "shared:/shared"];
const USER: [&str; 2] = ["--user", "1002"];

/// One side of docs/containers.md: has it, and offers it.
fn maker(podman: &Podman, put: &str, offer: &str) -> Holder {
    let script = format!(
        "areas --quiet put /model.bin --name model {put} >/dev/null & areas wait model >/dev/null && \
         exec areas offer model --socket /shared/model.sock {offer}"
    );
    let maker = podman.start("maker", &SHARED, &script);
    assert!(maker.ready.contains("\"model\", 64.0 MiB: offered at"), "{}", maker.ready);
    maker
}

/// The other side, which holds it.
fn taker(podman: &Podman, options: &[&str]) -> Holder {
    let options = [&SHARED, options].concat();
    let taker =
        podman.start("taker", &options, "exec areas take /shared/model.sock --name mine --timeout 30");
    assert!(taker.ready.contains("\"mine\", 64.0 MiB"), "{}", taker.ready);
    taker
}

/// Bytes of the machine's RAM that shared memory takes.
fn shared_memory() -> u64 {
    meminfo::bytes("Shmem")
}

/// All bytes are what they are in the file that each container has.
fn assert_same_bytes(podman: &Podman, container: &str, area: &str) {
    let ran = podman.exec(container, &format!("areas cat {area} | cmp - /model.bin && echo same"));
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(0), "same\n"), "{ran:?}");
}

#[test]
fn two_that_share_a_volume_have_one_memory() {
    let Some(podman) = Podman::new("two_that_share_a_volume_have_one_memory") else { return };
    let (size, some) = (MODEL as u64, 8 << 20);
    let before = shared_memory();
    let _maker = maker(&podman, "--freeze", "");
    let made = shared_memory();
    // Others free and take a little concurrently.
    assert!(made.abs_diff(before + size) < some, "{before} {made}");
    // Half of what it is given to read: a copy would not fit.
    let _taker = taker(&podman, &["--memory", "32m"]);
    assert_same_bytes(&podman, "taker", "mine");
    let taken = shared_memory();
    assert!(taken.abs_diff(made) < some, "it takes RAM once: {made} {taken}");
    let memories = podman.memories("maker");
    assert_eq!(memories, podman.memories("taker"), "one device and inode");
    assert_eq!(memories.iter().map(|&(_, _, bytes)| bytes).collect::<Vec<_>>(), [size]);
    // Neither sees a process of the other, nor its names.
    let ran = podman.exec("taker", "areas ls --json");
    let list: Value = serde_json::from_str(&ran.stdout()).unwrap();
    let names: Vec<&Value> = list["areas"].as_array().unwrap().iter().map(|area| &area["name"]).collect();
    assert_eq!(names, ["mine"], "{list}");
    assert_eq!(list["unreadable"], Value::Array(Vec::new()));
}

/// What a process tries who was given it: to open the memory that the taker holds again, for
/// writing.
const TRY: &str = "for f in /proc/$PPID/fd/*; do case $(readlink $f) in /memfd:area:*)
(exec 3<$f) 2>/dev/null && echo read; (exec 3<>$f) 2>/dev/null && echo write; esac; done; echo tried";

fn attack(podman: &Podman, options: &[&str]) -> Ran {
    let program = ["areas", "take", "/shared/model.sock", "--timeout", "30", "--", "sh", "-c", TRY];
    Ran::of(&mut podman.run(&[&SHARED, options].concat(), &program))
}

#[test]
fn another_user_in_a_container_reads_and_cannot_write() {
    let Some(podman) = Podman::new("another_user_in_a_container_reads_and_cannot_write") else { return };
    // The attack is one that works where nothing keeps it off: both are the machine's root.
    let mut offer = maker(&podman, "", "");
    assert_eq!(attack(&podman, &[]).stdout(), "read\nwrite\ntried\n");
    podman.kill("maker", &mut offer);
    let _offer = maker(&podman, "", "--to 1002 --read-only");
    let ran = attack(&podman, &USER);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(0), "read\ntried\n"), "{ran:?}");
    // Root, whom the kernel would not keep off, is given nothing.
    let ran = attack(&podman, &[]);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.stderr.contains("it is not offered to user 0"), "{ran:?}");
    let _taker = taker(&podman, &USER);
    assert_same_bytes(&podman, "taker", "mine");
    assert_eq!(podman.memories("maker"), podman.memories("taker"));
    let ran = podman.exec("taker", "areas show mine --json");
    let area: Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!(area["protection"], "r--", "{area}");
}

#[test]
fn a_container_that_is_killed_leaves_takers_what_they_have() {
    let Some(podman) = Podman::new("a_container_that_is_killed_leaves_takers_what_they_have") else { return };
    let mut offer = maker(&podman, "--freeze", "");
    let _taker = taker(&podman, &["--memory", "32m"]);
    let memories = podman.memories("taker");
    podman.kill("maker", &mut offer);
    assert_same_bytes(&podman, "taker", "mine");
    assert_eq!(podman.memories("taker"), memories);
    assert_eq!(memories.iter().map(|&(_, _, bytes)| bytes).collect::<Vec<_>>(), [MODEL as u64]);
    // The socket is a dead one, and no other process gets anything.
    let ran = podman.shell(&SHARED, "areas take /shared/model.sock");
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("nothing is offered there"), "{ran:?}");
    let ran = podman.shell(&SHARED, "areas take /shared/model.sock --timeout 1");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    // Who starts again replaces it.
    let _offer = maker(&podman, "--freeze", "");
    let ran = podman.shell(&SHARED, "areas take /shared/model.sock -- areas cmp model /model.bin");
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn one_pid_namespace_and_one_folder_share_names() {
    let Some(podman) = Podman::new("one_pid_namespace_and_one_folder_share_names") else { return };
    let registry = ["--volume", "shared:/shared", "--env", "AREAS_DIR=/shared/areas"];
    let _holder = podman.start("a", &registry, "exec areas put /model.bin --name model");
    let inside = [&registry[..], &["--pid", "container:a"]].concat();
    let list = |options: &[&str]| -> Value {
        let ran = podman.shell(options, "areas ls --json");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.stdout()).unwrap()
    };
    let found = list(&inside);
    assert_eq!(
        (&found["areas"][0]["name"], &found["areas"][0]["pid"]),
        (&"model".into(), &1.into()),
        "{found}"
    );
    let ran = podman.shell(&inside, "areas cat model | cmp - /model.bin && echo same");
    assert_eq!(ran.stdout(), "same\n", "{ran:?}");
    // In a namespace of its own the same folder shows nothing.
    assert_eq!(list(&registry)["areas"], Value::Array(Vec::new()));
    // With fewer capabilities it may not look into the other one, which is reported.
    let fewer = list(&[&inside[..], &["--cap-drop", "ALL"]].concat());
    assert_eq!((&fewer["areas"], &fewer["unreadable"][0]["pid"]), (&Value::Array(Vec::new()), &1.into()));
    assert_ne!(fewer["unreadable"][0]["reason"], "", "{fewer}");
}

/// A volume belongs to who had it mounted first, and that may have been root.
#[test]
fn a_user_has_a_registry_in_a_volume_of_roots() {
    let Some(podman) = Podman::new("a_user_has_a_registry_in_a_volume_of_roots") else { return };
    assert_eq!(podman.shell(&SHARED, "true").code, Some(0));
    let user = [&SHARED[..], &USER, &["--env", "AREAS_DIR=/shared/areas"]].concat();
    let create = "areas create --name x --size 1M --populate -- areas show x --json";
    let ran = podman.shell(&user, create);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("/shared/areas: mkdir(0700): EACCES"), "{ran:?}");
    assert!(ran.stderr.contains("set AREAS_DIR to a folder of your own"), "{ran:?}");
    // The line that docs/containers.md names.
    let ran = podman.shell(&SHARED, "install -d -m 0700 -o 1002 /shared/areas");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = podman.shell(&user, create);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // Without the variable there is nothing to mend.
    let ran = podman.shell(&USER, create);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}
