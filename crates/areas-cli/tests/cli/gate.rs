//! Areas that are offered and taken: by the same user, by another one, by a namespace of one's own.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{AREAS, Holder, Ran, Registry, bytes_of, can_run, path_with_areas, within};
use crate::users::{NOBODY, User};

const OTHER: u32 = 65533;

/// A folder for a socket, which all users may enter.
pub(crate) fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let socket = folder.path().join("socket");
    (folder, socket)
}

/// A registry with an area in it, and its holder.
pub(crate) fn held(len: usize, more: &[&str]) -> (Registry, Holder) {
    let registry = Registry::new();
    let file = registry.file_of("file", len);
    let put = ["put", file.to_str().unwrap(), "--name", "model", "--note", "a note"];
    let holder = registry.hold(put.iter().chain(more));
    (registry, holder)
}

#[test]
fn offered_taken_and_held_on() {
    let (registry, mut holder) = held(300_000, &[]);
    let (folder, socket) = folder();
    let socket = socket.to_str().unwrap();
    let mut offer = registry.hold(["offer", "model", "--socket", socket]);
    assert!(
        offer.ready.contains(&format!("\"model\", 293 KiB: offered at {socket:?} to user ")),
        "{}",
        offer.ready
    );
    let elsewhere = Registry::new();
    let mut taker = elsewhere.hold(["take", socket, "--name", "mine"]);
    assert!(taker.ready.contains("\"mine\", 293 KiB"), "{}", taker.ready);
    let area = elsewhere.show("mine");
    assert_eq!((&area["note"], &area["size"]), (&"a note".into(), &300_000.into()));
    assert_eq!(area["object"], registry.show("model")["object"], "one memory");
    assert!(elsewhere.run(["cat", "mine"]).output == bytes_of(300_000));
    // Without a name it has the one that it has there; a command has it as long as it runs.
    let ran = elsewhere.run(["take", socket, "--", "sh", "-c", "echo $AREA_NAME; exit 7"]);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(7), "model\n"), "{ran:?}");
    // Whoever made it ends: the offer ends, the taker has what it has.
    holder.signal(Signal::KILL);
    holder.wait();
    assert_eq!(offer.wait(), 3);
    assert!(offer.errors().contains("it is gone: no process publishes it any more"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the socket went with it");
    assert!(elsewhere.run(["cat", "mine"]).output == bytes_of(300_000));
    let ran = elsewhere.run(["take", socket]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("nothing is offered there"), "{ran:?}");
    taker.signal(Signal::TERM);
    assert_eq!(taker.wait(), 143);
    elsewhere.assert_empty();
}

#[test]
fn a_signal_ends_an_offer_and_a_kill_leaves_a_socket_that_is_replaced() {
    let (registry, _holder) = held(5000, &[]);
    let (folder, socket) = folder();
    let socket = socket.to_str().unwrap();
    for (signal, code, left) in [(Signal::INT, 130, 0), (Signal::TERM, 143, 0), (Signal::KILL, 1009, 1)] {
        let mut offer = registry.hold(["offer", "model", "--socket", socket]);
        let ran = registry.run(["offer", "model", "--socket", socket]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("a process listens at"), "{ran:?}");
        offer.signal(signal);
        assert_eq!(offer.wait(), code);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), left);
    }
    let ran = registry.run(["take", socket, "--timeout", "0.1"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let _offer = registry.hold(["offer", "model", "--socket", socket]);
    assert_eq!(registry.run(["take", socket, "--name", "x", "--", "true"]).code, Some(0));
}

#[test]
fn what_is_reported_as_json() {
    let (registry, _holder) = held(5000, &["--freeze"]);
    let (_folder, socket) = folder();
    let socket = socket.to_str().unwrap();
    let mut offer =
        registry.hold(["offer", "model", "--socket", socket, "--json", "--to", "0,12345", "--read-only"]);
    let ready: serde_json::Value = serde_json::from_str(&offer.ready).unwrap();
    assert_eq!(
        (&ready["schema"], &ready["event"], &ready["name"]),
        (&1.into(), &"offered".into(), &"model".into())
    );
    assert_eq!((&ready["size"], &ready["to"]), (&5000.into(), &serde_json::json!([0, 12345])));
    assert_eq!((&ready["socket"], &ready["read_only"]), (&socket.into(), &true.into()));
    assert!(["named", "any_user"].contains(&ready["reach"].as_str().unwrap()), "{ready}");
    let user = rustix::process::geteuid().as_raw();
    let ran = registry.run(["take", socket, "--name", "x", "--", "true"]);
    let answer: serde_json::Value = serde_json::from_str(&offer.line()).unwrap();
    assert_eq!(answer["user"], user);
    if user == 0 {
        assert_eq!((ran.code, &answer["event"], &answer["reason"]), (Some(0), &"given".into(), &().into()));
    } else {
        assert_eq!((ran.code, &answer["event"]), (Some(1), &"refused".into()));
    }
}

#[test]
fn wrong_words_are_reported() {
    let (registry, _holder) = held(5000, &[]);
    let (_folder, socket) = folder();
    let socket = socket.to_str().unwrap();
    for (arguments, code, says) in [
        (&["offer", "model"][..], 2, "no supervisor has given this process a socket"),
        (&["offer", "model", "--socket", "@abstract"], 2, "it looks like an abstract address"),
        (&["offer", "nothing", "--socket", socket], 3, "nothing"),
        (&["offer", "model", "--socket", socket, "--to", "root"], 2, "it is neither a user's number"),
        (&["offer", "model", "--socket", socket, "--read-only"], 1, "could still write it"),
        (&["offer", "model", "--socket", "/none/of/these"], 1, "the folder of the socket must be there"),
        (&["take", "/none/of/these"], 1, "the folder of the socket must be there"),
        (&["take", socket], 3, "nothing is offered there"),
        (&["take", "/dev/null"], 2, "what is there is not a socket"),
    ] {
        let ran = registry.run(arguments);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(code), ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(says), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn a_umask_takes_nothing() {
    let (registry, _holder) = held(5000, &[]);
    let (_folder, socket) = folder();
    let socket = socket.to_str().unwrap();
    let script = format!("umask 0777; exec areas offer model --socket {socket}");
    let mut shell = registry.program("sh");
    let _offer = Holder::start(shell.args(["-c", &script]).env("PATH", path_with_areas()));
    let mode = std::fs::symlink_metadata(socket).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    assert_eq!(registry.run(["take", socket, "--name", "x", "--", "true"]).code, Some(0));
}

/// As a service is started by its socket unit: the socket is descriptor 3, and two variables say
/// so.
#[test]
fn a_supervisor_gives_the_socket() {
    let (registry, mut holder) = held(5000, &[]);
    let (_folder, socket) = folder();
    let script = "import os, socket, sys
s = socket.socket(socket.AF_UNIX, getattr(socket, sys.argv[2]))
s.bind(sys.argv[1])
s.listen()
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ['LISTEN_FDS'] = '1'
os.environ['LISTEN_PID'] = str(os.getpid())
os.execvp(sys.argv[3], sys.argv[3:])";
    let start = |kind: &str| {
        let mut command = registry.program("python3");
        command.args(["-c", script, socket.to_str().unwrap(), kind, AREAS, "offer", "model"]);
        command
    };
    if !can_run("gate::a_supervisor_gives_the_socket", &["python3", "-c", ""]) {
        return;
    }
    let ran = Ran::of(&mut start("SOCK_STREAM"));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("ListenSequentialPacket="), "{ran:?}");
    std::fs::remove_file(&socket).unwrap();
    let mut offer = Holder::start(&mut start("SOCK_SEQPACKET"));
    assert!(offer.ready.contains("offered at a supervisor's socket"), "{}", offer.ready);
    let take = ["take", socket.to_str().unwrap(), "--name", "x", "--", "true"];
    assert_eq!(registry.run(take).code, Some(0));
    offer.signal(Signal::TERM);
    assert_eq!(offer.wait(), 143);
    assert!(socket.exists(), "it is the supervisor's");
    holder.signal(Signal::TERM);
    holder.wait();
}

/// What another user, who was given it, tries: to reopen the memory that the taker holds, for
/// writing.
const TRY: &str = "for f in /proc/$PPID/fd/*; do case $(readlink $f) in /memfd:area:*)
(exec 3<$f) 2>/dev/null && echo read; (exec 3<>$f) 2>/dev/null && echo write; esac; done; echo tried";

#[test]
fn another_user_is_given_it_for_reading_and_held_to_that() {
    let test = "gate::another_user_is_given_it_for_reading_and_held_to_that";
    let Some(user) = User::new(test) else { return };
    let (registry, _holder) = held(300_000, &[]);
    let (_folder, socket) = folder();
    let socket = socket.to_str().unwrap();
    let nobody = NOBODY.to_string();
    let offer = registry.hold(["offer", "model", "--socket", socket, "--to", &nobody, "--read-only"]);
    let taker = Holder::start(&mut user.areas(&user.registry(), &["take", socket, "--name", "mine"]));
    // Its other processes find and read it.
    let ran = Ran::of(&mut user.areas(&user.registry(), &["cat", "mine"]));
    assert!(ran.code == Some(0) && ran.output == bytes_of(300_000), "{:?}", ran.stderr);
    let ran = Ran::of(&mut user.areas(&user.registry(), &["show", "mine", "--json"]));
    let area: serde_json::Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!(area["protection"], "r--", "{area}");
    assert_eq!(area["object"], registry.show("model")["object"], "one memory");
    drop(taker);
    // No process of that user opens it for writing, though reading works.
    let attack = ["take", socket, "--name", "mine", "--", "sh", "-c", TRY];
    let ran = Ran::of(&mut user.areas(&user.registry(), &attack));
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(0), "read\ntried\n"), "{ran:?}");
    // In a container it is in the memory's group, unless the options say otherwise.
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &nobody, "--regid", "0", "--clear-groups"]).arg(user.program()).args(attack);
    let ran = Ran::of(command.env("AREAS_DIR", user.registry()).env("LC_ALL", "C.UTF-8"));
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(0), "read\ntried\n"), "{ran:?}");
    // Root is not named, and would not be held to it.
    let ran = registry.run(["take", socket, "--name", "x"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("it is not offered to user 0"), "{ran:?}");
    drop(offer);
    // The attack is one that works where nothing keeps off who tries it: root, in its own registry.
    let offer = registry.hold(["offer", "model", "--socket", socket]);
    let ran = registry.run(["take", socket, "--name", "mine", "--", "sh", "-c", TRY]);
    assert_eq!(ran.stdout(), "read\nwrite\ntried\n", "{ran:?}");
    drop(offer);
    // For writing, another user gets a descriptor that writes, and reopens nothing.
    let _offer = registry.hold(["offer", "model", "--socket", socket, "--to", &nobody]);
    let ran = Ran::of(&mut user.areas(&user.registry(), &attack));
    assert_eq!(ran.stdout(), "read\ntried\n", "{ran:?}");
    let _taker = Holder::start(&mut user.areas(&user.registry(), &["take", socket, "--name", "mine"]));
    let ran = Ran::of(&mut user.areas(&user.registry(), &["show", "mine", "--json"]));
    let area: serde_json::Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!(area["protection"], "rw-", "{area}");
}

