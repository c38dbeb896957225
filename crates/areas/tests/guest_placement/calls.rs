//! How many system calls it takes to move much memory: counted by a tracer, beside `move_pages`
//! itself in large batches. Times would be those of an emulated machine.

#![expect(unsafe_code, reason = "forks, traces and moves pages; each block has its proof")]

use std::io::Write as _;

use areas::Policy;

use crate::support::{PAGE, guest, nodes, pages};

const SIZE: usize = 1 << 30;
/// MPOL_MF_MOVE: pages that no other process has mapped.
const MOVE: i32 = 2;
/// Pages for one call of the other side.
const BATCH: usize = 16 * 1024;

/// The system calls of a child behind the moment at which it calls what it is given.
fn counted(child: impl FnOnce(&dyn Fn())) -> u64 {
    // SAFETY: the child goes on alone and ends in here, without anything of its parent's.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                child(&|| {
                    // SAFETY: numbers only.
                    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) }, 0);
                    // SAFETY: stops this thread, for its tracer.
                    unsafe { libc::raise(libc::SIGSTOP) };
                });
            }));
            // SAFETY: ends this process without its parent's handlers and buffers.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        child => count(child),
    }
}

fn count(child: libc::pid_t) -> u64 {
    let (mut stops, mut started) = (0_u64, false);
    loop {
        let mut status = 0;
        // SAFETY: a child of ours, a place for its status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        if libc::WIFEXITED(status) {
            assert!(started && libc::WEXITSTATUS(status) == 0, "the child failed: {status:#x}");
            // It stops as a call begins and as it ends; the one by which it exits does not end.
            return stops / 2;
        }
        assert!(libc::WIFSTOPPED(status), "the child died: {status:#x}");
        let signal = match libc::WSTOPSIG(status) {
            libc::SIGSTOP if !started => 0,
            libc::SIGTRAP => {
                stops += 1;
                0
            }
            other => other,
        };
        started = true;
        // SAFETY: a stopped child of ours, and the signal that it is to have.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SYSCALL, child, 0, signal) }, 0);
    }
}

/// Asks for the nodes of all pages, or moves them.
fn move_pages(addresses: &[*const u8], to: Option<&[i32]>, status: &mut [i32]) {
    for (i, part) in addresses.chunks(BATCH).enumerate() {
        let at = i * BATCH;
        let to = to.map_or(std::ptr::null(), |to| to[at..].as_ptr());
        // SAFETY: three arrays of as many elements (or none); moving changes no content.
        let failed = unsafe {
            libc::syscall(
                libc::SYS_move_pages,
                0,
                part.len(),
                part.as_ptr(),
                to,
                status[at..].as_mut_ptr(),
                MOVE,
            )
        };
        assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
    }
}

#[test]
fn a_gibibyte_moves_in_as_few_calls_as_by_hand() {
    guest!();
    let filled = || {
        let mut area = areas::builder(SIZE).place(Policy::Bind(nodes([0]))).private().unwrap();
        area.populate().unwrap();
        area
    };
    let ours = counted(|begin| {
        let mut area = filled();
        begin();
        let migration = area.migrate(Policy::Bind(nodes([1]))).unwrap();
        assert_eq!((migration.moved(), migration.stayed().len()), (SIZE as u64, 0));
    });
    // The same by hand: looked at, moved, looked at.
    let by_hand = counted(|begin| {
        let area = filled();
        let addresses: Vec<*const u8> =
            (0..SIZE).step_by(PAGE).map(|at| area.as_ptr().wrapping_add(at).cast_const()).collect();
        let (to, mut status) = (vec![1; addresses.len()], vec![-1; addresses.len()]);
        begin();
        let mut all_are_on = |node| {
            move_pages(&addresses, None, &mut status);
            status.iter().all(|&found| found == node)
        };
        assert!(all_are_on(0));
        // Of a huge page the first one moves all: for the others the kernel says that they are
        // busy.
        move_pages(&addresses, Some(&to), &mut vec![-1; addresses.len()]);
        assert!(all_are_on(1));
        assert_eq!(pages::nodes_of(area.as_ptr(), PAGE, PAGE), [1]);
    });
    let measured = format!("measured: 1 GiB moved in {ours} system calls, {by_hand} by hand\n");
    std::io::stderr().write_all(measured.as_bytes()).unwrap();
    assert!(ours * 100 <= by_hand * 105, "{ours} system calls, and {by_hand} by hand");
}
