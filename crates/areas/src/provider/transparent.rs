//! Whether transparent huge pages can be had here, so that what is said of them is true.
//!
//! The kernel takes the advice (`MADV_HUGEPAGE`) and gives nothing where the machine or the process
//! forbids them. Collapsing pages (`MADV_COLLAPSE`), which populating does, works against the
//! machine's `enabled=never`, and not against `shmem_enabled=deny` nor `PR_SET_THP_DISABLE`.

use std::path::Path;

const FOLDER: &str = "sys/kernel/mm/transparent_hugepage";

/// What an area of base pages gets that would rather have huge ones, in words: memory objects
/// (`shared`) or private memory. `root` is `/`, but for tests.
pub fn given(root: &Path, shared: bool) -> String {
    const WHEN_POPULATED: &str = "base pages, collapsed into transparent huge ones when populated";
    match forbidden(root, shared) {
        Some(why) => format!("base pages ({why})"),
        None if shared => WHEN_POPULATED.to_owned(),
        None => match never_by_touch(root) {
            Some(why) => format!("{WHEN_POPULATED} ({why})"),
            None => "transparent huge pages where the kernel has them".to_owned(),
        },
    }
}

/// Why there are none at all.
pub fn forbidden(root: &Path, shared: bool) -> Option<String> {
    if !root.join(FOLDER).exists() {
        return Some("the kernel has no transparent huge pages".to_owned());
    }
    let status = crate::sys::text::read_to_string(root.join("proc/self/status")).unwrap_or_default();
    if status.lines().any(|line| line.strip_prefix("THP_enabled:").is_some_and(|value| value.trim() == "0")) {
        return Some("PR_SET_THP_DISABLE forbids transparent huge pages to this process".to_owned());
    }
    (shared && chosen(root, "shmem_enabled").as_deref() == Some("deny"))
        .then(|| format!("/{FOLDER}/shmem_enabled is deny"))
}

/// Why a touch gives private memory no huge page: the setting of the size, where there is one,
/// which may leave it to that of all sizes.
fn never_by_touch(root: &Path) -> Option<String> {
    let kilobytes = crate::page::PageSize::transparent().bytes() / 1024;
    let size = format!("hugepages-{kilobytes}kB/enabled");
    let file = match chosen(root, &size).as_deref() {
        Some("never") => size,
        Some("inherit") | None if chosen(root, "enabled").as_deref() == Some("never") => "enabled".to_owned(),
        _ => return None,
    };
    Some(format!("/{FOLDER}/{file} is never"))
}

/// The sizes, less than that of a huge page, in which the kernel is set up to bring base pages in
/// together (Linux 6.8; for objects 6.12), the smallest first.
pub(crate) fn sizes_of_folios(root: &Path) -> Vec<usize> {
    let names = crate::sys::text::names_in(root.join(FOLDER), usize::MAX).unwrap_or_default();
    let sizes = names.into_iter().filter_map(|name| {
        let name = name.into_string().ok()?;
        let kilobytes: usize = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let bytes = kilobytes.checked_mul(1024)?;
        let on = |file: &str| chosen(root, &format!("{name}/{file}")).is_some_and(|word| word != "never");
        (bytes < crate::page::PageSize::transparent().bytes() && (on("enabled") || on("shmem_enabled")))
            .then_some(bytes)
    });
    let mut sizes: Vec<usize> = sizes.collect();
    sizes.sort_unstable();
    sizes
}

/// The word in brackets: `always [madvise] never`.
fn chosen(root: &Path, file: &str) -> Option<String> {
    let text = crate::sys::text::read_to_string(root.join(FOLDER).join(file)).ok()?;
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Tree;

    #[test]
    fn sizes_of_folios_that_are_switched_on() {
        let tree = Tree::new("folios");
        assert_eq!(sizes_of_folios(tree.root()), []);
        let put = |file: &str, text: &str| tree.put(&format!("{FOLDER}/{file}"), text);
        put("enabled", "[always] madvise never\n");
        put("hugepages-64kB/enabled", "always inherit [madvise] never\n");
        put("hugepages-32kB/enabled", "always inherit madvise [never]\n");
        put("hugepages-32kB/shmem_enabled", "always [inherit] within_size advise never\n");
        put("hugepages-16kB/enabled", "always inherit madvise [never]\n");
        put("hugepages-16kB/shmem_enabled", "always inherit within_size advise [never]\n");
        put("hugepages-2048kB/enabled", "[always] inherit madvise never\n");
        put("hugepages-oddkB/enabled", "[always]\n");
        assert_eq!(sizes_of_folios(tree.root()), [32 << 10, 64 << 10]);
    }

    #[test]
    fn what_is_said_is_what_the_settings_give() {
        let tree = Tree::new("transparent");
        let put = |file: &str, text: &str| tree.put(&format!("{FOLDER}/{file}"), text);
        let check = |private: &str, shared: &str| {
            let said = [false, true].map(|shared| given(tree.root(), shared));
            assert_eq!(said, [private.to_owned(), shared.to_owned()]);
        };
        let (plain, collapsed) = (
            "transparent huge pages where the kernel has them",
            "base pages, collapsed into transparent huge ones when populated",
        );
        check(
            "base pages (the kernel has no transparent huge pages)",
            "base pages (the kernel has no transparent huge pages)",
        );
        put("enabled", "always [madvise] never\n");
        put("shmem_enabled", "always within_size advise [never] deny force\n");
        check(plain, collapsed);
        put("enabled", "always madvise [never]\n");
        check(&format!("{collapsed} (/{FOLDER}/enabled is never)"), collapsed);
        // One size by itself (Linux 6.8).
        put("hugepages-2048kB/enabled", "[always] inherit madvise never\n");
        check(plain, collapsed);
        put("hugepages-2048kB/enabled", "always [inherit] madvise never\n");
        check(&format!("{collapsed} (/{FOLDER}/enabled is never)"), collapsed);
        put("enabled", "[always] madvise never\n");
        put("hugepages-2048kB/enabled", "always inherit madvise [never]\n");
        check(&format!("{collapsed} (/{FOLDER}/hugepages-2048kB/enabled is never)"), collapsed);
        put("hugepages-2048kB/enabled", "odd\n");
        put("shmem_enabled", "always within_size advise never [deny] force\n");
        check(plain, &format!("base pages (/{FOLDER}/shmem_enabled is deny)"));
        tree.put("proc/self/status", "Name:\tx\nTHP_enabled:\t0\n");
        let disabled = "base pages (PR_SET_THP_DISABLE forbids transparent huge pages to this process)";
        check(disabled, disabled);
        tree.put("proc/self/status", "THP_enabled:\t1\n");
        put("shmem_enabled", "");
        check(plain, collapsed);
    }
}
