//! What to say where a pool of huge pages has too few: which nodes' pool it is, what it has, the
//! very line that fills it, and the limits of control groups that are in the way, too.
//!
//! Each node has a pool of its own. The machine-wide number is their sum, and to raise it spreads
//! pages over all nodes: who is bound to one node gets a part of them, or none.

use std::path::{Path, PathBuf};

use super::Error;
use crate::cgroup;
use crate::nodes::{NodeSet, Placement};
use crate::page::PageSize;
use crate::size::Bytes;
use crate::sys;

/// What was wanted of a pool, and could not be had.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    page: PageSize,
    /// Bytes that could not be had.
    missing: usize,
    /// Bytes that were had before those.
    taken: usize,
    /// Whether the kernel had reserved them: it does so when it maps, and counts the machine, not
    /// nodes.
    reserved: bool,
    placement: Option<&'a Placement>,
}

impl<'a> Wanted<'a> {
    /// Of so many bytes none could be had, or mapped.
    pub(crate) fn new(page: PageSize, bytes: usize) -> Self {
        Wanted { page, missing: bytes, taken: 0, reserved: false, placement: None }
    }

    /// Mapped they were, and of `len` bytes so many had come in.
    pub(crate) fn taking(page: PageSize, len: usize, taken: usize) -> Self {
        let missing = len.saturating_sub(taken).max(page.bytes());
        Wanted { missing, taken, reserved: true, ..Wanted::new(page, missing) }
    }

    /// Where they were to be.
    pub(crate) fn placed(self, placement: Option<&'a Placement>) -> Self {
        Wanted { placement, ..self }
    }
}

/// Where `error` comes of a pool that has too few pages: facts, and what to do.
pub(crate) fn too_few(error: Error, wanted: Wanted<'_>) -> Error {
    say(Path::new("/"), sys::policy::allowed_nodes().ok(), error, wanted)
}

/// The file that says how many pages the pool has of which such memory is taken: a node's, if it is
/// bound to one, or the machine's.
pub(crate) fn file(page: PageSize, placement: Option<&Placement>) -> PathBuf {
    let root = Path::new("/");
    let wanted = Wanted::new(page, 0).placed(placement);
    let (nodes, _) = confined(root, sys::policy::allowed_nodes().ok(), wanted);
    let folder = nodes.and_then(|nodes| Some(of_node(root, nodes.first()?.get(), page)));
    folder.unwrap_or_else(|| of_machine(root, page)).join("nr_hugepages")
}

/// For a caller that may not fill it.
const LESS: &str = "or `Pages::Auto`";

fn say(root: &Path, allowed: Option<NodeSet>, error: Error, wanted: Wanted<'_>) -> Error {
    let Wanted { page, missing, taken, reserved, .. } = wanted;
    let folder = of_machine(root, page);
    if !folder.exists() {
        return error
            .with_facts(format!("this kernel has no pool of {page} pages"))
            .with_remedy("the sizes that it has are the folders of /sys/kernel/mm/hugepages");
    }
    let pages = |bytes: usize| bytes.div_ceil(page.bytes()) as u64;
    let machine = Pool::read(&folder);
    // What is reserved for others is free, and not for us.
    let ours = if reserved { pages(missing) } else { 0 };
    let usable = machine.free().saturating_sub(machine.number(machine.reserved).saturating_sub(ours));
    let short = pages(missing).saturating_sub(usable);
    let wanted_pages = match taken {
        0 => format!("{} wanted", pages(missing)),
        _ => format!("{} more wanted, {} taken", pages(missing), pages(taken)),
    };
    let of_all = format!(
        "{}, {} free, {} reserved",
        reported(machine.total),
        reported(machine.free),
        reported(machine.reserved)
    );
    let (facts, fill) = match confined(root, allowed, wanted) {
        (None, _) => (
            format!("the pool of {page} pages has {of_all}; {wanted_pages}"),
            machine.fill(short, &folder).map(|line| format!("{line}, {LESS}")),
        ),
        (Some(nodes), why) => {
            let (pools, fill) = of_nodes(root, page, nodes, pages(missing), short);
            (format!("{why}{pools}; {wanted_pages} (all nodes: {of_all})"), fill)
        }
    };
    // The kernel says the same of a full pool and of a full group.
    let bytes = pages(missing).saturating_mul(page.bytes() as u64);
    let mut groups = cgroup::hugetlb_rooms(root, page.bytes(), reserved);
    groups.retain(|room| room.bytes < bytes);
    let Some(tightest) = groups.iter().min_by_key(|room| room.bytes) else {
        let fill = fill.unwrap_or_else(|| format!("the pool has enough by now: try again, {LESS}"));
        return error.with_facts(facts).with_remedy(fill);
    };
    let whose = format!("{} can give {:#} in {page} pages", tightest.whose(), Bytes(tightest.bytes));
    let raise = cgroup::raise_all(&groups, bytes);
    let help = match fill {
        Some(fill) => format!("{raise}; then {fill}"),
        None => format!("{raise}, {LESS}"),
    };
    error.with_facts(format!("{whose}; {facts}")).with_remedy(help)
}

