//! What each system call can fail with: up to five error numbers of its man page that an area could
//! meet.

use anyhow::{Result, bail};
use libc::*;

use crate::call::Call;

/// From the ERRORS sections of section 2 of the Linux man pages (6.9), by call.
pub(crate) static TABLE: &[(&str, &[i32])] = &[
    ("accept4", &[EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM]),
    ("bind", &[EACCES, EADDRINUSE, ENOENT, ENOMEM, EROFS]),
    ("cachestat", &[ENOSYS, EOPNOTSUPP, EPERM, EINVAL]),
    ("clone3", &[EAGAIN, ENOMEM, EPERM]),
    ("close", &[EINTR, EIO]),
    ("connect", &[EACCES, ECONNREFUSED, EPROTOTYPE, ENOMEM]),
    ("dup3", &[EBUSY, EINTR, EMFILE]),
    ("fallocate", &[ENOSPC, EINTR, EIO, EFBIG, EPERM]),
    ("fchmod", &[EPERM, EIO, EROFS]),
    ("fcntl(F_ADD_SEALS)", &[EPERM, EBUSY, EINVAL]),
    ("fcntl(F_DUPFD_CLOEXEC)", &[EMFILE, EBADF]),
    ("fcntl(F_GETFL)", &[EBADF]),
    ("fcntl(F_GETLK)", &[EBADF, EINTR, EINVAL]),
    ("fcntl(F_GET_SEALS)", &[EINVAL]),
    ("fcntl(F_OFD_GETLK)", &[EBADF, EINVAL]),
    ("fcntl(F_OFD_SETLK)", &[EAGAIN, ENOLCK, EINVAL]),
    ("fcntl(F_SETLK)", &[EAGAIN, EACCES, ENOLCK, EDEADLK, EINTR]),
    ("flock", &[EWOULDBLOCK, EINTR, ENOLCK]),
    ("fstat", &[ENOMEM, EOVERFLOW, EBADF]),
    ("fstatfs", &[EIO, EINTR, ENOMEM, ENOSYS]),
    ("ftruncate", &[EINTR, EIO, EFBIG, EPERM, EINVAL]),
    ("futex(WAIT)", &[EAGAIN, EINTR, ETIMEDOUT, EFAULT]),
    ("futex(WAKE)", &[EFAULT, EINVAL]),
    ("futex(WAKE_OP)", &[EFAULT, EINVAL, ENOSYS]),
    ("get_mempolicy", &[EPERM, ENOSYS, EFAULT, EINVAL]),
    ("getdents64", &[EBADF, EINVAL]),
    ("getsockopt", &[ENOTSOCK, EINVAL, ENOMEM]),
    ("ioctl", &[ENOTTY, EINVAL, EFAULT]),
    ("kill", &[EPERM]),
    ("listen", &[EADDRINUSE, EOPNOTSUPP]),
    ("lseek", &[EINVAL, ENXIO]),
    ("madvise(MADV_COLLAPSE)", &[EAGAIN, EBUSY, ENOMEM, EINVAL]),
    ("madvise(MADV_DONTDUMP)", &[EINVAL, EAGAIN]),
    ("madvise(MADV_DONTFORK)", &[EINVAL, EAGAIN, ENOMEM]),
    ("madvise(MADV_HUGEPAGE)", &[EINVAL]),
    ("madvise(MADV_POPULATE_READ)", &[ENOMEM, EFAULT, EINVAL, EHWPOISON, EAGAIN]),
    ("madvise(MADV_POPULATE_WRITE)", &[ENOMEM, EFAULT, EINVAL, EHWPOISON, EAGAIN]),
    ("madvise(MADV_WIPEONFORK)", &[EINVAL, ENOMEM]),
    ("mbind", &[EPERM, ENOSYS, EINVAL, ENOMEM, EIO]),
    ("memfd_create", &[EMFILE, ENFILE, ENOMEM, EPERM, EINVAL]),
    ("mincore", &[EAGAIN, ENOMEM]),
    ("mkdirat", &[EACCES, ENOENT, ENOSPC, EROFS, EDQUOT]),
    ("mlock", &[ENOMEM, EAGAIN, EPERM]),
    ("mlock2", &[ENOMEM, EAGAIN, EPERM]),
    ("mmap", &[ENOMEM, EAGAIN, EACCES, EPERM, ENFILE]),
    ("move_pages", &[EPERM, ENOMEM, EACCES]),
    ("mprotect", &[ENOMEM, EACCES]),
    ("mremap", &[ENOMEM, EAGAIN]),
    ("munlock", &[ENOMEM, EPERM]),
    ("munmap", &[ENOMEM, EINVAL]),
    ("newfstatat", &[EACCES, ENOENT, ENOMEM, ELOOP]),
    ("openat", &[EMFILE, ENFILE, EACCES, ENOENT, EINTR]),
    ("pidfd_getfd", &[EPERM, ESRCH, EMFILE, EBADF]),
    ("pidfd_open", &[EMFILE, ENODEV, ENOMEM, ESRCH]),
    ("pread64", &[EIO, EINTR]),
    ("ppoll", &[EINTR, EINVAL, ENOMEM]),
    ("prctl", &[EINVAL]),
    ("process_vm_writev", &[EPERM, EFAULT, ENOMEM, ESRCH]),
    ("pwrite64", &[ENOSPC, EIO, EINTR, EDQUOT, EPERM]),
    ("read", &[EIO, EINTR, ESRCH]),
    ("readlink", &[EACCES, ENOMEM, EIO]),
    ("readlinkat", &[EACCES, ENOMEM, EIO]),
    ("recvfrom", &[ENOMEM, ECONNREFUSED]),
    ("recvmsg", &[EINTR, EAGAIN, ENOMEM, ECONNREFUSED]),
    ("sched_getaffinity", &[EINVAL, ESRCH]),
    ("sched_setaffinity", &[EINVAL, EPERM]),
    ("sendmsg", &[EACCES, EPIPE, ENOBUFS, EAGAIN, EINTR]),
    ("set_mempolicy_home_node", &[ENOSYS, EINVAL]),
    ("setsockopt", &[ENOPROTOOPT, EINVAL, ENOMEM]),
    ("socket", &[EMFILE, ENFILE, ENOBUFS, EACCES, EAFNOSUPPORT]),
    ("statx", &[EACCES, ENOENT, ENOMEM, ELOOP]),
    ("symlinkat", &[EACCES, EEXIST, ENOENT, ENOSPC, EROFS]),
    ("unlinkat", &[EACCES, EBUSY, EIO, ENOENT, EROFS]),
    ("write", &[ENOSPC, EIO, EINTR]),
];

