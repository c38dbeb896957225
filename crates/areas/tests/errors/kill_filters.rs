//! Sandboxes that do not answer with an error number, and kill: systemd's
//! `SystemCallFilter=@system-service` where `SystemCallErrorNumber=` is not set. Nothing that is
//! needed for areas is outside of that list.

use std::sync::atomic::Ordering;

use areas::registry;

use super::sandbox::{enter, enter_allowing, kills};
use super::support::child::{Stage, hear, reply, test};
use super::support::folder::Folder;

/// What of `@system-service` (systemd 247) this library and Rust's use.
#[cfg(target_arch = "x86_64")]
const SYSTEM_SERVICE: &[libc::c_long] = &[
    libc::SYS_access,
    libc::SYS_bind,
    libc::SYS_brk,
    libc::SYS_chmod,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_connect,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_ftruncate,
    libc::SYS_futex,
    libc::SYS_get_mempolicy,
    libc::SYS_getcpu,
    libc::SYS_getdents64,
    libc::SYS_geteuid,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_ioctl,
    libc::SYS_kill,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mbind,
    libc::SYS_membarrier,
    libc::SYS_memfd_create,
    libc::SYS_mkdirat,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_mmap,
    libc::SYS_move_pages,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munlock,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pidfd_open,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_prctl,
    libc::SYS_pread64,
    libc::SYS_prlimit64,
    libc::SYS_process_vm_writev,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_set_mempolicy,
    libc::SYS_set_robust_list,
    libc::SYS_setsockopt,
    libc::SYS_sigaltstack,
    libc::SYS_socket,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_sysinfo,
    libc::SYS_tgkill,
    libc::SYS_uname,
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
];

/// All that a program does with another one's areas, and its own; twice, as what was done once may
/// be done another way.
fn everything() -> String {
    for round in 0..2 {
        let source = registry::find("ring").unwrap();
        let area = source.open().unwrap();
        assert_eq!(area.load::<u8>(0, Ordering::Relaxed).unwrap(), 7);
        drop(source.open_read_only().unwrap());
        assert_eq!(source.info().unwrap().size, 64 << 10);
        assert!(!source.holders().is_empty());
        assert_eq!(registry::list().unwrap().unreadable.len(), 0);
        let name = format!("own-{round}");
        let own = areas::builder(4096).growable(1 << 20).name(&name).shared().unwrap();
        own.grow(64 << 10).unwrap();
        own.store(5, 9_u8, Ordering::Relaxed).unwrap();
        assert_eq!(
            registry::find(&name).unwrap().open().unwrap().load::<u8>(5, Ordering::Relaxed).unwrap(),
            9
        );
        drop(own.freeze().unwrap());
        let mut populated = areas::builder(1 << 20).shared().unwrap();
        populated.populate().unwrap();
        registry::ensure_published().unwrap();
        assert!(registry::transferred().unwrap().is_empty());
        assert!(registry::wait("nothing", Some(std::time::Duration::from_millis(10))).is_err());
    }
    "alive".to_owned()
}

/// Beside a process that holds an area, in one that does everything in a sandbox.
fn reader_in(test: super::support::child::Test, sandbox: fn()) {
    reader_through(test, &[], sandbox);
}

/// The same for a reader that is started by another program.
fn reader_through(test: super::support::child::Test, through: &[&'static str], sandbox: fn()) {
    match test.role().as_deref() {
        None => {
            let folder = Folder::new();
            let registry = folder.join("registry");
            let mut holder = test.spawn(&mut Stage::default().registry(registry.clone()), "holder");
            assert_eq!(holder.hear(), "ready");
            let mut reader = test.spawn(&mut Stage::through(through).registry(registry), "reader");
            assert_eq!(reader.hear(), "alive");
            assert!(reader.end().success());
        }
        Some("holder") => {
            let area = areas::builder(64 << 10).name("ring").shared().unwrap();
            area.store(0, 7_u8, Ordering::Relaxed).unwrap();
            reply("ready");
            hear();
        }
        Some(_) => {
            sandbox();
            reply(&everything());
        }
    }
}

#[test]
fn who_is_killed_for_taking_descriptors_does_everything() {
    reader_in(test!("who_is_killed_for_taking_descriptors_does_everything"), || {
        enter(&[kills(libc::SYS_pidfd_getfd)]);
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
fn who_is_killed_for_what_is_not_system_service_does_everything() {
    reader_in(test!("who_is_killed_for_what_is_not_system_service_does_everything"), || {
        enter_allowing(SYSTEM_SERVICE);
    });
}

/// Who goes into a sandbox after the first use says beforehand what it kills for.
#[test]
fn what_is_named_is_not_called() {
    let through = ["env", "AREAS_WITHOUT=pidfd_getfd,cachestat,mincore"];
    reader_through(test!("what_is_named_is_not_called"), &through, || {
        // Twice, so that it would be taken by its number.
        for _ in 0..2 {
            drop(registry::find("ring").unwrap().open().unwrap());
        }
        enter(&[kills(libc::SYS_pidfd_getfd), kills(451), kills(libc::SYS_mincore)]);
    });
}

/// The limit of descriptors, wherever it is met on the way to an area, is reported as that.
#[test]
fn with_few_descriptors_each_error_has_its_remedy() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let test = test!("with_few_descriptors_each_error_has_its_remedy");
    if let Some(role) = test.role() {
        let limit = Some(role.parse().unwrap());
        setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
        let reported = match areas::builder(4096).name("ring").shared() {
            Ok(_) => "made".to_owned(),
            Err(error) => format!("{:?} {error:#}", error.kind()).replace('\n', " "),
        };
        reply(&reported);
        return;
    }
    let mut refused = 0;
    for limit in 3..32 {
        let mut stage = Stage::default();
        let mut process = test.spawn(&mut stage, &limit.to_string());
        let reported = process.hear();
        if reported == "made" {
            continue;
        }
        refused += 1;
        let with_remedy = reported.contains("RLIMIT_NOFILE is ") && reported.contains("ulimit -n");
        assert!(with_remedy && reported.contains("EMFILE"), "{limit}: {reported}");
    }
    assert!(refused > 5, "{refused}");
}
