//! No descriptor of ours is 0, 1 or 2: every call that yields one passes through here.
//!
//! A program may run with standard input, output or error closed, as daemons and supervisors do.
//! The kernel then gives the next file that anybody opens such a number, and what the program
//! prints goes into it. So a descriptor below 3 is moved up, and the low number closed, before
//! anything is done with it: before a record lock is taken on the file, which closing the low
//! number would drop.
//!
//! Between the two system calls another thread may still print. From the first low number on, the
//! free ones are therefore taken by descriptors that cannot be read or written (`O_PATH`), for as
//! long as a call lasts that yields a descriptor: printing fails as it does where they are closed.
//! A process in which 0, 1 and 2 are open pays a comparison for all that.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{self, Mode, OFlags};

use super::{Errno, Result};

/// The lowest number that may be ours.
const FIRST: i32 = 3;

/// Whether the kernel gave us a low number, and not all of them were taken since.
static LOW_ARE_FREE: AtomicBool = AtomicBool::new(false);

pub(super) fn is_low(descriptor: &OwnedFd) -> bool {
    descriptor.as_raw_fd() < FIRST
}

/// What `open` opens, under a number that is not low.
///
/// # Errors
/// Those of `open`; EMFILE where only low numbers are free.
#[inline]
pub(crate) fn own(open: impl FnOnce() -> Result<OwnedFd>) -> Result<OwnedFd> {
    let _taken = guard();
    move_up(open()?)
}

/// The same for what can be made once more: what had a low number is thrown away, with whatever
/// another thread may have written into it.
#[inline]
pub(crate) fn own_new(mut make: impl FnMut() -> Result<OwnedFd>) -> Result<OwnedFd> {
    let taken = guard();
    let made = make()?;
    drop(taken);
    if !is_low(&made) {
        return Ok(made);
    }
    drop(made);
    LOW_ARE_FREE.store(true, Ordering::Relaxed);
    own(make)
}

/// For a call that may yield any number of descriptors, each of which goes to [`move_up`]: while
/// the value lives, the kernel gives no low numbers, if it gave one before.
#[inline]
pub(crate) fn guard() -> Option<Taken> {
    LOW_ARE_FREE.load(Ordering::Relaxed).then(Taken::take)
}

/// The same open file under a number that is not low; the low one is closed.
#[inline]
pub(crate) fn move_up(given: OwnedFd) -> Result<OwnedFd> {
    if is_low(&given) { moved(&given) } else { Ok(given) }
}

#[cold]
pub(super) fn moved(given: &OwnedFd) -> Result<OwnedFd> {
    LOW_ARE_FREE.store(true, Ordering::Relaxed);
    rustix::io::fcntl_dupfd_cloexec(given, FIRST).map_err(|errno| match errno {
        // The limit itself is 3 or less.
        Errno::INVAL => Errno::MFILE,
        other => other,
    })
}

/// The low numbers that were free, taken by descriptors that can only be closed.
#[derive(Debug)]
pub(crate) struct Taken {
    _descriptors: Vec<OwnedFd>,
}

impl Taken {
    #[cold]
    fn take() -> Self {
        let mut descriptors = Vec::new();
        let nothing = || fs::open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        while let Ok(descriptor) = nothing() {
            if !is_low(&descriptor) {
                break;
            }
            descriptors.push(descriptor);
        }
        if descriptors.is_empty() {
            LOW_ARE_FREE.store(false, Ordering::Relaxed);
        }
        Taken { _descriptors: descriptors }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, BorrowedFd};

    use super::*;
    use crate::sys::foreign;
    use crate::sys::object::{self, Pages};

    /// Runs `body` in a child of this process in which 0, 1 and 2 are closed; it says what is wrong
    /// by panicking.
    #[expect(unsafe_code, reason = "forks, and closes the child's own descriptors")]
    fn with_low_numbers_free(body: impl FnOnce()) {
        // SAFETY: the child calls what is safe after a fork of a program with threads, as no test
        // here holds a mutex that it takes.
        let child = unsafe { libc::fork() };
        if child == 0 {
            for number in 0..FIRST {
                // SAFETY: the child's own copy, which it does not use.
                unsafe { libc::close(number) };
            }
            let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_ok();
            // SAFETY: ends the child without the parent's handlers.
            unsafe { libc::_exit(i32::from(!held)) };
        }
        let mut status = 0;
        // SAFETY: our own child, and room for its status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "the child says that it does not hold");
    }

