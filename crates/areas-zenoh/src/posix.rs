//! Zenoh's own POSIX segments as areas: so nothing is left of these, either.
//!
//! Zenoh calls the C library's `shm_open` and `shm_unlink`, with names such as `1234.zenoh`. This
//! module defines these two for the program that it is linked into. Until [`keep_nothing`] is
//! called, and for all other names, they do what the C library's do.

#![expect(unsafe_code, reason = "two functions of the C library are defined here, with their pointers")]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int};
use std::os::fd::{AsFd as _, AsRawFd as _, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use areas::{Area, ErrorKind, Resizable};

static ON: AtomicBool = AtomicBool::new(false);

/// Those that this process made, by their names, until it unlinks them. Zenoh maps them itself.
static MADE: LazyLock<Mutex<HashMap<String, Area<Resizable>>>> = LazyLock::new(Mutex::default);

/// The note of such an area. Others are not opened, whatever their name is.
const NOTE: &str = "a POSIX segment of Zenoh";

/// From now on, Zenoh's segments are areas in this process: names that go with the process that
/// made them, and memory that goes with the last that has it mapped.
///
/// Call it before the first session is opened, in all processes that are to use shared memory with
/// each other: one that keeps files and one that does not find nothing of each other, and Zenoh
/// sends them bytes.
///
/// # Errors
/// There is no registry.
pub fn keep_nothing() -> zenoh::Result<()> {
    areas::registry::join()?;
    ON.store(true, Ordering::Release);
    Ok(())
}

/// The name of the area that is segment `name`, if it is one of Zenoh's and these are to be areas.
fn area_name(name: &CStr) -> Option<String> {
    if !ON.load(Ordering::Acquire) {
        return None;
    }
    let number = name.to_str().ok()?.trim_start_matches('/').strip_suffix(".zenoh")?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("zenoh/{number}"))
}

fn open(name: &str, flags: c_int) -> Result<OwnedFd, c_int> {
    let errno = |error: &areas::Error| match error.kind() {
        ErrorKind::NoSuchArea => libc::ENOENT,
        ErrorKind::NameTaken => libc::EEXIST,
        _ => error.errno().map_or(libc::EIO, areas::Errno::raw),
    };
    let os = |why: std::io::Error| why.raw_os_error().unwrap_or(libc::EIO);
    if flags & libc::O_CREAT == 0 {
        let source = areas::registry::find(name).map_err(|error| errno(&error))?;
        if source.note().as_bytes() != NOTE.as_bytes() {
            return Err(libc::EACCES);
        }
        let area = source.open_resizable().map_err(|error| errno(&error))?;
        // Opened once more: Zenoh's locks (flock) are of what was opened, and a copy of a
        // descriptor has the same.
        let path = format!("/proc/self/fd/{}", area.as_fd().as_raw_fd());
        let opened = std::fs::File::options().read(true).write(true).open(path);
        return opened.map(OwnedFd::from).map_err(os);
    }
    // A page: Zenoh sets the size itself.
    let area = areas::builder(4096)
        .name(name)
        .note(NOTE)
        .exclusive()
        .resizable(4096)
        .map_err(|error| errno(&error))?;
    let fd = area.as_fd().try_clone_to_owned().map_err(os)?;
    MADE.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), area);
    Ok(fd)
}

fn failed(errno: c_int) -> c_int {
    // SAFETY: the address is this thread's errno, and valid while the thread lives.
    unsafe { *libc::__errno_location() = errno };
    -1
}

/// `shm_open(3)`, for the program.
///
/// # Safety
/// `name` is a string that ends with a zero byte.
#[unsafe(no_mangle)]
unsafe extern "C" fn shm_open(name: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    // SAFETY: `name` ends with a zero byte, and stays for the call (the caller).
    let name = unsafe { CStr::from_ptr(name) };
    if let Some(name) = area_name(name) {
        return open(&name, flags).map_or_else(failed, IntoRawFd::into_raw_fd);
    }
    let Some(path) = path(name) else { return failed(libc::EINVAL) };
    // SAFETY: the path ends with a zero byte, and lives until the call returns.
    unsafe { libc::open(path.as_ptr(), flags | libc::O_NOFOLLOW | libc::O_CLOEXEC, mode) }
}

/// `shm_unlink(3)`, for the program.
///
/// # Safety
/// `name` is a string that ends with a zero byte.
#[unsafe(no_mangle)]
unsafe extern "C" fn shm_unlink(name: *const c_char) -> c_int {
    // SAFETY: `name` ends with a zero byte, and stays for the call (the caller).
    let name = unsafe { CStr::from_ptr(name) };
    if let Some(name) = area_name(name) {
        // Another process's goes with that process.
        return match MADE.lock().unwrap_or_else(PoisonError::into_inner).remove(&name) {
            Some(_) => 0,
            None => failed(libc::ENOENT),
        };
    }
    let Some(path) = path(name) else { return failed(libc::EINVAL) };
    // SAFETY: the path ends with a zero byte, and lives until the call returns.
    unsafe { libc::unlink(path.as_ptr()) }
}

/// Where the C library keeps it: one name below `/dev/shm`.
fn path(name: &CStr) -> Option<std::ffi::CString> {
    let name = name.to_bytes();
    let name = &name[name.iter().take_while(|byte| **byte == b'/').count()..];
    if name.is_empty() || name.contains(&b'/') || name == b"." || name == b".." {
        return None;
    }
    std::ffi::CString::new([b"/dev/shm/", name].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_zenohs_names_are_areas() {
        assert_eq!(area_name(c"/12.zenoh"), None, "it is off");
        keep_nothing().unwrap();
        assert_eq!(area_name(c"12.zenoh").as_deref(), Some("zenoh/12"));
        assert_eq!(area_name(c"/12.zenoh").as_deref(), Some("zenoh/12"));
        for other in [c"12", c"/a.zenoh", c"../1.zenoh", c"-1.zenoh"] {
            assert_eq!(area_name(other), None, "{other:?}");
        }
        let paths = [c"/a", c"a", c"", c"/", c"a/b", c"..", c"."]
            .map(|name| path(name).map(|path| path.into_string().unwrap()));
        let a = || Some("/dev/shm/a".to_owned());
        assert_eq!(paths, [a(), a(), None, None, None, None, None]);
    }
}
