//! The registry: `/dev/shm`, the user's folder, what lies in it, and who else took its name.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use areas::machine::{self, Place};
use areas::{Bytes, Error, ErrorKind};

use super::check::{Check, Group, Remedy};
use super::facts::{Facts, Unread};
use super::quoted;
use areas::in_words;

pub(super) fn group(facts: &Facts) -> Group {
    let mut checks = vec![shared_memory(facts)];
    match facts.user() {
        Ok(user) => checks.extend(folder(facts, user)),
        Err(why) => checks.push(Check::unknown("registry.folder", "folder", why.to_string())),
    }
    Group { title: "registry", checks }
}

fn shared_memory(facts: &Facts) -> Check {
    let (id, title) = ("registry.shm", "/dev/shm");
    let there = facts.path("/dev/shm");
    let Ok(metadata) = std::fs::metadata(&there) else {
        return Check::remark(id, title, "there is none: the registry is in /tmp")
            .root("mount -t tmpfs -o mode=1777 tmpfs /dev/shm");
    };
    let mounts = match facts.mounts() {
        Ok(mounts) => mounts,
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    let Some(mount) = mounts.iter().find(|mount| mount.point == "/dev/shm") else {
        return Check::fine(id, title, "it is a folder of another file system; areas take none of its space");
    };
    let options = mount.options.join(",");
    if mount.has("ro") {
        return Check::broken(
            id,
            title,
            format!("{} mounted read-only ({options}): no names can be made", mount.kind),
        )
        .root("mount -o remount,rw /dev/shm");
    }
    if metadata.mode() & 0o1777 != 0o1777 {
        let finding = format!(
            "its mode is {:04o}: users cannot make names in it, or can remove those of others",
            metadata.mode() & 0o7777
        );
        return Check::remark(id, title, finding).root("chmod 1777 /dev/shm");
    }
    let finding = format!("{} ({options})", mount.kind);
    if !facts.is_here() {
        return Check::fine(id, title, finding);
    }
    match rustix::fs::statvfs(&there) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let finding = format!(
                "{finding}: {:#} of {:#} free; areas take none of it, their names a few bytes",
                Bytes(free),
                Bytes(space.f_blocks.saturating_mul(space.f_frsize))
            );
            if free == 0 || (space.f_files > 0 && space.f_ffree == 0) {
                return Check::broken(id, title, format!("{finding}: it is full, no names can be made"))
                    .root("mount -o remount,size=1G,nr_inodes=1M /dev/shm")
                    .words("see what fills it: `ls -lS /dev/shm`, `areas scan`");
            }
            Check::fine(id, title, finding)
        }
        Err(errno) => Check::unknown(
            id,
            title,
            format!("{finding}; how much of it is free is not known: {}", areas::Errno::from(errno)),
        ),
    }
}

/// The user's folder: the first place that is its own.
fn folder(facts: &Facts, user: u32) -> Vec<Check> {
    let (id, title) = ("registry.folder", "folder");
    let (places, from) = match &facts.areas_dir {
        Some(dir) => (vec![dir.clone()], "AREAS_DIR says so"),
        None => (machine::usual_places(facts.root(), user).0, "where it is looked for first"),
    };
    let shown = |place: &Path| facts.shown(place).display().to_string();
    let mut refused: Vec<(&PathBuf, Error)> = Vec::new();
    for place in &places {
        let there = match machine::examine_place(place, user) {
            Ok(Place::Ours) => true,
            Ok(Place::Missing) => match try_to_make(facts, place) {
                Ok(()) => false,
                Err(error) => {
                    refused.push((place, error));
                    continue;
                }
            },
            Ok(Place::Foreign(error)) => {
                refused.push((place, error));
                continue;
            }
            // One's own, and not as it must be: no process goes on to the next.
            Err(error) => {
                refused = vec![(place, error)];
                break;
            }
        };
        let mut checks = vec![usable(&shown(place), there, from, &refused, &shown)];
        if there {
            checks.push(entries(facts, place));
        }
        return checks;
    }
    let Some((place, error)) = refused.first() else {
        return vec![Check::unknown(id, title, "there is no place for it")];
    };
    let why = error.facts().map_or_else(|| error.to_string(), str::to_owned);
    let finding = match refused.len() {
        1 => format!("{} cannot be used: {why}", shown(place)),
        count => format!("none of {count} places can be used; {}: {why}", shown(place)),
    };
    let broken = mend(Check::broken(id, title, finding), &shown(place), error, facts.areas_dir.is_none());
    vec![broken.shell("export AREAS_DIR=$(mktemp -d)")]
}