    /// What another process has under a number may be any file. To close a second descriptor of one
    /// on which this process has a record lock would drop that lock; to keep one that can be
    /// written under 1 or 2 would have the program print into the file.
    #[test]
    fn a_low_number_of_another_file_is_closed_only_where_it_could_be_written() {
        use rustix::fs::{FlockOperation, fcntl_lock};
        let path = std::env::temp_dir().join(format!("areas-low-{}", std::process::id()));
        let file = std::fs::File::options().create(true).truncate(true).read(true).write(true).open(&path);
        let file = file.unwrap();
        let reading = crate::sys::text::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        with_low_numbers_free(|| {
            // Whether this process has a record lock on the file, as the kernel reports it.
            let is_locked = |file: &std::fs::File| {
                let inode = fs::fstat(file).unwrap().st_ino;
                let locks = crate::sys::text::read_to_string("/proc/locks").unwrap();
                let own = format!(" {} ", std::process::id());
                locks.lines().any(|line| {
                    line.contains("POSIX") && line.contains(&own) && line.contains(&format!(":{inode} "))
                })
            };
            let process = crate::sys::process::open(std::process::id()).unwrap();
            let take = |number: i32| {
                // As if they had become free since the last call.
                LOW_ARE_FREE.store(false, Ordering::Relaxed);
                crate::sys::process::take_descriptor(process.as_fd(), number)
            };
            if let Err(errno) = take(reading.as_raw_fd()) {
                // A sandbox: what cannot be taken cannot be left wrongly.
                assert!([Errno::PERM, Errno::NOSYS].contains(&errno), "{errno}");
                return;
            }
            crate::sys::checked_fd::open_under(0).expect("kept");

            // A memory object that no process has locked: the number is free again.
            let object = object::create(c"low", Pages::Base).unwrap();
            let taken = take(object.as_raw_fd()).unwrap();
            assert!(taken.as_raw_fd() >= FIRST);
            assert_eq!(crate::sys::checked_fd::open_under(1), Err(Errno::BADF));

            // A file that can be read only: kept, and the lock with it.
            fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
            assert!(is_locked(&file));
            let taken = take(reading.as_raw_fd()).unwrap();
            assert!(taken.as_raw_fd() >= FIRST);
            assert!(crate::sys::checked_fd::open_under(1).is_ok() && is_locked(&file));
            foreign::keep(taken);

            // One that can be written.
            let taken = take(file.as_raw_fd()).unwrap();
            assert!(taken.as_raw_fd() >= FIRST);
            assert_eq!(crate::sys::checked_fd::open_under(2), Err(Errno::BADF));
            foreign::keep(taken);
        });
    }

    fn are_free() -> bool {
        (0..FIRST).all(|number| crate::sys::checked_fd::open_under(number) == Err(Errno::BADF))
    }

    #[test]
    fn what_is_made_has_no_low_number_and_low_ones_stay_free() {
        with_low_numbers_free(|| {
            for _ in 0..3 {
                let made = object::create(c"low", Pages::Base).unwrap();
                assert!(made.as_raw_fd() >= FIRST && are_free());
                let opened = own(|| fs::open(c"/", OFlags::PATH, Mode::empty())).unwrap();
                assert!(opened.as_raw_fd() >= FIRST && are_free());
                let flags = rustix::io::fcntl_getfd(&opened).unwrap();
                assert!(LOW_ARE_FREE.load(Ordering::Relaxed), "{flags:?}");
            }
        });
    }

    #[test]
    fn after_the_first_one_the_kernel_gives_no_low_number_at_all() {
        with_low_numbers_free(|| {
            let first = own(|| fs::open(c"/", OFlags::PATH, Mode::empty())).unwrap();
            let mut given = None;
            let second = own(|| {
                let opened = fs::open(c"/", OFlags::PATH, Mode::empty());
                given = opened.as_ref().ok().map(AsRawFd::as_raw_fd);
                // What another thread prints concurrently goes nowhere. (The numbers are open, for
                // a path alone.)
                for number in 0..FIRST {
                    assert!(crate::sys::checked_fd::open_under(number).is_ok());
                }
                opened
            });
            assert_eq!(given, Some(second.unwrap().as_raw_fd()));
            drop(first);
            assert!(are_free());
        });
    }

    #[test]
    fn who_has_only_low_numbers_left_reaches_a_limit() {
        with_low_numbers_free(|| {
            let open = crate::sys::file::open_at(crate::sys::file::CWD, c"/", OFlags::PATH, 0).unwrap();
            let limit = |most| {
                rustix::process::setrlimit(
                    rustix::process::Resource::Nofile,
                    rustix::process::Rlimit { current: Some(most), maximum: Some(1 << 10) },
                )
                .unwrap();
            };
            for most in [1, 3] {
                limit(most);
                assert_eq!(object::create(c"low", Pages::Base).err(), Some(Errno::MFILE), "limit {most}");
                assert!(are_free());
            }
            limit(1 << 10);
            let again: BorrowedFd<'_> = open.as_fd();
            assert!(again.as_raw_fd() >= FIRST);
        });
    }

    /// The other files of the library and of the C edge open nothing by themselves. (What the
    /// standard library copies, `try_clone`, has numbers from 3 on.)
    #[test]
    fn nothing_else_yields_a_descriptor() {
        const OPENERS: [&str; 10] = [
            "fs::read(",
            "fs::read_to_string(",
            "read_dir(",
            "File::open",
            "File::create",
            "File::options",
            "OpenOptions",
            "UnixStream",
            "UnixListener",
            "UnixDatagram",
        ];
        fn look(folder: &std::path::Path, seen: &mut usize) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                // What is compiled for tests and fuzzing alone.
                if ["tests", "tests.rs", "testing.rs", "costs", "fuzz.rs"].contains(&&*name)
                    || name.starts_with("kernel_tests")
                {
                    continue;
                }
                if path.is_dir() {
                    look(&path, seen);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
                for opener in OPENERS {
                    let uses = text.lines().any(|line| {
                        line.contains(opener)
                            && !line.contains("text::")
                            && !line.trim_start().starts_with("//")
                    });
                    assert!(
                        !uses,
                        "{} uses {opener}: sys/text.rs and sys/file.rs have what is needed",
                        path.display()
                    );
                }
                *seen += 1;
            }
        }
        let library = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut seen = 0;
        look(&library.join("src"), &mut seen);
        // The library can be tested without the rest of the project around it.
        let edge = library.join("../areas-capi/src");
        if edge.is_dir() {
            look(&edge, &mut seen);
        }
        assert!(seen > 100, "{seen} files");
    }
}
