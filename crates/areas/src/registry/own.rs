//! Opening the memory of this process's own areas: through `/proc`, as others do. Where that cannot be (no `/proc` after a `chroot`, or
//! memory of the user that this process was before), by a copy of the descriptor.

use std::os::fd::AsFd;

use super::peer::{OWN_DESCRIPTORS, Opened, Rights, is_object, is_shown, known_pages, open_object_at};
use super::table::Record;
use crate::error::{Error, Kind, Result};
use crate::sys;

/// Opens the object of an area of ours.
///
/// # Errors
/// [`Kind::NoSuchArea`] where the program has closed its descriptor; for other rights than the descriptor has [`Kind::System`] where there
/// is no `/proc`, and [`Kind::Unreadable`] after a change of user; as other teams' objects.
pub(super) fn open_own(record: &Record, rights: Rights) -> Result<Opened> {
    match open_object_at(OWN_DESCRIPTORS, record, rights) {
        // Unreadable: it was made before this process became another user's.
        Err(error) if [Kind::NoSuchArea, Kind::Unreadable].contains(&error.kind()) || !is_shown() => {
            without_proc(record, rights, error)
        }
        other => other,
    }
}

/// What our number leads to now, if it is still the area's object. `what` is tried, for messages.
pub(super) fn stat_own(record: &Record, what: &str) -> Result<sys::file::Stat> {
    match sys::file::stat_number(record.descriptor) {
        Ok(stat) if stat.identity == record.object => Ok(stat),
        _ => Err(lost(record, what)),
    }
}

#[cold]
fn lost(record: &Record, what: &str) -> Error {
    let error = Error::new(Kind::NoSuchArea, format!("{what} area {} {:?}", record.id, record.name));
    match super::state::state().is_ok_and(|state| state.lists_own(record.id)) {
        true => error
            .detail("this process has closed its descriptor, or another file has the number")
            .help("leave descriptors alone that are not yours (close_range, closefrom); areas that are mapped stay usable"),
        false => error
            .detail("it went in between: its holder dropped it or died")
            .help("look for the name again: another holder may be there"),
    }
}

/// By a copy of the descriptor, which has its rights. `error` says why `/proc` did not do.
#[cold]
fn without_proc(record: &Record, rights: Rights, error: Error) -> Result<Opened> {
    // First that it is ours: a copy of another file would be closed, and that is an act.
    let owner = stat_own(record, "open")?.uid;
    let refused = || {
        let user = sys::process::user();
        match error.kind() == Kind::Unreadable && owner != user {
            true => error
                .detail(format!("it is user {owner}'s, and we are user {user}: it was made before this process changed its user"))
                .help("clone it for what its descriptor is open for; or make areas after the change of user"),
            false => error,
        }
    };
    let what = || format!("open area {} {:?}", record.id, record.name);
    let failed = |errno| Error::new(Kind::System, what()).call("fcntl(F_DUPFD_CLOEXEC), statx", errno);
    let fd = sys::file::copy_of_number(record.descriptor).map_err(|errno| match errno {
        sys::Errno::MFILE => crate::error::remedy::open_files(
            Error::new(Kind::Limit, what()).call("fcntl(F_DUPFD_CLOEXEC)", errno),
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
