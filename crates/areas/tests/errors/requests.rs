//! Requests that make no sense, or that the machine cannot fulfil.

use std::sync::atomic::Ordering;

use areas::{Address, Lock, PageSize, Pages, Policy, Protection, Request, System, provider::Provider};
use areas_testing::meminfo;
use insta::assert_snapshot;

use super::failure;
use super::support::skip;

#[test]
fn sizes() {
    assert_snapshot!(failure(areas::builder(0).private()), @"InvalidInput: cannot map 0 B: the size is 0");
    assert_snapshot!(failure(areas::builder(0).shared()), @"InvalidInput: cannot make a shared area of 0 B: the size is 0");
    assert_snapshot!(failure(areas::builder(0).name("ring").shared()), @r#"InvalidInput: cannot make shared area "ring" of 0 B: the size is 0"#);
    assert_snapshot!(failure(System::new().map(&Request::new(0))), @"InvalidInput: cannot map 0 B: the size is 0");
    assert_snapshot!(failure(areas::builder(1 << 50).private()), @r#"
    NoMemory: cannot map 1 PiB: the machine has AMOUNT of RAM and AMOUNT of swap
      help: ask for less; addresses without memory behind them are a reserve: `.growable(max)`
    "#);
    assert_snapshot!(failure(areas::builder(1 << 50).shared()), @r#"
    NoMemory: cannot map 1 PiB: the machine has AMOUNT of RAM and AMOUNT of swap
      help: ask for less; addresses without memory behind them are a reserve: `.growable(max)`
    "#);
    assert_snapshot!(failure(areas::builder(usize::MAX).private()), @"InvalidInput: cannot map 18446744073709551615 B: rounded up to whole pages it is more than there are addresses");
    assert_snapshot!(failure(areas::builder(usize::MAX).shared()), @"InvalidInput: cannot make a memory object of 18446744073709551615 B: it is more than a file can hold (2^63 - 1 bytes)");
    assert_snapshot!(failure(areas::builder(1 << 20).growable(4096).shared()), @r#"
    InvalidInput: cannot make a memory object of 1 MiB: it may only grow to 4 KiB
      help: make the maximum at least as large as the size
    "#);
    assert_snapshot!(failure(areas::builder(1).growable(usize::MAX).shared()), @"InvalidInput: cannot make a shared area of 1 B: the maximum is more than there are addresses");
    assert_snapshot!(failure(areas::builder(1).growable(1 << 62).shared()), @"InvalidInput: cannot map 4 KiB: mmap(NULL, 4096 PiB, rw-, MAP_SHARED): ENOMEM; it is more than the addresses of a process");
}

#[test]
fn more_than_is_available_is_refused_before_the_first_page() {
    let total = usize::try_from(meminfo::bytes("MemTotal")).unwrap();
    let exact = |reported: String| reported.replace(&total.to_string(), "TOTAL");
    // As much as the machine has can be mapped, and not be brought in.
    let mut private = areas::builder(total).private().unwrap();
    let reported = exact(failure(private.populate()));
    assert!(
        reported.starts_with("NoMemory: cannot populate an area of ") && reported.contains("can give"),
        "{reported}"
    );
    assert_eq!(private.residency().unwrap().resident(), 0);
    drop(private);
    let mut shared = areas::builder(total).shared().unwrap();
    let reported = exact(failure(shared.populate()));
    assert!(
        reported.starts_with("NoMemory: cannot populate an area of ")
            && reported.contains("help: ask for less"),
        "{reported}"
    );
    assert_eq!(rustix::fs::fstat(&shared).unwrap().st_blocks, 0);
    let refused = shared.freeze().unwrap_err();
    assert_eq!(refused.error.kind(), areas::ErrorKind::NoMemory);
    refused.value.store(0, 1_u8, Ordering::Relaxed).unwrap();
}

#[test]
fn combinations() {
    assert_snapshot!(failure(areas::builder(4096).name("ring").private()), @r#"
    InvalidInput: cannot make private area "ring" of 4 KiB: only shared areas have names and notes, and can grow
      help: use `.shared()`, or leave `.name()`, `.note()` and `.growable()` out
    "#);
    assert_snapshot!(failure(areas::builder(4096).growable(8192).private()), @r#"
    InvalidInput: cannot make a private area of 4 KiB: only shared areas have names and notes, and can grow
      help: use `.shared()`, or leave `.name()`, `.note()` and `.growable()` out
    "#);
    assert_snapshot!(failure(areas::builder(4096).growable(8192).lock(Lock::Lazy).shared()), @r#"
    InvalidInput: cannot make a shared area of 4 KiB: it is to grow to 8 KiB and to be locked
      help: a reserve cannot be locked: choose a fixed size, or no lock
    "#);
    assert_snapshot!(failure(areas::builder(4096).lock(Lock::Contiguous).resizable(4096)), @r#"
    InvalidInput: cannot make a shared area of 4 KiB physically contiguous: what it grew by would be elsewhere
      help: choose a fixed size: `.shared()` without `.growable()`
    "#);
    assert_snapshot!(failure(areas::builder(4096).lock(Lock::Full).protection(Protection::READ).private()), @r#"
    ReadOnly: cannot populate an area of 4 KiB: its protection is r--; reading private memory that was never written takes no memory
      help: populate first, then remove the write access
    "#);
}

#[test]
fn names() {
    let named = |name: &[u8]| failure(areas::builder(4096).name(name).shared());
    assert_snapshot!(named(b""), @r#"
    InvalidInput: cannot name an area "": the name is empty
      help: a name has 1 to 255 bytes, in any encoding, and no NUL
    "#);
    assert_snapshot!(named(b"a\0b"), @r#"
    InvalidInput: cannot name an area "a\0b": it holds a NUL
      help: a name has 1 to 255 bytes, in any encoding, and no NUL
    "#);
    assert_snapshot!(named(&[b'x'; 256]), @r#"
    InvalidInput: cannot name an area "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"…: it has 256 bytes
      help: a name has 1 to 255 bytes, in any encoding, and no NUL
    "#);
    assert_snapshot!(failure(areas::registry::find("")), @r#"
    InvalidInput: cannot name an area "": the name is empty
      help: a name has 1 to 255 bytes, in any encoding, and no NUL
    "#);
    assert_snapshot!(failure(areas::registry::find(b"a\0b")), @r#"
    InvalidInput: cannot name an area "a\0b": it holds a NUL
      help: a name has 1 to 255 bytes, in any encoding, and no NUL
    "#);
    assert_snapshot!(failure(areas::AreaId::new(0)), @r#"
    InvalidInput: cannot use 0 as the id of an area: no area has that number
      help: `areas ls` lists the ids
    "#);
    assert_snapshot!(failure(areas::AreaId::new(-5)), @r#"
    InvalidInput: cannot use -5 as the id of an area: no area has that number
      help: `areas ls` lists the ids
    "#);
}

#[test]
fn nodes() {
    let one = areas::allowed_nodes().unwrap().to_string();
    let placed = |policy: &str| {
        let policy: Policy = policy.parse().unwrap();
        failure(areas::builder(4096).place(policy).private())
            .replace(&format!("allowed nodes: {one}"), "allowed nodes: NODES")
    };
    assert_snapshot!(placed("bind:1023"), @r#"
    NodeNotAllowed: cannot place memory as bind:1023: node 1023 does not exist or may not be used; allowed nodes: NODES
      help: use the nodes that are allowed; the cpuset of the process or container sets them (cpuset(7))
    "#);
    assert_snapshot!(placed("interleave:0,1022-1023"), @r#"
    NodeNotAllowed: cannot place memory as interleave:0,1022-1023: nodes 1022-1023 do not exist or may not be used; allowed nodes: NODES
      help: use the nodes that are allowed; the cpuset of the process or container sets them (cpuset(7))
    "#);
    assert_snapshot!(placed("preferred:1000"), @r#"
    NodeNotAllowed: cannot place memory as preferred:1000: node 1000 does not exist or may not be used; allowed nodes: NODES
      help: use the nodes that are allowed; the cpuset of the process or container sets them (cpuset(7))
    "#);
    let empty = Policy::Interleave(areas::NodeSet::EMPTY);
    assert_snapshot!(failure(areas::builder(4096).place(empty).shared()), @r#"
    InvalidInput: cannot place memory as interleave:none: the set of nodes is empty
      help: name at least one node, or use policy `local`
    "#);
    let home = areas::Placement::new(Policy::Local).home(areas::Node::of::<0>());
    assert_snapshot!(failure(areas::builder(4096).place(home).shared()), @r#"
    InvalidInput: cannot place memory as local, home 0: policy local does not support a home node
      help: use `bind` or `preferred-many`, or leave the home node out
    "#);
}

#[test]
fn addresses() {
    let there = areas::builder(4096).shared().unwrap();
    let at = |address| failure(areas::builder(4096).at(Address::Exactly(address)).private());
    assert_snapshot!(at(there.as_ptr().addr()), @r#"
    AddressInUse: cannot map 4 KiB: mmap(0xADDRESS, 4 KiB, rw-, MAP_PRIVATE): EEXIST; something is mapped in 0xADDRESS..0xADDRESS
      help: choose another address, or let the kernel choose one; `/proc/self/maps` shows what is there
    "#);
    assert_snapshot!(at(4097), @"InvalidInput: cannot map 4 KiB at 0xADDRESS: the address is not a multiple of the page size, 4 KiB");
    assert_snapshot!(at(0), @r#"
    InvalidInput: cannot map 4 KiB at 0xADDRESS: memory cannot be mapped at address 0
      help: choose another address, or let the kernel choose one
    "#);
    assert_snapshot!(at(1 << 47), @"AddressInUse: cannot map 4 KiB: mmap(0xADDRESS, 4 KiB, rw-, MAP_PRIVATE): ENOMEM; the range ends beyond the addresses of a process");
}

#[test]
fn machine_pools() {
    let folder = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    let free = std::fs::read_to_string(format!("{folder}/nr_hugepages"));
    if free.is_err() || free.is_ok_and(|free| free.trim() != "0") {
        return skip("errors::requests::machine_pools", "the pool of 2 MiB pages is not empty, or not there");
    }
    let pool = |size| areas::builder(5 << 20).pages(Pages::Pool(size));
    assert_snapshot!(failure(pool(PageSize::HUGE_2M).private()), @"
    NoMemory: cannot map 5 MiB: mmap(NULL, 6 MiB, rw-, MAP_PRIVATE|MAP_HUGETLB|MAP_HUGE_2MB): ENOMEM; the pool of 2 MiB pages has 0, 0 free, 0 reserved; 3 wanted
      help: `echo 3 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages` (root), or `Pages::Auto`
    ");
    assert_snapshot!(failure(pool(PageSize::HUGE_2M).shared()), @"
    NoMemory: cannot map 5 MiB: mmap(NULL, 6 MiB, rw-, MAP_SHARED): ENOMEM; the pool of 2 MiB pages has 0, 0 free, 0 reserved; 3 wanted
      help: `echo 3 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages` (root), or `Pages::Auto`
    ");
    let odd = PageSize::of(64 << 20).unwrap();
    assert_snapshot!(failure(pool(odd).private()), @r#"
    Unsupported: cannot map 5 MiB: mmap(NULL, 64 MiB, rw-, MAP_PRIVATE|MAP_HUGETLB|0xADDRESS): EINVAL; this kernel has no pool of 64 MiB pages
      help: the sizes that it has are the folders of /sys/kernel/mm/hugepages
    "#);
    assert_snapshot!(failure(pool(odd).shared()), @r#"
    Unsupported: cannot make a memory object of 5 MiB: memfd_create(MFD_CLOEXEC | MFD_ALLOW_SEALING | …): ENODEV; this kernel has no pool of 64 MiB pages
      help: the sizes that it has are the folders of /sys/kernel/mm/hugepages
    "#);
    let at = Address::Exactly((1 << 30) + 4096);
    assert_snapshot!(failure(pool(PageSize::HUGE_2M).at(at).private()), @"InvalidInput: cannot map 5 MiB at 0xADDRESS: the address is not a multiple of the page size, 2 MiB");
}

#[test]
fn words() {
    assert_snapshot!(failure("sometimes".parse::<Lock>()), @r#"
    InvalidInput: cannot read "sometimes" as a lock
      help: write one of none, lazy, full, contiguous, low, full-32, contiguous-32
    "#);
    assert_snapshot!(failure("12Q".parse::<areas::Bytes>()), @r#"
    InvalidInput: cannot read "12Q" as a size: the unit is unknown
      help: write bytes, or a number with K, M, G, T or P: `4096`, `0xADDRESS`, `64M`, `1.5GiB`
    "#);
    assert_snapshot!(failure("3-1".parse::<areas::NodeSet>()), @r#"
    InvalidInput: cannot read "3-1" as nodes: the range 3-1 runs backwards
      help: write numbers from 0 to 1023 and ranges of them: `0-3,8`; or `all` for those allowed
    "#);
    assert_snapshot!(failure("bund:0".parse::<Policy>()), @r#"
    InvalidInput: cannot use policy "bund": no policy has that name
      help: the policies are default, local, bind, preferred, preferred-many, interleave, weighted-interleave
    "#);
}
