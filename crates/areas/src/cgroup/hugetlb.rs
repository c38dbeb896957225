//! The room that limits on hugetlb pages leave: `hugetlb.2MB.max` and `hugetlb.2MB.rsvd.max`,
//! version 1's `limit_in_bytes` of both.
//!
//! The kernel refuses what is over them with the same words as what an empty pool refuses (ENOMEM,
//! EFAULT), so they are looked at when it has.

use std::path::Path;

use super::{Location, Room, Version};

/// The limits on pages of `page` bytes for this process. `root` is `/`, but for tests.
///
/// Pages are counted when they are reserved, by mapping them, and again when they are taken: of
/// `reserved` ones only the second is asked.
pub(crate) fn rooms(root: &Path, page: usize, reserved: bool) -> Vec<Room> {
    Location::of(root, "hugetlb").map_or_else(Vec::new, |location| of_groups(&location, page, reserved))
}

/// The same for another process (`self`, or a number).
pub fn rooms_of(root: &Path, process: &str, page: usize) -> Vec<Room> {
    let location = Location::of_process(root, process, "hugetlb");
    location.map_or_else(Vec::new, |location| of_groups(&location, page, false))
}

fn of_groups(location: &Location, page: usize, reserved: bool) -> Vec<Room> {
    let size = in_words(page);
    let kinds: &[&str] = if reserved { &[""] } else { &["rsvd.", ""] };
    let files: Vec<[String; 2]> = kinds
        .iter()
        .map(|kind| match location.version {
            Version::One => [format!("{kind}limit_in_bytes"), format!("{kind}usage_in_bytes")],
            Version::Two => [format!("{kind}max"), format!("{kind}current")],
        })
        .collect();
    let rooms = location.levels.iter().flat_map(|level| {
        let size = &size;
        files.iter().filter_map(move |[limit, used]| {
            let file = format!("hugetlb.{size}.{limit}");
            let used = level.number(&format!("hugetlb.{size}.{used}"))?;
            Some(Room::of(level.number(&file)?, used, level, &file))
        })
    });
    rooms.collect()
}

/// A page size as the names of the files have it.
fn in_words(page: usize) -> String {
    match page {
        _ if page >= 1 << 30 => format!("{}GB", page >> 30),
        _ if page >= 1 << 20 => format!("{}MB", page >> 20),
        _ => format!("{}KB", page >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Tree, raise_all};
    use super::*;

    const HUGE: u64 = 2 << 20;

    /// The tightest of them.
    fn room(root: &Path, page: usize) -> Option<Room> {
        rooms(root, page, false).into_iter().min_by_key(|room| room.bytes)
    }

    #[test]
    fn both_kinds_of_limits_in_both_versions() {
        let tree = Tree::new("hugetlb");
        tree.put(
            "proc/self/mountinfo",
            "5 4 0:32 / /two rw - cgroup2 none rw\n6 4 0:33 / /one rw - cgroup none rw,hugetlb\n",
        );
        for (membership, folder, limit, used) in [
            ("0::/a/b\n", "two", "max", "current"),
            ("3:hugetlb:/a/b\n0::/\n", "one", "limit_in_bytes", "usage_in_bytes"),
        ] {
            tree.put("proc/self/cgroup", membership);
            let put = |group: &str, kind: &str, numbers: (u64, u64)| {
                tree.put(&format!("{folder}/{group}/hugetlb.2MB.{kind}{limit}"), numbers.0.to_string());
                tree.put(&format!("{folder}/{group}/hugetlb.2MB.{kind}{used}"), numbers.1.to_string());
            };
            assert_eq!(room(tree.root(), 2 << 20), None);
            put("a/b", "", (9_223_372_036_852_678_656, 0));
            assert_eq!(room(tree.root(), 2 << 20), None);
            put("a", "", (8 * HUGE, 3 * HUGE));
            let found = room(tree.root(), 2 << 20).unwrap();
            assert_eq!(found.bytes, 5 * HUGE);
            assert_eq!(
                found.whose(),
                format!("control group /a (hugetlb.2MB.{limit} is 16.0 MiB, 6.00 MiB in use)")
            );
            put("a/b", "rsvd.", (4 * HUGE, 4 * HUGE));
            let found = room(tree.root(), 2 << 20).unwrap();
            assert_eq!(found.bytes, 0);
            let line = format!("/{folder}/a/b/hugetlb.2MB.rsvd.{limit}`");
            assert!(found.raise(HUGE).contains(&line), "{}", found.raise(HUGE));
            // The very number: hugetlb pages are all that counts there.
            assert!(found.raise(HUGE).contains(&format!("`echo {} > ", 5 * HUGE)), "{}", found.raise(HUGE));
            // Each limit that is in the way, and no reservations where pages are reserved already.
            let both = raise_all(&rooms(tree.root(), 2 << 20, false), 6 * HUGE);
            assert!(both.contains(&format!("echo {} > ", 10 * HUGE)), "{both}");
            assert!(both.contains(&format!("echo {} > ", 9 * HUGE)) && both.contains(" && "), "{both}");
            assert_eq!(rooms(tree.root(), 2 << 20, true).len(), 1, "what has no limit is none");
            // Of another size.
            assert_eq!(room(tree.root(), 1 << 30), None);
        }
    }

    #[test]
    fn sizes_as_the_kernel_names_them() {
        for (page, words) in
            [(64 << 10, "64KB"), (2 << 20, "2MB"), (512 << 20, "512MB"), (1 << 30, "1GB"), (16 << 30, "16GB")]
        {
            assert_eq!(in_words(page), words);
        }
    }
}
