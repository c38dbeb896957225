//! A registry's folder that is not as it must be: nothing is followed, used or changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use insta::assert_snapshot;

use super::failure;
use super::support::child::{NOBODY, Stage, Test, test};
use super::support::folder::Folder;
use super::support::{is_root, skip};

/// What publishing, looking for and listing say of that folder.
fn refusals(test: Test, path: &Path) -> String {
    test.alone(Stage::default().registry(path.to_owned()), || {
        let reported = [
            failure(areas::builder(4096).name("ring").shared()),
            failure(areas::registry::find("ring")),
            failure(areas::registry::list()),
        ];
        if reported.iter().all(|one| *one == reported[0]) {
            reported[0].clone()
        } else {
            reported.join("\n\n")
        }
    })
}

/// A folder in which to put things, and what is put there. The process that a test has to itself
/// needs none of it: it knows the path by its environment, and never comes back here.
fn place(test: Test, name: &str, make: impl FnOnce(&Path)) -> (Option<Folder>, std::path::PathBuf) {
    if test.role().is_some() {
        return (None, std::path::PathBuf::new());
    }
    let folder = Folder::new();
    let path = folder.join(name);
    make(&path);
    (Some(folder), path)
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let this = test!("a_symbolic_link_is_not_followed");
    let (folder, path) = place(this, "link", |path| {
        let real = path.with_file_name("real");
        fs::create_dir(&real).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o700)).unwrap();
        symlink(&real, path).unwrap();
    });
    let reported = refusals(this, &path);
    assert_eq!(
        fs::read_dir(folder.unwrap().join("real")).unwrap().count(),
        0,
        "nothing was made behind the link"
    );
    assert_snapshot!(reported, @r#"
    Registry: cannot use TMP/areas-stage-N/link as the registry: open(O_DIRECTORY | O_NOFOLLOW): ENOTDIR; it is a symbolic link, or not a folder; a link is never followed
      help: set AREAS_DIR to a folder of your own
    "#);
}

#[test]
fn a_file_is_no_folder() {
    let this = test!("a_file_is_no_folder");
    let (_folder, path) = place(this, "file", |path| fs::write(path, "mine").unwrap());
    let reported = refusals(this, &path);
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    assert_snapshot!(reported, @r#"
    Registry: cannot use TMP/areas-stage-N/file as the registry: open(O_DIRECTORY | O_NOFOLLOW): ENOTDIR; it is a symbolic link, or not a folder; a link is never followed
      help: set AREAS_DIR to a folder of your own
    "#);
}

#[test]
fn a_folder_that_others_can_write() {
    let this = test!("a_folder_that_others_can_write");
    let (_folder, path) = place(this, "open", |path| {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    });
    let reported = refusals(this, &path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o777, "it was not changed");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    assert_snapshot!(reported, @r#"
    Registry: cannot use TMP/areas-stage-N/open as the registry: its mode is 0777: other users could access it
      help: make it private: `chmod 700 TMP/areas-stage-N/open`
    "#);
}

#[test]
fn another_users_folder() {
    let this = test!("another_users_folder");
    if this.role().is_none() && !is_root() {
        return skip(this.0, "only root can give a folder away");
    }
    let (_folder, path) = place(this, "theirs", |path| {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    });
    let reported = refusals(this, &path);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    assert_snapshot!(reported, @r#"
    Registry: cannot use TMP/areas-stage-N/theirs as the registry: it belongs to user UID, and we are user UID
      help: set AREAS_DIR to a folder of your own
    "#);
}

#[test]
fn a_missing_folder_is_no_error_for_readers_and_is_made_by_writers() {
    let this = test!("a_missing_folder_is_no_error_for_readers_and_is_made_by_writers");
    let (folder, path) = place(this, "later", |_| ());
    let shown = path.clone();
    let answer = this.alone(Stage::default().registry(path.clone()), || {
        let path = std::env::var_os("AREAS_DIR").unwrap();
        assert_eq!(areas::registry::list().unwrap().areas.len(), 0);
        let answer = failure(areas::registry::find("ring"));
        assert!(!Path::new(&path).exists(), "a reader made it");
        drop(areas::builder(4096).name("ring").shared().unwrap());
        answer
    });
    assert_eq!(fs::metadata(&shown).unwrap().permissions().mode() & 0o7777, 0o700);
    assert_snapshot!(answer, @r#"
    NoSuchArea: cannot find area "ring": no live process of this user and pid namespace holds an area of that name
      help: `areas ls` lists what there is
    "#);
    drop(folder);
}

#[test]
fn a_relative_path() {
    let this = test!("a_relative_path");
    let reported = refusals(this, Path::new("here/areas"));
    assert_snapshot!(reported, @r#"
    Registry: cannot use here/areas as the registry: AREAS_DIR is a relative path, which is another folder for each process that runs elsewhere
      help: set AREAS_DIR to the whole path, from / on: `export AREAS_DIR="$PWD/here/areas"`
    "#);
}

#[test]
fn a_folder_whose_parent_is_missing() {
    let this = test!("a_folder_whose_parent_is_missing");
    let (_folder, path) = place(this, "no/such", |_| ());
    let answer =
        this.alone(Stage::default().registry(path), || failure(areas::builder(4096).name("ring").shared()));
    assert_snapshot!(answer, @r#"
    Registry: cannot use the registry's TMP/areas-stage-N/no/such: mkdir(0700): ENOENT
      help: make the folder above it, or set AREAS_DIR to a folder of your own
    "#);
}
