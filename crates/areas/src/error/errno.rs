//! Error numbers of the kernel, printed by their names.

use std::fmt;

/// An error number of the kernel (`errno`). It prints as its name: `ENOMEM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(i32);

macro_rules! names {
    ($($name:ident = $value:path),* $(,)?) => {
        impl fmt::Display for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $(value if value == $value => f.write_str(stringify!($name)),)*
                    other => write!(f, "errno {other}"),
                }
            }
        }
    };
}

names! {
    E2BIG = libc::E2BIG, EACCES = libc::EACCES, EADDRINUSE = libc::EADDRINUSE, EAFNOSUPPORT = libc::EAFNOSUPPORT, EAGAIN = libc::EAGAIN, EBADF = libc::EBADF, EBUSY = libc::EBUSY,
    ECHILD = libc::ECHILD, ECONNREFUSED = libc::ECONNREFUSED, ECONNRESET = libc::ECONNRESET, EDEADLK = libc::EDEADLK,
    EDQUOT = libc::EDQUOT, EEXIST = libc::EEXIST, EFAULT = libc::EFAULT,
    EFBIG = libc::EFBIG, EHWPOISON = libc::EHWPOISON, EINTR = libc::EINTR, EINVAL = libc::EINVAL, EIO = libc::EIO,
    EISDIR = libc::EISDIR, ELOOP = libc::ELOOP, EMFILE = libc::EMFILE, ENAMETOOLONG = libc::ENAMETOOLONG,
    EMLINK = libc::EMLINK, ENFILE = libc::ENFILE, ENOBUFS = libc::ENOBUFS, ENODEV = libc::ENODEV, ENOENT = libc::ENOENT, ENOLCK = libc::ENOLCK,
    ENOMEM = libc::ENOMEM, ENOSPC = libc::ENOSPC, ENOSYS = libc::ENOSYS, ENOTDIR = libc::ENOTDIR,
    ENOTCONN = libc::ENOTCONN, ENOTEMPTY = libc::ENOTEMPTY, ENOTSOCK = libc::ENOTSOCK, ENOTTY = libc::ENOTTY, ENXIO = libc::ENXIO, EOPNOTSUPP = libc::EOPNOTSUPP, EOVERFLOW = libc::EOVERFLOW,
    EPERM = libc::EPERM, EPIPE = libc::EPIPE, EPROTOTYPE = libc::EPROTOTYPE, ERANGE = libc::ERANGE, EROFS = libc::EROFS, ESPIPE = libc::ESPIPE,
    ESRCH = libc::ESRCH, ESTALE = libc::ESTALE, ETIMEDOUT = libc::ETIMEDOUT, ETOOMANYREFS = libc::ETOOMANYREFS, ETXTBSY = libc::ETXTBSY,
    EXDEV = libc::EXDEV,
}

impl Errno {
    /// Out of memory, or over a limit of it.
    pub const NOMEM: Errno = Errno(libc::ENOMEM);

    /// The number as C knows it.
    #[must_use]
    pub const fn raw(self) -> i32 {
        self.0
    }

    /// From a number as C knows it.
    #[must_use]
    pub const fn from_raw(errno: i32) -> Self {
        Errno(errno)
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        Errno(errno.raw_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_by_name_unknown_by_number() {
        assert_eq!(Errno::from(rustix::io::Errno::NOSPC).to_string(), "ENOSPC");
        assert_eq!(Errno::from_raw(4095).to_string(), "errno 4095");
    }
}
