//! `areas doctor` under filters of system calls that refuse, and under those that kill: it finds
//! out, and lives.

#![expect(unsafe_code, reason = "a filter is installed between fork and exec; the block has its proof")]

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value;

use crate::doctor::checks;
use crate::harness::{Ran, Registry};

#[path = "../../../areas/tests/errors/sandbox.rs"]
#[expect(dead_code, reason = "made for the library's tests, which use all of it")]
mod sandbox;

pub(crate) use sandbox::{Refuse, refuse};
use sandbox::{enter, kills};

/// The command with that filter.
pub(crate) fn under(mut command: Command, rules: Vec<Refuse>) -> Command {
    // SAFETY: the child is a copy of this process with one thread; what allocates in it goes
    // through glibc, which keeps its heap usable across fork.
    unsafe {
        command.pre_exec(move || {
            enter(&rules);
            Ok(())
        });
    }
    command
}

fn examined(command: &mut Command) -> (Value, Option<i32>) {
    let ran = Ran::of(command);
    assert_eq!(ran.stderr, "", "{ran:?}");
    (serde_json::from_str(&ran.stdout()).unwrap_or_else(|_| panic!("{ran:?}")), ran.code)
}

fn state<'a>(report: &'a Value, id: &str) -> (&'a str, &'a str) {
    let [check] = checks(report, id)[..] else { panic!("{id}: {report}") };
    (check["state"].as_str().unwrap(), check["finding"].as_str().unwrap())
}

/// As Docker's profile has it.
#[test]
fn calls_that_are_refused() {
    let registry = Registry::new();
    let calls = [
        libc::SYS_mbind,
        libc::SYS_set_mempolicy,
        libc::SYS_get_mempolicy,
        450, // set_mempolicy_home_node
        libc::SYS_move_pages,
        libc::SYS_pidfd_getfd,
    ];
    let rules = calls.map(|call| refuse(call, libc::EPERM)).to_vec();
    let (reported, code) = examined(&mut under(registry.areas(["doctor", "--json"]), rules));
    assert_eq!(code, Some(0), "areas work, with less: {reported}");
    assert_eq!(state(&reported, "sandbox.filter").0, "remark");
    let (placement, finding) = state(&reported, "sandbox.placement");
    assert_eq!(placement, "remark");
    assert!(
        finding.starts_with("refused: mbind (EPERM), set_mempolicy (EPERM); policies are an error"),
        "{finding}"
    );
    let [check] = checks(&reported, "sandbox.placement")[..] else { panic!() };
    assert!(check["remedies"][0]["text"].as_str().unwrap().contains("--cap-add SYS_NICE"), "{check}");
    for id in ["sandbox.policies", "sandbox.home-node", "sandbox.nodes", "sandbox.descriptors"] {
        assert_eq!(state(&reported, id).0, "remark", "{id}");
    }
    assert_eq!(state(&reported, "sandbox.objects").0, "fine");
    // What a sandbox hides is not held against the kernel.
    assert_eq!(state(&reported, "kernel.weighted-interleave").0, "unknown");
}

