//! Publishing, resizing, protecting, freezing, populating.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_char, c_int, c_void};
use std::time::Duration;

use areas::{DEFAULT_FREEZE_TIMEOUT, Error, ErrorKind, Rejected, Result};

use super::area::{Any, Handle, change, each, handle};
use super::errors::{invalid, number, status, text};
use super::words;

/// The usual timeout of areas_freeze, in milliseconds.
pub const AREAS_DEFAULT_TIMEOUT: i64 = 1000;
const _: () = assert!(DEFAULT_FREEZE_TIMEOUT.as_millis() == AREAS_DEFAULT_TIMEOUT as u128);

/// Publishes an area under a name, so that others find it: when its contents are complete, say. Its
/// id.
///
/// AREAS_ERROR_INVALID_INPUT for a bad name or an area that is published already,
/// AREAS_ERROR_UNSUPPORTED for private ones, AREAS_ERROR_REGISTRY, AREAS_ERROR_LIMIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_publish(area: Option<&mut Handle>, name: *const c_char) -> i32 {
    // SAFETY: C passes NULL, or a handle that no other call uses now, and NULL or a string.
    unsafe { publish(area, name, false) }
}

/// The same, if no other area has the name: AREAS_ERROR_NAME_TAKEN if one has; AREAS_ERROR_BUSY
/// where another process was stopped in the middle of taking it. As AREAS_EXCLUSIVE does for new
/// areas.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_publish_exclusive(area: Option<&mut Handle>, name: *const c_char) -> i32 {
    // SAFETY: C passes NULL, or a handle that no other call uses now, and NULL or a string.
    unsafe { publish(area, name, true) }
}

/// # Safety
/// `area` is NULL or a handle that no other thread uses, `name` NULL or a string.
unsafe fn publish(area: Option<&mut Handle>, name: *const c_char, exclusive: bool) -> i32 {
    number(|| {
        const WHAT: &str = "publish an area";
        let area = change(area, WHAT)?;
        // SAFETY: NULL or a string (the caller).
        let name = unsafe { text(name, WHAT) }?.to_bytes();
        let id = match (area, exclusive) {
            (Any::Private(_), _) => {
                return Err(Error::new(ErrorKind::Unsupported, WHAT)
                    .with_facts("it is private memory")
                    .with_remedy("make it shared: kind AREAS_SHARED"));
            }
            (Any::Stored(_), _) => return Err(stored(WHAT)),
            (area, false) => area.publish(name),
            (area, true) => area.publish_exclusive(name),
        };
        Ok(id?.get())
    })
}

/// Withdraws an area's name and id: it is not found by this holder any more. It stays mapped, and
/// other holders' clones are found as before. It can be published again, under any name. 1 if it
/// was published, 0 if not.
#[unsafe(no_mangle)]
pub extern "C" fn areas_unpublish(area: Option<&mut Handle>) -> c_int {
    number(|| {
        let area = change(area, "unpublish an area")?;
        Ok(i32::from(area.unpublish().is_some()))
    })
}

/// Retires an area's memory, permanently: it cannot be found, opened, cloned or transferred any
/// more, by any holder and under any name. Its holders keep it, and may send it over a socket. This
/// process's areas over it are withdrawn as areas_unpublish does; those of other holders are still
/// listed, with `retired` in areas_info.
///
/// AREAS_ERROR_UNSUPPORTED for private and low areas, AREAS_ERROR_NOT_PERMITTED for another user's
/// memory, AREAS_ERROR_BUSY where another holder was stopped in the middle of marking it.
#[unsafe(no_mangle)]
pub extern "C" fn areas_retire(area: Option<&mut Handle>) -> c_int {
    status(|| {
        const WHAT: &str = "retire an area";
        match change(area, WHAT)? {
            Any::Stored(_) => Err(stored(WHAT)),
            area => area.retire(),
        }
    })
}

/// Ensures that others find this process's areas: where the registry's folder was removed (a
/// log-out, where logind removes IPC), or this process's link in it, they are published again.
///
/// In a forked child it publishes what the child inherited: a daemon calls it right after its last
/// fork, because areas of a parent that has ended are not found. After setuid and the like it
/// publishes in the new user's registry. A holder that makes no other calls calls it about once a
/// second, in a thread of its own if it has other things to do: `for (;;) {
/// areas_ensure_published(); sleep(1); }`. The library starts no thread for that.
///
/// AREAS_ERROR_REGISTRY if the folder cannot be made again.
#[unsafe(no_mangle)]
pub extern "C" fn areas_ensure_published() -> c_int {
    status(areas::registry::ensure_published)
}