#[test]
fn sealed_root_does_not_write_it_either() {
    let (registry, _holder) = held(300_000, &[]);
    let (_folder, socket) = folder();
    let socket = socket.to_str().unwrap();
    let _offer = registry.hold(["offer", "model", "--socket", socket, "--seal"]);
    // Reopening it works, writing does not.
    let script = "for f in /proc/$PPID/fd/*; do case $(readlink $f) in /memfd:area:*)
(exec 3<>$f) 2>/dev/null && echo opened
(printf X 1<>$f) 2>/dev/null && echo written
truncate -s 1 $f 2>/dev/null && echo cut; esac; done; echo tried";
    let ran = registry.run(["take", socket, "--name", "mine", "--", "sh", "-c", script]);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(0), "opened\ntried\n"), "{ran:?}");
    assert!(registry.run(["cat", "model"]).output == bytes_of(300_000));
}

#[test]
fn a_user_who_is_not_named_gets_nothing() {
    let Some(user) = User::new("gate::a_user_who_is_not_named_gets_nothing") else { return };
    let (registry, _holder) = held(5000, &[]);
    let (_folder, socket) = folder();
    let path = socket.to_str().unwrap();
    let other = OTHER.to_string();
    let mut offer = registry.hold(["offer", "model", "--socket", path, "--to", &other]);
    let ran = Ran::of(&mut user.areas(&user.registry(), &["take", path]));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    // The kernel keeps off who is not in the list; where there are no lists, the offer does.
    assert!(ran.stderr.contains("EACCES") || ran.stderr.contains("it is not offered to user"), "{ran:?}");
    offer.signal(Signal::TERM);
    offer.wait();
    let mut offer = registry.hold(["offer", "model", "--socket", path, "--to", &other]);
    // Though it could connect.
    std::os::unix::fs::chown(&socket, Some(NOBODY), None).unwrap();
    let ran = Ran::of(&mut user.areas(&user.registry(), &["take", path]));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(&format!("it is not offered to user {NOBODY}")), "{ran:?}");
    offer.signal(Signal::TERM);
    offer.wait();
    // What root is offered by another user, root takes if it says so.
    let mine = user.registry();
    let holder = Holder::start(&mut user.areas(&mine, &["create", "--name", "theirs", "--size", "64K"]));
    let path = user.registry().join("socket");
    let path = path.to_str().unwrap();
    let offer = Holder::start(&mut user.areas(&mine, &["offer", "theirs", "--socket", path, "--to", "0"]));
    let ran = registry.run(["take", path, "--", "true"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains(&format!("of user {NOBODY} offers it, and it is not taken from that user")),
        "{ran:?}"
    );
    let ran = registry.run(["take", path, "--from", &NOBODY.to_string(), "--", "true"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    drop((offer, holder));
}

/// A user namespace in which one user of the machine has a number: 0.
struct UserNamespace(std::process::Child);

impl UserNamespace {
    fn of(user: u32) -> Self {
        let child = Command::new("unshare").args(["--user", "sleep", "600"]).spawn().unwrap();
        let space = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
        let pid = child.id().to_string();
        assert!(within(Duration::from_secs(10), || space(&pid) != space("self")));
        for map in ["uid_map", "gid_map"] {
            std::fs::write(format!("/proc/{pid}/{map}"), format!("0 {user} 1")).unwrap();
        }
        UserNamespace(child)
    }

    fn argument(&self) -> String {
        format!("--user=/proc/{}/ns/user", self.0.id())
    }
}

impl Drop for UserNamespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In a user namespace the kernel says 65534 of all who have no number in it: no process is taken
/// for that user.
#[test]
fn a_user_without_a_number_is_no_particular_user() {
    let test = "gate::a_user_without_a_number_is_no_particular_user";
    let Some(user) = User::new(test) else { return };
    if !can_run(test, &["unshare", "--user", "true"]) || !can_run(test, &["nsenter", "--version"]) {
        return;
    }
    let space = UserNamespace::of(100_000);
    let (registry, _holder) = held(5000, &[]);
    let (_folder, socket) = folder();
    let path = socket.to_str().unwrap();
    // An area that a process in the namespace has, offered from there.
    let inside = |registry: &Path, arguments: &[&str]| {
        let mut command = Command::new("nsenter");
        command.arg(space.argument()).args(["setpriv", "--reuid", "0", "--regid", "0", "--clear-groups"]);
        command.arg(user.program()).args(arguments);
        command.env("AREAS_DIR", registry).env("LC_ALL", "C.UTF-8").stdin(std::process::Stdio::null());
        command
    };
    let own = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap();
    std::os::unix::fs::chown(own.path(), Some(100_000), Some(100_000)).unwrap();
    let nobody = NOBODY.to_string();
    let _inner = Holder::start(&mut inside(own.path(), &["create", "--name", "inner", "--size", "64K"]));
    let inner = own.path().join("socket");
    let inner = inner.to_str().unwrap();
    let ran = Ran::of(&mut inside(own.path(), &["offer", "inner", "--socket", inner, "--to", &nobody]));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains(&format!("{nobody} is not a user here")), "{ran:?}");
    // It is offered to its own user, and whoever comes from outside is refused, also who really is
    // 65534, and root.
    let offer = Holder::start(&mut inside(own.path(), &["offer", "inner", "--socket", inner]));
    let ran = registry.run(["take", inner, "--from", "100000"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("which has no number in its user namespace"), "{ran:?}");
    drop(offer);
    // Only to all users.
    let offer = Holder::start(&mut inside(own.path(), &["offer", "inner", "--socket", inner, "--to", "any"]));
    let ran = registry.run(["take", inner, "--from", "100000", "--", "true"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    drop(offer);
    // The other way round: who offers is outside, and has no number inside.
    let offer = registry.hold(["offer", "model", "--socket", path, "--to", "100000", "--read-only"]);
    let ran = Ran::of(&mut inside(own.path(), &["take", path, "--", "true"]));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("a user without a number in this user namespace offers it"), "{ran:?}");
    let ran = Ran::of(&mut inside(own.path(), &["take", path, "--from", &nobody, "--", "true"]));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    // Root of the namespace is not root of the memory: it reads, and opens nothing for writing.
    let ran = Ran::of(&mut inside(own.path(), &["take", path, "--from", "any", "--", "sh", "-c", TRY]));
    assert_eq!(ran.stdout(), "read\ntried\n", "{ran:?}");
    drop(offer);
}

#[test]
fn a_stopped_taker_stops_no_process() {
    let (registry, _holder) = held(5000, &[]);
    let (_folder, socket) = folder();
    let socket = socket.to_str().unwrap();
    let _offer = registry.hold(["offer", "model", "--socket", socket]);
    let stopped: Vec<Holder> = (0..3)
        .map(|number| {
            let taker = registry.hold(["take", socket, "--name", &format!("taken {number}")]);
            taker.signal(Signal::STOP);
            taker
        })
        .collect();
    assert!(within(Duration::from_secs(10), || {
        registry.run(["take", socket, "--name", "x", "--", "true"]).code == Some(0)
    }));
    drop(stopped);
}
