//! Owners and readers that end, by `kill -9` and by fork; and very many arrays with very few
//! descriptors.

use areas::{ErrorKind, registry};
use areas_slab::{Slab, open, take};
use areas_testing::{Process, descriptors, maps};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::support::child::{Stage, hear, reply, test};
use super::{handle, line};

#[test]
fn a_reader_that_is_killed_reads_nothing_any_more() {
    let me = test!("a_reader_that_is_killed_reads_nothing_any_more");
    let answer = match me.role().as_deref() {
        Some("reader") => {
            let leases = [open(&handle(&hear())).unwrap(), take(&handle(&hear())).unwrap()];
            reply(&String::from_utf8(leases[1].to_vec().unwrap()).unwrap());
            hear();
            unreachable!("it is killed before");
        }
        _ => me.alone(Stage::default(), || {
            let slab = Slab::create("killed reader", 1 << 20).unwrap();
            let mut reader = me.spawn(&mut Stage::here(), "reader");
            let mut other = me.spawn(&mut Stage::here(), "reader");
            let (one, two) = (slab.put(b"one").unwrap(), slab.put(b"two").unwrap());
            for peer in [&mut reader, &mut other] {
                peer.send(&line(&one.handle()));
                peer.send(&line(&two.give().unwrap()));
                assert_eq!(peer.hear(), "two");
            }
            drop((one, two));
            assert_eq!((slab.reclaim().unwrap(), slab.usage().unwrap().read), (0, 128));
            reader.kill();
            assert_eq!(slab.reclaim().unwrap(), 0, "the other one lives");
            other.kill();
            assert_eq!(slab.reclaim().unwrap(), 2);
            // Its place is another's.
            let three = slab.put(b"three").unwrap();
            let lease = open(&three.handle()).unwrap();
            drop(three);
            assert_eq!((slab.reclaim().unwrap(), lease.to_vec().unwrap()), (0, b"three".to_vec()));
            "done".to_owned()
        }),
    };
    assert_eq!(answer, "done");
}

#[test]
fn what_a_killed_owner_put_stays_with_who_reads_it() {
    let me = test!("what_a_killed_owner_put_stays_with_who_reads_it");
    let answer = match me.role().as_deref() {
        Some("owner") => {
            let slab = Slab::create("killed owner", 1 << 20).unwrap();
            let (kept, dropped) = (slab.put(b"kept").unwrap(), slab.put(b"dropped").unwrap());
            reply(&line(&kept.handle()));
            reply(&line(&dropped.give().unwrap()));
            drop(dropped);
            hear();
            unreachable!("it is killed before");
        }
        _ => me.alone(Stage::default(), || {
            let mut owner = me.spawn(&mut Stage::here(), "owner");
            let (kept, given) = (handle(&owner.hear()), handle(&owner.hear()));
            let reader =
                areas_slab::Reader::attach(registry::find("killed owner").unwrap().open().unwrap()).unwrap();
            let lease = reader.open(&kept).unwrap();
            assert!(reader.is_owner_alive().unwrap());
            owner.kill();
            assert!(!reader.is_owner_alive().unwrap());
            assert_eq!(lease.to_vec().unwrap(), b"kept");
            // A process that is attached still takes what is there; no other process finds it.
            assert_eq!(reader.take(&given).unwrap().to_vec().unwrap(), b"dropped");
            assert_eq!(open(&kept).unwrap_err().kind(), ErrorKind::NoSuchArea);
            "done".to_owned()
        }),
    };
    assert_eq!(answer, "done");
}

#[test]
#[expect(unsafe_code, reason = "the child calls what a program would, and ends by _exit")]
fn a_forked_child_opens_for_itself() {
    let me = test!("a_forked_child_opens_for_itself");
    let answer = me.alone(Stage::default(), || {
        let slab = Slab::create("forked", 1 << 20).unwrap();
        let slice = slab.put(b"parent's").unwrap();
        let handle = slice.handle();
        let lease = open(&handle).unwrap();
        let in_child = move || {
            let refused = [slab.put(b"x").map(drop), slab.usage().map(drop), slice.give().map(drop)];
            let all = refused
                .iter()
                .all(|result| result.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotPermitted));
            // What it inherited is its parent's: to drop it does nothing there.
            let inherited = lease.to_vec().is_ok_and(|bytes| bytes == b"parent's");
            drop((lease, slice));
            let own = open(&handle).is_ok_and(|lease| lease.to_vec().is_ok_and(|bytes| bytes == b"parent's"));
            (all && inherited && own, slab)
        };
        // SAFETY: the child uses this library, whose mutexes are whole, and the allocator, which
        // the C library keeps whole; it ends by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let code = i32::from(!in_child().0);
            // SAFETY: it ends, and runs nothing of the parent's.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: a number that outlives the call.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        let (good, slab) = in_child_of_nobody(in_child);
        assert!(!good, "the parent may");
        slab.reclaim().unwrap();
        assert_eq!(slab.usage().unwrap().owned, 0);
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

/// The same calls where they are allowed: in the parent.
fn in_child_of_nobody<T>(calls: impl FnOnce() -> T) -> T {
    calls()
}

const ARRAYS: usize = 10_000;

fn few_descriptors() {
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum: getrlimit(Resource::Nofile).maximum })
        .unwrap();
}

fn descriptors_and_mappings() -> (usize, usize) {
    (descriptors::count(Process::Own).unwrap() - 1, maps::count(Process::Own).unwrap())
}

#[test]
fn ten_thousand_arrays_take_no_descriptor_and_no_mapping_each() {
    let me = test!("ten_thousand_arrays_take_no_descriptor_and_no_mapping_each");
    let answer = match me.role().as_deref() {
        Some("reader") => {
            few_descriptors();
            let first = open(&handle(&hear())).unwrap();
            let (descriptors, mappings) = descriptors_and_mappings();
            let leases: Vec<_> = (1..ARRAYS).map(|_| open(&handle(&hear())).unwrap()).collect();
            let after = descriptors_and_mappings();
            // Its heap may have grown by a few.
            assert!(
                after.0 == descriptors && after.1 < mappings + 20 && after.0 < 20,
                "{mappings} {after:?}"
            );
            for (i, lease) in std::iter::once(&first).chain(&leases).enumerate() {
                assert_eq!(lease.to_vec().unwrap(), u32::try_from(i).unwrap().to_le_bytes().repeat(250));
            }
            reply("read all");
            hear();
            drop((first, leases));
            reply("dropped all");
            hear();
            std::process::exit(0);
        }
        _ => me.alone(Stage::default(), || {
            few_descriptors();
            let slab = Slab::create("arrays", 64 << 20).unwrap();
            let mut reader = me.spawn(&mut Stage::here(), "reader");
            let (descriptors, mappings) = descriptors_and_mappings();
            let put = |i: usize| slab.put(&u32::try_from(i).unwrap().to_le_bytes().repeat(250)).unwrap();
            let slices: Vec<_> = (0..ARRAYS).map(put).collect();
            let after = descriptors_and_mappings();
            assert!(after.0 == descriptors && after.1 < mappings + 20, "{mappings} {after:?}");
            for slice in &slices {
                reader.send(&line(&slice.handle()));
            }
            assert_eq!(reader.hear(), "read all");
            drop(slices);
            assert_eq!((slab.reclaim().unwrap(), slab.usage().unwrap().blocks), (0, ARRAYS));
            reader.send("drop");
            assert_eq!(reader.hear(), "dropped all");
            assert_eq!(slab.reclaim().unwrap(), ARRAYS);
            "done".to_owned()
        }),
    };
    assert_eq!(answer, "done");
}
