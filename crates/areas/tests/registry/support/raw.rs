//! The few calls of an agent for which there is no safe function.

#![expect(
    unsafe_code,
    reason = "fork, the end of one thread, memory that others read, a second copy of the library; each block has its proof"
)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// An agent begins here, before `main`: libtest would run it on a second thread, and what agents
/// are for (other users, a leader that leaves, fork) needs a process whose only thread is its
/// leader.
// SAFETY: `.init_array` holds pointers to functions that the C library calls, one after the other,
// before `main`; it is given one, of that type. What it uses of `std` (the environment, sockets,
// files) needs no set-up by `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

extern "C" fn begin() {
    super::serve::begin();
}

/// Forks; `None` in the child.
///
/// For agents only. The C library sees to its own state, and this library to its; an agent's other
/// threads, if it has any, hold nothing else.
pub(crate) fn fork() -> io::Result<Option<u32>> {
    // SAFETY: the child goes on with what is safe after a fork: the C library's own calls, and this
    // library, whose state no other thread is in the middle of changing (its handlers of fork see
    // to that).
    match unsafe { libc::fork() } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        child => Ok(Some(child.unsigned_abs())),
    }
}

/// Goes into a new user namespace.
pub(crate) fn new_user_namespace() -> io::Result<()> {
    // SAFETY: the descriptor table is not touched (no CLONE_FILES).
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }?)
}

/// Ends the calling thread, and no other: nothing of what is on its stack is dropped.
pub(crate) fn end_thread() -> ! {
    loop {
        // SAFETY: the call does not come back. No process joins this thread, and what its stack
        // holds was moved elsewhere before or is never used again.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

/// A shared, writable mapping of a file, forever: what a hostile owner has of its own table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scratch {
    base: NonNull<u64>,
    words: usize,
}

// SAFETY: it is an address and a length; whoever uses it makes whole volatile stores, in any order,
// to memory that nothing has a reference to.
unsafe impl Send for Scratch {}

impl Scratch {
    pub(crate) fn new(file: impl AsFd, bytes: usize) -> io::Result<Self> {
        // SAFETY: the kernel chooses the addresses: no other process's mapping is replaced.
        let base = unsafe {
            mmap(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0)
        }?;
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Scratch { base, words: bytes / 8 })
    }

    pub(crate) fn words(self) -> usize {
        self.words
    }

    /// Stores one word; beyond the end nothing.
    pub(crate) fn put(self, index: usize, word: u64) {
        if index < self.words {
            // SAFETY: inside the mapping, as was just checked.
            let at = unsafe { self.base.add(index) };
            // SAFETY: mapped for writing forever, aligned as mappings are, and the file behind it
            // is sealed against shrinking or never shrunk.
            unsafe { at.write_volatile(word) };
        }
    }
}

/// Closes all descriptors from 3 on but the ones named: what programs do with numbers that they do
/// not know.
pub(crate) fn close_all_but(kept: &[u32]) -> io::Result<()> {
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    let mut first = 3;
    for next in kept.into_iter().filter(|&number| number >= 3).chain([u32::MAX]) {
        if first < next {
            // SAFETY: no memory is touched. Owners of these descriptors lose them: that is the
            // test, and what they do then.
            let status = unsafe { libc::syscall(libc::SYS_close_range, first, next - 1, 0) };
            if status != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        first = next.saturating_add(1);
    }
    Ok(())
}

/// Closes a descriptor that other code owns: a mistake that programs make.
pub(crate) fn close(number: i32) {
    // SAFETY: no memory is touched. Its owner loses it: that is the test, and what it does then.
    let _ = unsafe { libc::close(number) };
}

/// Runs something in a forked child, which ends with it: what it said. A child that takes too long
/// is ended, and has said no.
pub(crate) fn run_forked(timeout: Duration, run: impl FnOnce() -> bool) -> io::Result<bool> {
    let Some(child) = fork()? else {
        let code = i32::from(!run());
        // SAFETY: ends the child at once, without what the parent has registered for its own end.
        unsafe { libc::_exit(code) }
    };
    let child = rustix::process::Pid::from_raw(child.try_into().map_err(io::Error::other)?);
    let child = child.ok_or_else(|| io::Error::other("no process has the number 0"))?;
    let deadline = Instant::now() + timeout;
    loop {
        match rustix::process::waitpid(Some(child), rustix::process::WaitOptions::NOHANG)? {
            Some((_, status)) => return Ok(status.exit_status() == Some(0)),
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_micros(200)),
            None => {
                rustix::process::kill_process(child, rustix::process::Signal::KILL)?;
                rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty())?;
                return Ok(false);
            }
        }
    }
}

