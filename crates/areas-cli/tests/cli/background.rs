//! Holders in the background.

use std::fs;

use serde_json::Value;

use crate::harness::{Ran, Registry, bytes_of, path_with_areas};
use crate::holders::kill;

/// Ends holders in the background when a test ends, however it ends.
struct Background<'a>(&'a Registry);

impl Drop for Background<'_> {
    fn drop(&mut self) {
        let ran = self.0.run(["ls", "--json"]);
        let list: Value = serde_json::from_slice(&ran.output).unwrap_or_default();
        list["areas"].as_array().into_iter().flatten().for_each(|area| kill(&area["pid"]));
    }
}

#[test]
fn a_holder_in_the_background_is_nobodys_child() {
    let registry = Registry::new();
    let _background = Background(&registry);
    let file = registry.file_of("file", 300_000);
    let ran =
        Ran::of(&mut registry.areas(["put", file.to_str().unwrap(), "--name", "x", "--freeze", "--detach"]));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let area = registry.show("x");
    let (id, pid) = (area["id"].to_string(), area["pid"].to_string());
    assert_eq!(
        ran.stdout(),
        format!(
            "area {id} \"x\", 293 KiB, frozen: held by process {pid} in the background; `areas drop {id}` ends it\n"
        )
    );
    // It is in a session of its own, which it does not lead, with no terminal, and nothing of ours.
    let stat_of = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields_of = |stat: &str| -> [String; 5] {
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().map(str::to_owned);
        fields.take(5).collect::<Vec<_>>().try_into().unwrap()
    };
    let stat = stat_of(&pid);
    let [_, parent, _, session, terminal] = fields_of(&stat);
    assert!(session != pid && terminal == "0", "{stat}");
    assert_ne!(parent, std::process::id().to_string());
    // Ours may be that of a process outside our pid namespace: 0.
    let [_, _, _, our_session, _] = fields_of(&stat_of("self"));
    assert!(session != our_session && session != "0", "{stat}");
    for number in 0..3 {
        let link = fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
        assert_eq!(link.to_str(), Some("/dev/null"), "{number}");
    }
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some("/"));
    assert!(registry.run(["cat", "x"]).output == bytes_of(300_000));
    assert_eq!(registry.list().len(), 1);
    let ran = registry.run(["drop", &id]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    registry.assert_empty();
}

#[test]
fn several_in_the_background() {
    let registry = Registry::new();
    let _background = Background(&registry);
    let files: Vec<_> = ["a", "b", "c"].iter().map(|name| registry.file_of(name, 5000)).collect();
    let mut arguments = vec!["put", "--name", "models/{}", "--detach", "--json"];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    let ran = registry.run(arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told: Vec<Value> = ran.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = told.iter().map(|area| area["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["models/a", "models/b", "models/c"]);
    assert!(told.iter().all(|area| area["pid"] == told[0]["pid"]));
    for area in &told {
        assert_eq!(registry.run(["drop", &area["id"].to_string()]).code, Some(0));
    }
    registry.assert_empty();
    // A create and a clone, too.
    assert_eq!(
        registry.run(["create", "--name", "x", "--size", "1M", "--growable", "8M", "--detach"]).code,
        Some(0)
    );
    let first = registry.show("x");
    assert_eq!((&first["reserve"], &first["growable"]), (&(8 << 20).into(), &true.into()));
    assert_eq!(registry.run(["hold", "x", "--detach"]).code, Some(0));
    assert_eq!(registry.list().len(), 2);
    assert_eq!(registry.run(["resize", "x", "2M"]).code, Some(0));
}

/// What cannot be published leaves no holder behind.
#[test]
fn what_fails_is_not_in_the_background() {
    let registry = Registry::new();
    let _background = Background(&registry);
    let file = registry.file_of("file", 5000);
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    for arguments in [
        ["put", file.to_str().unwrap(), "--name", "x", "--exclusive", "--detach"],
        ["put", "/nowhere/at/all", "--name", "y", "--freeze", "--detach"],
    ] {
        let ran = registry.run(arguments);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{ran:?}");
    }
    assert_eq!(registry.list().len(), 1);
    let ran = registry.run(["put", file.to_str().unwrap(), "--detach", "--", "true"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn scripts_need_no_more_than_that() {
    let registry = Registry::new();
    let _background = Background(&registry);
    registry.file_of("file", 5000);
    let script = format!(
        "id=$(areas -q put {} --detach) && areas cat $id | cmp - {0} && areas -q drop $id && ! areas show file 2>/dev/null",
        registry.file("file").display()
    );
    let ran = Ran::of(registry.program("bash").args(["-c", &script]).env("PATH", path_with_areas()));
    assert_eq!((ran.code, ran.stdout().as_str(), ran.stderr.as_str()), (Some(0), "", ""), "{ran:?}");
}
