//! zswap: what leaves RAM is compressed in RAM first.

use areas::Lock;

use crate::support::machine::{Setting, vmstat};
use crate::support::{PAGE, guest, skipped};
use crate::swap::{SIZE, come_back, fill, in_a_group, read_ahead};

const ZSWAP: &str = "/sys/module/zswap/parameters/enabled";

/// It counts as swapped, comes back where its policy says, and takes nothing that is locked.
#[test]
fn what_zswap_has_is_swapped() {
    guest!();
    if !std::fs::exists(ZSWAP).unwrap() {
        skipped("compressed::what_zswap_has_is_swapped", "this kernel has no zswap (`--kernel full` has it)");
        return;
    }
    let _alone = read_ahead(0);
    let _zswap = Setting::set(ZSWAP.into(), "Y");
    let before = vmstat("zswpout");
    in_a_group(|group| {
        let locked = areas::builder(SIZE).lock(Lock::Full).shared().unwrap();
        fill(&locked);
        come_back(group);
        assert_eq!(locked.residency().unwrap().resident(), SIZE as u64);
    });
    assert!(vmstat("zswpout") - before > (SIZE / PAGE) as u64, "zswap has taken nothing");
}
