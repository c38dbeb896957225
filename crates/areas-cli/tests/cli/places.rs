//! Where the registry is: folders that are not as they must be, and a machine with little
//! `/dev/shm`.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::harness::{Ran, Registry, can_run, is_root, path_with_areas, skipped};

/// Looking and holding are refused, with the reason, and nothing is made.
fn assert_refused(registry: &Registry, folder: &std::path::Path, message: &str) {
    for arguments in [&["ls"][..], &["show", "x"], &["create", "--name", "x", "--size", "1M"]] {
        let ran = Ran::of(registry.areas(arguments).env("AREAS_DIR", folder));
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.starts_with("areas: cannot "), "{ran:?}");
        assert!(ran.stderr.contains(message), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("\n  help: "), "{ran:?}");
    }
}

#[test]
fn a_folder_that_others_can_reach_into() {
    let registry = Registry::new();
    for mode in [0o755, 0o777, 0o770, 0o701] {
        let folder = registry.file("open");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        assert_refused(&registry, &folder, &format!("its mode is {mode:04o}: other users could access it"));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }
}

#[test]
fn a_link_is_not_followed() {
    let registry = Registry::new();
    let link = registry.file("link");
    symlink(registry.path(), &link).unwrap();
    assert_refused(&registry, &link, "a link is never followed");
    assert_eq!(std::fs::read_dir(registry.path()).unwrap().count(), 0);
}

#[test]
fn a_file_is_no_folder() {
    let registry = Registry::new();
    let file = registry.file_of("file", 10);
    assert_refused(&registry, &file, "not a folder");
}

#[test]
fn another_user_s_folder() {
    if !is_root() {
        return skipped("places::another_user_s_folder", "only root can make one");
    }
    let registry = Registry::new();
    let folder = registry.file("theirs");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).unwrap();
    assert_refused(&registry, &folder, "it belongs to user 65534, and we are user 0");
}

#[test]
fn a_missing_folder_is_made_by_the_first_holder() {
    let registry = Registry::new();
    let folder = registry.file("new");
    let ran = Ran::of(registry.areas(["ls"]).env("AREAS_DIR", &folder));
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""));
    let expected = format!("AREAS_DIR names {}, and there is no such folder", folder.display());
    assert!(ran.stderr.contains(&expected), "{ran:?}");
    assert!(!folder.exists(), "looking makes nothing");
    let command = ["create", "--name", "x", "--size", "1M", "--", "true"];
    let ran = Ran::of(registry.areas(command).env("AREAS_DIR", &folder));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o700);

    let deep = registry.file("no/such/place");
    let ran = Ran::of(registry.areas(command).env("AREAS_DIR", &deep));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("make the folder above it"), "{ran:?}");
}

/// It would be another folder for each process that runs elsewhere.
#[test]
fn a_relative_registry_is_refused() {
    let registry = Registry::new();
    let here = registry.file("here");
    std::fs::create_dir(&here).unwrap();
    for arguments in [
        &["ls"][..],
        &["show", "x"],
        &["create", "--name", "x", "--size", "1M", "--", "true"],
        &["create", "--name", "x", "--size", "1M", "--detach"],
        &["top", "--once"],
    ] {
        let mut command = registry.areas(arguments);
        let ran = Ran::of(command.env("AREAS_DIR", "areas").current_dir(&here));
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("AREAS_DIR is a relative path"), "{ran:?}");
        assert!(ran.stderr.contains("\n  help: set AREAS_DIR to the whole path"), "{ran:?}");
    }
    let mut doctor = registry.areas(["doctor"]);
    let ran = Ran::of(doctor.env("AREAS_DIR", "areas").current_dir(&here));
    assert!(ran.code == Some(1) && ran.stdout().contains("AREAS_DIR is a relative path"), "{ran:?}");
    assert_eq!(std::fs::read_dir(&here).unwrap().count(), 0, "nothing was made");
}

/// Memory is not taken from `/dev/shm`, which containers have little of: an area may be larger.
#[test]
fn a_small_dev_shm_is_enough() {
    let mount = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"];
    if !can_run("places::a_small_dev_shm_is_enough", &mount) {
        return;
    }
    let registry = Registry::new();
    let file = registry.file_of("file", 100 << 20);
    let script = r#"mount -t tmpfs -o size=64M,mode=1777 tmpfs /dev/shm && unset AREAS_DIR &&
        areas put "$0" --name big -- sh -c 'test -d /dev/shm/areas-0 && areas cat big' | cmp - "$0" &&
        areas ls --json"#;
    let mut command = registry.program("unshare");
    command.args(["--mount", "bash", "-o", "pipefail", "-c", script]).arg(&file);
    let ran = Ran::of(command.env("PATH", path_with_areas()));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.stdout().contains("\"areas\": []"), "{ran:?}");
}

/// Another pid namespace is another world: what lives there has numbers that mean others here.
#[test]
fn another_pid_namespace_is_another_system() {
    let within = ["unshare", "--pid", "--fork", "--mount-proc"];
    if !can_run("places::another_pid_namespace_is_another_system", &[&within[..], &["true"]].concat()) {
        return;
    }
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "outside", "--size", "1M"]);
    let script = "areas create --name inside --size 1M -- areas ls --json; areas show outside";
    let mut command = registry.program(within[0]);
    command.args(&within[1..]).args(["bash", "-c", script]);
    let ran = Ran::of(command.env("PATH", path_with_areas()));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stdout().contains("\"inside\"") && !ran.stdout().contains("\"outside\""), "{ran:?}");
    let names: Vec<_> = registry.list().iter().map(|area| area["name"].clone()).collect();
    assert_eq!(names, ["outside"]);
}