/// As systemd's filters do that have no error number: the command itself lives, and says which
/// calls are deadly.
#[test]
fn calls_that_kill() {
    let registry = Registry::new();
    let _holder = crate::doctor::bound(&registry, "x");
    let calls = [
        libc::SYS_pidfd_getfd,
        451,
        libc::SYS_mincore,
        libc::SYS_move_pages,
        libc::SYS_get_mempolicy,
        libc::SYS_process_vm_writev,
    ];
    let rules = || calls.map(kills).to_vec();
    let (reported, code) = examined(&mut under(registry.areas(["doctor", "--json"]), rules()));
    assert_eq!(code, Some(1));
    let (descriptors, finding) = state(&reported, "sandbox.descriptors");
    assert_eq!(descriptors, "broken");
    assert!(finding.starts_with("killed for: pidfd_getfd; "), "{finding}");
    let [check] = checks(&reported, "sandbox.resident")[..] else { panic!() };
    assert_eq!(check["finding"].as_str().unwrap().split(';').next(), Some("killed for: cachestat, mincore"));
    // The line is what keeps other programs alive.
    assert_eq!(check["remedies"][0]["text"], "export AREAS_WITHOUT=cachestat,mincore");
    assert_eq!(state(&reported, "sandbox.copying").0, "broken");
    assert_eq!(state(&reported, "sandbox.objects").0, "fine");
    assert_eq!(state(&reported, "kernel.cachestat").0, "unknown");
    // And it looks at an area without any of them.
    let (reported, _) = examined(&mut under(registry.areas(["doctor", "x", "--json"]), rules()));
    assert_eq!(state(&reported, "area.policy").0, "unknown");
    assert!(
        state(&reported, "area.policy").1.contains("a sandbox kills the process for get_mempolicy"),
        "{reported}"
    );
}

/// A filter that answers what the kernel never would.
#[test]
fn calls_that_the_kernel_is_said_not_to_have() {
    let registry = Registry::new();
    let rules = vec![refuse(libc::SYS_memfd_create, libc::EACCES), refuse(libc::SYS_mlock2, libc::ENOSYS)];
    let (reported, code) = examined(&mut under(registry.areas(["doctor", "--json"]), rules));
    assert_eq!(code, Some(1), "no shared area can be made");
    let (objects, finding) = state(&reported, "sandbox.objects");
    assert_eq!(objects, "broken");
    assert!(finding.contains("memfd_create (EACCES)") && finding.contains("no shared areas"), "{finding}");
    assert!(
        state(&reported, "sandbox.locks")
            .1
            .starts_with("not in this kernel, or hidden by the filter (ENOSYS): mlock2"),
        "{reported}"
    );
    assert_eq!(state(&reported, "kernel.mlock2").0, "remark");
}

/// From here on that call is put before a supervisor: this process itself, which never answers. The
/// descriptor at which it would stays open.
fn ask_nobody(call: libc::c_long) -> std::io::Result<()> {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
    let code = |code: u32| u16::try_from(code).unwrap();
    let step = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let mut program = [
        step(code(BPF_LD | BPF_W | BPF_ABS), 0),
        libc::sock_filter {
            code: code(BPF_JMP | BPF_JEQ | BPF_K),
            jt: 0,
            jf: 1,
            k: u32::try_from(call).unwrap(),
        },
        step(code(BPF_RET | BPF_K), libc::SECCOMP_RET_USER_NOTIF),
        step(code(BPF_RET | BPF_K), libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: takes a right away, and changes no memory.
    let status = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(status, 0);
    // SAFETY: the program and its array outlive the call, which copies them; its length is given.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    let Ok(listener @ 0..) = i32::try_from(listener) else { return Err(std::io::Error::last_os_error()) };
    // SAFETY: the descriptor is this process's own, and stays open over exec from here on.
    match unsafe { libc::fcntl(listener, libc::F_SETFD, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// A supervisor that is asked and does not answer, as of a container whose manager has gone.
#[test]
fn calls_that_are_never_answered() {
    let registry = Registry::new();
    let mut command = registry.areas(["doctor", "--json"]);
    // SAFETY: as in `under`.
    unsafe {
        command.pre_exec(|| ask_nobody(libc::SYS_mincore));
    }
    let start = std::time::Instant::now();
    let (reported, code) = examined(&mut command);
    assert!(start.elapsed() < std::time::Duration::from_secs(60), "it goes on");
    assert_eq!(code, Some(1));
    let (resident, finding) = state(&reported, "sandbox.resident");
    assert_eq!(resident, "broken");
    assert!(finding.starts_with("never answered: mincore"), "{finding}");
    // What comes behind it was tried all the same.
    assert_eq!(state(&reported, "kernel.populate").0, "fine");
}
