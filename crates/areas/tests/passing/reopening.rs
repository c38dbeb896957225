//! Whoever has memory for reading only does not come to write it by opening its file again, as
//! another user either: measured by trying it with another user's rights.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use areas::{AnyArea, registry};
use areas_testing::{Process, descriptors};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;

use super::memfd;
use super::support::{is_root, skip};

/// The user nobody's.
const OTHER: u32 = 65534;

/// Whether the test can have another user's rights; says so where not.
fn can_be_another(test: &str) -> bool {
    if !is_root() {
        skip(test, "needs root, to open files as another user");
    }
    is_root()
}

/// Opens the file of a descriptor again, with the rights that another user has who was given it.
fn reopen_as_other(fd: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/thread-self/fd/{}", fd.as_raw_fd());
    // A thread's own; the kernel takes away what root may do to files along with it.
    let opened = std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            // SAFETY: a number only.
            #[expect(unsafe_code, reason = "no other call changes it for one thread")]
            unsafe {
                libc::setfsgid(OTHER)
            };
            // SAFETY: a number only.
            #[expect(unsafe_code, reason = "no other call changes it for one thread")]
            unsafe {
                libc::setfsuid(OTHER)
            };
            rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())
        });
        work.join().unwrap()
    });
    // A change of user keeps others from looking into this process.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable).unwrap();
    opened
}

/// Where `/proc` shows this process's descriptors of memory of a name: none that it was given.
fn paths_of(name: &str) -> Vec<PathBuf> {
    let all = descriptors::of(Process::Own).unwrap().into_iter();
    all.filter(|one| one.target.contains(name)).map(|one| one.path).collect()
}

/// The modes of the files behind them.
fn modes_of(name: &str) -> Vec<u32> {
    paths_of(name).iter().map(|path| std::fs::metadata(path).unwrap().mode() & 0o7777).collect()
}

fn mode(fd: BorrowedFd<'_>) -> u32 {
    rustix::fs::fstat(fd).unwrap().st_mode & 0o7777
}

#[test]
fn a_clone_for_reading_only_is_closed_to_others_first() {
    if !can_be_another("a_clone_for_reading_only_is_closed_to_others_first") {
        return;
    }
    let name = format!("test: closed to others {}", std::process::id());
    let area = areas::builder(4096).name(&name).shared().unwrap();
    let clone = registry::find(&name).unwrap().open_read_only().unwrap();
    assert_eq!(modes_of(&name), [0o600; 2]);
    for fd in [clone.as_fd(), area.as_fd()] {
        assert_eq!(reopen_as_other(fd, OFlags::RDWR).unwrap_err(), Errno::ACCESS);
    }
    area.store(0, 7_u8, std::sync::atomic::Ordering::Relaxed).unwrap();
    assert_eq!(clone.load::<u8>(0, std::sync::atomic::Ordering::Relaxed).unwrap(), 7);
}

#[test]
fn memory_of_other_programs_too() {
    if !can_be_another("memory_of_other_programs_too") {
        return;
    }
    for before in [0o777, 0o666, 0o622, 0o600, 0o644] {
        let memory = memfd(4096, MemfdFlags::empty(), SealFlags::SHRINK | SealFlags::GROW);
        rustix::fs::fchmod(&memory, Mode::from_raw_mode(before)).unwrap();
        let mut area = AnyArea::from_descriptor(memory).unwrap();
        let name = format!("test: of others, {before:o} {}", std::process::id());
        area.publish(&name).unwrap();
        assert_eq!(modes_of("a stranger's"), [before], "it is as it came");
        let clone = registry::find(&name).unwrap().open_read_only().unwrap();
        // Who may read it may go on to.
        let expected = if before & 0o022 == 0 { before } else { 0o600 };
        assert_eq!(modes_of("a stranger's"), [expected; 2], "{before:o}");
        let opened = reopen_as_other(clone.as_fd(), OFlags::RDWR);
        assert_eq!(opened.unwrap_err(), Errno::ACCESS, "{before:o}");
    }
}

#[test]
fn a_descriptor_that_the_program_gets_is_closed_to_others() {
    if !can_be_another("a_descriptor_that_the_program_gets_is_closed_to_others") {
        return;
    }
    let area = areas::builder(4096).shared().unwrap();
    let resizable = areas::builder(4096).resizable(8192).unwrap();
    for fd in [area.as_fd(), resizable.as_fd(), area.object().as_fd()] {
        assert_eq!(mode(fd), 0o600);
        // As a program does by itself that passes it on.
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let reading = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        for flags in [OFlags::RDWR, OFlags::WRONLY, OFlags::RDONLY] {
            assert_eq!(reopen_as_other(reading.as_fd(), flags).unwrap_err(), Errno::ACCESS, "{flags:?}");
        }
    }
}

/// What is marked in the mode stays: that it is retired.
#[test]
fn marks_stay() {
    let name = format!("test: marked {}", std::process::id());
    let mut area = areas::builder(4096).name(&name).shared().unwrap();
    let found = registry::find(&name).unwrap();
    area.retire().unwrap();
    assert_eq!(mode(area.as_fd()), 0o640);
    assert!(found.open_read_only().is_err());
    assert_eq!(mode(area.as_fd()), 0o640);
}

/// A record lock of another holder's, on all of it and for good, keeps no process from reading.
#[test]
fn a_record_lock_of_others_delays_no_reader() {
    let name = format!("test: locked {}", std::process::id());
    let area = areas::builder(4096).name(&name).shared().unwrap();
    let found = registry::find(&name).unwrap();
    let other = std::fs::File::options().read(true).write(true).open(&paths_of(&name)[0]).unwrap();
    let all = libc::flock {
        l_type: libc::F_WRLCK.try_into().unwrap(),
        l_whence: libc::SEEK_SET.try_into().unwrap(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: an open file and a lock that are there during the call.
    #[expect(unsafe_code, reason = "rustix has no locks of open files")]
    let locked = unsafe { libc::fcntl(other.as_raw_fd(), libc::F_OFD_SETLK, &raw const all) };
    assert_eq!(locked, 0);
    let begun = std::time::Instant::now();
    let clone = found.open_read_only().unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(modes_of(&name).iter().filter(|&&mode| mode == 0o600).count(), modes_of(&name).len());
    drop((clone, area, other));
}