/// cbindgen:ignore
///
/// The name of [`areas_ensure_published`] before version 0.2, for programs that were built with it:
/// areas.h has it as a macro.
#[unsafe(no_mangle)]
pub extern "C" fn areas_keep() -> c_int {
    areas_ensure_published()
}

/// Changes the size of an area for all holders, in place: a growable one to at least that size,
/// a resizable one to that size in whole pages. New bytes are zero; what is cut off is freed at
/// once.
///
/// Nothing has changed where it fails. AREAS_ERROR_ADDRESS_IN_USE: beyond its reserve, and
/// something is behind it, here or in another team. AREAS_ERROR_UNSUPPORTED: an area of fixed size.
/// AREAS_ERROR_INVALID_INPUT, AREAS_ERROR_NO_MEMORY, AREAS_ERROR_LIMIT, AREAS_ERROR_READ_ONLY,
/// AREAS_ERROR_FROZEN.
#[unsafe(no_mangle)]
pub extern "C" fn areas_resize(area: Option<&mut Handle>, size: usize) -> c_int {
    status(|| {
        const WHAT: &str = "resize an area";
        match change(area, WHAT)? {
            Any::Resizable(area) => area.resize(size),
            Any::Shared(area) if !matches!(area.object().extent(), areas::Extent::Fixed) => area.grow(size),
            Any::Frozen(_) => {
                Err(Error::new(ErrorKind::Frozen, WHAT).with_facts("it is frozen: its size is, too"))
            }
            Any::Private(_) | Any::Shared(_) | Any::Stored(_) => {
                Err(Error::new(ErrorKind::Unsupported, WHAT)
                    .with_facts("it was made with a fixed size")
                    .with_remedy("make it growable or resizable: kind AREAS_GROWABLE, AREAS_RESIZABLE"))
            }
        }
    })
}

/// Takes addresses behind a resizable area, up to `span` bytes in all, so that it can grow without
/// asking for them later.
///
/// AREAS_ERROR_ADDRESS_IN_USE if something is there; AREAS_ERROR_INVALID_INPUT for a locked area: a
/// reserve cannot be locked; AREAS_ERROR_UNSUPPORTED for other kinds; AREAS_ERROR_LIMIT,
/// AREAS_ERROR_NO_MEMORY.
#[unsafe(no_mangle)]
pub extern "C" fn areas_widen(area: Option<&mut Handle>, span: usize) -> c_int {
    status(|| {
        const WHAT: &str = "take addresses behind an area";
        match change(area, WHAT)? {
            Any::Resizable(area) => area.widen_reserve(span),
            _ => Err(not_resizable(WHAT)),
        }
    })
}

/// Releases addresses that a resizable area has reserved for growth, all but `span` bytes (or what
/// it has grown to). From then on it grows as far as it finds room, and so do its clones.
///
/// AREAS_ERROR_UNSUPPORTED for other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn areas_trim(area: Option<&mut Handle>, span: usize) -> c_int {
    status(|| {
        const WHAT: &str = "release addresses behind an area";
        match change(area, WHAT)? {
            Any::Resizable(area) => {
                area.trim_reserve(span);
                Ok(())
            }
            _ => Err(not_resizable(WHAT)),
        }
    })
}

/// The error for what others do with the file behind an area.
pub(super) fn stored(what: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, what)
        .with_facts("it is stored in a file or on a device, which others open themselves")
        .with_remedy("copy what it holds into a shared area: kind AREAS_SHARED")
}

/// Has the kernel write what was changed of a stored area to its file, and waits for that.
///
/// AREAS_ERROR_UNSUPPORTED for other kinds, and for memory devices, which the CPUs write past the
/// kernel; AREAS_ERROR_IO where it cannot be written.
#[unsafe(no_mangle)]
pub extern "C" fn areas_sync(area: Option<&mut Handle>) -> c_int {
    status(|| {
        const WHAT: &str = "write an area to its file";
        match change(area, WHAT)? {
            Any::Stored(area) => area.sync(),
            _ => Err(Error::new(ErrorKind::Unsupported, WHAT)
                .with_facts("it is stored nowhere")
                .with_remedy("make it of kind AREAS_STORED, over a provider of areas_provider_file")),
        }
    })
}

