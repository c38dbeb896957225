//! Locks that demand something of the page frames, asked for by those who cannot have it: an
//! ordinary user, on a machine that was not set up for it.

use areas::{Lock, PageSize, Pages};
use insta::assert_snapshot;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::failure;
use super::support::child::{Stage, test};
use super::support::held::Held;

const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

#[test]
fn machine_an_ordinary_user_is_shown_how_to_set_the_machine_up() {
    let this = test!("machine_an_ordinary_user_is_shown_how_to_set_the_machine_up");
    // The pool to ourselves, as the other tests of it have it.
    let pool = std::fs::File::open(format!("{POOL}/nr_hugepages"));
    if let (None, Ok(pool)) = (this.role(), &pool) {
        rustix::fs::flock(pool, rustix::fs::FlockOperation::LockExclusive).unwrap();
    }
    if std::fs::read_to_string(format!("{POOL}/nr_hugepages")).is_ok_and(|pages| pages.trim() != "0") {
        return super::support::skip(this.0, "the pool of huge pages has pages");
    }
    let answer = this.alone(Stage::ordinary(), || {
        let before = Held::now();
        let some = areas::builder(12 << 10);
        let mut answer = vec![
            failure(some.clone().lock(Lock::Contiguous).shared()),
            failure(some.clone().lock(Lock::Contiguous).pages(Pages::Pool(PageSize::HUGE_2M)).shared()),
            failure(some.clone().lock(Lock::Full32).shared()),
            failure(some.clone().lock(Lock::Low).shared()),
            failure(some.clone().lock(Lock::Low).private()),
        ];
        before.assert_no_more("what could not be had");
        // One page needs no privilege, but the allowance.
        drop(areas::builder(1).lock(Lock::Contiguous).shared().unwrap());
        setrlimit(Resource::Memlock, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
        answer.push(failure(areas::builder(1).lock(Lock::Contiguous).shared()));
        answer.join("\n\n")
    });
    assert_snapshot!(answer, @"
    NoMemory: cannot make a shared area of 12 KiB physically contiguous: cannot map 12 KiB: mmap(NULL, 2 MiB, rw-, MAP_SHARED): ENOMEM; the pool of 2 MiB pages has 0, 0 free, 0 reserved; 1 wanted; cannot see which page frames 12 KiB have: /proc/self/pagemap shows page frame numbers to CAP_SYS_ADMIN only
      help: `echo 1 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages` (root), or `Pages::Auto`

    NoMemory: cannot make a shared area of 12 KiB physically contiguous: cannot map 12 KiB: mmap(NULL, 2 MiB, rw-, MAP_SHARED): ENOMEM; the pool of 2 MiB pages has 0, 0 free, 0 reserved; 1 wanted
      help: `echo 1 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages` (root), or `Pages::Auto`

    NotPermitted: cannot make a shared area of 12 KiB below physical address 4 GiB: cannot see which page frames 12 KiB have: /proc/self/pagemap shows page frame numbers to CAP_SYS_ADMIN only; cannot map 12 KiB: mmap(NULL, 2 MiB, rw-, MAP_SHARED): ENOMEM; the pool of 2 MiB pages has 0, 0 free, 0 reserved; 1 wanted; cannot find reserved physical memory: the kernel's command line reserves none, and AREAS_LOW_MEMORY is not set
      help: run as root, or `setcap cap_sys_admin+ep PROGRAM`; or see `areas doctor`

    NoMemory: cannot make a shared area of 12 KiB physically contiguous below 16 MiB: cannot find reserved physical memory: the kernel's command line reserves none, and AREAS_LOW_MEMORY is not set
      help: reserve it at boot (`memmap=4M$8M`, AREAS_LOW_MEMORY); CAP_SYS_RAWIO maps it: `areas doctor`

    Unsupported: cannot make a private area of 12 KiB physically contiguous below 16 MiB: after a fork, the process that writes 12 KiB first gets a copy, which is elsewhere
      help: make it shared, without a name if no process is to find it: `.shared()`

    Limit: cannot lock an area of 1 B: mlock2(0xADDRESS, 4 KiB, MLOCK_ONFAULT): EPERM; RLIMIT_MEMLOCK is 0 B, AMOUNT in use, 4 KiB wanted
      help: raise it: `ulimit -l 4`, or LimitMEMLOCK=4096 in the systemd unit; or use no lock
    ");
}
