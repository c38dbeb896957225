//! A memory device that becomes a node: what `daxctl reconfigure-device --mode=system-ram` does, by
//! sysfs alone. The guest boots with all of node 1's memory reserved, as persistent memory is, so
//! that the node is not there until the driver `kmem` brings it. Memory behind CXL comes to be a
//! node by the same driver.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use areas::{Area, ErrorKind, Lock, PageSize, Pages, Placement, Policy, Shared, Topology};

use crate::made;
use crate::support::child::{Ended, in_child};
use crate::support::group::Group;
use crate::support::machine::{OnCpu, Setting, has_weights, memory_nodes, pool, vmstat, weights};
use crate::support::{HUGE, MIB, PAGE, assert_goes_round, guest, node, nodes, pages};

/// The node that the device belongs to.
const COMES: u32 = 1;
const DRIVERS: &str = "/sys/bus/dax/drivers";
const NAME: &str = "dax0.0";
const SIZE: usize = 8 * MIB;

/// The device as memory, until this goes.
struct Memory;

/// The node's blocks of memory.
fn blocks() -> Vec<PathBuf> {
    let all = fs::read_dir("/sys/devices/system/memory").unwrap().map(|entry| entry.unwrap().path());
    let mut blocks: Vec<_> = all.filter(|block| block.join(format!("node{COMES}")).exists()).collect();
    blocks.sort();
    blocks
}

fn is_bound_to(driver: &str) -> bool {
    Path::new(DRIVERS).join(driver).join(NAME).exists()
}

fn write(file: &str, text: &str) {
    fs::write(Path::new(DRIVERS).join(file), text).unwrap_or_else(|error| panic!("{file} = {text}: {error}"));
}

/// Gives the device to a driver, if none has it.
fn give_to(driver: &str) {
    // That alone may do it.
    if driver == "kmem" {
        write("kmem/new_id", NAME);
    }
    if !is_bound_to(driver) {
        write(&format!("{driver}/bind"), NAME);
    }
    assert!(is_bound_to(driver), "{driver} has not taken {NAME}");
}

