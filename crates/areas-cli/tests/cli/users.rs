//! Other users: what they cannot read, see or disturb.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::{AREAS, Holder, Ran, Registry, bytes_of, is_root, skipped, total_of};

pub(crate) const NOBODY: u32 = 65534;

/// An ordinary user, with a copy of the program that it may run and a registry of its own.
pub(crate) struct User {
    home: TempDir,
}

impl User {
    /// `None`, said aloud, where we may not become another user.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if !is_root() {
            skipped(test, "only root can become another user");
            return None;
        }
        // Not below a folder that only root may enter.
        let home = tempfile::tempdir().unwrap();
        std::fs::copy(AREAS, home.path().join("areas")).unwrap();
        std::fs::create_dir(home.path().join("registry")).unwrap();
        std::fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(home.path().join("registry"), Permissions::from_mode(0o700)).unwrap();
        chown(home.path().join("registry"), Some(NOBODY), Some(NOBODY)).unwrap();
        Some(User { home })
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.home.path().join("registry")
    }

    /// The copy of the program.
    pub(crate) fn program(&self) -> PathBuf {
        self.home.path().join("areas")
    }

    /// `areas …` as that user, with that registry.
    pub(crate) fn areas(&self, registry: &Path, arguments: &[&str]) -> Command {
        let id = NOBODY.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
        command.arg(self.program()).args(arguments);
        command.env("AREAS_DIR", registry).env("LC_ALL", "C.UTF-8").stdin(std::process::Stdio::null());
        command
    }
}

#[test]
fn an_ordinary_user_can_do_all_of_it() {
    let Some(user) = User::new("users::an_ordinary_user_can_do_all_of_it") else { return };
    let registry = Registry::new();
    let file = user.home.path().join("file");
    std::fs::write(&file, bytes_of(300_000)).unwrap();
    let mut holder = Holder::start(&mut user.areas(
        &user.registry(),
        &[
            "put",
            file.to_str().unwrap(),
            "--name",
            "x",
            "--freeze",
            "--policy",
            "interleave",
            "--lock",
            "full",
        ],
    ));
    let ran = Ran::of(&mut user.areas(&user.registry(), &["cat", "x"]));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.output == bytes_of(300_000));
    let ran = Ran::of(&mut user.areas(&user.registry(), &["show", "x", "--json"]));
    let area: serde_json::Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!((&area["frozen"], &area["resident"]), (&true.into(), &area["mapped"]));
    assert!(area["nodes"].is_object(), "{area}");
    holder.signal(Signal::KILL);
    holder.wait();
    let ran = Ran::of(&mut user.areas(&user.registry(), &["ls"]));
    assert_eq!(total_of(&ran.stdout()), "0 areas, 0 B in RAM");
    registry.assert_empty();
}

#[test]
fn a_file_that_may_not_be_read() {
    let Some(user) = User::new("users::a_file_that_may_not_be_read") else { return };
    let secret = user.home.path().join("secret");
    std::fs::write(&secret, "x").unwrap();
    std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let ran = Ran::of(&mut user.areas(&user.registry(), &["put", secret.to_str().unwrap(), "--name", "x"]));
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""));
    assert_eq!(ran.stderr, format!("areas: cannot read {secret:?}: permission denied (EACCES)\n"));
    let ran = Ran::of(&mut user.areas(&user.registry(), &["ls"]));
    // Other tests have areas of this user's in other registries.
    assert_eq!(total_of(&ran.stdout()), "0 areas, 0 B in RAM");
}

#[test]
fn a_second_user_can_neither_see_nor_disturb() {
    let Some(user) = User::new("users::a_second_user_can_neither_see_nor_disturb") else { return };
    let registry = Registry::new();
    let file = registry.file_of("file", 100_000);
    let mut holder = registry.hold(["put", file.to_str().unwrap(), "--name", "mine"]);
    let id = registry.list()[0]["id"].to_string();
    // In its own registry it finds nothing, by name or by id.
    for arguments in [["cat", "mine"], ["show", "mine"], ["cat", &id], ["show", &id]] {
        let ran = Ran::of(&mut user.areas(&user.registry(), &arguments));
        assert_eq!((ran.code, ran.output.len()), (Some(3), 0), "{arguments:?}: {ran:?}");
    }
    // Ours it may not enter, and makes nothing in it.
    for arguments in [&["ls"][..], &["cat", "mine"], &["create", "--name", "mine", "--size", "1M"]] {
        let ran = Ran::of(&mut user.areas(registry.path(), arguments));
        assert_eq!((ran.code, ran.output.len()), (Some(1), 0), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("it belongs to user "), "{arguments:?}: {ran:?}");
    }
    // What it does under the same name and in its own registry does not touch ours.
    let theirs =
        Holder::start(&mut user.areas(&user.registry(), &["create", "--name", "mine", "--size", "1M"]));
    assert_eq!(registry.list().len(), 1);
    assert!(registry.run(["cat", "mine"]).output == bytes_of(100_000));
    drop(theirs);
    assert!(holder.is_running());
    assert!(registry.run(["cat", "mine"]).output == bytes_of(100_000));
}

