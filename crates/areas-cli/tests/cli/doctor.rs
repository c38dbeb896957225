//! `areas doctor`: what it says of this machine, in whatever state this process is; of others; and
//! of areas. And that the lines it names mend.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{AREAS, Holder, Ran, Registry, can_run, is_root, path_with_areas, skipped};
use crate::locks::Program;

/// What `areas doctor …` says in JSON, and its exit code.
fn examined(command: &mut Command) -> (Value, Option<i32>) {
    let ran = Ran::of(command);
    assert_eq!(ran.stderr, "", "{ran:?}");
    (serde_json::from_str(&ran.stdout()).unwrap_or_else(|_| panic!("{ran:?}")), ran.code)
}

/// The checks of that name.
pub(crate) fn checks<'a>(report: &'a Value, id: &str) -> Vec<&'a Value> {
    report["checks"].as_array().unwrap().iter().filter(|check| check["id"] == id).collect()
}

#[track_caller]
fn check<'a>(report: &'a Value, id: &str) -> &'a Value {
    match checks(report, id).as_slice() {
        [check] => check,
        other => panic!("{id}: {other:?}"),
    }
}

/// The first remedy's line.
fn line(check: &Value) -> &str {
    check["remedies"][0]["text"].as_str().unwrap_or_else(|| panic!("{check}"))
}

