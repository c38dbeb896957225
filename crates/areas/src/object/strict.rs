//! Strict accounting (`vm.overcommit_memory=2`): memory that is promised is there, or it is
//! refused.
//!
//! The kernel counts the pages of a memory object when they are taken, not when it is mapped, and
//! has no error for a touch that it refuses: a SIGBUS. So where it counts strictly, objects of base
//! pages are backed as soon as they are made or grown, all or nothing. Elsewhere memory is promised
//! as malloc does it.

use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Object;
use crate::cgroup;
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::size::Bytes;
use crate::sys;

/// Smaller than that, a program's first area is not worth the question.
const WORTH_ASKING: usize = 1 << 20;

/// Whether objects have to be backed. Asked once a process, for an area of `bytes` that it makes:
/// who changes the setting does so before programs start that rely on it.
pub(crate) fn applies(bytes: usize) -> bool {
    const UNKNOWN: u8 = 0;
    const LENIENT: u8 = 1;
    const STRICT: u8 = 2;
    static MODE: AtomicU8 = AtomicU8::new(UNKNOWN);
    match MODE.load(Ordering::Relaxed) {
        UNKNOWN if bytes < WORTH_ASKING => false,
        UNKNOWN => {
            let mode = if remedy::counts_strictly() { STRICT } else { LENIENT };
            MODE.store(mode, Ordering::Relaxed);
            mode == STRICT
        }
        mode => mode == STRICT,
    }
}

impl Object {
    /// Takes the pages from `from` to `to` bytes. Makes the object as large as that, if it is
    /// smaller, once they are there.
    ///
    /// # Errors
    /// [`ErrorKind::NoMemory`]: then none was taken.
    pub(crate) fn back(&self, from: usize, to: usize, what: impl Fn() -> String) -> Result<()> {
        let bytes = to.saturating_sub(from) as u64;
        if bytes == 0 {
            return Ok(());
        }
        if let Some(room) = cgroup::memory_room(Path::new("/"), u64::MAX).filter(|room| room.bytes < bytes) {
            let detail = format!(
                "{} are taken at once, as vm.overcommit_memory is 2, {} can give {:#}",
                Bytes(bytes),
                room.whose(),
                Bytes(room.bytes)
            );
            let error = Error::new(ErrorKind::NoMemory, what()).with_facts(detail);
            return Err(error.with_remedy(format!("ask for less, or {}", room.raise(bytes))));
        }
        self.own_fd().and_then(|fd| sys::object::allocate(fd, self.offset() + from as u64, bytes)).map_err(
            |errno| match errno {
                sys::Errno::NOSPC | sys::Errno::NOMEM => {
                    let call = format!("fallocate({from}, {})", Bytes(bytes));
                    remedy::committed(
                        Error::new(ErrorKind::NoMemory, what()).with_system_call(call, errno),
                        bytes,
                    )
                }
                _ => self.refused(what(), "fallocate", errno),
            },
        )
    }
}
