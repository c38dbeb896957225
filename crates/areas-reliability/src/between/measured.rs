//! Whether an area is what it says, by the kernel's word; and that using it faults nowhere.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::Ordering;

use areas::{Area, Extent, Frozen, Lock, PageSize, Protection, Resizable, Shared};
use areas_testing::{pagemap, smaps};
use rustix::fs::{SealFlags, fcntl_get_seals, fstat};

use crate::operation::{checked, is};

fn size_of(fd: BorrowedFd<'_>) -> Result<usize, String> {
    let stat = fstat(fd).map_err(|errno| format!("fstat: {errno}"))?;
    usize::try_from(stat.st_size).map_err(|_| "a negative size".to_owned())
}

fn sealed(fd: BorrowedFd<'_>, seals: SealFlags) -> Result<(), String> {
    let has = fcntl_get_seals(fd).map_err(|errno| format!("fcntl(F_GET_SEALS): {errno}"))?;
    is(has.contains(seals), || format!("its seals are {has:?}, and it needs {seals:?}"))
}

/// Bytes at its beginning and its end are read, by way of the mapping and by way of the descriptor:
/// they are the same.
fn ends(
    fd: BorrowedFd<'_>,
    size: usize,
    read: impl Fn(usize, &mut [u8]) -> areas::Result<()>,
) -> Result<(), String> {
    for at in [0, size / 2, size.saturating_sub(1)] {
        let (mut mapped, mut file) = ([0; 1], [0; 1]);
        checked(read(at, &mut mapped))?;
        let got = rustix::io::pread(fd, &mut file, at as u64).map_err(|errno| format!("pread: {errno}"))?;
        is(got == 1 && mapped == file, || {
            format!("byte {at} is {mapped:?} in the mapping and {file:?} in the file")
        })?;
    }
    Ok(())
}

/// An area that others may write: what its size promises is there.
pub(super) fn shared(area: &Area<Shared>) -> Result<(), String> {
    let fd = area.as_fd();
    sealed(fd, SealFlags::SHRINK)?;
    let (size, file) = (area.size(), size_of(fd)?);
    is(size <= file, || format!("it says {size} bytes, and the kernel {file}"))?;
    match area.object().extent() {
        Extent::Fixed => {
            sealed(fd, SealFlags::GROW)?;
            is(file - size < area.object().page_size().bytes(), || {
                format!("it says {size} bytes, fixed, and the kernel {file}")
            })?;
        }
        // Others may make the object larger than that; what the area says is what can be accessed.
        Extent::Growable { max } => {
            is(size <= max, || format!("it says {size} bytes, and that it grows to {max}"))?;
        }
        other => return Err(format!("its extent is {other:?}")),
    }
    // What may not be read says so. Of no bytes there is none to be read.
    if size > 0 && area.protection().contains(Protection::READ) {
        ends(fd, size, |at, into| area.read_at(at, into))?;
        checked(area.load::<u8>(size - 1, Ordering::Relaxed)).map(drop)?;
    }
    lock(area.as_ptr(), size, area.lock())
}

/// One that may shrink: it answers, and never faults.
pub(super) fn resizable(area: &Area<Resizable>) -> Result<(), String> {
    let (size, file) = (area.size(), size_of(area.as_fd())?);
    is(size == file, || format!("it says {size} bytes, and the kernel {file}"))?;
    let mut byte = [0];
    // Before its end a byte, behind it an error.
    for at in [0, size.saturating_sub(1), size, area.reserve()] {
        let read = area.read_at(at, &mut byte);
        is(read.is_ok() == (at < size), || format!("of {size} bytes, number {at} gives {read:?}"))?;
    }
    if size > 0 { ends(area.as_fd(), size, |at, into| area.read_at(at, into)) } else { Ok(()) }
}

/// One whose bytes are lent: they stay.
pub(super) fn frozen(area: &Area<Frozen>) -> Result<(), String> {
    let fd = area.as_fd();
    sealed(fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    let (size, file) = (area.size(), size_of(fd)?);
    is(size <= file, || format!("it says {size} bytes, and the kernel {file}"))?;
    is(area.len() == size, || format!("{} bytes are lent of {size}", area.len()))?;
    let sum = area.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let mut file = vec![0; size];
    let got = rustix::io::pread(fd, &mut file, 0).map_err(|errno| format!("pread: {errno}"))?;
    let other = file.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    is(got == size && sum == other, || "its bytes are not those of the file".to_owned())
}

/// What the kernel says of a mapping's lock and page frames.
fn lock(address: *const u8, size: usize, says: Lock) -> Result<(), String> {
    // Of no bytes there are none to be locked.
    if says == Lock::None || size == 0 {
        return Ok(());
    }
    let measured = smaps::at(address.addr());
    is(measured.as_ref().is_some_and(|one| one.has("lo")), || {
        format!("it says that it is locked ({says:?}), and the kernel: {measured:?}")
    })?;
    if matches!(says, Lock::Contiguous | Lock::Low | Lock::Full32 | Lock::Contiguous32) {
        frames(address, size, says)?;
    }
    Ok(())
}

/// Whether the page frames are as a lock demands, where they may be seen.
fn frames(address: *const u8, size: usize, says: Lock) -> Result<(), String> {
    let page = PageSize::base().bytes();
    let frames = pagemap::frames(address.addr(), size);
    if frames.iter().all(|&frame| frame == 0) {
        // Who may not see them cannot say.
        return Ok(());
    }
    let contiguous = frames.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    let end = (frames.iter().max().copied().unwrap_or(0) + 1) * page as u64;
    let good = match says {
        Lock::Contiguous => contiguous,
        Lock::Low => contiguous && end <= 16 << 20,
        Lock::Full32 => end <= 1 << 32,
        _ => contiguous && end <= 1 << 32,
    };
    is(good, || format!("it says {says:?}, and its page frames are not so"))
}
