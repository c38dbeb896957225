//! Memory without a name in a file system: memory objects, areas, shared anonymous memory, files
//! whose name is gone. It lives as long as a process holds it, so that it cannot leak; who holds it
//! is all that shows it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use areas::others::{Look, look_through, looks_like_a_table};

use super::args::Kind;
use super::memory::{Memory, Object, State};
use super::mounts::{Mounts, SHM};
use super::posix;
use super::published::Registries;
use super::walk::{Found, Walk};

const DELETED: &[u8] = b" (deleted)";

/// All that is left once the files that have names were taken out.
pub(super) fn memories(mounts: &Mounts, walk: &mut Walk, registries: &Registries) -> Vec<Memory> {
    let huge: Vec<u64> = mounts.huge().iter().map(|mount| mount.device).collect();
    let found = std::mem::take(&mut walk.objects);
    found.into_iter().map(|(object, found)| memory(object, found, &huge, registries)).collect()
}

fn memory(object: Object, found: Found, huge: &[u64], registries: &Registries) -> Memory {
    let look = found.look.or_else(|| same(object, found.opening_path.as_deref()?));
    let areas = registries.over(object);
    let size = look.map_or(found.end, |look| look.size);
    let (kind, name) = match areas.first() {
        Some(area) => (Kind::Area, area.name.as_bytes().to_vec()),
        None => kind_of(&found.label, object, size, huge),
    };
    let is_nameless = kind == Kind::Area && areas.is_empty();
    let owner = look.map(|look| look.owner);
    let is_unpublished = is_nameless && registries.knows(owner);
    let mut memory = Memory {
        kind,
        name,
        object: Some(object),
        owner,
        size: Some(size),
        allocated: look.map(|look| look.allocated),
        resident: None,
        state: State::Held,
        why: match (is_nameless, is_unpublished) {
            (true, true) => Some("no process publishes it".to_owned()),
            (true, false) => Some(
                "whether a process publishes it is not known: its user's registry was not read whole"
                    .to_owned(),
            ),
            (false, _) => None,
        },
        holders: found.holders,
        path: None,
        opening_path: found.opening_path,
        inside: None,
        is_unpublished,
        areas,
    };
    if memory.is_unlinked() {
        memory.why = Some("its name is gone: it is freed with its last process".to_owned());
    }
    memory
}

/// What is behind a path of `/proc`, if that still is this memory.
fn same(object: Object, opening_path: &str) -> Option<Look> {
    look_through(opening_path).ok().filter(|look| look.object == object)
}

/// What it is, and how it is called, by what the kernel shows of it.
fn kind_of(label: &[u8], object: Object, size: u64, huge: &[u64]) -> (Kind, Vec<u8>) {
    let label = label.strip_suffix(DELETED).unwrap_or(label);
    if huge.contains(&object.0) {
        return (Kind::Huge, label.to_vec());
    }
    if let Some(name) = label.strip_prefix(b"/memfd:area:") {
        return (Kind::Area, name.to_vec());
    }
    if let Some(name) = label.strip_prefix(b"/memfd:") {
        let kind = if looks_like_a_table(name, size) { Kind::Registry } else { Kind::Memfd };
        return (kind, name.to_vec());
    }
    if label == b"/dev/zero" || label == b"/anon_hugepage" {
        return (Kind::Anonymous, object.1.to_string().into_bytes());
    }
    let path = Path::new(OsStr::from_bytes(label));
    let name = path.strip_prefix(SHM).unwrap_or(path);
    (posix::kind_of(name), name.as_os_str().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_what_the_kernel_shows() {
        for (label, kind, name) in [
            ("/memfd:area:ring (deleted)", Kind::Area, "ring"),
            ("/memfd:x y (deleted)", Kind::Memfd, "x y"),
            ("/memfd: (deleted)", Kind::Memfd, ""),
            // Of another size than a table has.
            ("/memfd:areas table (deleted)", Kind::Memfd, "areas table"),
            ("/dev/zero (deleted)", Kind::Anonymous, "7"),
            ("/dev/shm/psm_1 (deleted)", Kind::Python, "psm_1"),
            ("/dev/shm/f/x (deleted)", Kind::File, "f/x"),
        ] {
            let found = kind_of(label.as_bytes(), (1, 7), 4096, &[2]);
            assert_eq!(found, (kind, name.as_bytes().to_vec()), "{label}");
        }
        assert_eq!(kind_of(b"/mnt/x", (2, 7), 4096, &[2]), (Kind::Huge, b"/mnt/x".to_vec()));
    }
}
