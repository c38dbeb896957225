//! Opening the memory of this process's own areas: through `/proc`, as others do. Where that cannot
//! be (no `/proc` after a `chroot`, or memory of the user that this process was before), by a copy
//! of the descriptor.

use std::os::fd::AsFd;

use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{BackedBy, missing};
use crate::page::PageSize;
use crate::registry::peer::{Opened, Rights, is_object, known_pages, open_object_at};
use crate::registry::process::{OWN_DESCRIPTORS, is_shown};
use crate::registry::source::Info;
use crate::registry::state::state;
use crate::registry::table::Record;
use crate::sys;

/// Opens the object of an area of ours.
///
/// # Errors
/// [`ErrorKind::NoSuchArea`] where the program has closed its descriptor; for other rights than the
/// descriptor has [`ErrorKind::System`] where there is no `/proc`, and [`ErrorKind::Unreadable`]
/// after a change of user; as other teams' objects.
pub(in crate::registry) fn open_own(record: &Record, rights: Rights) -> Result<Opened> {
    match open_object_at(OWN_DESCRIPTORS, record, rights) {
        // Unreadable: it was made before this process became another user's.
        Err(error)
            if [ErrorKind::NoSuchArea, ErrorKind::Unreadable].contains(&error.kind()) || !is_shown() =>
        {
            without_proc(record, rights, error)
        }
        other => other,
    }
}

/// What our number leads to now, if it is still the area's object. `what` is tried, for messages.
pub(in crate::registry) fn stat_own(record: &Record, what: &str) -> Result<sys::file::Stat> {
    match sys::file::stat_number(record.descriptor) {
        Ok(stat) if stat.identity == record.object => Ok(stat),
        _ => Err(lost(record, what)),
    }
}

/// Whether the kernel has all of an area of ours mapped where its record says; also where it cannot
/// be asked.
pub(in crate::registry) fn is_mapped(record: &Record) -> bool {
    let offset = record.physical.as_ref().map_or(record.piece.first, |range| range.start);
    let backed_by = BackedBy::Object { device: record.object.device, inode: record.object.inode, offset };
    let (Ok(start), Ok(span)) = (usize::try_from(record.address), usize::try_from(record.span)) else {
        return true;
    };
    missing(start, span, backed_by).map_or(true, |missing| missing.is_empty())
}

/// The description of an area of ours, and its bytes in RAM, by its own descriptor: two or three
/// calls. `None` where it takes more than that: hugetlb pages, physical memory, a kernel or a
/// sandbox without `cachestat`, a descriptor that is closed.
pub(in crate::registry) fn describe(record: &Record) -> Option<(Info, u64)> {
    if record.page != PageSize::base()
        || record.physical.is_some()
        || !sys::sandbox::may(sys::sandbox::Call::Cachestat)
    {
        return None;
    }
    let stat = stat_own(record, "look at").ok()?;
    let resident = match stat.allocated {
        0 => 0,
        _ => {
            let len = record.piece.limit.unwrap_or(0);
            let cached = sys::pages::cache_of_number(record.descriptor, record.piece.first, len).ok()?;
            // Another thread may have closed the number: then it was another file's.
            stat_own(record, "look at").ok()?;
            cached.resident * sys::page_size() as u64
        }
    };
    Some((Info::new(record, sys::process::pid(), &stat), resident))
}

#[cold]
fn lost(record: &Record, what: &str) -> Error {
    let error = Error::new(ErrorKind::NoSuchArea, format!("{what} area {} {:?}", record.id, record.name));
    match state().is_ok_and(|state| state.lists_own(record.id)) {
        true => error
            .with_facts("this process has closed its descriptor, or another file has the number")
            .with_remedy("do not close descriptors that are not yours (close_range, closefrom)"),
        false => error
            .with_facts("it was released concurrently: its holder dropped it or died")
            .with_remedy("look for the name again: another holder may be there"),
    }
}

/// By a copy of the descriptor, which has its rights. `error` says why `/proc` did not do.
#[cold]
fn without_proc(record: &Record, rights: Rights, error: Error) -> Result<Opened> {
    // First that it is ours: a copy of another file would be closed, and that is an act.
    let owner = stat_own(record, "open")?.uid;
    let refused = || {
        let user = sys::process::user();
        match error.kind() == ErrorKind::Unreadable && owner != user {
            true => error
                .with_facts(format!(
                    "it belongs to user {owner}, and we are user {user}: made before the user was changed?"
                ))
                .with_remedy(
                    "clone it for what its descriptor is open for; or make areas after the change of user",
                ),
            false => error,
        }
    };
    let what = || format!("open area {} {:?}", record.id, record.name);
    let failed = |errno| {
        Error::new(ErrorKind::System, what()).with_system_call("fcntl(F_DUPFD_CLOEXEC), statx", errno)
    };
    let fd = sys::file::copy_of_number(record.descriptor).map_err(|errno| match errno {
        sys::Errno::MFILE => crate::error::remedy::open_files(
            Error::new(ErrorKind::Limit, what()).with_system_call("fcntl(F_DUPFD_CLOEXEC)", errno),
        ),
        errno => failed(errno),
    })?;
    let looked = sys::object::sealed_stat(fd.as_fd()).map_err(failed)?;
    let writable = sys::file::is_writable(fd.as_fd()).map_err(failed)?;
    // Who is to read only gets no descriptor that could do more.
    if rights == Rights::Writing && !writable || rights == Rights::Reading && writable {
        return Err(refused());
    }
    match is_object(&looked.stat, record).map_err(failed)? {
        true => Ok(Opened { pages: known_pages(&looked.stat, record), fd, looked }),
        false => Err(failed(sys::Errno::BADF)),
    }
}
