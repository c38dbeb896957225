//! Entry points for the fuzz targets in `fuzz/`, which reach what is not public through them.
//! Compiled with `--cfg fuzzing` only.
//!
//! Each takes any bytes, and panics where what must hold does not.

use crate::nodes::{Node, NodeSet, Policy};
use crate::topology::CpuSet;
use crate::{AreaId, Bytes, Name};

pub fn table(bytes: &[u8]) {
    crate::registry::fuzz::table(bytes);
}

pub fn record(bytes: &[u8]) {
    crate::registry::fuzz::record(bytes);
}

pub fn link(bytes: &[u8]) {
    crate::registry::fuzz::link(bytes);
}

pub fn control(bytes: &[u8]) {
    crate::registry::fuzz::control(bytes);
}

/// What goes over instead of an area that is refused.
pub fn refusal(bytes: &[u8]) {
    crate::gate::fuzz(bytes);
}

/// What the kernel prints, and people type, for nodes, CPUs, sizes, names, policies, ids.
pub fn lists(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(set) = NodeSet::from_kernel_list(text)
        && !set.is_empty()
    {
        assert_eq!(set.to_string().parse::<NodeSet>().expect("what it prints it reads"), set);
    }
    if let Ok(set) = text.parse::<NodeSet>() {
        assert!(!set.is_empty());
        assert_eq!(set.to_string().parse::<NodeSet>().expect("what it prints it reads"), set);
    }
    for set in [CpuSet::from_kernel_list(text), CpuSet::from_kernel_mask(text)].into_iter().flatten() {
        if !set.is_empty() {
            assert_eq!(CpuSet::from_kernel_list(&set.to_string()), Ok(set));
        }
    }
    if let Ok(size) = text.parse::<Bytes>() {
        assert_eq!(size.to_string().parse::<Bytes>().expect("what it prints it reads"), size);
    }
    if let Ok(policy) = text.parse::<Policy>() {
        assert_eq!(policy.to_string().parse::<Policy>().expect("what it prints it reads"), policy);
    }
    if let Ok(node) = text.parse::<Node>() {
        assert_eq!(node.to_string().parse::<Node>().expect("what it prints it reads"), node);
    }
    if let Ok(name) = Name::new(bytes) {
        assert!(!name.to_string().chars().any(char::is_control), "a terminal is safe from it");
        let _ = format!("{name:?}");
    }
    if let Some(id) = text.parse().ok().and_then(|number| AreaId::new(number).ok()) {
        assert_eq!(AreaId::from_parts(id.slot(), id.sequence()), id);
    }
}

/// Texts of `/proc` and `/sys`: maps, smaps, numa_maps, meminfo, zoneinfo.
pub fn proc(bytes: &[u8]) {
    crate::registry::fuzz::maps(bytes);
    for (region, _) in crate::sys::maps::named(&String::from_utf8_lossy(bytes)) {
        assert!(region.start < region.end, "{region:?}");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = crate::topology::meminfo::read(text).0.available();
    let _ = crate::residency::table::huge_in(text, 0x1000..0x7000_0000);
    crate::residency::totals::fuzz(text);
    let _ = crate::populate::room::kept_back(text, Node::MAX);
    crate::cgroup::fuzz(bytes);
    crate::mapping::fuzz_arena(text);
    let mut before = 0;
    for gap in crate::provider::address::gaps(text) {
        assert!(before <= gap.start && gap.start < gap.end, "gaps are in order");
        before = gap.end;
    }
}
