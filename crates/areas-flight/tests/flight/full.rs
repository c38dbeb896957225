//! Receivers that have no room: of a control group, of addresses, of a disk. Each is reported,
//! nothing is published, and what was taken is released.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::harness::{Machine, Ran, SOON, bytes_of, check, skipped, within};
use crate::hostile::{Hostile, Then, batch};

/// A control group with a limit of memory. It goes with this.
struct Group {
    folder: PathBuf,
    usage: &'static str,
}

impl Group {
    /// `None`, and that is said, where there can be none.
    fn new(test: &str, limit: u64) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("areas-flight-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // Of version 1, and of version 2.
        let kinds = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
            ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ];
        let mut why = "there is no hierarchy of control groups".to_owned();
        for (root, set, usage) in kinds {
            if !Path::new(root).join("cgroup.procs").exists() {
                continue;
            }
            let group = Group { folder: Path::new(root).join(&name), usage };
            let made = fs::create_dir(&group.folder)
                .and_then(|()| fs::write(group.folder.join(set), limit.to_string()));
            match made {
                Ok(()) => return Some(group),
                Err(error) => why = format!("{}: {error}", group.folder.display()),
            }
        }
        skipped(&format!("full::{test}"), &why);
        None
    }

    /// Runs a command in it.
    fn run(&self, command: &Command) -> Ran {
        let mut inside = Command::new("sh");
        inside.args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#]).arg(&self.folder);
        inside.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        Ran::from(inside.output().unwrap())
    }

    fn usage(&self) -> u64 {
        fs::read_to_string(self.folder.join(self.usage)).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

#[test]
fn a_control_group_that_is_smaller_than_the_area() {
    let (there, here) = (Machine::new(), Machine::new());
    let Some(group) = Group::new("a_control_group_that_is_smaller_than_the_area", 48 << 20) else { return };
    let _held = there.put("a", &bytes_of(96 << 20));
    let (_server, port) = there.serve(&["a"]);
    let (location, token) = (format!("127.0.0.1:{port}/a"), there.token());
    let ran = group.run(&here.areas(["fetch", &location, "--token-file", token.to_str().unwrap()]));
    check(&ran, 1, &["control group", "help: "]);
    here.assert_empty();
    // Nothing was taken; the group may still have the program's file in its cache.
    assert!(within(SOON, || group.usage() < 24 << 20), "{} bytes", group.usage());
}

/// How large it becomes is not known before: it is reported on the way.
#[test]
fn a_table_that_outgrows_its_control_group() {
    let here = Machine::new();
    let Some(group) = Group::new("a_table_that_outgrows_its_control_group", 64 << 20) else { return };
    let mut hostile = Hostile::new(0, vec![batch(1 << 20)], Then::Again);
    hostile.metadata = serde_json::json!("nothing of ours");
    let location = format!("127.0.0.1:{}/a", hostile.start());
    let ran = group.run(&here.areas(["fetch", &location]));
    check(&ran, 1, &["control group", "help: "]);
    here.assert_empty();
    assert!(within(SOON, || group.usage() < 32 << 20), "{} bytes", group.usage());
}

#[test]
fn addresses_that_are_not_there() {
    let (there, here) = (Machine::new(), Machine::new());
    let _held = there.put("a", &bytes_of(256 << 20));
    let (_server, port) = there.serve(&["a"]);
    let (location, token) = (format!("127.0.0.1:{port}/a"), there.token());
    let fetch = here.areas(["fetch", &location, "--token-file", token.to_str().unwrap()]);
    let mut limited = Command::new("prlimit");
    limited.arg("--as=209715200").arg(fetch.get_program()).args(fetch.get_args());
    limited.envs(fetch.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    match limited.output() {
        Ok(output) => check(&Ran::from(output), 1, &["areas: cannot", "help: "]),
        Err(error) => skipped("full::addresses_that_are_not_there", &format!("prlimit: {error}")),
    }
    here.assert_empty();
}

/// A token that was half written would lock out all who come later.
#[test]
fn a_disk_without_room_for_the_token() {
    let there = Machine::new();
    let _held = there.put("a", &bytes_of(4096));
    let full = there.file("full");
    fs::create_dir(&full).unwrap();
    let script = r#"mount -t tmpfs -o size=4k,nr_inodes=8 full "$0" || exit 77
        head -c 4096 /dev/zero > "$0/filler"
        "$@" serve a --token-file "$0/token"; code=$?
        ls "$0"
        exit $code"#;
    let areas = there.areas::<&str>([]);
    let mut apart = Command::new("unshare");
    apart.args(["-m", "sh", "-c", script]).arg(&full).arg(areas.get_program()).stdin(Stdio::null());
    apart.envs(areas.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = match apart.output().map(Ran::from) {
        Ok(ran) if ran.code != Some(77) && !ran.stderr.contains("unshare:") => ran,
        Ok(ran) => return skipped("full::a_disk_without_room_for_the_token", &ran.stderr),
        Err(error) => {
            return skipped("full::a_disk_without_room_for_the_token", &format!("unshare: {error}"));
        }
    };
    check(&ran, 1, &["make a token", "no space left"]);
    assert_eq!(String::from_utf8_lossy(&ran.output), "filler\n", "nothing of a token is left");
}

#[test]
fn an_output_without_room_for_the_answer() {
    let (there, here) = (Machine::new(), Machine::new());
    let _held = there.put("a", &bytes_of(1 << 20));
    let (_server, port) = there.serve(&["a"]);
    let (location, token) = (format!("127.0.0.1:{port}/a"), there.token());
    for how in [&["--detach"][..], &[]] {
        let arguments = [&["fetch", &location, "--token-file", token.to_str().unwrap()], how].concat();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = Ran::from(here.areas(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap());
        check(&ran, 1, &["no space left"]);
        here.assert_empty();
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ran = Ran::from(there.areas(["serve", "a"]).stdout(full).stderr(Stdio::piped()).output().unwrap());
    check(&ran, 1, &["no space left"]);
}
