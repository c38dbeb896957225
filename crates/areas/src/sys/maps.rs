//! What is mapped in this process, and what of: asked of the kernel for a few addresses
//! (`PROCMAP_QUERY`, Linux 6.11), or read from the text of `/proc/PID/maps`, the only place where
//! such text is parsed.

#![expect(unsafe_code, reason = "a system call that writes a structure; the block has its proof")]

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use linux_raw_sys::general::{procmap_query, procmap_query_flags as flag};
use rustix::ioctl;

use super::checked_fd::CheckedFd;
pub(crate) use super::region::{Region, listed, named};
use super::{Errno, Result};

/// Of this process, also once its first thread has ended: `/proc/self` is that one's.
const OWN: &str = "/proc/thread-self/maps";

/// The text of this process's `maps`.
pub(crate) fn read_own() -> std::io::Result<String> {
    super::text::read_lossy(OWN)
}

/// The mappings that lie in a range of this process's addresses, or reach into it, in order.
///
/// Three system calls where the kernel answers questions and it is one mapping, one more for each
/// other one; else the whole text is read. Other threads may map and unmap concurrently: each
/// answer is of its moment.
pub(crate) fn within(range: Range<usize>) -> Result<Vec<Region>> {
    let file = match super::text::open(OWN).map_err(errno_of) {
        // None is free: the one that is kept open, if there is one.
        Err(errno @ (Errno::MFILE | Errno::NFILE)) => return asked_by_kept(range).ok_or(errno),
        opened => opened?,
    };
    match asked(&file, range.clone()) {
        Some(answer) => answer,
        None => {
            let regions = in_text(file)?;
            Ok(regions
                .into_iter()
                .filter(|region| region.start < range.end && region.end > range.start)
                .collect())
        }
    }
}

/// What is mapped at one address, as far as it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Mapped(Region),
    Nothing,
    /// No descriptor is kept open to ask by: [`keep_open`].
    NotAsked,
    /// This kernel answers no questions, or not to us.
    CannotBeAsked,
}

/// The number of a descriptor of this process's `maps` that stays open, so that a question is one
/// system call. Only the program itself closes it.
///
/// A number that the program has closed, and another file has, answers nothing that could be taken
/// for an answer: no file but a `maps` knows the question.
static KEPT: AtomicI32 = AtomicI32::new(NOT_OPEN);
const NOT_OPEN: i32 = -1;
/// It makes no sense to try again.
const NO_USE: i32 = -2;
/// Its owner.
static OWNER: Mutex<Option<CheckedFd>> = Mutex::new(None);
/// The process whose maps it is.
static KEPT_BY: AtomicU32 = AtomicU32::new(0);

/// What is mapped at an address: one system call, which opens and allocates nothing, and never
/// waits.
#[inline]
pub(crate) fn at(address: usize) -> At {
    let number = KEPT.load(Ordering::Acquire);
    match number {
        NO_USE => return At::CannotBeAsked,
        ..0 => return At::NotAsked,
        _ => {}
    }
    // SAFETY: the number is borrowed for one question that changes nothing; of one that the program
    // has closed the kernel says EBADF, and of another file there ENOTTY. (It is not -1: just
    // looked at.)
    let maps = unsafe { BorrowedFd::borrow_raw(number) };
    match query(maps, address, 0) {
        Ok(Some(region)) => At::Mapped(region),
        Ok(None) => At::Nothing,
        // Another thread is being killed, or no memory for it: another time.
        Err(Errno::INTR | Errno::NOMEM | Errno::SRCH) => At::NotAsked,
        Err(_) => {
            // The program has closed it, and may have another file there.
            let _ = KEPT.compare_exchange(number, NOT_OPEN, Ordering::AcqRel, Ordering::Relaxed);
            At::NotAsked
        }
    }
}

/// Opens what [`at`] asks by, if it is not open.
#[inline]
pub(crate) fn keep_open() {
    if KEPT.load(Ordering::Relaxed) == NOT_OPEN {
        open_kept();
    }
}

#[cold]
fn open_kept() {
    // Who finds it taken asks the next time.
    let Ok(mut owner) = OWNER.try_lock() else { return };
    if KEPT.load(Ordering::Acquire) != NOT_OPEN {
        return;
    }
    let opened = super::text::open(OWN).map_err(errno_of);
    // Whether it answers at all: the lowest address that is mapped.
    let answers = opened.as_ref().is_ok_and(|file| asked(file, 0..1).is_some());
    match opened {
        Ok(file) if answers => {
            let number = file.as_raw_fd();
            if let Ok(kept) = CheckedFd::new(file.into()) {
                // The one before is not ours to close any more: its number answered no question.
                #[expect(
                    clippy::mem_forget,
                    reason = "dropped, it would look at a number that may be anybody's"
                )]
                std::mem::forget(owner.replace(kept));
                KEPT_BY.store(super::process::pid(), Ordering::Relaxed);
                KEPT.store(number, Ordering::Release);
            }
        }
        Ok(_) | Err(Errno::NOENT | Errno::ACCESS | Errno::PERM) => KEPT.store(NO_USE, Ordering::Release),
        // No descriptor, or no memory for one, at this moment.
        Err(_) => {}
    }
}

