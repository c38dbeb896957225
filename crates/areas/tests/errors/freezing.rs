//! Freezing that cannot be, and what is frozen already.

use std::time::Duration;

use areas::{Error, Protection};
use insta::assert_snapshot;

use super::support::child::{Stage, hear, reply, test};
use super::{failure, report};

#[test]
fn busy_names_who_can_write() {
    let this = test!("busy_names_who_can_write");
    if this.role().as_deref() == Some("writer") {
        let clone = areas::registry::find("wet").unwrap().open().unwrap();
        reply("mapped");
        hear();
        return drop(clone);
    }
    let answer = this.alone(Stage::default(), || {
        let area = areas::builder(4096).name("wet").shared().unwrap();
        let mut writer = this.spawn(&mut Stage::here(), "writer");
        writer.hear();
        let refused = area.freeze_within(Duration::ZERO).unwrap_err();
        let text = report(&refused.error).replace(&format!("({})", command()), "(COMMAND)");
        // Both ways of looking at a refusal say the same.
        assert_eq!(refused.to_string(), refused.error.to_string());
        drop(writer);
        text
    });
    assert_snapshot!(answer, @r#"
    Busy: cannot freeze area "wet": fcntl(F_ADD_SEALS, F_SEAL_WRITE | …): EBUSY; mapped for writing by PID (COMMAND)
      help: have them drop it, or clone it for reading only
    "#);
}

/// What the kernel calls this program.
fn command() -> String {
    std::fs::read_to_string("/proc/self/comm").unwrap().trim().to_owned()
}

#[test]
fn what_is_frozen() {
    let answer = test!("what_is_frozen").alone(Stage::default(), || {
        let area = areas::builder(4096).name("ice").shared().unwrap();
        let reader = areas::registry::find("ice").unwrap().open_read_only().unwrap();
        let growable = areas::builder(4096).growable(8192).name("grown").shared().unwrap();
        let grower = areas::registry::find("grown").unwrap().open_read_only().unwrap();
        let mut frozen = area.freeze().unwrap();
        drop(growable.freeze().unwrap());
        let source = areas::registry::find("ice").unwrap();
        let answer = [
            failure(reader.freeze().map_err(Error::from)),
            failure(frozen.protect(Protection::READ_WRITE)),
            failure(source.cloning().protection(Protection::READ_WRITE).open()),
            failure(grower.grow(8192)),
            failure(
                areas::builder(1)
                    .protection(Protection::READ)
                    .shared()
                    .unwrap()
                    .freeze()
                    .map_err(Error::from),
            ),
        ];
        answer.join("\n\n")
    });
    assert_snapshot!(answer, @r#"
    Frozen: cannot freeze an area of 4 KiB: it is frozen already
      help: open it as what it is: `find(name)?.open_frozen()`

    Frozen: cannot change the protection of area "ice" to rw-: it is frozen: no process can write it any more (cannot change the protection of 4 KiB from r-- to rw-: mprotect(0xADDRESS, 4096, rw-): EACCES)
      help: copy what it holds into an area of your own

    Frozen: cannot clone area ID "ice" with protection rw-: it is frozen: no process can write it any more
      help: clone it for reading: `open_frozen`, `open_read_only`

    Frozen: cannot grow an area of 4 KiB to 8 KiB: ftruncate: EINVAL; it is frozen: its size is permanently fixed

    ReadOnly: cannot freeze an area of 1 B: its protection is r--
      help: freezing requires write access: freeze it where it can be written
    "#);
}