/// Calls that are not made to fail, and why.
pub(crate) static NOT_OURS: [&str; 5] = [
    "malloc's `brk`, `mmap`, `munmap`, `madvise` and `mprotect`, which end the program or are malloc's to bear",
    "what the C library does as a thread begins and ends (its stack, its masks, `rseq`), but not `clone3`, by which it is made",
    "`getrandom` and `clock_nanosleep` of the standard library, and the `futex` calls of its mutexes and channels",
    "ENOENT of `getdents64` and `readlinkat`, which would contradict what the folder's own time says",
    "`getpid`, `getuid`, `geteuid`, `getcpu`, `clock_gettime`, `prlimit64` and `sysinfo`, which cannot fail as they are called",
];

/// Calls that the kernel does not refuse with the arguments that they have here.
pub(crate) fn cannot_fail(name: &str) -> bool {
    matches!(
        name,
        "getpid"
            | "gettid"
            | "geteuid"
            | "getuid"
            | "getcpu"
            | "clock_gettime"
            | "prlimit64"
            | "sysinfo"
            | "sched_yield"
            | "getrandom"
            | "futex(private)"
    )
}

/// Calls that a signal may interrupt at any time, which is no failure: they are made again.
pub(crate) fn is_made_again(name: &str) -> bool {
    matches!(
        name,
        "openat" | "read" | "pread64" | "pwrite64" | "ftruncate" | "fallocate" | "sendmsg" | "recvmsg"
    )
}

/// Calls that the library makes through the standard library, or a function of the C library; and
/// the making of threads.
pub(crate) fn is_about_files(name: &str) -> bool {
    matches!(
        name,
        "openat"
            | "read"
            | "close"
            | "fstat"
            | "newfstatat"
            | "statx"
            | "getdents64"
            | "lseek"
            | "readlink"
            | "readlinkat"
            | "write"
            | "pread64"
            | "recvmsg"
            | "clone3"
    )
}

/// What a call can fail with.
pub(crate) fn of(call: &Call) -> Result<&'static [i32]> {
    let name = call.name();
    match TABLE.iter().find(|(known, _)| *known == name) {
        Some((_, errnos)) => Ok(errnos),
        None => bail!("no error numbers are known for {name}: add them to the table"),
    }
}

/// The words by which an error may name a call.
pub(crate) fn words_for(call: &str) -> impl Iterator<Item = &'static str> {
    let base = call.split('(').next().unwrap_or_default();
    let words: &[&str] = match base {
        // The standard library reads whole files: its error does not say which of the calls it
        // was.
        "openat" => &["open", "cannot be read"],
        // By which a folder is opened to be read.
        "fcntl" => &["getdents64"],
        "mkdirat" => &["mkdir"],
        "newfstatat" | "statx" => &["stat"],
        "ppoll" => &["poll"],
        "recvfrom" => &["recv"],
        "pread64" => &["pread"],
        "pwrite64" => &["pwrite"],
        "mlock2" => &["mlock"],
        "readlinkat" => &["readlink"],
        _ => &[],
    };
    let whole = TABLE.iter().map(|(name, _)| name.split('(').next().unwrap_or_default());
    let base = base.to_owned();
    words.iter().copied().chain(whole.filter(move |name| *name == base))
}