/// A holder of the same user that may not be looked into is listed, not overlooked.
#[test]
fn a_team_that_cannot_be_read_is_listed() {
    let Some(user) = User::new("users::a_team_that_cannot_be_read_is_listed") else { return };
    let file = user.home.path().join("file");
    std::fs::write(&file, bytes_of(5000)).unwrap();
    // The same user in another group: the kernel lets the one not look into the other.
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65533", "--clear-groups"]);
    command.arg(user.home.path().join("areas"));
    command.args(["put".as_ref(), file.as_os_str(), "--name".as_ref(), "hidden".as_ref()]);
    let holder = Holder::start(command.env("AREAS_DIR", user.registry()));
    let ran = Ran::of(&mut user.areas(&user.registry(), &["ls"]));
    assert_eq!((ran.code, total_of(&ran.stdout())), (Some(0), "0 areas, 0 B in RAM"));
    let expected = format!("areas: process {} (areas) holds areas that cannot be read: ", holder.pid());
    assert!(ran.stderr.starts_with(&expected), "{ran:?}");
    let ran = Ran::of(&mut user.areas(&user.registry(), &["ls", "--json"]));
    let list: serde_json::Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!(list["unreadable"][0]["pid"], holder.pid());
    assert!(!list["unreadable"][0]["reason"].as_str().unwrap().is_empty());
    let ran = Ran::of(&mut user.areas(&user.registry(), &["show", "hidden"]));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("1 process holds areas and cannot be read"), "{ran:?}");
    assert!(
        ran.stderr.contains(&format!("{}: /proc/{0}/fd cannot be read (EACCES)", holder.pid())),
        "{ran:?}"
    );
}

/// Root looks into a user's registry, and leaves it as it is.
#[test]
fn root_looks_into_a_users_registry() {
    let Some(user) = User::new("users::root_looks_into_a_users_registry") else { return };
    let root = Registry::new();
    let look = |arguments: &[&str]| Ran::of(root.areas(arguments).env("AREAS_DIR", user.registry()));
    let mut holder =
        Holder::start(&mut user.areas(&user.registry(), &["create", "--name", "theirs", "--size", "1M"]));
    // Without being asked to, root looks into its own alone.
    assert_eq!(look(&["ls"]).code, Some(1));
    for named in ["65534", "nobody"] {
        let ran = look(&["ls", "--user", named]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
        assert!(ran.stdout().contains(" theirs ") && ran.stdout().contains(" of user 65534"), "{ran:?}");
    }
    let ran = look(&["show", "theirs", "--user", "nobody", "--json"]);
    let area: serde_json::Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!((&area["pid"], &area["size"]), (&holder.pid().into(), &(1 << 20).into()));
    let ran = look(&["scan", "--all-users", "--json"]);
    let scanned: serde_json::Value = serde_json::from_str(&ran.stdout()).unwrap();
    let row = crate::scanning::row(&scanned, "area", "theirs").unwrap();
    assert_eq!((&row["areas"][0]["user"], &row["user"]), (&NOBODY.into(), &NOBODY.into()), "{row}");
    // What a dead team has left is for its user to clear away.
    let teams = || {
        let spaces: Vec<_> = std::fs::read_dir(user.registry()).unwrap().flatten().collect();
        std::fs::read_dir(spaces[0].path().join("teams")).unwrap().count()
    };
    holder.signal(Signal::KILL);
    holder.wait();
    let left = teams();
    assert_eq!(total_of(&look(&["ls", "--user", "nobody"]).stdout()), "0 areas, 0 B in RAM");
    assert_eq!((left, teams()), (1, 1));
    // No other process may, and who is not there has none.
    for arguments in [&["ls", "--user", "root"][..], &["scan", "--all-users"]] {
        let ran = Ran::of(&mut user.areas(&user.registry(), arguments));
        assert_eq!((ran.code, ran.output.len()), (Some(1), 0), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("only root may look into"), "{ran:?}");
    }
    let ran = look(&["ls", "--user", "no such user"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    // AREAS_DIR names a folder, also for --user: it has to be that user's.
    let foreign = root.run(["ls", "--user", "nobody"]);
    assert_eq!((foreign.code, foreign.output.len()), (Some(1), 0), "{foreign:?}");
    let owner = rustix::process::geteuid().as_raw();
    let text = format!("it belongs to user {owner}, and the registry of user 65534 was asked for\n");
    assert!(foreign.stderr.contains(&text) && !foreign.stderr.contains("we are"), "{foreign:?}");
    assert!(foreign.stderr.contains("help: set AREAS_DIR to the folder of user 65534"), "{foreign:?}");
    // Root's own is reported by number as well, and AREAS_DIR holds for it, too.
    let _ours = root.hold(["create", "--name", "ours", "--size", "1M"]);
    for named in ["0", "root"] {
        let ran = root.run(["ls", "--user", named]);
        assert!(ran.code == Some(0) && ran.stdout().contains(&*root.path().to_string_lossy()), "{ran:?}");
        let ran = look(&["ls", "--user", named]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("it belongs to user 65534, and we are user 0"), "{ran:?}");
    }
}

/// A user who leads root to another user's table shows nothing of it.
#[test]
fn a_registry_leads_to_its_users_tables_only() {
    let Some(user) = User::new("users::a_registry_leads_to_its_users_tables_only") else { return };
    let registry = Registry::new();
    let _ours = registry.hold(["create", "--name", "roots", "--size", "1M"]);
    let _theirs =
        Holder::start(&mut user.areas(&user.registry(), &["create", "--name", "theirs", "--size", "1M"]));
    let teams = |folder: &Path| {
        let space = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        space.join("teams")
    };
    let link = std::fs::read_dir(teams(registry.path())).unwrap().next().unwrap().unwrap();
    let name = link.file_name().into_string().unwrap();

    let forged = teams(&user.registry()).join(&name);
    std::os::unix::fs::symlink(std::fs::read_link(link.path()).unwrap(), &forged).unwrap();
    let ran = Ran::of(registry.areas(["ls", "--user", "nobody"]).env("AREAS_DIR", user.registry()));
    assert!(ran.stdout().contains("theirs") && !ran.stdout().contains("roots"), "{ran:?}");
}
