//! Objects made, and objects of others that are adopted.

use std::borrow::Cow;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::marks::{UNEVEN, is_retired, lets_others_write};
use super::sealing::{FROZEN, NO_WRITERS};
use super::{Extent, Object};
use crate::error::{Error, ErrorKind, Result, pool, remedy};
use crate::page::PageSize;
use crate::size::Bytes;
use crate::sys;
use crate::sys::checked_fd::CheckedFd;
use crate::sys::object::{SealFlags, SealedStat};
use crate::text::shortened;

impl Object {
    /// Makes an object of `size` bytes, all zero, of which no page is in memory yet.
    ///
    /// `label` shows in `/proc/PID/maps` as `/memfd:label`; it is not a name that anybody could
    /// find it by.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] over `RLIMIT_FSIZE` or `RLIMIT_NOFILE`; [`ErrorKind::Unsupported`] for
    /// a page size that the kernel has no pool of, and for a kernel without memory objects;
    /// [`ErrorKind::NotPermitted`] where a sandbox forbids them; [`ErrorKind::InvalidInput`] if
    /// `size` is more than the extent or than a file can hold.
    pub fn create(label: &str, size: usize, extent: Extent, page: PageSize) -> Result<Self> {
        let object = Object::make(&FileLabel::new(&[label]), size, extent, page)?;
        // No other process has a descriptor of it yet, and nothing is marked on it.
        sys::file::set_mode(object.fd(), 0o600).map_err(|errno| {
            Error::new(ErrorKind::System, format!("make a memory object of {}", Bytes::from(size)))
                .with_system_call("fchmod(0600)", errno)
        })?;
        object.open_to_others.store(false, Ordering::Relaxed);
        Ok(object)
    }

    /// The same for an area, whose descriptor the program does not have yet: it is closed to other
    /// users before another process could have it for reading only
    /// ([`close_to_others`](Object::close_to_others)), which most areas are never had for.
    ///
    /// # Errors
    /// As [`create`](Object::create).
    pub(crate) fn make(label: &FileLabel, size: usize, extent: Extent, page: PageSize) -> Result<Self> {
        let what = || format!("make a memory object of {}", Bytes::from(size));
        let pool = page != PageSize::base();
        let rounded = match (pool, extent) {
            (false, Extent::Fixed) => Some(size),
            _ => page.round_up(size),
        };
        let Some(file_size) = rounded.filter(|&size| i64::try_from(size).is_ok()) else {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts("it is more than a file can hold (2^63 - 1 bytes)"));
        };
        if let Some(max) = extent.max()
            && max < file_size
        {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts(format!("it may only grow to {}", Bytes::from(max)))
                .with_remedy("make the maximum at least as large as the size"));
        }
        let file_size = file_size as u64;
        check_file_size(file_size, what)?;
        let pages =
            if pool { sys::object::Pages::Pool(u32::from(page.log2())) } else { sys::object::Pages::Base };
        let fd = sys::object::create(label.as_c_str(), pages).map_err(|errno| {
            let error = |kind| {
                Error::new(kind, what())
                    .with_system_call("memfd_create(MFD_CLOEXEC | MFD_ALLOW_SEALING | …)", errno)
            };
            match errno {
                sys::Errno::MFILE | sys::Errno::NFILE => remedy::open_files(error(ErrorKind::Limit)),
                sys::Errno::NODEV | sys::Errno::INVAL | sys::Errno::NOENT if pool => {
                    pool::too_few(error(ErrorKind::Unsupported), pool::Wanted::new(page, size))
                }
                sys::Errno::NOSYS => error(ErrorKind::Unsupported).with_remedy(
                    "it needs memfd_create (Linux 3.17, CONFIG_MEMFD_CREATE), and a sandbox that allows it",
                ),
                sys::Errno::PERM | sys::Errno::ACCESS => error(ErrorKind::NotPermitted)
                    .with_remedy("the sandbox forbids it: allow memfd_create in its seccomp profile"),
                sys::Errno::NOMEM => error(ErrorKind::NoMemory),
                _ => error(ErrorKind::System),
            }
        })?;
        let failed = |call: &'static str| {
            move |errno| Error::new(ErrorKind::System, what()).with_system_call(call, errno)
        };
        let fd = CheckedFd::new(fd).map_err(failed("fstat"))?;
        // Forks are counted from here on.
        let counted = crate::forking::ready().is_ok();
        let object = Object::of(fd, page, extent);
        let forks = if counted { object.forks } else { u64::MAX };
        sys::object::set_size(object.fd(), file_size).map_err(failed("ftruncate"))?;
        let seals = match extent {
            Extent::Fixed => SealFlags::SHRINK | SealFlags::GROW,
            Extent::Growable { .. } => SealFlags::SHRINK,
            Extent::Resizable { .. } => SealFlags::empty(),
        };
        sys::object::seal(object.fd(), seals).map_err(failed("fcntl(F_ADD_SEALS)"))?;
        // Growable and resizable ones are whole pages from the start: that is what they grow and
        // shrink by.
        let exact = (extent == Extent::Fixed && pool && file_size != size as u64).then_some(size as u64);
        Ok(Object { exact, seen: AtomicU64::new(file_size), forks, ..object })
    }

    /// Takes over a descriptor that came from elsewhere, after looking at what it is.
    ///
    /// `stated` is what its sender or its holder's table says of its extent; `exact` the size in
    /// bytes where the pages are huge.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for what is not a memory object, or one whose size could shrink
    /// under its holders although it is not said to be resizable.
    pub(crate) fn adopt(fd: OwnedFd, stated: Extent, exact: Option<u64>) -> Result<Self> {
        // It may be anything, on any file system: no call may wait.
        let looked = sys::object::sealed_stat(fd.as_fd())
            .map_err(|errno| Error::new(ErrorKind::System, ADOPT).with_system_call("statx", errno))?;
        refuse_others(&looked)?;
        // What can have seals is on a file system of the kernel's own, which answers at once.
        let page = sys::object::pool_page(fd.as_fd())
            .map_err(|errno| Error::new(ErrorKind::System, ADOPT).with_system_call("fstatfs", errno))?
            .and_then(PageSize::of)
            .unwrap_or_else(PageSize::base);
        Object::adopt_looked(fd, &looked, page, stated, exact)
    }

    /// The same, of a descriptor that was looked at ([`sealed_stat`](sys::object::sealed_stat)),
    /// and of which the pages are known.
    pub(crate) fn adopt_looked(
        fd: OwnedFd,
        looked: &SealedStat,
        page: PageSize,
        stated: Extent,
        exact: Option<u64>,
    ) -> Result<Self> {
        let seals = refuse_others(looked)?;
        let stat = &looked.stat;
        let no_object = |detail: String| Error::new(ErrorKind::InvalidInput, ADOPT).with_facts(detail);
        let resizable = matches!(stated, Extent::Resizable { .. });
        if !seals.contains(SealFlags::SHRINK) && !resizable {
            return Err(no_object(
                "its size may shrink while it is mapped: it is not sealed against that".to_owned(),
            ));
        }
        let size = usize::try_from(stat.size)
            .map_err(|_| no_object(format!("its size of {} bytes is too large", stat.size)))?;
        let pages = page.round_up(size.max(1)).unwrap_or(size);
        let extent = match stated {
            _ if seals.contains(SealFlags::GROW | SealFlags::SHRINK) => Extent::Fixed,
            Extent::Resizable { max } => Extent::Resizable { max: max.max(pages) },
            Extent::Growable { max } if max >= size => Extent::Growable { max },
            // It may grow, but how far is not known: what is there now is all that we map.
            _ => Extent::Growable { max: pages },
        };
        let exact = exact.filter(|&exact| {
            page != PageSize::base() && exact <= stat.size && stat.size - exact < page.bytes() as u64
        });
        let fd = CheckedFd::of(fd, stat.identity);
        let seen = AtomicU64::new(stat.size);
        let (uneven, held) =
            (AtomicBool::new(stat.mode & UNEVEN != 0), AtomicBool::new(stat.held == Some(true)));
        let (was_frozen, refused_writers) = (seals.contains(FROZEN), seals.intersects(NO_WRITERS));
        let missing = stat.size.saturating_sub(stat.allocated);
        // Of what is sealed against writers the mode says nothing.
        let open_to_others = AtomicBool::new(lets_others_write(stat) && !refused_writers);
        Ok(Object {
            exact,
            seen,
            was_frozen,
            refused_writers,
            was_retired: is_retired(stat),
            adopted: true,
            missing,
            uneven,
            held,
            open_to_others,
            ..Object::of(fd, page, extent)
        })
    }
}