/// The nodes from which such memory is taken, and why these, if they are not all that have a pool.
fn confined(root: &Path, allowed: Option<NodeSet>, wanted: Wanted<'_>) -> (Option<NodeSet>, String) {
    let list = sys::text::read_to_string(root.join("sys/devices/system/node/has_memory")).unwrap_or_default();
    let with_memory = NodeSet::from_kernel_list(&list).unwrap_or_default();
    let bound = wanted.placement.and_then(Placement::confined_to).filter(|nodes| !nodes.is_all());
    match bound.or(allowed) {
        Some(nodes) if !nodes.is_empty() && !nodes.is_superset(&with_memory) => {
            let why = match bound {
                Some(_) => String::new(),
                None => format!("it may take memory from {} alone; ", nodes.in_words()),
            };
            (Some(nodes), why)
        }
        _ => (None, String::new()),
    }
}

/// What the pools of some nodes have, and the line that fills one of them.
fn of_nodes(
    root: &Path,
    page: PageSize,
    nodes: NodeSet,
    missing: u64,
    short: u64,
) -> (String, Option<String>) {
    let pools: Vec<(u32, PathBuf, Pool)> = nodes
        .iter()
        .map(|node| (node.get(), of_node(root, node.get(), page)))
        .filter(|(_, folder)| folder.exists())
        .map(|(node, folder)| {
            let pool = Pool::read(&folder);
            (node, folder, pool)
        })
        .collect();
    let Some((first, folder, pool)) = pools.first() else {
        let none = format!(
            "{} {} no pool of {page} pages",
            nodes.in_words(),
            if nodes.len() == 1 { "has" } else { "have" }
        );
        return (none, Some("take nodes that have one (`areas nodes`)".to_owned()));
    };
    let sum = |of: fn(&Pool) -> u64| pools.iter().map(|(.., pool)| of(pool)).fold(0, u64::saturating_add);
    let (total, free) = (sum(|pool| pool.number(pool.total)), sum(Pool::free));
    let facts = match pools.len() {
        1 => format!("node {first}'s pool of {page} pages has {total}, {free} free"),
        _ => {
            const MAX: usize = 8;
            let each = pools.iter().take(MAX);
            let each = each.map(|(node, _, pool)| {
                format!("node {node}: {} of {}", reported(pool.free), reported(pool.total))
            });
            let more = if pools.len() > MAX { ", …" } else { "" };
            let each = each.collect::<Vec<_>>().join(", ");
            format!(
                "the pools of {page} pages on {} have {total}, {free} free ({each}{more})",
                nodes.in_words()
            )
        }
    };
    let short = missing.saturating_sub(free).max(short);
    // To raise the machine's number would not do: what that adds is spread over all nodes.
    let fill = pool.fill(short, folder);
    (facts, fill)
}

/// What a pool's files say.
#[derive(Clone, Copy, Debug)]
struct Pool {
    total: Option<u64>,
    free: Option<u64>,
    surplus: Option<u64>,
    /// The machine's alone.
    reserved: Option<u64>,
}

impl Pool {
    fn read(folder: &Path) -> Self {
        let read = |file: &str| {
            sys::text::read_to_string(folder.join(format!("{file}_hugepages"))).ok()?.trim().parse().ok()
        };
        Pool { total: read("nr"), free: read("free"), surplus: read("surplus"), reserved: read("resv") }
    }

    fn number(&self, number: Option<u64>) -> u64 {
        number.unwrap_or(0)
    }

    fn free(&self) -> u64 {
        self.number(self.free)
    }

    /// The line that gives it so many pages more; `None` for none. What is above the number that
    /// was set (`surplus`) goes when it is freed.
    fn fill(&self, short: u64, folder: &Path) -> Option<String> {
        let kept = self.number(self.total).saturating_sub(self.number(self.surplus));
        let file = folder.join("nr_hugepages");
        (short > 0).then(|| format!("`echo {} > {}` (root)", kept.saturating_add(short), file.display()))
    }
}

fn reported(number: Option<u64>) -> String {
    number.map_or_else(|| "an unknown number of".to_owned(), |number| number.to_string())
}

fn name(page: PageSize) -> String {
    format!("hugepages-{}kB", page.bytes() / 1024)
}