/// Whether a descriptor is a socket that is connected.
pub(crate) fn is_connected(number: i32) -> io::Result<bool> {
    // SAFETY: it is open (the caller has just seen it), and is only asked.
    let socket = unsafe { BorrowedFd::borrow_raw(number) };
    match rustix::net::getpeername(socket) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NOTCONN) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// The entry of a second copy of the library: `tests/twin`.
type Twin = unsafe extern "C" fn(*const u8, usize, *mut u8, usize) -> usize;

/// Has the second copy of the library in this process do something; its answer.
pub(crate) fn twin(command: &str) -> io::Result<String> {
    static ENTRY: OnceLock<Twin> = OnceLock::new();
    let entry = match ENTRY.get() {
        Some(entry) => *entry,
        None => {
            // Beside the tests, where cargo puts examples.
            let path = std::env::current_exe()?;
            let folder =
                path.parent().and_then(std::path::Path::parent).map(|folder| folder.join("examples"));
            let library = folder.unwrap_or_default().join("libareas_twin.so");
            let path = CString::new(library.as_os_str().as_encoded_bytes())?;
            // SAFETY: a library of ours, whose initializers are those of Rust's standard library.
            let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
            if handle.is_null() {
                return Err(io::Error::other(format!("{} cannot be loaded", library.display())));
            }
            // SAFETY: the handle is that of a library that is never unloaded.
            let symbol = unsafe { libc::dlsym(handle, c"areas_twin".as_ptr()) };
            if symbol.is_null() {
                return Err(io::Error::other("it has no areas_twin"));
            }
            // SAFETY: the symbol is a function of that type (tests/twin/lib.rs).
            let entry = unsafe { std::mem::transmute::<*mut libc::c_void, Twin>(symbol) };
            *ENTRY.get_or_init(|| entry)
        }
    };
    let mut answer = vec![0; 1 << 16];
    // SAFETY: both are ours, of these lengths, for the whole call.
    let len = unsafe { entry(command.as_ptr(), command.len(), answer.as_mut_ptr(), answer.len()) };
    answer.truncate(len);
    String::from_utf8(answer).map_err(io::Error::other)
}

/// Mounts a file system on a folder, of this mount namespace alone, that never answers a question:
/// whoever asks it for anything waits until the file that this gives is closed.
pub(crate) fn mount_silent(path: &str) -> io::Result<File> {
    let device = File::options().read(true).write(true).open("/dev/fuse")?;
    let options = CString::new(format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd()))?;
    let path = CString::new(path)?;
    // SAFETY: the strings outlive the call, and no memory is touched.
    let status = unsafe {
        libc::mount(c"silent".as_ptr(), path.as_ptr(), c"fuse".as_ptr(), 0, options.as_ptr().cast())
    };
    if status == 0 { Ok(device) } else { Err(io::Error::last_os_error()) }
}

/// Takes a lease on a file: whoever opens it waits until it is released, for up to
/// `/proc/sys/fs/lease-break-time` seconds. We are notified by a signal that is ignored unless a
/// process asks for it.
pub(crate) fn lease(file: &File) -> io::Result<()> {
    /// `include/uapi/asm-generic/fcntl.h`; the crate at hand lacks it.
    const F_SETSIG: libc::c_int = 10;
    for (command, argument) in [(F_SETSIG, libc::SIGURG), (libc::F_SETLEASE, libc::F_WRLCK)] {
        // SAFETY: takes numbers only.
        let status = unsafe { libc::syscall(libc::SYS_fcntl, file.as_raw_fd(), command, argument) };
        if status != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// What reading one byte came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peeked {
    Byte(u8),
    /// The number of the signal that ended who read.
    Signal(i32),
}

/// Reads a byte through a pointer, in a child that may die of it. What the parent has mapped
/// shared, the child has.
pub(crate) fn peek(address: *const u8) -> io::Result<Peeked> {
    // SAFETY: the child reads one byte and ends.
    let child = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: mapped or not, nothing but this child depends on it: a fault ends it, which
            // is the answer.
            let byte = unsafe { address.read_volatile() };
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(byte)) }
        }
        child => child,
    };
    let mut status = 0;
    // SAFETY: our own child; the status outlives the call.
    if unsafe { libc::waitpid(child, &raw mut status, 0) } != child {
        return Err(io::Error::last_os_error());
    }
    Ok(match libc::WIFSIGNALED(status) {
        true => Peeked::Signal(libc::WTERMSIG(status)),
        false => Peeked::Byte(libc::WEXITSTATUS(status).to_le_bytes()[0]),
    })
}

