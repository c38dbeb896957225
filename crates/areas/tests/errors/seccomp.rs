//! Calls that a sandbox or an older kernel refuses: the error says which, what to do, and nothing
//! is left behind.

use std::sync::atomic::Ordering;

use areas::{Area, Lock, Policy, Shared};
use areas_testing::{smaps, status};
use insta::assert_snapshot;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::sandbox::{Refuse, enter, refuse};
use super::support::child::{Stage, Test, reply, test};
use super::support::held::Held;
use super::{failure, report};

/// One thing that is refused, and what then fails.
type Case = (&'static str, Refuse, fn() -> String);

/// Each case in a process of its own.
fn run(test: Test, cases: &[Case]) -> Option<String> {
    if let Some(role) = test.role() {
        let (_, rule, body) = cases[role.parse::<usize>().unwrap()];
        for (limit, value) in [(Resource::Memlock, 64 << 10), (Resource::Nofile, 256)] {
            setrlimit(limit, Rlimit { current: Some(value), maximum: Some(value) }).unwrap();
        }
        // What is made once, before there is a sandbox.
        drop(areas::builder(4096).shared().unwrap());
        enter(&[rule]);
        let before = Held::now();
        let reported = body();
        before.assert_no_more("a call that was refused");
        reply(&reported);
        return None;
    }
    let mut stage = Stage::default();
    let reported = cases.iter().enumerate().map(|(number, (label, ..))| {
        let mut process = test.spawn(&mut stage, &number.to_string());
        let reported = process.hear();
        assert!(process.end().success(), "{label}: {reported}");
        format!("{label}\n{reported}")
    });
    Some(reported.collect::<Vec<_>>().join("\n\n"))
}

fn shared() -> String {
    failure(areas::builder(64 << 10).shared())
}

fn placed() -> String {
    failure(areas::builder(64 << 10).place(Policy::Local).shared())
}

fn populated() -> String {
    let mut area = areas::builder(64 << 10).shared().unwrap();
    failure(area.populate())
}

fn frozen() -> String {
    // Sealed at creation: the refusal is for the seal of freezing alone.
    let area = areas::builder(64 << 10).shared().unwrap();
    let refused = area.freeze().unwrap_err();
    refused.value.store(0, 1_u8, Ordering::Relaxed).unwrap();
    report(&refused.error)
}

fn locked(lock: Lock) -> String {
    failure(areas::builder(64 << 10).lock(lock).shared())
}

/// Which node each page is on is asked otherwise (`containers.rs`).
fn measured() -> String {
    let mut area = areas::builder(64 << 10).private().unwrap();
    area.fill(1);
    format!("{:#}", areas::Bytes(area.residency().unwrap().resident()))
}

/// The pages come in all the same.
fn collapsed() -> String {
    let interleave = Policy::Interleave(areas::NodeSet::ALL);
    // A growable one, which has no hugetlb pages.
    let wanted = areas::builder(2 << 20).growable(4 << 20).pages(areas::Pages::Auto).place(interleave);
    let mut area = wanted.shared().unwrap();
    area.populate().unwrap();
    format!("{:#}", areas::Bytes(area.residency().unwrap().resident()))
}

fn grown() -> String {
    let object =
        areas::Object::create("x", 1, areas::Extent::Growable { max: 1 << 20 }, areas::PageSize::base());
    failure(object.map(drop).and_then(|()| growable().and_then(|area| area.grow(1 << 20))))
}

fn growable() -> areas::Result<Area<Shared>> {
    areas::builder(4096).growable(1 << 20).shared()
}

#[test]
fn placing() {
    let cases: [Case; 6] = [
        ("mbind, as a container refuses it", refuse(libc::SYS_mbind, libc::EPERM), placed),
        ("mbind, without NUMA in the kernel", refuse(libc::SYS_mbind, libc::ENOSYS), placed),
        ("get_mempolicy, as a container refuses it", refuse(libc::SYS_get_mempolicy, libc::EPERM), || {
            drop(areas::builder(64 << 10).place(Policy::Bind(areas::NodeSet::ALL)).private().unwrap());
            let nodes = areas::allowed_nodes().unwrap().to_string();
            assert_eq!(status::own().field("Mems_allowed_list"), Some(nodes.as_str()));
            "what /proc/self/status says".to_owned()
        }),
        ("get_mempolicy, without NUMA: node 0 alone", refuse(libc::SYS_get_mempolicy, libc::ENOSYS), || {
            areas::allowed_nodes().unwrap().to_string()
        }),
        ("move_pages, as a container refuses it", refuse(libc::SYS_move_pages, libc::EPERM), measured),
        (
            "move_pages, where pages are collapsed in turn",
            refuse(libc::SYS_move_pages, libc::EPERM),
            collapsed,
        ),
    ];
    if let Some(reported) = run(test!("placing"), &cases) {
        assert_snapshot!(reported, @r#"
        mbind, as a container refuses it
        NotPermitted: cannot place 64 KiB as local: mbind(0xADDRESS, 64 KiB, local): EPERM
          help: the sandbox forbids it: containers need CAP_SYS_NICE or a seccomp profile that allows mbind

        mbind, without NUMA in the kernel
        Unsupported: cannot place 64 KiB as local: mbind(0xADDRESS, 64 KiB, local): ENOSYS
          help: this kernel does not know the policy: `areas doctor` lists those that it has

        get_mempolicy, as a container refuses it
        what /proc/self/status says

        get_mempolicy, without NUMA: node 0 alone
        0

        move_pages, as a container refuses it
        64.0 KiB

        move_pages, where pages are collapsed in turn
        2.00 MiB
        "#);
    }
}

#[test]
fn making() {
    // What is refused for good is not waited for, as a freeze is that may end at any moment.
    let at_once = || {
        let started = std::time::Instant::now();
        let reported = shared();
        assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}: {reported}", started.elapsed());
        reported
    };
    let cases: [Case; 10] = [
        ("memfd_create, a kernel without", refuse(libc::SYS_memfd_create, libc::ENOSYS), shared),
        ("memfd_create, a sandbox", refuse(libc::SYS_memfd_create, libc::EPERM), shared),
        ("memfd_create, no descriptor", refuse(libc::SYS_memfd_create, libc::EMFILE), shared),
        ("memfd_create, no memory", refuse(libc::SYS_memfd_create, libc::ENOMEM), shared),
        ("fchmod, of the program's own object", refuse(libc::SYS_fchmod, libc::EPERM), || {
            failure(areas::Object::create("x", 64 << 10, areas::Extent::Fixed, areas::PageSize::base()))
        }),
        ("ftruncate", refuse(libc::SYS_ftruncate, libc::ENOMEM), shared),
        ("sealing", refuse(libc::SYS_fcntl, libc::EPERM).only(1, libc::F_ADD_SEALS.cast_unsigned()), shared),
        ("mmap", refuse(libc::SYS_mmap, libc::ENODEV).only(1, 64 << 10), shared),
        (
            "mmap, for writing together with others",
            refuse(libc::SYS_mmap, libc::EPERM).only(3, libc::MAP_SHARED.cast_unsigned()),
            at_once,
        ),
        ("growing", refuse(libc::SYS_ftruncate, libc::ENOSPC).only(1, 1 << 20), grown),
    ];
    if let Some(reported) = run(test!("making"), &cases) {
        assert_snapshot!(reported, @"
        memfd_create, a kernel without
        Unsupported: cannot make a memory object of 64 KiB: memfd_create(MFD_CLOEXEC | MFD_ALLOW_SEALING | …): ENOSYS
          help: it needs memfd_create (Linux 3.17, CONFIG_MEMFD_CREATE), and a sandbox that allows it

        memfd_create, a sandbox
        NotPermitted: cannot make a memory object of 64 KiB: memfd_create(MFD_CLOEXEC | MFD_ALLOW_SEALING | …): EPERM
          help: the sandbox forbids it: allow memfd_create in its seccomp profile

        memfd_create, no descriptor
        Limit: cannot make a memory object of 64 KiB: memfd_create(MFD_CLOEXEC | MFD_ALLOW_SEALING | …): EMFILE; RLIMIT_NOFILE is 256, COUNT descriptors open
          help: raise the limit of descriptors (`ulimit -n 512`, LimitNOFILE=), or drop shared areas

        memfd_create, no memory
        NoMemory: cannot make a memory object of 64 KiB: memfd_create(MFD_CLOEXEC | MFD_ALLOW_SEALING | …): ENOMEM

        fchmod, of the program's own object
        System: cannot make a memory object of 64 KiB: fchmod(0600): EPERM

        ftruncate
        System: cannot make a memory object of 64 KiB: ftruncate: ENOMEM

        sealing
        System: cannot make a memory object of 64 KiB: fcntl(F_ADD_SEALS): EPERM

        mmap
        System: cannot map 64 KiB: mmap(0xADDRESS, 64 KiB, rw-, MAP_SHARED): ENODEV

        mmap, for writing together with others
        NotPermitted: cannot map 64 KiB: mmap(0xADDRESS, 64 KiB, rw-, MAP_SHARED): EPERM; no memory object may be mapped like this: a sandbox forbids it
          help: have the seccomp filter or the security module allow mmap with PROT_WRITE and MAP_SHARED

        growing
        System: cannot grow an area of 4 KiB to 1 MiB: ftruncate: ENOSPC
        ");
    }
}

#[test]
fn filling_and_locking() {
    let advice = |advice: i32, errno| refuse(libc::SYS_madvise, errno).only(2, advice.cast_unsigned());
    let cases: [Case; 9] = [
        ("madvise, before Linux 5.14", advice(libc::MADV_POPULATE_READ, libc::EINVAL), populated),
        ("madvise, broken RAM", advice(libc::MADV_POPULATE_READ, libc::EHWPOISON), populated),
        ("fallocate, nothing left", refuse(libc::SYS_fallocate, libc::ENOSPC), populated),
        ("fallocate, something else", refuse(libc::SYS_fallocate, libc::EIO), populated),
        ("mlock2, a lazy lock, over the limit", refuse(libc::SYS_mlock2, libc::ENOMEM), || {
            locked(Lock::Lazy)
        }),
        ("mlock2, a page that does not come", refuse(libc::SYS_mlock2, libc::EAGAIN), || locked(Lock::Lazy)),
        ("mlock2, a lazy lock, missing", refuse(libc::SYS_mlock2, libc::ENOSYS), || locked(Lock::Lazy)),
        ("mlock, a full lock, not allowed", refuse(libc::SYS_mlock, libc::EPERM), || locked(Lock::Full)),
        ("mlock, something else", refuse(libc::SYS_mlock, libc::ENOSYS), || locked(Lock::Full)),
    ];
    if let Some(reported) = run(test!("filling_and_locking"), &cases) {
        assert_snapshot!(reported, @r#"
        madvise, before Linux 5.14
        Unsupported: cannot populate an area of 64 KiB: madvise(0xADDRESS, 64 KiB, MADV_POPULATE_READ): EINVAL
          help: populating needs Linux 5.14, which brought MADV_POPULATE_READ

        madvise, broken RAM
        Io: cannot populate an area of 64 KiB: madvise(0xADDRESS, 64 KiB, MADV_POPULATE_READ): EHWPOISON; a page in bytes 0..65536 lies in RAM that is broken
          help: the kernel's log names the address; drop the area and make it again

        fallocate, nothing left
        NoMemory: cannot populate an area of 64 KiB: fallocate(0, 64 KiB): ENOSPC; 0 B of 64 KiB were in; AMOUNT available
          help: ask for less, or free some memory

        fallocate, something else
        System: cannot populate an area of 64 KiB: fallocate(0, 64 KiB): EIO

        mlock2, a lazy lock, over the limit
        Limit: cannot lock an area of 64 KiB: mlock2(0xADDRESS, 64 KiB, MLOCK_ONFAULT): ENOMEM; RLIMIT_MEMLOCK is 64 KiB, AMOUNT in use, 64 KiB wanted
          help: that limit is not exceeded: seccomp or vm.max_map_count (COUNT mappings in use) is the likely cause

        mlock2, a page that does not come
        NoMemory: cannot lock an area of 64 KiB: mlock2(0xADDRESS, 64 KiB, MLOCK_ONFAULT): EAGAIN; some of its pages could not be populated
          help: free some memory, or see the limit of the control group (memory.max)

        mlock2, a lazy lock, missing
        Unsupported: cannot lock an area of 64 KiB: mlock2(0xADDRESS, 64 KiB, MLOCK_ONFAULT): ENOSYS; mlock2 is missing here, without which no page can be locked as it comes in
          help: use a full lock, which needs only mlock, or none (valgrind 3.19 has no mlock2)

        mlock, a full lock, not allowed
        Limit: cannot lock an area of 64 KiB: mlock(0xADDRESS, 64 KiB): EPERM; RLIMIT_MEMLOCK is 64 KiB, AMOUNT in use, 64 KiB wanted
          help: raise it: `ulimit -l 128`, or LimitMEMLOCK=131072 in the systemd unit; or use no lock

        mlock, something else
        System: cannot lock an area of 64 KiB: mlock(0xADDRESS, 64 KiB): ENOSYS
        "#);
    }
}

/// Without `mlock2` (valgrind 3.19), full locks keep their promise by `mlock` alone: what is locked
/// is what smaps shows. One that is refused leaves no page behind.
#[test]
fn full_locks_without_mlock2() {
    const LEN: usize = 16 << 10;
    let locked_at = |start: usize| {
        let vma = smaps::at(start).unwrap();
        assert_eq!(vma.start, start);
        vma.bytes("Locked")
    };
    test!("full_locks_without_mlock2").alone(Stage::default(), || {
        drop(areas::builder(LEN).shared().unwrap());
        enter(&[
            refuse(libc::SYS_mlock2, libc::ENOSYS),
            // For the larger one there is no allowance.
            refuse(libc::SYS_mlock, libc::ENOMEM).only(1, u32::try_from(2 * LEN).unwrap()),
        ]);
        let full = areas::builder(LEN).lock(Lock::Full).shared().unwrap();
        assert_eq!(full.lock(), Lock::Full);
        assert_eq!(locked_at(full.as_ptr().addr()), LEN);
        // Where there is room behind it.
        let address = areas::Address::Exactly(0x3000_0000_0000);
        let mut grows = areas::builder(LEN / 4).at(address).lock(Lock::Full).resizable(LEN / 4).unwrap();
        grows.resize(LEN / 2).unwrap();
        assert_eq!(locked_at(grows.as_ptr().addr()), LEN / 2);
        let before = Held::now();
        let refused = areas::builder(2 * LEN).lock(Lock::Full).shared().unwrap_err();
        assert_eq!(refused.kind(), areas::ErrorKind::Limit, "{refused:#}");
        let refused = grows.resize(2 * LEN).unwrap_err();
        assert_eq!(refused.kind(), areas::ErrorKind::Limit, "{refused:#}");
        assert_eq!((grows.size(), locked_at(grows.as_ptr().addr())), (LEN / 2, LEN / 2));
        before.assert_no_more("full locks that were refused");
        assert_eq!(
            areas::builder(LEN).lock(Lock::Lazy).shared().unwrap_err().kind(),
            areas::ErrorKind::Unsupported
        );
        String::new()
    });
}

#[test]
fn freezing() {
    let seal = |errno| {
        let all = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        refuse(libc::SYS_fcntl, errno).only(2, all.cast_unsigned())
    };
    let cases: [Case; 3] = [
        ("sealing, never", seal(libc::EPERM), frozen),
        ("sealing, an odd answer", seal(libc::EIO), frozen),
        ("populating before", refuse(libc::SYS_fallocate, libc::ENOSPC), frozen),
    ];
    if let Some(reported) = run(test!("freezing"), &cases) {
        assert_snapshot!(reported, @r#"
        sealing, never
        System: cannot freeze an area of 64 KiB: fcntl(F_ADD_SEALS, F_SEAL_WRITE | …): EPERM

        sealing, an odd answer
        System: cannot freeze an area of 64 KiB: fcntl(F_ADD_SEALS, F_SEAL_WRITE | …): EIO

        populating before
        NoMemory: cannot populate an area of 64 KiB: fallocate(0, 64 KiB): ENOSPC; 0 B of 64 KiB were in; AMOUNT available
          help: ask for less, or free some memory
        "#);
    }
}

#[test]
fn unmapping_that_is_refused_gives_the_mapping_back() {
    use areas::{Provider, Request, System};
    const LEN: u32 = 7 * 65536;
    let answer = test!("unmapping_that_is_refused_gives_the_mapping_back").alone(Stage::default(), || {
        let mut mapping = System::new().map(&Request::new(LEN as usize)).unwrap();
        mapping.as_bytes_mut().unwrap().fill(5);
        enter(&[refuse(libc::SYS_munmap, libc::ENOMEM).only(1, LEN)]);
        let refused = System::new().unmap(mapping).unwrap_err();
        assert!(refused.value.as_bytes().unwrap().iter().all(|&byte| byte == 5));
        // A drop that is refused neither panics nor loops.
        drop(refused.value);
        report(&refused.error)
    });
    assert_snapshot!(answer, @"System: cannot unmap 448 KiB: munmap(0xADDRESS, 458752): ENOMEM");
}