/// In a forked child: what is kept open is its parent's maps.
pub(crate) fn leave_to_parent() {
    KEPT.store(NOT_OPEN, Ordering::Release);
    // Where another thread of the parent was about to open it, that is none of ours.
    if let Ok(mut owner) = OWNER.try_lock() {
        drop(owner.take());
    }
}

fn in_text(mut file: File) -> Result<Vec<Region>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(errno_of)?;
    Ok(listed(&String::from_utf8_lossy(&bytes)).collect())
}

/// By questions; `None` where this kernel takes none.
fn asked(file: &File, range: Range<usize>) -> Option<Result<Vec<Region>>> {
    /// Whether a question was refused once: then it is not asked again.
    static REFUSED: AtomicBool = AtomicBool::new(false);
    if REFUSED.load(Ordering::Relaxed) {
        return None;
    }
    match regions(file.as_fd(), range) {
        // Too old a kernel, or a sandbox that forbids what it does not know.
        Err(Errno::NOTTY | Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::ACCESS) => {
            REFUSED.store(true, Ordering::Relaxed);
            None
        }
        answer => Some(answer),
    }
}

/// The same by the descriptor that is kept open; `None` where there is none that answers.
fn asked_by_kept(range: Range<usize>) -> Option<Vec<Region>> {
    let number = KEPT.load(Ordering::Acquire);
    // A forked child that has not begun again has its parent's.
    if number < 0 || KEPT_BY.load(Ordering::Relaxed) != super::process::pid() {
        return None;
    }
    // SAFETY: the number is borrowed for questions that change nothing; of one that the program has
    // closed the kernel says EBADF, and of another file there ENOTTY. (It is not -1: just looked
    // at.)
    let maps = unsafe { BorrowedFd::borrow_raw(number) };
    regions(maps, range).ok()
}

/// What a `maps` answers, one question a mapping.
fn regions(maps: BorrowedFd<'_>, range: Range<usize>) -> Result<Vec<Region>> {
    let mut regions = Vec::new();
    let mut at = range.start;
    while at < range.end {
        match at_or_above(maps, at)? {
            Some(region) if region.end <= at => return Err(Errno::RANGE),
            Some(region) if region.start >= range.end => break,
            Some(region) => {
                at = region.end;
                regions.push(region);
            }
            None => break,
        }
    }
    Ok(regions)
}

/// The mapping that has an address, or the next one above it.
fn at_or_above(maps: BorrowedFd<'_>, address: usize) -> Result<Option<Region>> {
    query(maps, address, flag::PROCMAP_QUERY_COVERING_OR_NEXT_VMA as u64)
}