fn not_resizable(what: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, what)
        .with_facts("it was not made resizable")
        .with_remedy("make it so: kind AREAS_RESIZABLE")
}

/// Changes what may be done with an area's pages: a union of AREAS_READ, AREAS_WRITE,
/// AREAS_EXECUTE, or AREAS_NOTHING. Its clones are not affected.
///
/// AREAS_ERROR_INVALID_INPUT for 0 and what means nothing, AREAS_ERROR_NOT_PERMITTED where it was
/// opened for less, AREAS_ERROR_FROZEN.
#[unsafe(no_mangle)]
pub extern "C" fn areas_protect(area: Option<&mut Handle>, protection: u32) -> c_int {
    status(|| {
        const WHAT: &str = "change the protection of an area";
        let area = change(area, WHAT)?;
        let protection = words::protection(protection)?.ok_or_else(|| {
            invalid(WHAT, "0 leaves it open").with_remedy("for no access at all, say AREAS_NOTHING")
        })?;
        each!(area, area => area.protect(protection))
    })
}

/// Freezes an area: no process can write it any more, root included. Its size is fixed from then
/// on, and its kind AREAS_FROZEN.
///
/// Waits so many milliseconds for writers that are about to finish; AREAS_DEFAULT_TIMEOUT is a good
/// time. Where it fails, the area is as it was, at the same address; but where another process made
/// it larger than the addresses that this one has for it, in that very moment, it is frozen all the
/// same, and the error's text says so: clone it for reading. AREAS_ERROR_BUSY: another holder, in
/// this process or another, can still write it; the error's text names them. AREAS_ERROR_FROZEN: it
/// is frozen already. AREAS_ERROR_READ_ONLY: it may not be written through this handle.
/// AREAS_ERROR_UNSUPPORTED: private areas, and low ones.
#[unsafe(no_mangle)]
pub extern "C" fn areas_freeze(area: Option<&mut Handle>, milliseconds: i64) -> c_int {
    status(|| {
        const WHAT: &str = "freeze an area";
        let handle = handle(area, WHAT)?;
        let timeout = words::time(milliseconds).ok_or_else(|| {
            invalid(WHAT, "the timeout is negative").with_remedy("use AREAS_DEFAULT_TIMEOUT")
        })?;
        let (area, done) = freeze(handle.take(WHAT)?, timeout);
        handle.put_back(area);
        done
    })
}

/// The area, frozen or as it was, and how it went.
fn freeze(area: Any, timeout: Duration) -> (Any, Result<()>) {
    match area {
        Any::Frozen(area) => {
            let error =
                Error::new(ErrorKind::Frozen, format!("freeze {area}")).with_facts("it is frozen already");
            (Any::Frozen(area), Err(error))
        }
        Any::Stored(area) => (Any::Stored(area), Err(stored("freeze an area"))),
        Any::Private(area) => {
            let error = Error::new(ErrorKind::Unsupported, format!("freeze {area}"))
                .with_facts("it is private memory")
                .with_remedy("make it shared: kind AREAS_SHARED");
            (Any::Private(area), Err(error))
        }
        area @ (Any::Shared(_) | Any::Resizable(_)) => match area.freeze_within(timeout) {
            Ok(area) => (Any::Frozen(area), Ok(())),
            Err(Rejected { error, value }) => (value, Err(error)),
        },
    }
}

/// Called with the progress: so many bytes of so many. In the last call, both are the same.
pub type OnProgress = Option<unsafe extern "C" fn(done: usize, total: usize, context: *mut c_void)>;

/// Reports the progress to C, on the calling thread.
pub(super) fn reporter(call: OnProgress, context: *mut c_void) -> impl FnMut(areas::Progress) {
    move |progress| {
        if let Some(call) = call {
            // SAFETY: C's own function, with its context.
            unsafe { call(progress.done, progress.total, context) };
        }
    }
}

/// Faults all pages of an area in, in parallel, where they were asked to be. `on_progress` may be
/// NULL; it is called on this thread, and must not use the area's handle.
///
/// AREAS_ERROR_NO_MEMORY where the nodes or the machine plainly do not have that much, before the
/// kernel's out-of-memory killer has its say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_populate(
    area: Option<&mut Handle>,
    on_progress: OnProgress,
    context: *mut c_void,
) -> c_int {
    status(|| {
        let area = change(area, "populate an area")?;
        each!(area, area => area.populate_with(&mut reporter(on_progress, context)))
    })
}