/// Waits until this process may take memory from the node, or no longer: cpusets follow a moment
/// later.
fn allowed(expected: bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while areas::allowed_nodes().unwrap().contains(node(COMES)) != expected {
        assert!(Instant::now() < end, "the cpuset does not follow");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Memory {
    fn of_the_device() -> Self {
        if !Path::new(made::DEVICE).exists() {
            made::make();
        }
        let text = fs::read_to_string(format!("/sys/bus/dax/devices/{NAME}/target_node")).unwrap();
        assert_eq!(text.trim(), COMES.to_string(), "whose memory it is");
        assert!(!memory_nodes().contains(&COMES), "the node is there before its memory");
        write("device_dax/unbind", NAME);
        give_to("kmem");
        let memory = Memory;
        let blocks = blocks();
        assert!(blocks.len() >= 2, "{blocks:?}");
        for block in &blocks {
            // As daxctl does, where the machine does not do it by itself: for what can be moved.
            if fs::read_to_string(block.join("state")).unwrap().trim() == "offline" {
                fs::write(block.join("state"), "online_movable").unwrap();
            }
        }
        assert!(memory_nodes().contains(&COMES));
        allowed(true);
        memory
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let leave = || -> std::io::Result<()> {
            for block in blocks() {
                fs::write(block.join("state"), "offline")?;
            }
            let write = |file: &str| fs::write(Path::new(DRIVERS).join(file), NAME);
            write("kmem/unbind")?;
            write("kmem/remove_id")?;
            if is_bound_to("device_dax") { Ok(()) } else { write("device_dax/bind") }
        };
        let left = leave();
        assert!(left.is_ok() || std::thread::panicking(), "it does not become a device again: {left:?}");
    }
}

fn shared(placement: impl Into<Placement>, lock: Lock, sort: Pages) -> Area<Shared> {
    let wanted = areas::builder(SIZE).place(placement).lock(lock).pages(sort);
    // What can grow is collapsed, whether the pool has pages or not.
    let mut area = if sort == Pages::Auto { wanted.growable(2 * SIZE) } else { wanted }.shared().unwrap();
    area.populate().unwrap();
    area
}

#[track_caller]
fn all_on(area: &Area<Shared>, on: u32, what: &str) {
    let page = area.granted().page_size().bytes();
    let found = pages::nodes_of(area.as_ptr(), SIZE, page);
    assert!(found.iter().all(|&found| found == on), "{what}: {found:?}");
    assert_eq!(area.residency().unwrap().on(node(on)), SIZE as u64, "{what}");
    assert!(area.verify().unwrap().holds(), "{what}");
}

/// It is a node like any other: shown, bound to, interleaved with, collapsed on, locked, its pool
/// taken from, moved to and from.
#[test]
fn a_device_that_becomes_a_node_has_areas() {
    guest!();
    let before = Topology::read().unwrap();
    assert!(before.node(node(COMES)).is_none_or(|info| info.has_memory != Some(true)), "{before:?}");
    let error = areas::builder(PAGE).place(Policy::Bind(nodes([COMES]))).shared().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NodeNotAllowed, "{error:#}");

    let memory = Memory::of_the_device();
    let machine = Topology::read().unwrap();
    let (near, far) = (machine.node(node(0)).unwrap(), machine.node(node(COMES)).unwrap());
    assert_eq!(far.has_memory, Some(true));
    assert!(!far.has_cpus(), "{far:?}");
    // The kernel takes it for slower than what a CPU is beside: a higher number is a slower tier.
    assert!(far.tier > near.tier && near.tier.is_some(), "{:?} and {:?}", near.tier, far.tier);

    let bound = Policy::Bind(nodes([COMES]));
    all_on(&shared(bound, Lock::None, Pages::Base), COMES, "bound");
    all_on(&shared(bound, Lock::Full, Pages::Base), COMES, "locked");
    let collapsed = shared(bound, Lock::None, Pages::Auto);
    all_on(&collapsed, COMES, "collapsed");
    assert_eq!(pages::huge_bytes(collapsed.as_ptr(), SIZE), SIZE as u64);
    {
        let _pool = pool(COMES, HUGE, (SIZE / HUGE) as u64);
        all_on(&shared(bound, Lock::None, Pages::Pool(PageSize::HUGE_2M)), COMES, "of the pool");
    }
    let both = [0, COMES];
    let mut turns = shared(Policy::Interleave(nodes(both)), Lock::None, Pages::Base);
    assert_goes_round(&pages::nodes_of(turns.as_ptr(), SIZE, PAGE), &both, "interleaved");
    if has_weights() {
        let _weights = weights(&[3, 1]);
        let area = shared(Policy::WeightedInterleave(nodes(both)), Lock::None, Pages::Base);
        assert_goes_round(&pages::nodes_of(area.as_ptr(), SIZE, PAGE), &[0, 0, 0, COMES], "weights");
        assert!(area.verify().unwrap().holds());
    }
    for on in [COMES, 0] {
        let migration = turns.migrate(Policy::Bind(nodes([on]))).unwrap();
        assert!(migration.stayed().is_empty() && migration.is_placed(), "{migration}");
        all_on(&turns, on, "moved");
    }
    drop((collapsed, turns));
    drop(memory);
    // A device again, and no node.
    assert!(is_bound_to("device_dax") && !memory_nodes().contains(&COMES));
    allowed(false);
    let error = areas::builder(PAGE).place(bound).shared().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NodeNotAllowed, "{error:#}");
}

/// It is the slow tier: what is reclaimed goes there, bound as it may be, but for what is locked.
#[test]
fn what_is_demoted_goes_to_it() {
    guest!();
    let _memory = Memory::of_the_device();
    let _on = Setting::set("/sys/kernel/mm/numa/demotion_enabled".into(), "1");
    let group = Group::new("memory", &[("memory.max", "max")]);
    let before = vmstat("pgdemote_direct");
    let ended = in_child(|| {
        group.enter();
        let _cpu = OnCpu::of_node(0);
        let bound = Policy::Bind(nodes([0]));
        let mut area = shared(bound, Lock::None, Pages::Base);
        let locked = shared(bound, Lock::Full, Pages::Base);
        all_on(&area, 0, "before");
        // All that there is: it says at the end that there is no more (EAGAIN).
        for _ in 0..4 {
            let _ = fs::write("/sys/fs/cgroup/test-memory/memory.reclaim", "64M");
        }
        let found = pages::nodes_of(area.as_ptr(), SIZE, PAGE);
        assert!(found.iter().all(|&on| on == COMES), "{found:?}");
        assert_eq!(area.verify().unwrap().elsewhere(), SIZE as u64);
        all_on(&locked, 0, "locked");
        let migration = area.migrate(bound).unwrap();
        assert!(migration.stayed().is_empty(), "{migration}");
        all_on(&area, 0, "back again");
    });
    assert_eq!(ended, Ended::Well);
    assert!(vmstat("pgdemote_direct") > before, "the kernel counts nothing as demoted");
}
