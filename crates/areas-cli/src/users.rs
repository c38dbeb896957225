//! Users: their names, and the registries that root may look into.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;

use areas::registry;
use areas::{Error, ErrorKind};

/// The names of users, as this machine's file has them.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<u32, String>);

impl Names {
    pub(crate) fn read() -> Self {
        let text = std::fs::read("/etc/passwd").unwrap_or_default();
        Names::of(&String::from_utf8_lossy(&text))
    }

    /// `NAME:PASSWORD:UID:…`, see passwd(5). Of several names for one user the first counts.
    fn of(text: &str) -> Self {
        let mut names = BTreeMap::new();
        for line in text.lines() {
            let mut fields = line.split(':');
            if let (Some(name), Some(Ok(user))) = (fields.next(), fields.nth(1).map(str::parse))
                && !name.is_empty()
            {
                names.entry(user).or_insert_with(|| name.to_owned());
            }
        }
        Names(names)
    }

    /// A user's name, or its number where it has none.
    pub(crate) fn name_of(&self, user: u32) -> String {
        self.0.get(&user).cloned().unwrap_or_else(|| user.to_string())
    }

    fn number_of(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|(_, known)| *known == name).map(|(&user, _)| user)
    }
}

/// The registry that a command is about from now on: of the user that `--user` names, or this
/// process's own.
pub(crate) fn look_into(named: Option<&str>) -> areas::Result<()> {
    let Some(named) = named else { return Ok(()) };
    let user = named.parse().ok().or_else(|| Names::read().number_of(named));
    let user = user.ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, format!("look into the registry of user {named:?}"))
            .with_facts("/etc/passwd has no user of that name")
            .with_remedy("give the user's number: `id -u NAME`")
    })?;
    registry::look_into(Some(user))
}

/// The user whose registry a command is about.
pub(crate) fn looked_into(named: Option<&str>) -> u32 {
    let own = || rustix::process::geteuid().as_raw();
    let number = |named: &str| named.parse().ok().or_else(|| Names::read().number_of(named));
    named.and_then(number).unwrap_or_else(own)
}

/// Looks into the registries of all users that run processes, one after the other. What is wrong
/// with some of them is released: the others are looked into all the same.
///
/// # Errors
/// This process is not root's.
pub(crate) fn each_registry(
    what: &str,
    mut look: impl FnMut(u32) -> areas::Result<()>,
) -> areas::Result<Vec<(u32, Error)>> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::new(ErrorKind::NotPermitted, what.to_owned())
            .with_facts("only root may look into the registries of others")
            .with_remedy("run it with sudo"));
    }
    let mut failures = Vec::new();
    for user in users() {
        let looked = registry::look_into(Some(user)).and_then(|()| look(user));
        failures.extend(looked.err().map(|error| (user, error)));
    }
    registry::look_into(None).map(|()| failures)
}

/// Whose registries there may be: an area has a process. A folder that was named is its owner's.
fn users() -> BTreeSet<u32> {
    let named = std::env::var_os("AREAS_DIR").filter(|named| !named.is_empty());
    match named.map(std::fs::symlink_metadata) {
        Some(Ok(folder)) => BTreeSet::from([folder.uid()]),
        Some(Err(_)) => BTreeSet::from([0]),
        None => registry::processes().into_iter().filter_map(user_of).chain([0]).collect(),
    }
}

/// The user that a process works for.
pub(crate) fn user_of(pid: u32) -> Option<u32> {
    let status = areas::files::read(format!("/proc/{pid}/status")).ok()?;
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    // Real, effective, saved, of files: the registry is the effective user's.
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// An error where AREAS_DIR names a folder and there is none: whoever mistypes it would read that
/// there are no areas.
pub(crate) fn is_there(what: &'static str) -> areas::Result<()> {
    let Some(named) = std::env::var_os("AREAS_DIR").filter(|named| !named.is_empty()) else { return Ok(()) };
    let is_whole = std::path::Path::new(&named).is_absolute();
    match std::fs::metadata(&named) {
        Err(error) if is_whole && error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::new(ErrorKind::Registry, what)
                .with_facts(format!("AREAS_DIR names {}, and there is no such folder", named.display()))
                .with_remedy("the first process that publishes an area makes it; or unset AREAS_DIR"))
        }
        // What else may be wrong with it the registry says.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let names =
            Names::of("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\nann:x:1000:100::/:\nbroken\n:x:5:\n");
        assert_eq!(names.name_of(0), "root");
        assert_eq!(names.name_of(1000), "ann");
        assert_eq!(names.name_of(5), "5");
        assert_eq!(
            (names.number_of("ann"), names.number_of("toor"), names.number_of("bob")),
            (Some(1000), None, None)
        );
    }

    #[test]
    fn a_process_has_a_user() {
        assert_eq!(user_of(std::process::id()), Some(rustix::process::geteuid().as_raw()));
        assert_eq!(user_of(u32::MAX), None);
    }
}
