//! Copies in and out of memory that is never lent, by the kernel: of a file that has become
//! shorter, or a device that has gone, it says so instead of a signal.

#![expect(unsafe_code, reason = "accesses raw memory; each block has its proof")]

use super::{Mapping, Sharing};
use crate::error::{Error, ErrorKind, Result};
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;

impl Mapping {
    /// Copies bytes out, by a system call: for memory that lends none, a file's above all. It never
    /// faults.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond [`size`](Mapping::size), and where a file has become
    /// shorter than that; [`ErrorKind::ReadOnly`] where it may not be read;
    /// [`ErrorKind::NotPermitted`] where a sandbox forbids the call.
    pub fn copy_out(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let from = self.check(offset, into.len(), self.size())?;
        self.allows(Protection::READ, "read from")?;
        // SAFETY: the target is exclusive memory of the caller.
        let copied = unsafe { sys::memory::copy_by_kernel(from.as_ptr(), into.as_mut_ptr(), into.len()) };
        copied_all(copied, offset, into.len(), "read")
    }

    /// Copies bytes in, by a system call. It never faults.
    ///
    /// # Errors
    /// As [`copy_out`](Mapping::copy_out), where it may not be written. Where a file is too short,
    /// what lies before its end is written.
    pub fn copy_in(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        // SAFETY: `&mut self` says that nothing of it is lent.
        unsafe { self.store_by_kernel(offset, bytes) }
    }

    /// The same of memory that is a file's.
    pub(crate) fn write_stored(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        debug_assert!(self.sharing != Sharing::Exclusive);
        if self.sharing == Sharing::Exclusive {
            return Err(Error::new(ErrorKind::Unsupported, "write to a mapping by copies")
                .with_facts("it is private memory"));
        }
        // SAFETY: of memory that others may write, or that is a file's, no reference is ever lent
        // (`lendable`).
        unsafe { self.store_by_kernel(offset, bytes) }
    }

    /// # Safety
    /// No reference into it is alive.
    unsafe fn store_by_kernel(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        let to = self.check(offset, bytes.len(), self.size())?;
        self.allows(Protection::WRITE, "write to")?;
        // SAFETY: the target is inside the mapping (checked), which nothing has a reference to (the
        // caller).
        let copied = unsafe { sys::memory::copy_by_kernel(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
        copied_all(copied, offset, bytes.len(), "write")
    }

    fn allows(&self, needed: Protection, what: &str) -> Result<()> {
        match self.protection.contains(needed) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::ReadOnly, format!("{what} a mapping"))
                .with_facts(format!("its protection is {}", self.protection))),
        }
    }

    /// Has the kernel write what was changed of a shared file to where it is stored, and waits for
    /// that.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] with what msync said; [`ErrorKind::Unsupported`] where there is nothing
    /// that the kernel could write back.
    pub(crate) fn sync(&self) -> Result<()> {
        sys::memory::sync(self.base, self.span).map_err(|errno| {
            let what = format!("write {} to where it is stored", Bytes::from(self.span));
            let call = format!("msync({:p}, {}, MS_SYNC)", self.base, self.span);
            match errno {
                sys::Errno::INVAL => Error::new(ErrorKind::Unsupported, what)
                    .with_system_call(call, errno)
                    .with_facts("a memory device is written by the CPUs themselves, past the kernel")
                    .with_remedy(
                        "flush their caches (CLWB and a fence, as libpmem does) to survive a power failure",
                    ),
                _ => Error::new(ErrorKind::Io, what).with_system_call(call, errno),
            }
        })
    }
}

/// Whether all was copied.
fn copied_all(copied: sys::Result<usize>, offset: usize, len: usize, verb: &str) -> Result<()> {
    let what = || format!("{verb} {len} bytes at offset {offset} of stored memory");
    match copied {
        Ok(copied) if copied == len => Ok(()),
        Ok(_) | Err(sys::Errno::FAULT) => Err(Error::new(ErrorKind::OutOfRange, what())
            .with_system_call("process_vm_writev", sys::Errno::FAULT)
            .with_facts("the file has become shorter, its file system is full, or the device does not answer")
            .with_remedy("do not truncate the file while it is in use; fill its holes before (fallocate)")),
        Err(errno) => Err(Error::new(ErrorKind::NotPermitted, what())
            .with_system_call("process_vm_writev", errno)
            .with_remedy(
                "a sandbox may forbid it: allow process_vm_writev, which is used on this process itself",
            )),
    }
}