fn of_machine(root: &Path, page: PageSize) -> PathBuf {
    root.join("sys/kernel/mm/hugepages").join(name(page))
}

fn of_node(root: &Path, node: u32, page: PageSize) -> PathBuf {
    root.join(format!("sys/devices/system/node/node{node}/hugepages")).join(name(page))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::cgroup::Tree;
    use crate::nodes::Policy;

    const HUGE: usize = 2 << 20;

    /// Nodes 0 to 2, with so many pages each, and free ones.
    fn machine(name: &str, nodes: [(u64, u64); 3], reserved: u64) -> Tree {
        let tree = Tree::new(&format!("pool-{name}"));
        tree.put("sys/devices/system/node/has_memory", "0-2\n");
        let put = |folder: &str, (total, free): (u64, u64)| {
            for (file, number) in [("nr", total), ("free", free), ("surplus", 0)] {
                let path = format!("{folder}/hugepages/hugepages-2048kB/{file}_hugepages");
                tree.put(&path, format!("{number}\n"));
            }
        };
        (0..).zip(nodes).for_each(|(node, pool)| put(&format!("sys/devices/system/node/node{node}"), pool));
        let sum = |of: fn(&(u64, u64)) -> u64| nodes.iter().map(of).sum();
        put("sys/kernel/mm", (sum(|pool| pool.0), sum(|pool| pool.1)));
        let file = "sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages";
        tree.put(file, format!("{reserved}\n"));
        tree
    }

    fn bound(nodes: &str) -> Placement {
        Policy::Bind(nodes.parse().unwrap()).into()
    }

    fn report(tree: &Tree, allowed: &str, wanted: Wanted<'_>) -> String {
        let error = Error::new(ErrorKind::NoMemory, "take pages");
        let error = say(tree.root(), allowed.parse().ok(), error, wanted);
        format!("{error:#}").replace(&tree.root().display().to_string(), "")
    }

    fn wanted(pages: usize, placement: &Placement) -> Wanted<'_> {
        Wanted::new(PageSize::HUGE_2M, pages * HUGE).placed(Some(placement))
    }

    #[test]
    fn the_pool_of_one_node() {
        let tree = machine("one", [(6, 6), (2, 1), (0, 0)], 0);
        insta::assert_snapshot!(report(&tree, "0-2", wanted(4, &bound("1"))), @"
        cannot take pages: node 1's pool of 2 MiB pages has 2, 1 free; 4 wanted (all nodes: 8, 7 free, 0 reserved)
          help: `echo 5 > /sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages` (root)
        ");
        // The machine has too few as well.
        insta::assert_snapshot!(report(&tree, "0-2", wanted(9, &bound("2"))), @"
        cannot take pages: node 2's pool of 2 MiB pages has 0, 0 free; 9 wanted (all nodes: 8, 7 free, 0 reserved)
          help: `echo 9 > /sys/devices/system/node/node2/hugepages/hugepages-2048kB/nr_hugepages` (root)
        ");
        // All nodes that there are: the machine's number is theirs.
        insta::assert_snapshot!(report(&tree, "0-2", wanted(9, &bound("0-2"))), @"
        cannot take pages: the pool of 2 MiB pages has 8, 7 free, 0 reserved; 9 wanted
          help: `echo 10 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages` (root), or `Pages::Auto`
        ");
        insta::assert_snapshot!(report(&tree, "0-2", Wanted::new(PageSize::HUGE_2M, 9 * HUGE)), @"
        cannot take pages: the pool of 2 MiB pages has 8, 7 free, 0 reserved; 9 wanted
          help: `echo 10 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages` (root), or `Pages::Auto`
        ");
    }

    #[test]
    fn pools_of_several_nodes_and_what_was_taken() {
        let tree = machine("several", [(6, 6), (2, 0), (1, 0)], 1);
        let placement = bound("1-2");
        let taking = Wanted::taking(PageSize::HUGE_2M, 5 * HUGE, 3 * HUGE).placed(Some(&placement));
        insta::assert_snapshot!(report(&tree, "0-2", taking), @"
        cannot take pages: the pools of 2 MiB pages on nodes 1-2 have 3, 0 free (node 1: 0 of 2, node 2: 0 of 1); 2 more wanted, 3 taken (all nodes: 9, 6 free, 1 reserved)
          help: `echo 4 > /sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages` (root)
        ");
    }

    /// A policy that names no nodes, in a cpuset; and one that names all.
    #[test]
    fn the_nodes_that_a_process_may_use() {
        let tree = machine("cpuset", [(6, 6), (2, 1), (0, 0)], 3);
        let all = Placement::new(Policy::Bind(NodeSet::ALL));
        let reported = report(&tree, "1", wanted(2, &all));
        insta::assert_snapshot!(reported, @"
        cannot take pages: it may take memory from node 1 alone; node 1's pool of 2 MiB pages has 2, 1 free; 2 wanted (all nodes: 8, 7 free, 3 reserved)
          help: `echo 3 > /sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages` (root)
        ");
        let preferred = Placement::new(Policy::Preferred(crate::Node::of::<0>()));
        assert_eq!(report(&tree, "1", wanted(2, &preferred)), reported);
        assert_eq!(report(&tree, "1", Wanted::new(PageSize::HUGE_2M, 2 * HUGE)), reported);
    }

    #[test]
    fn what_is_reserved_by_others_is_not_free() {
        let tree = machine("reserved", [(2, 2), (2, 2), (2, 2)], 5);
        // Six are free, and five of them promised: with four more there are enough.
        let reported = report(&tree, "0-2", Wanted::new(PageSize::HUGE_2M, 5 * HUGE));
        assert!(reported.contains("has 6, 6 free, 5 reserved; 5 wanted"), "{reported}");
        assert!(
            reported.contains("`echo 10 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages`"),
            "{reported}"
        );
        // Three of these five are our own.
        let reported = report(&tree, "0-2", Wanted::taking(PageSize::HUGE_2M, 3 * HUGE, 0));
        assert!(reported.contains("the pool has enough by now: try again"), "{reported}");
    }

    #[test]
    fn pools_that_are_not_there() {
        let tree = machine("none", [(6, 6), (2, 1), (0, 0)], 0);
        tree.put("sys/devices/system/node/has_memory", "0-3\n");
        let reported = report(&tree, "0-3", wanted(1, &bound("3")));
        assert!(reported.contains("node 3 has no pool of 2 MiB pages; 1 wanted"), "{reported}");
        assert!(reported.contains("take nodes that have one (`areas nodes`)"), "{reported}");
        let reported = report(&tree, "0-3", Wanted::new(PageSize::from_log2(30).unwrap(), 1 << 30));
        assert!(reported.contains("this kernel has no pool of 1 GiB pages"), "{reported}");
        // Files that make no sense are unknown numbers.
        tree.put("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "?");
        let reported = report(&tree, "0-3", Wanted::new(PageSize::HUGE_2M, HUGE));
        assert!(reported.contains("has 8, an unknown number of free, 0 reserved"), "{reported}");
    }

    #[test]
    fn limits_of_control_groups_come_first_and_all_of_them() {
        let tree = machine("group", [(6, 6), (2, 1), (0, 0)], 0);
        tree.put("proc/self/mountinfo", "5 4 0:32 / /two rw - cgroup2 none rw\n");
        tree.put("proc/self/cgroup", "0::/a/b\n");
        for (group, kind, limit, used) in [("a/b", "rsvd.", 4, 1), ("a/b", "", 3, 1), ("a", "", 64, 1)] {
            tree.put(&format!("two/{group}/hugetlb.2MB.{kind}max"), (limit * HUGE).to_string());
            tree.put(&format!("two/{group}/hugetlb.2MB.{kind}current"), (used * HUGE).to_string());
        }
        insta::assert_snapshot!(report(&tree, "0-2", Wanted::new(PageSize::HUGE_2M, 4 * HUGE)), @"
        cannot take pages: control group /a/b (hugetlb.2MB.max is 6.00 MiB, 2.00 MiB in use) can give 4.00 MiB in 2 MiB pages; the pool of 2 MiB pages has 8, 7 free, 0 reserved; 4 wanted
          help: raise the limits: `echo 10485760 > /two/a/b/hugetlb.2MB.rsvd.max && echo 10485760 > /two/a/b/hugetlb.2MB.max` as root, or `Pages::Auto`
        ");
        // And the node's pool has too few as well.
        insta::assert_snapshot!(report(&tree, "0-2", wanted(4, &bound("1"))), @"
        cannot take pages: control group /a/b (hugetlb.2MB.max is 6.00 MiB, 2.00 MiB in use) can give 4.00 MiB in 2 MiB pages; node 1's pool of 2 MiB pages has 2, 1 free; 4 wanted (all nodes: 8, 7 free, 0 reserved)
          help: raise the limits: `echo 10485760 > /two/a/b/hugetlb.2MB.rsvd.max && echo 10485760 > /two/a/b/hugetlb.2MB.max` as root; then `echo 5 > /sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages` (root)
        ");
        // What was reserved is not held against the limit of reservations again.
        let reported = report(&tree, "0-2", Wanted::taking(PageSize::HUGE_2M, 5 * HUGE, HUGE));
        assert!(reported.contains("hugetlb.2MB.max is 6.00 MiB") && !reported.contains("rsvd"), "{reported}");
    }
}
