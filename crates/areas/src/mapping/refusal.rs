//! What is said when the kernel refuses to map, to place, or to be accessed beyond the end.

use crate::error::{Error, ErrorKind, pool, remedy};
use crate::nodes::Placement;
use crate::page::PageSize;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::{At, MapFlags};

/// The error for an access beyond the end.
#[cold]
#[inline(never)]
pub(crate) fn out_of_range(offset: usize, len: usize, size: usize) -> Error {
    let bytes = if len == 1 { "byte" } else { "bytes" };
    Error::new(ErrorKind::OutOfRange, format!("access {len} {bytes} at offset {offset}"))
        .with_facts(format!("the size is {size} bytes"))
        .with_remedy("stay inside `0..size()`")
}

/// Why mmap refused: from what it was asked, and what it said.
pub(crate) fn refused(
    at: At,
    size: usize,
    span: usize,
    page: PageSize,
    placement: Option<&Placement>,
    call: String,
    errno: sys::Errno,
) -> Error {
    let error = |kind| Error::new(kind, format!("map {}", Bytes::from(size))).with_system_call(call, errno);
    match (errno, at) {
        (sys::Errno::EXIST, At::Exactly(address)) => error(ErrorKind::AddressInUse)
            .with_facts(format!("something is mapped in {:#x}..{:#x}", address, address.saturating_add(span)))
            .with_remedy(
                "choose another address, or let the kernel choose one; `/proc/self/maps` shows what is there",
            ),
        (sys::Errno::NOMEM, _) if page != PageSize::base() => {
            pool::too_few(error(ErrorKind::NoMemory), pool::Wanted::new(page, span).placed(placement))
        }
        // The kernel has no pool of that size.
        (sys::Errno::INVAL, _) if page != PageSize::base() => {
            pool::too_few(error(ErrorKind::Unsupported), pool::Wanted::new(page, span).placed(placement))
        }
        (sys::Errno::NOMEM, At::Exactly(address)) if out_of_user_range(address, span) => {
            error(ErrorKind::AddressInUse).with_facts("the range ends beyond the addresses of a process")
        }
        (sys::Errno::NOMEM, _) if out_of_user_range(0, span) => {
            error(ErrorKind::InvalidInput).with_facts("it is more than the addresses of a process")
        }
        (sys::Errno::NOMEM, _) => match sys::limits::limit(sys::limits::Limit::AddressSpace) {
            Some(_) => remedy::address_space(error(ErrorKind::Limit), span),
            None => remedy::address_space(error(ErrorKind::NoMemory), span),
        },
        (sys::Errno::AGAIN, _) => remedy::locked_memory(error(ErrorKind::Limit), span),
        (sys::Errno::ACCESS | sys::Errno::PERM, _) => error(ErrorKind::NotPermitted).with_facts(
            "the file was not opened for this, is sealed, or lies on a file system mounted noexec",
        ),
        _ => error(ErrorKind::System),
    }
}

/// Why a range could not be placed: from what was asked, the call, and what it said.
pub(crate) fn refused_placement(len: usize, placement: &Placement, call: String, errno: sys::Errno) -> Error {
    let what = format!("place {} as {placement}", Bytes::from(len));
    match errno {
        sys::Errno::NOSYS | sys::Errno::INVAL => Error::new(ErrorKind::Unsupported, what)
            .with_system_call(call, errno)
            .with_remedy("this kernel does not know the policy: `areas doctor` lists those that it has"),
        sys::Errno::PERM => {
            Error::new(ErrorKind::NotPermitted, what).with_system_call(call, errno).with_remedy(
                "the sandbox forbids it: containers need CAP_SYS_NICE or a seccomp profile that allows mbind",
            )
        }
        _ => Error::new(ErrorKind::System, what).with_system_call(call, errno),
    }
}

/// Flags as C writes them: `MAP_PRIVATE|MAP_HUGETLB`.
pub(crate) fn in_words(flags: MapFlags) -> String {
    let mut names = flags.iter_names();
    let mut words: Vec<String> = names.by_ref().map(|(name, _)| format!("MAP_{name}")).collect();
    if !names.remaining().is_empty() {
        words.push(format!("{:#x}", names.remaining().bits()));
    }
    words.join("|")
}

/// Whether a range ends beyond what user processes can have (47 bits here, or what the architecture
/// has at most).
fn out_of_user_range(address: usize, len: usize) -> bool {
    address.checked_add(len).is_none_or(|end| end > 1 << 47)
}