/// A small machine: enough for its checks to have something to say.
fn machine(registry: &Registry) -> std::path::PathBuf {
    let root = registry.file("machine");
    let status = "Name:\tareas\nPid:\t77\nUid:\t1000\t1000\t1000\t1000\nGid:\t7\t7\t7\t7\nNSpid:\t77\nCapEff:\t0000000000000000\n\
        Seccomp:\t2\nSeccomp_filters:\t1\nMems_allowed_list:\t0\n";
    let limits = "Max file size             1048576              1048576              bytes\n\
        Max open files            1024                 4096                 files\n\
        Max locked memory         8388608              8388608              bytes\n";
    for (path, text) in [
        ("proc/sys/kernel/osrelease", "6.12.1\u{1b}[31m\n"),
        ("proc/sys/vm/overcommit_memory", "2\n"),
        ("proc/sys/vm/max_map_count", "?\n"),
        (
            "proc/meminfo",
            "MemTotal: 16000000 kB\nMemAvailable: 9000000 kB\nCommitLimit: 9000000 kB\nCommitted_AS: 8999000 kB\nHugepagesize: 2048 kB\n",
        ),
        ("proc/77/status", status),
        ("proc/77/limits", limits),
        ("proc/77/cgroup", "0::/box\n"),
        (
            "proc/77/mountinfo",
            "22 1 0:21 / /proc rw - proc proc rw,hidepid=2\n26 1 0:24 / /cg rw - cgroup2 none rw\n",
        ),
        ("cg/box/memory.high", "104857600\n"),
        ("cg/box/memory.current", "104857600\n"),
        ("cg/box/memory.stat", "inactive_file 1048576\n"),
        ("cg/box/memory.events", "low 0\nhigh 4711\nmax 0\n"),
        (
            "cg/box/memory.pressure",
            "some avg10=80.00 avg60=61.25 avg300=9.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
        ),
        ("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n"),
        ("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0\n"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    std::os::unix::fs::symlink("77", root.join("proc/self")).unwrap();
    root
}

#[test]
fn another_machine_at_80_and_200_columns_and_in_a_pipe() {
    let registry = Registry::new();
    let root = machine(&registry);
    let shown = |columns: &str, arguments: &str| {
        let mut command = registry.program("script");
        let line = format!("areas doctor --root {} {arguments}", root.display());
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command.env("PATH", path_with_areas()).env("COLUMNS", columns).env("TERM", "dumb");
        command.output().ok().map(|output| Ran::from(output).stdout().replace('\r', ""))
    };
    let piped = registry.run(["doctor".as_ref(), "--root".as_ref(), root.as_os_str()]);
    assert_eq!((piped.code, piped.stderr.as_str()), (Some(1), ""));
    insta::assert_snapshot!("doctor_piped", piped.stdout());
    let Some(narrow) = shown("80", "") else {
        return skipped(
            "doctor::another_machine_at_80_and_200_columns_and_in_a_pipe",
            "there is no `script`",
        );
    };
    insta::assert_snapshot!("doctor_80", narrow);
    // Commands are whole, however long; all else fits.
    let too_long = |line: &&str| line.chars().count() > 80 && !line.trim_start().starts_with(['#', '$']);
    assert_eq!(narrow.lines().find(too_long), None);
    insta::assert_snapshot!("doctor_200", shown("200", "--all").unwrap());
    // The characters that the locale has, and none that a terminal obeys.
    let plain =
        Ran::of(registry.areas(["doctor".as_ref(), "--root".as_ref(), root.as_os_str()]).env("LC_ALL", "C"));
    assert!(plain.stdout().is_ascii() && plain.stdout().contains("\n  FAILED "), "{plain:?}");
    assert!(!plain.stdout().contains('\u{1b}'));
    let nowhere = registry.run(["doctor".as_ref(), "--root".as_ref(), registry.file("nowhere").as_os_str()]);
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.stderr.contains("there is no such folder"), "{nowhere:?}");
}

#[test]
fn this_machine_as_it_is() {
    let registry = Registry::new();
    let (reported, code) = examined(&mut registry.areas(["doctor", "--json"]));
    assert_eq!(reported["schema"], 1);
    let states = |state: &str| {
        reported["checks"].as_array().unwrap().iter().filter(|check| check["state"] == state).count()
    };
    let counted = ["fine", "remark", "broken", "unknown"].map(states);
    assert_eq!(
        counted,
        ["fine", "remarks", "broken", "unknown"]
            .map(|count| usize::try_from(reported[count].as_u64().unwrap()).unwrap())
    );
    assert_eq!(code, Some(i32::from(counted[2] > 0)));
    assert!(counted.iter().sum::<usize>() > 50, "{counted:?}");
    for id in [
        "kernel.populate",
        "sandbox.objects",
        "sandbox.mappings",
        "sandbox.registry",
        "registry.folder",
        "sight.proc",
    ] {
        assert_eq!(check(&reported, id)["state"], "fine", "the tests need it: {reported}");
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(check(&reported, "kernel.version")["finding"], format!("Linux {}", release.trim()));
    // Looking makes nothing.
    assert_eq!(fs::read_dir(registry.path()).unwrap().count(), 0);
}

/// The line that is named is typed, and what was broken is fine.
#[test]
fn the_lines_that_are_named_mend() {
    let registry = Registry::new();
    fs::set_permissions(registry.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (report, code) = examined(&mut registry.areas(["doctor", "--json"]));
    let folder = check(&report, "registry.folder");
    assert_eq!((folder["state"].as_str(), code), (Some("broken"), Some(1)), "{folder}");
    assert_eq!(registry.shell(line(folder)).code, Some(0));
    let (report, _) = examined(&mut registry.areas(["doctor", "--json"]));
    assert_eq!(check(&report, "registry.folder")["state"], "fine");
    // Limits of the shell that starts it.
    for (limit, id, state) in [
        ("ulimit -S -f 100", "limits.fsize", "broken"),
        ("ulimit -S -n 12", "limits.nofile", "broken"),
        ("ulimit -S -v 4000000", "limits.as", "remark"),
    ] {
        let report: Value =
            serde_json::from_str(&registry.shell(&format!("{limit}; areas doctor --json")).stdout()).unwrap();
        let found = check(&report, id);
        assert_eq!(found["state"], state, "{limit}: {found}");
        let mended = registry.shell(&format!("{limit}; {}; areas doctor --json", line(found)));
        let report: Value = serde_json::from_str(&mended.stdout()).unwrap();
        assert_eq!(check(&report, id)["state"], "fine", "{limit}: {}", line(found));
    }
}

/// Standard streams that are closed, children that no process may wait for, and no folder.
#[test]
fn odd_programs_around_it() {
    let registry = Registry::new();
    let of = |script: &str| {
        let ran = registry.shell(script);
        serde_json::from_str::<Value>(&ran.stdout()).unwrap_or_else(|_| panic!("{script}: {ran:?}"))
    };
    for script in [
        "trap '' CHLD; areas doctor --json",
        "exec 0<&- 2>&-; areas doctor --json",
        "ulimit -c unlimited; areas doctor --json",
    ] {
        let reported = of(script);
        assert_eq!(check(&reported, "sandbox.objects")["state"], "fine", "{script}");
    }
    let reported = of("AREAS_DIR=/nonexistent/x areas doctor --json");
    assert_eq!(
        check(&reported, "registry.folder")["state"],
        "broken",
        "there is no folder above it: {reported}"
    );
    let closed = registry.shell("areas doctor >&-");
    assert_eq!(closed.code, Some(1));
    assert!(closed.stderr.contains("cannot write to the standard output"), "{closed:?}");
    assert_eq!(
        registry
            .shell("areas doctor | true; exit ${PIPESTATUS[0]}")
            .code
            .map(|code| [0, 1, 141].contains(&code)),
        Some(true)
    );
}

#[test]
fn an_ordinary_user_and_one_in_a_namespace() {
    let registry = Registry::new();
    let inside = ["unshare", "--user", "--map-root-user", "true"];
    if can_run("doctor::an_ordinary_user_and_one_in_a_namespace", &inside) {
        let mut command = registry.program("unshare");
        command.args(["--user", "--map-root-user", AREAS, "doctor", "--json"]);
        let (reported, _) = examined(&mut command);
        let namespace = check(&reported, "sight.user-namespace");
        assert_eq!(namespace["state"], "remark", "{namespace}");
        assert!(line(namespace).contains("areas offer"), "{namespace}");
        assert_eq!(
            check(&reported, "registry.folder")["state"],
            "fine",
            "its owner is the user of the namespace"
        );
    }
    if !is_root() {
        return skipped(
            "doctor::an_ordinary_user_and_one_in_a_namespace",
            "only root can become another user",
        );
    }
    let home = tempfile::tempdir().unwrap();
    fs::copy(AREAS, home.path().join("areas")).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = registry.program("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all"]);
    let (reported, code) = examined(command.arg(home.path().join("areas")).args(["doctor", "--json"]));
    let folder = check(&reported, "registry.folder");
    assert_eq!((folder["state"].as_str(), code), (Some("broken"), Some(1)), "{folder}");
    assert!(
        folder["finding"].as_str().unwrap().contains("it belongs to user 0, and we are user 65534"),
        "{folder}"
    );
    let capabilities = check(&reported, "sight.capabilities");
    assert!(capabilities["finding"].as_str().unwrap().contains("CAP_SYS_NICE"), "{capabilities}");
}

/// Where `/proc` is another pid namespace's.
#[test]
fn another_namespaces_proc() {
    let registry = Registry::new();
    let test = "doctor::another_namespaces_proc";
    if !can_run(test, &["unshare", "--pid", "--fork", "true"]) {
        return;
    }
    let mut command = registry.program("unshare");
    command.args(["--pid", "--fork", AREAS, "doctor", "--json"]);
    let (reported, code) = examined(&mut command);
    let proc = check(&reported, "sight.proc");
    assert_eq!((proc["state"].as_str(), code), (Some("broken"), Some(1)), "{proc}");
    assert_eq!(line(proc), "mount -t proc proc /proc");
}

/// Without any `/proc`: it says so, and of what cannot be read that it is unknown.
#[test]
fn no_proc_at_all() {
    let registry = Registry::new();
    // One may be mounted over another.
    let script =
        "umount -l /proc && while umount -l /proc 2>/dev/null; do :; done; exec \"$0\" doctor --json";
    if !can_run("doctor::no_proc_at_all", &["unshare", "--mount", "sh", "-c", "umount -l /proc"]) {
        return;
    }
    let mut command = registry.program("unshare");
    let (reported, code) = examined(command.args(["--mount", "sh", "-c", script, AREAS]));
    let proc = check(&reported, "sight.proc");
    assert_eq!((proc["state"].as_str(), code), (Some("broken"), Some(1)), "{proc}");
    assert_eq!(line(proc), "mount -t proc proc /proc");
    for id in ["groups.membership", "sight.yama", "numa.balancing", "limits.overcommit", "sandbox.filter"] {
        assert_eq!(check(&reported, id)["state"], "unknown", "{id}");
    }
    assert_eq!(check(&reported, "registry.folder")["state"], "fine");
}

/// An area of which all pages are there, on the node that was asked for.
pub(crate) fn bound(registry: &Registry, name: &str) -> Holder {
    let placed = ["--size", "1M", "--populate", "--policy", "bind", "--nodes", "0"];
    registry.hold(["create", "--name", name].into_iter().chain(placed))
}

#[test]
fn an_area_that_is_as_it_was_asked_to_be() {
    let registry = Registry::new();
    let holder = bound(&registry, "well");
    let (reported, code) = examined(&mut registry.areas(["doctor", "well", "--json"]));
    assert_eq!(
        (code, reported["broken"].as_u64(), reported["remarks"].as_u64()),
        (Some(0), Some(0), Some(0)),
        "{reported}"
    );
    assert_eq!(reported["area"], registry.list()[0]["id"]);
    let place = check(&reported, "area.place");
    assert!(place["finding"].as_str().unwrap().starts_with("node 0 has all 1.00 MiB"), "{place}");
    let holders = check(&reported, "area.holders")["finding"].as_str().unwrap();
    assert_eq!(holders, format!("{} (areas)", holder.pid()), "we are none of them");
    let text = registry.run(["doctor", "well"]);
    assert_eq!(text.code, Some(0));
    assert!(text.stdout().contains("  ✓ policy, nodes, nodes that may be used\n"), "{text:?}");
    assert_eq!(registry.run(["doctor", "ill"]).code, Some(3));
    assert_eq!(registry.run(["doctor", "well", "--root", "/"]).code, Some(2));
}

/// What is reported of an area, with and without a terminal; numbers of processes and areas aside.
#[test]
fn an_area_at_80_columns_and_in_a_pipe() {
    let registry = Registry::new();
    let holder = bound(&registry, "well");
    // Whom no process may look into depends on who runs this, and what is pinned on what else runs.
    let without_chance = |text: String| -> String {
        let text = text.replace(&holder.pid().to_string(), "[PID]").replace('\r', "");
        let lines = text.lines().filter(|line| !line.contains("pinned"));
        lines.map(|line| line.split("; ").next().unwrap_or(line).to_owned() + "\n").collect()
    };
    let allowed = areas::allowed_nodes().unwrap().to_string();
    let ran = registry.run(["doctor", "well", "--all"]);
    let text = without_chance(ran.stdout()).replace(&format!("may use {allowed}"), "may use [NODES]");
    insta::assert_snapshot!("doctor_area_piped", text);
    let line = "areas doctor well";
    let mut command = registry.program("script");
    command.args(["--quiet", "--return", "--command", line, "/dev/null"]);
    command.env("PATH", path_with_areas()).env("COLUMNS", "80").env("TERM", "dumb");
    match command.output() {
        Ok(output) => insta::assert_snapshot!("doctor_area_80", Ran::from(output).stdout().replace('\r', "")),
        Err(_) => skipped("doctor::an_area_at_80_columns_and_in_a_pipe", "there is no `script`"),
    }
}

/// A holder that is stopped, and another process that writes.
#[test]
fn who_is_in_the_way_of_freezing() {
    let registry = Registry::new();
    let holder = registry.hold(["create", "--name", "name:it's \u{202e}odd", "--size", "1M"]);
    let id = registry.list()[0]["id"].to_string();
    let Some(mut writer) = writer_of(holder.pid()) else {
        return skipped(
            "doctor::who_is_in_the_way_of_freezing",
            "there is no python3, which maps what another process has open",
        );
    };
    holder.signal(Signal::STOP);
    let (reported, code) = examined(&mut registry.areas(["doctor", &id, "--json"]));
    let stopped = check(&reported, "area.holders");
    assert_eq!(
        (stopped["state"].as_str(), line(stopped)),
        (Some("remark"), &*format!("kill -CONT {}", holder.pid()))
    );
    let freezing = check(&reported, "area.freezing");
    assert_eq!((freezing["state"].as_str(), code), (Some("remark"), Some(0)), "{freezing}");
    assert!(
        freezing["finding"].as_str().unwrap().contains(&format!("{} (python3", writer.pid())),
        "{freezing}"
    );
    // Each line mends.
    for of in [stopped, freezing] {
        assert_eq!(registry.shell(line(of)).code, Some(0));
    }
    writer.wait();
    let (reported, _) = examined(&mut registry.areas(["doctor", &id, "--json"]));
    assert_eq!(check(&reported, "area.holders")["state"], "fine");
    assert_eq!(check(&reported, "area.freezing")["state"], "fine");
}

/// A process that has the only memory object of that holder mapped for writing.
fn writer_of(pid: u32) -> Option<Holder> {
    let script = "import mmap, os, sys, time\nfolder = f'/proc/{sys.argv[1]}/fd/'\n\
        for name in os.listdir(folder):\n\
        \x20   if os.readlink(folder + name).startswith('/memfd:area:'):\n\
        \x20       held = mmap.mmap(os.open(folder + name, os.O_RDWR), 4096)\nprint('ready', flush=True)\ntime.sleep(100)";
    let mut command = Command::new("python3");
    command.args(["-c", script, &pid.to_string()]);
    can_run("doctor::writer_of", &["python3", "-c", "import mmap"]).then(|| Holder::start(&mut command))
}

/// A lock that its holder has undone.
#[test]
fn a_lock_that_does_not_hold() {
    let registry = Registry::new();
    let mut program = Program::start(&registry);
    let lock_of = |area: &str| {
        let (reported, code) = examined(&mut registry.areas(["doctor", area, "--json"]));
        (check(&reported, "area.lock").clone(), code)
    };
    let locked = |lock: &Value| lock["finding"].as_str().unwrap().to_owned();
    program.hear("locked");
    let (lock, _) = lock_of("whole");
    assert_eq!((lock["state"].as_str(), &*locked(&lock)), (Some("fine"), "full: 64.0 KiB are locked"));
    program.go_on();
    program.hear("in part");
    program.go_on();
    program.hear("unlocked");
    let (lock, code) = lock_of("whole");
    assert_eq!((lock["state"].as_str(), code), (Some("broken"), Some(1)), "{lock}");
    assert!(locked(&lock).contains("64.0 KiB of it are not locked any more"), "{lock}");
}

#[test]
fn help_says_what_its_exit_status_is() {
    let help = Registry::new().run(["doctor", "--help"]).stdout();
    assert!(help.contains("Exit status: 0 where all is fine"), "{help}");
    assert!(Path::new(AREAS).exists());
}