/// The calls that the C library itself makes to fork, and what comes to an exec.
const FORK_AND_EXEC: [libc::c_long; 11] = [
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_fork,
    libc::SYS_wait4,
    libc::SYS_execve,
    libc::SYS_exit_group,
    libc::SYS_set_robust_list,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_futex,
];

/// Forks a child that only calls exec, where every other call is deadly, and ends with 42 if it
/// came that far.
///
/// The program is not there, so that the child goes on and can say so.
pub(crate) fn exec_only_child() -> ! {
    let program = c"/nowhere/program";
    let arguments = [program.as_ptr(), std::ptr::null()];
    allow_only(&FORK_AND_EXEC);
    // SAFETY: the child calls exec and ends; the parent waits and ends. Neither uses anything else.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: a path and two arrays that end with null, as execve wants them.
        unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), arguments[1..].as_ptr()) };
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(42) };
    }
    let mut status = 0;
    // SAFETY: our own child; the status outlives the call.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 1 };
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(code) }
}

/// From here on a call answers EPERM, as in a sandbox.
pub(crate) fn refuse(call: libc::c_long) {
    let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();
    let call = u32::try_from(call).expect("a number");
    filter(&mut [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        libc::sock_filter { jf: 1, ..step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, call) },
        step(libc::BPF_RET | libc::BPF_K, 0, refused),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ]);
}

fn step(code: u32, jt: usize, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: u16::try_from(code).expect("a code"),
        jt: u8::try_from(jt).expect("a short program"),
        jf: 0,
        k,
    }
}

/// From here on every other system call is deadly, in children too.
fn allow_only(calls: &[libc::c_long]) {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
    let mut program = vec![step(BPF_LD | BPF_W | BPF_ABS, 0, 0)];
    for (i, &call) in calls.iter().enumerate() {
        let call = u32::try_from(call).expect("a number");
        program.push(step(BPF_JMP | BPF_JEQ | BPF_K, calls.len() - i, call));
    }
    program.push(step(BPF_RET | BPF_K, 0, libc::SECCOMP_RET_KILL_PROCESS));
    program.push(step(BPF_RET | BPF_K, 0, libc::SECCOMP_RET_ALLOW));
    filter(&mut program);
}

fn filter(program: &mut [libc::sock_filter]) {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("a short program"),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: takes a right away, and changes no memory.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the program and its array outlive the call, which copies them; its length is given.
    let status =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter) };
    assert_eq!(status, 0, "seccomp: {}", io::Error::last_os_error());
}

/// Locks bytes of a file for that open file alone, without waiting. Whether it has them.
pub(crate) fn lock_bytes(file: &impl AsFd, range: std::ops::Range<i64>) -> bool {
    lock_request(file, libc::F_OFD_SETLK, range).is_ok()
}

/// Where the first of some bytes of a file is that another open file has locked.
pub(crate) fn locked_byte(file: &impl AsFd, range: std::ops::Range<i64>) -> io::Result<Option<i64>> {
    let found = lock_request(file, libc::F_OFD_GETLK, range)?;
    Ok((i32::from(found.l_type) != libc::F_UNLCK).then_some(found.l_start))
}

fn lock_request(
    file: &impl AsFd,
    command: libc::c_int,
    range: std::ops::Range<i64>,
) -> io::Result<libc::flock> {
    let kind = |constant: libc::c_int| libc::c_short::try_from(constant).unwrap_or_default();
    let mut request = libc::flock {
        l_type: kind(libc::F_WRLCK),
        l_whence: kind(libc::SEEK_SET),
        l_start: range.start,
        l_len: range.end - range.start,
        l_pid: 0,
    };
    // SAFETY: the structure outlives the call, which writes nowhere else.
    let status = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &raw mut request) };
    if status == 0 { Ok(request) } else { Err(io::Error::last_os_error()) }
}
