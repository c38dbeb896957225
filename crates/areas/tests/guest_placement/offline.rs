//! Memory that is taken out of the machine while areas are in it.

use areas::{Lock, PageSize, Pages, Placement, Policy};
use std::fs;

use crate::support::machine::{Setting, free, pool};
use crate::support::{HUGE, MIB, PAGE, guest, node, nodes, pages, skipped};

#[test]
fn probe_offline() {
    guest!();
    let bind = Placement::new(Policy::Bind(nodes([3])));
    let _pool = pool(3, HUGE, 2);
    let mk = |size: usize, p: Placement, lock, pg| {
        let mut a = areas::builder(size).place(p).lock(lock).pages(pg).shared().unwrap();
        a.populate().unwrap();
        a
    };
    let all = [
        ("bind", mk(100 * MIB, bind, Lock::None, Pages::Base)),
        ("lock", mk(4 * MIB, bind, Lock::Full, Pages::Base)),
        ("pool", mk(4 * MIB, bind, Lock::None, Pages::Pool(PageSize::HUGE_2M))),
        ("inter", mk(4 * MIB, Policy::Interleave(nodes([2, 3])).into(), Lock::None, Pages::Base)),
    ];
    let mut done = Vec::new();
    for b in fs::read_dir("/sys/devices/system/node/node3")
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.starts_with("memory") && n.as_bytes()[6].is_ascii_digit())
    {
        let f = format!("/sys/devices/system/memory/{b}/state");
        let t = std::time::Instant::now();
        let r = fs::write(&f, "offline");
        eprintln!("{b}: {r:?} {:?} free {}", t.elapsed(), free(3));
        if r.is_ok() {
            done.push(f);
        }
        for (w, a) in &all {
            eprintln!("  {w}: {:#} || {}", a.residency().unwrap(), a.verify().unwrap());
        }
        if done.len() == 1 {
            break;
        }
    }
    let _ = (PAGE, node(0), pages::status as usize);
    for f in done {
        fs::write(f, "online").unwrap();
    }
}
