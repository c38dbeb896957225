//! The machine's settings that placement depends on: the CPU a thread is on, pools of huge pages,
//! weights. What a test changes is put back when it ends.

use std::fs;

use areas::{Area, Policy, Private};
use areas_testing::meminfo;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{HUGE, MIB, nodes};

/// This thread is on the first CPU of a node, as long as this lives.
#[derive(Debug)]
pub(crate) struct OnCpu(CpuSet);

impl OnCpu {
    pub(crate) fn of_node(node: u32) -> Self {
        let before = sched_getaffinity(None).unwrap();
        let list = fs::read_to_string(format!("/sys/devices/system/node/node{node}/cpulist")).unwrap();
        let first = list.trim().split(['-', ',']).next().unwrap();
        let mut set = CpuSet::new();
        set.set(first.parse().unwrap_or_else(|_| panic!("node {node} has no CPU")));
        sched_setaffinity(None, &set).unwrap();
        OnCpu(before)
    }
}

impl Drop for OnCpu {
    fn drop(&mut self) {
        sched_setaffinity(None, &self.0).unwrap();
    }
}

/// A file of settings, and what was in it.
#[derive(Debug)]
pub(crate) struct Setting {
    path: String,
    before: String,
}

impl Setting {
    pub(crate) fn set(path: String, value: &str) -> Self {
        let before = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
        Setting { path, before: before.trim().to_owned() }
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        fs::write(&self.path, &self.before).unwrap();
    }
}

fn pool_file(node: u32, page: usize, name: &str) -> String {
    format!("/sys/devices/system/node/node{node}/hugepages/hugepages-{}kB/{name}", page >> 10)
}

/// Hugetlb pages of a node that no process has.
pub(crate) fn pool_free(node: u32, page: usize) -> u64 {
    number(&pool_file(node, page, "free_hugepages"))
}

/// Has so many pages of that size in the pool of a node.
pub(crate) fn pool(node: u32, page: usize, pages: u64) -> Setting {
    let setting = Setting::set(pool_file(node, page, "nr_hugepages"), &pages.to_string());
    assert_eq!(number(&pool_file(node, page, "nr_hugepages")), pages, "node {node} has no room for the pool");
    setting
}

/// A node of which little is free, as long as this lives.
#[derive(Debug)]
pub(crate) struct Crowded {
    _pool: Setting,
    _rest: Option<Area<Private>>,
}

/// Leaves only about so many bytes of a node free, up to [`SLACK`] more. Most are taken into its
/// pool, which is quick, since no process touches them; where memory is too scattered for that, the
/// rest is touched.
pub(crate) fn crowd(node: u32, left: usize) -> Crowded {
    let excess = || usize::try_from(free(node)).unwrap().saturating_sub(left);
    let pages = excess() / HUGE;
    let pool = Setting::set(pool_file(node, HUGE, "nr_hugepages"), &pages.to_string());
    let rest = (excess() > SLACK / 2).then(|| {
        let mut rest = areas::builder(excess()).place(Policy::Bind(nodes([node]))).private().unwrap();
        rest.populate().unwrap();
        rest
    });
    assert!(excess() <= SLACK, "node {node} still has {} bytes free", free(node));
    Crowded { _pool: pool, _rest: rest }
}

/// What others free at the same time.
pub(crate) const SLACK: usize = 12 * MIB;

/// `MemFree` of a node, in bytes.
pub(crate) fn free(node: u32) -> u64 {
    meminfo::of_node(node, "MemFree")
}

fn weight_file(node: u32) -> String {
    format!("/sys/kernel/mm/mempolicy/weighted_interleave/node{node}")
}

/// Whether this kernel knows weighted interleaving (6.9).
pub(crate) fn has_weights() -> bool {
    fs::exists(weight_file(0)).unwrap()
}

/// The weights of nodes 0, 1, ….
pub(crate) fn weights(weights: &[u8]) -> Vec<Setting> {
    weights
        .iter()
        .zip(0..)
        .map(|(weight, node)| Setting::set(weight_file(node), &weight.to_string()))
        .collect()
}

/// A counter of `/proc/vmstat`.
pub(crate) fn vmstat(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

fn number(path: &str) -> u64 {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().parse().unwrap()
}

/// The nodes that have memory, by number.
pub(crate) fn memory_nodes() -> Vec<u32> {
    let list = fs::read_to_string("/sys/devices/system/node/has_memory").unwrap();
    let numbers = list.trim().split(',').flat_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    });
    numbers.collect()
}