/// Whether the first area that is published could make the folder: it is tried, and taken away
/// again. (A process that comes at that moment finds a folder like any other, which may go.) On
/// another machine nothing can be tried.
fn try_to_make(facts: &Facts, place: &Path) -> Result<(), Error> {
    let refused = |why: String| {
        Error::new(ErrorKind::Registry, format!("use {} as the registry", place.display()))
            .with_facts(format!("it is not there, and cannot be made: {why}"))
    };
    let above = place.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let finding = |error: io::Error| {
        let shown = facts.shown(above).display().to_string();
        match error.kind() {
            io::ErrorKind::NotFound => refused(format!("there is no folder {shown}"))
                .with_remedy(format!("{MAKE} {}", quoted(&shown))),
            _ => refused(format!("mkdir(0700): {}", in_words(&error)))
                .with_remedy(format!("{LOOK} {}", quoted(&shown))),
        }
    };
    if !facts.is_here() {
        return Ok(());
    }
    match std::fs::DirBuilder::new().mode(0o700).create(place) {
        Ok(()) => {
            // Where a process has just begun to use it, it stays.
            let _ = std::fs::remove_dir(place);
            Ok(())
        }
        // Another process has just made it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(finding(error)),
    }
}

/// How the lines begin that make the folder above, and look at it.
const MAKE: &str = "mkdir -p";
const LOOK: &str = "ls -ld";

/// The line that mends a folder that cannot be used. Only what has a registry's usual name is ever
/// to be removed: AREAS_DIR may name anything, `/tmp` or a user's home.
fn mend(check: Check, path: &str, error: &Error, is_usual: bool) -> Check {
    let said = error.remedy().unwrap_or_default();
    let path = quoted(path);
    match () {
        () if said.starts_with(MAKE) => check.shell(said),
        () if said.starts_with(LOOK) => check.root(said),
        () if said.contains("chmod 700") => check.shell(format!("chmod 700 {path}")),
        () if is_usual && error.facts().is_some_and(|facts| facts.contains("belongs to user")) => {
            check.root(format!("ls -ld {path}")).root(format!("rm -r {path}"))
        }
        () => check.root(format!("ls -ld {path}")),
    }
}

fn usable(
    path: &str,
    there: bool,
    from: &str,
    refused: &[(&PathBuf, Error)],
    shown: &dyn Fn(&Path) -> String,
) -> Check {
    let (id, title) = ("registry.folder", "folder");
    let state = if there { "" } else { ", made when an area is published" };
    let Some((place, error)) = refused.first() else {
        return Check::fine(id, title, format!("{path} ({from}{state})"));
    };
    let why = error.facts().map_or_else(|| error.to_string(), str::to_owned);
    let more = match refused.len() {
        1 => String::new(),
        count => format!(" and {} other names", count - 1),
    };
    let finding = format!("{path}{state}, since {}{more} cannot be used: {why}", shown(place));
    mend(Check::remark(id, title, finding), &shown(place), error, true)
}

/// What lies in the folder: links of teams that are gone, folders of namespaces, and what belongs
/// to no process.
fn entries(facts: &Facts, folder: &Path) -> Check {
    let (id, title) = ("registry.entries", "entries");
    let shown = facts.shown(folder).into_owned();
    let names = match facts.names(&shown) {
        Ok(names) => names,
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    let (spaces, strangers): (Vec<&String>, Vec<&String>) =
        names.iter().partition(|name| name.starts_with("pid-"));
    let (mut living, mut stale) = (0, 0);
    for space in &spaces {
        for link in facts.names(shown.join(space).join("teams")).unwrap_or_default() {
            let path = facts.path(shown.join(space).join("teams").join(&link));
            match std::fs::read_link(&path).map(|target| facts.exists(target)) {
                Ok(true) => living += 1,
                // Who may not be looked into lives.
                Ok(false) if lives(facts, &path) => living += 1,
                Ok(false) | Err(_) => stale += 1,
            }
        }
    }
    let finding = format!(
        "processes with areas here: {living}; gone, their links not yet removed: {stale}; pid namespaces: {}",
        spaces.len()
    );
    let Some(first) = strangers.first() else { return Check::fine(id, title, finding) };
    let path = quoted(&shown.join(first).display().to_string());
    let mut check = Check::remark(
        id,
        title,
        format!("{finding}; {} entries are not part of a registry ({first}, for one)", strangers.len()),
    );
    check.remedies.push(Remedy::Shell(format!("rm -r {path}")));
    check
}

/// Whether the process that a link leads to is there: `/proc/PID/fd/N`.
fn lives(facts: &Facts, link: &Path) -> bool {
    let Ok(target) = std::fs::read_link(link) else { return false };
    let Some(pid) = target.iter().nth(2).and_then(|pid| pid.to_str()) else { return false };
    // A process that may not be looked into: its descriptors are hidden, and it is there.
    matches!(facts.names(Path::new("/proc").join(pid).join("fd")), Err(Unread::Failed(..)))
}
