//! Where the registry cannot be used: what is found out all the same, and what is said of it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Ran, Registry};
use crate::scanning::{Posix, row};

/// Folders that are no registry, and what is said of each: missing, open to others, no folder.
fn unusable(registry: &Registry) -> [(std::path::PathBuf, &'static str); 3] {
    let missing = registry.file("missing");
    let open = registry.file("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
    let file = registry.file_of("file", 10);
    [(missing, "there is no such folder"), (open, "its mode is 0755"), (file, "or not a folder")]
}

#[test]
fn machine_all_else_is_scanned() {
    let registry = Registry::new();
    let memory = Posix::new("t-scan-registryless", 4096);
    let area = registry.hold(["create", "--name", "unknown", "--size", "1M", "--populate"]);
    for (folder, why) in unusable(&registry) {
        let scan = |arguments: &[&str]| {
            let mut command = registry.areas(["scan"].iter().chain(arguments));
            Ran::of(command.env("AREAS_DIR", &folder))
        };
        let ran = scan(&["--json"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let scanned: Value = serde_json::from_str(&ran.stdout()).unwrap();
        assert_eq!(row(&scanned, "shm", memory.name()).unwrap()["state"], "leaked");
        // It stands under the name that it was made with; that no process publishes it is not said.
        let all = scanned["memories"].as_array().unwrap();
        let is_ours = |row: &&Value| row["kind"] == "area" && row["holders"][0]["pid"] == area.pid();
        let reported = all.iter().find(is_ours).unwrap();
        assert_eq!(
            (&reported["name"], &reported["areas"]),
            (&"area".into(), &serde_json::json!([])),
            "{reported}"
        );
        assert!(reported["why"].as_str().unwrap().contains("is not known"), "{reported}");
        let trouble = scanned["trouble"].as_array().unwrap();
        let reported =
            trouble.iter().filter_map(Value::as_str).find(|line| line.contains("which areas user "));
        assert!(reported.unwrap().contains(why), "{why}: {trouble:?}");
        assert!(ran.stderr.contains(why) && ran.stderr.contains("help: "), "{ran:?}");

        let ran = scan(&["--kind", "area,shm"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stdout().contains("; its name is not known\n"), "{ran:?}");
        assert!(!ran.stdout().contains("; not published"), "{ran:?}");
        assert!(ran.stderr.starts_with("areas: which areas user "), "{ran:?}");
        assert!(ran.stderr.contains(why), "{ran:?}");
        assert_eq!(scan(&["--leaked", "--kind", "memfd"]).code, Some(1));
    }
    let ran = registry.run(["scan", "--kind", "area"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.stdout().contains(" unknown "), "{ran:?}");
}

/// The finding of the doctor on the registry's folder, and its state; and the status.
fn finding(registry: &Registry, folder: &Path) -> (Option<i32>, Value) {
    let ran = Ran::of(registry.areas(["doctor", "--json"]).env("AREAS_DIR", folder));
    let report: Value = serde_json::from_str(&ran.stdout()).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["id"] == "registry.folder").unwrap();
    (ran.code, check.clone())
}

#[test]
fn the_doctor_tries_whether_the_folder_can_be_made() {
    let registry = Registry::new();
    let missing = registry.file("missing");
    let (_, reported) = finding(&registry, &missing);
    assert_eq!(reported["state"], "fine", "{reported}");
    assert!(reported["finding"].as_str().unwrap().contains("made when an area is published"), "{reported}");
    assert!(!missing.exists());

    let deep = missing.join("deeper");
    let (code, reported) = finding(&registry, &deep);
    assert_eq!((code, &reported["state"]), (Some(1), &"broken".into()), "{reported}");
    let words = reported["finding"].as_str().unwrap();
    assert!(words.contains(&format!("there is no folder {}", missing.display())), "{reported}");
    // It is as the doctor says: the first area fails, and what is advised mends it.
    let publish = || {
        Ran::of(registry.areas(["put", "/etc/passwd", "--name", "x", "--", "true"]).env("AREAS_DIR", &deep))
    };
    assert_eq!(publish().code, Some(1));
    let advised =
        reported["remedies"].as_array().unwrap().iter().find(|remedy| remedy["kind"] == "shell").unwrap();
    let line = advised["text"].as_str().unwrap();
    assert_eq!(line, format!("mkdir -p {}", missing.display()));
    assert_eq!(registry.shell(line).code, Some(0));
    assert_eq!(finding(&registry, &deep).1["state"], "fine");
    assert_eq!(publish().code, Some(0));

    // In sysfs no process makes a folder.
    let (code, reported) = finding(&registry, Path::new("/sys/areas-t-doctor"));
    assert_eq!((code, &reported["state"]), (Some(1), &"broken".into()), "{reported}");
    assert!(reported["finding"].as_str().unwrap().contains("cannot be made: mkdir(0700): "), "{reported}");
}