/// The mapping that is asked for, if there is one.
#[inline]
fn query(maps: BorrowedFd<'_>, address: usize, flags: u64) -> Result<Option<Region>> {
    // SAFETY: a structure of numbers, of which 0 is one.
    let mut query: procmap_query = unsafe { std::mem::zeroed() };
    query.size = size_of::<procmap_query>() as u64;
    query.query_flags = flags;
    query.query_addr = address as u64;
    // SAFETY: the number is that of this question, which takes a structure of this type.
    let question = unsafe { ioctl::Updater::<PROCMAP_QUERY, _>::new(&mut query) };
    // SAFETY: the kernel reads and writes one structure of the size that it says; it asks for no
    // name and no build id, so that nothing else is written.
    match unsafe { ioctl::ioctl(maps, question) } {
        Ok(()) => Region::of(&query).map(Some).ok_or(Errno::RANGE),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// `_IOWR('f', 17, struct procmap_query)`.
pub(super) const PROCMAP_QUERY: ioctl::Opcode = ioctl::opcode::read_write::<procmap_query>(b'f', 17);

pub(crate) fn errno_of(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

/// What could not be looked into at all, for tests of the way by text.
#[cfg(test)]
fn within_by_text(range: Range<usize>) -> Result<Vec<Region>> {
    let file = super::text::open(OWN).map_err(errno_of)?;
    Ok(in_text(file)?
        .into_iter()
        .filter(|region| region.start < range.end && region.end > range.start)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::super::file::Identity;
    use super::*;
    use crate::sys::memory::{At, MapFlags, ProtFlags, map, protect, unmap};
    use rustix::mm::MprotectFlags;
    use std::os::fd::AsFd;

    #[test]
    fn the_descriptor_that_is_kept_open_answers_as_a_new_one_does() {
        keep_open();
        let code = a_line_is_what_the_kernel_writes as fn() as usize;
        if at(code) == super::At::CannotBeAsked {
            eprintln!("SKIPPED: this kernel answers no questions about maps (Linux 6.11)");
            return;
        }
        let range = code..code + 1;
        assert_eq!(asked_by_kept(range.clone()), Some(within(range).unwrap()));
        let own = KEPT_BY.swap(1, Ordering::Relaxed);
        let anothers = asked_by_kept(code..code + 1);
        KEPT_BY.store(own, Ordering::Relaxed);
        assert_eq!(anothers, None, "another process's says nothing of this one");
    }

    #[test]
    fn a_line_is_what_the_kernel_writes() {
        let line = "7f0000001000-7f0000003000 rw-s 00002000 00:01 4711                       /memfd:areas: x y (deleted)";
        let (region, name) = Region::parse(line).unwrap();
        let file = Identity { device: super::super::file::device(0, 1), inode: 4711 };
        let expected = Region {
            start: 0x7f00_0000_1000,
            end: 0x7f00_0000_3000,
            readable: true,
            writable: true,
            executable: false,
            shared: true,
            offset: 0x2000,
            file,
        };
        assert_eq!((region, name), (expected, "/memfd:areas: x y (deleted)"));
        let (bare, name) = Region::parse("1000-2000 ---p 00000000 00:00 0 ").unwrap();
        assert!(!bare.readable && !bare.writable && !bare.executable && !bare.shared && name.is_empty());
        assert_eq!(bare.file, Identity::default());
        assert_eq!(
            Region::parse("1000-2000 --xp 0 fd:10 5").unwrap().0.file.device,
            super::super::file::device(0xfd, 0x10)
        );
    }

    #[test]
    fn what_no_kernel_writes_is_no_line() {
        for line in [
            "",
            "-",
            "junk",
            "1000-2000",
            "1000-2000 rw-p",
            "1000-2000 rw-p 0",
            "1000-2000 rw-p 0 00:00",
            "1000-2000 rw-p 0 0000 0",
            "1000-2000 rw-p x 00:00 0",
            "1000-2000 rw-p 0 00:00 x",
            "1000-2000 rw- 0 00:00 0",
            "1000-2000 rw-pp 0 00:00 0",
            "2000-1000 rw-p 0 00:00 0",
            "1000-1000 rw-p 0 00:00 0",
            "zz-yy rw-p 0 00:00 0",
            "10000000000000000-20000000000000000 rw-p 0 00:00 0",
            "1000-2000 rw-p 0 100000000:00 0",
        ] {
            assert_eq!(Region::parse(line), None, "{line:?}");
        }
        assert_eq!(listed("junk\n1000-2000 rw-p 0 00:00 0\n\nmore junk\n").count(), 1);
    }

    #[test]
    fn questions_and_text_say_the_same() {
        let page = crate::sys::page_size();
        let object = crate::sys::object::create(c"maps", crate::sys::object::Pages::Base).unwrap();
        crate::sys::object::set_size(object.as_fd(), 8 * page as u64).unwrap();
        let base = map(
            At::Anywhere,
            8 * page,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
            Some((object.as_fd(), 0)),
        )
        .unwrap();
        let at = base.addr().get();
        // SAFETY: pages 2 and 3 of 8 that were just mapped, and nothing uses.
        let second = unsafe { base.add(2 * page) };
        // SAFETY: shared pages of this test's, to which there is no reference.
        unsafe { protect(second, 2 * page, MprotectFlags::READ) }.unwrap();
        // SAFETY: page 6 of 8.
        let hole = unsafe { base.add(6 * page) };
        // SAFETY: pages of this test's, to which there is no reference, and which are not used
        // again.
        unsafe { unmap(hole, page) }.unwrap();
        let identity = crate::sys::file::stat(object.as_fd()).unwrap().identity;
        for way in [within, within_by_text] {
            let found = way(at..at + 8 * page).unwrap();
            let shape: Vec<_> = found
                .iter()
                .map(|region| ((region.start - at) / page, (region.end - at) / page, region.writable))
                .collect();
            assert_eq!(shape, [(0, 2, true), (2, 4, false), (4, 6, true), (7, 8, true)]);
            for region in &found {
                assert!(region.shared && region.readable && !region.executable, "{region:?}");
                assert_eq!(region.file, identity);
                assert_eq!(region.offset, (region.start - at) as u64);
            }
            assert_eq!(way(at + 6 * page..at + 7 * page).unwrap(), []);
            // What reaches in from outside is reported whole.
            assert_eq!(way(at + page..at + 2 * page).unwrap(), found[..1]);
        }
        for (from, pages) in [(0, 6), (7, 1)] {
            // SAFETY: what is left of what was mapped above.
            let part = unsafe { base.add(from * page) };
            // SAFETY: pages of this test's, to which there is no reference, and which are not used
            // again.
            unsafe { unmap(part, pages * page) }.unwrap();
        }
        assert_eq!(within(at..at + 8 * page).unwrap(), []);
    }

    proptest::proptest! {
        #[test]
        fn hostile_text_does_no_harm(text in "[0-9a-f :rwxps\n-]{0,200}|.{0,60}") {
            for (region, _) in named(&text) {
                proptest::prop_assert!(region.start < region.end);
            }
        }
    }
}
