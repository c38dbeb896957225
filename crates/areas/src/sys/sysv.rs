//! Segments of System V shared memory: asked after, and removed.

#![expect(unsafe_code, reason = "shmctl; each block has its proof")]

use std::mem::MaybeUninit;
use std::ptr::null_mut;

use super::Result;
use super::memory::last_errno;

/// What the kernel says of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// By which processes find it; 0 where only those with the number do.
    pub key: i32,
    /// Bytes.
    pub size: u64,
    /// How many times it is attached, in all processes of the machine together.
    pub attached: u64,
    /// The process that made it, and the one that attached or detached it last, as this process's
    /// namespace numbers them; 0 where it has none.
    pub maker: u32,
    /// See `maker`.
    pub last: u32,
    /// The user that owns it.
    pub owner: u32,
    /// When it was made, or its owner or mode changed: seconds since 1970.
    pub changed: i64,
    /// Whether it goes with its last process.
    pub is_condemned: bool,
}

/// Asks after a segment: EINVAL or EIDRM where there is none of that number, EACCES for a process
/// that may not read it.
pub(crate) fn look(id: i32) -> Result<Segment> {
    const SHM_DEST: u32 = 0o1000;
    let mut answer = MaybeUninit::<libc::shmid_ds>::zeroed();
    // SAFETY: the structure has the kernel's layout and outlives the call, which writes into it
    // alone.
    if unsafe { libc::shmctl(id, libc::IPC_STAT, answer.as_mut_ptr()) } < 0 {
        return Err(last_errno());
    }
    // SAFETY: zeroed, which is valid for a structure of numbers, and then written by the kernel.
    let answer = unsafe { answer.assume_init() };
    #[expect(clippy::useless_conversion, reason = "other widths on other architectures")]
    Ok(Segment {
        key: answer.shm_perm.__key,
        size: answer.shm_segsz as u64,
        attached: answer.shm_nattch.into(),
        maker: answer.shm_cpid.unsigned_abs(),
        last: answer.shm_lpid.unsigned_abs(),
        owner: answer.shm_perm.uid,
        changed: answer.shm_ctime,
        is_condemned: u32::from(answer.shm_perm.mode) & SHM_DEST != 0,
    })
}

/// Removes a segment: it is not found any more, and its memory goes with the last process that has
/// it attached, at once where none has. EPERM for a user that is neither its owner nor its maker.
pub(crate) fn remove(id: i32) -> Result<()> {
    // SAFETY: the command takes no argument; memory that a process has attached stays.
    let status = unsafe { libc::shmctl(id, libc::IPC_RMID, null_mut()) };
    if status < 0 { Err(last_errno()) } else { Ok(()) }
}