/// What [`Object::adopt`] does, for messages.
const ADOPT: &str = "use the descriptor as an area's memory";

/// The seals of a memory object; an error for everything else.
fn refuse_others(looked: &SealedStat) -> Result<SealFlags> {
    let no_object = |detail: String| Error::new(ErrorKind::InvalidInput, ADOPT).with_facts(detail);
    if !looked.stat.is_file() {
        return Err(no_object(format!("it is not a memory object (file mode {:o})", looked.stat.mode)));
    }
    looked.seals.map_err(|errno| {
        no_object("it has no seals".to_owned()).with_system_call("fcntl(F_GET_SEALS)", errno)
    })
}

pub(crate) fn check_file_size(size: u64, what: impl Fn() -> String) -> Result<()> {
    match sys::limits::limit(sys::limits::Limit::FileSize) {
        Some(limit) if size > limit => Err(remedy::file_size(Error::new(ErrorKind::Limit, what()), size)),
        _ => Ok(()),
    }
}

/// The longest label, in bytes: `memfd_create` takes 249.
const LONGEST: usize = 240;

/// A label as `memfd_create` takes it: not too long, without NUL, and one behind it.
pub(crate) struct FileLabel([u8; LONGEST + 1]);

impl FileLabel {
    /// Of several parts, as much as there is room for.
    pub(crate) fn new(parts: &[&str]) -> Self {
        let (mut bytes, mut end) = ([0; LONGEST + 1], 0);
        for part in parts {
            let part = match part.as_bytes().contains(&0) {
                false => Cow::Borrowed(*part),
                true => Cow::Owned(part.replace('\0', "")),
            };
            // Between two characters: /proc shows it, and who reads that may expect text.
            let part = shortened(&part, LONGEST - end).as_bytes();
            bytes[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        FileLabel(bytes)
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_text_without_nul() {
        let label = |text: &str| FileLabel::new(&[text]).as_c_str().to_str().unwrap().to_owned();
        assert_eq!(label("area: größe"), "area: größe");
        assert_eq!(label("a\0b"), "ab");
        assert_eq!(label(""), "");
        let two = FileLabel::new(&["area:", &"é".repeat(120)]);
        assert_eq!(two.as_c_str().to_str().unwrap(), "area:".to_owned() + &"é".repeat(117));
        assert_eq!(label(&"a".repeat(300)), "a".repeat(240));
        // Two, three and four bytes a character, and each way to be off by some.
        for c in ['é', '日', '🦀'] {
            for before in 0..4 {
                let text = "x".repeat(before) + &c.to_string().repeat(130);
                let label = label(&text);
                assert!(text.starts_with(&label) && label.len() > 240 - c.len_utf8(), "{label}");
            }
        }
    }
}
