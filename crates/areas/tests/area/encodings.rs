//! Names and paths in any encoding: what the kernel lists of them is not always text, and hides no
//! process.

#![expect(unsafe_code, reason = "maps an object; the block has its proof")]

use std::time::Duration;

use areas::{Address, ErrorKind, Protection};
use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};

use super::page;
use super::support::child::{Stage, test};

/// A memory object of such a name, mapped until the process ends.
fn map_what_is_no_text() {
    let object = rustix::fs::memfd_create(c"a\xff\xc3", MemfdFlags::CLOEXEC).unwrap();
    // SAFETY: at addresses that the kernel chooses; nothing has a reference to them.
    let mapped = unsafe {
        rustix::mm::mmap(std::ptr::null_mut(), page(), ProtFlags::READ, MapFlags::PRIVATE, object, 0)
    };
    mapped.unwrap();
    let maps = std::fs::read("/proc/self/maps").unwrap();
    assert!(String::from_utf8(maps).is_err());
}

#[test]
fn what_is_no_text_hides_no_holder() {
    test!("what_is_no_text_hides_no_holder").alone(Stage::default(), || {
        // The kernel keeps the first 249 bytes of a name; each way to cut it within a character.
        for (round, name) in
            ["é".repeat(125), format!("x{}", "é".repeat(125)), "🦀".repeat(63)].iter().enumerate()
        {
            let area = areas::builder(page()).name(name).shared().unwrap();
            let clone = areas::registry::find(name).unwrap().open().unwrap();
            if round == 2 {
                map_what_is_no_text();
            }
            let holders = areas::registry::find(name).unwrap().holders();
            let [holder] = holders.as_slice() else { panic!("{name}: {holders:?}") };
            assert_eq!(
                (holder.pid, holder.mapped),
                (std::process::id(), Some(Protection::READ_WRITE)),
                "{name}"
            );
            let refused = area.freeze_within(Duration::from_millis(20)).unwrap_err();
            let error = format!("{:#}", refused.error);
            assert!(
                refused.error.kind() == ErrorKind::Busy
                    && error.contains(&format!("{} (", std::process::id())),
                "{error}"
            );
            drop((clone, refused.value));
        }
        // The list of mappings is where free addresses are looked for.
        let hint = 1 << 40;
        let area = areas::builder(page()).at(Address::AtOrAbove(hint)).private().unwrap();
        assert!((hint..hint << 1).contains(&area.as_ptr().addr()), "{:?}", area.as_ptr());
        String::new()
    });
}
