//! The machine's settings of transparent huge pages, each with what smaps shows for it.

use areas::Pages;

use super::support::child::{Stage, test};
use super::transparent::{pool_is_empty, populated};
use super::{MIB, Setting, in_guest};

const FOLDER: &str = "/sys/kernel/mm/transparent_hugepage";
const WHEN_POPULATED: &str = "base pages, collapsed into transparent huge ones when populated";

#[test]
fn what_is_said_of_transparent_huge_pages_is_what_comes_of_them() {
    let this = test!("what_is_said_of_transparent_huge_pages_is_what_comes_of_them");
    if !in_guest(this) {
        return;
    }
    assert!(pool_is_empty());
    let builder = areas::builder(8 * MIB).pages(Pages::Auto);
    let at_touch = || {
        let mut area = builder.private().unwrap();
        area.fill(1);
        super::transparent::huge_bytes(&area)
    };
    // Nothing at a touch; and populating works against it.
    {
        let _never = Setting::new(&format!("{FOLDER}/enabled"), "never");
        assert_eq!(at_touch(), 0);
        let (given, then, said, measured) = populated(builder.private().unwrap());
        assert_eq!((given, then), (format!("{WHEN_POPULATED} ({FOLDER}/enabled is never)"), None));
        assert!(said == 8 * MIB && measured == said, "{said}, {measured}");
    }
    {
        let _madvise = Setting::new(&format!("{FOLDER}/enabled"), "madvise");
        assert_eq!(at_touch(), 8 * MIB);
        let (given, then, _, measured) = populated(builder.private().unwrap());
        assert_eq!((&*given, then), ("transparent huge pages where the kernel has them", None));
        assert_eq!(measured, 8 * MIB);
        // One size by itself.
        let size = format!("{FOLDER}/hugepages-2048kB/enabled");
        let _never = Setting::new(&size, "never");
        assert_eq!(at_touch(), 0);
        let (given, _, _, _) = populated(builder.private().unwrap());
        assert_eq!(given, format!("{WHEN_POPULATED} ({size} is never)"));
    }
    {
        let _never = Setting::new(&format!("{FOLDER}/shmem_enabled"), "never");
        let (given, then, said, measured) = populated(builder.shared().unwrap());
        assert_eq!((&*given, then), (WHEN_POPULATED, None));
        assert!(said == 8 * MIB && measured == said, "{said}, {measured}");
    }
    let _deny = Setting::new(&format!("{FOLDER}/shmem_enabled"), "deny");
    let (given, then, said, measured) = populated(builder.shared().unwrap());
    assert_eq!((given, said, measured), (format!("base pages ({FOLDER}/shmem_enabled is deny)"), 0, 0));
    let then = then.expect("that it had no effect is said");
    assert!(then.contains("MADV_COLLAPSE") && then.contains("shmem_enabled is deny"), "{then}");
}

/// A setting that changed after the area was made is reported by the outcome of populating.
#[test]
fn a_setting_that_changes_is_reported_when_populated() {
    let this = test!("a_setting_that_changes_is_reported_when_populated");
    if !in_guest(this) {
        return;
    }
    this.alone(Stage::here(), || {
        let mut area = areas::builder(4 * MIB).pages(Pages::Auto).shared().unwrap();
        assert_eq!(area.granted().fallbacks().len(), 1);
        {
            let _deny = Setting::new(&format!("{FOLDER}/shmem_enabled"), "deny");
            area.populate().unwrap();
            assert_eq!((area.granted().collapsed(), area.granted().fallbacks().len()), (0, 2));
        }
        area.populate().unwrap();
        assert_eq!((area.granted().collapsed(), area.granted().fallbacks().len()), (4 * MIB, 1));
        String::new()
    });
}
