//! A provider over a file or a memory device: areas are parts of it.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Address, Backing, Provider, Request, resolve};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{Extents, Mapping, Plan, Sharing, hold, prepare};
use crate::nodes::Node;
use crate::page::{PageSize, Pages};
use crate::size::Bytes;
use crate::sys;
use crate::sys::checked_fd::CheckedFd;
use crate::sys::memory::{At, MapFlags};

/// A file, or a device of memory (`/dev/daxX.Y`), of which areas are parts:
/// [`AreaBuilder::stored`](crate::AreaBuilder::stored).
///
/// Each area gets the smallest free part that is large enough, the first ones from the beginning;
/// what it holds is what is stored there, and not zeros. A file is as long as it is when the
/// provider is made: it is never made longer, and an area in a hole of it has the file system find
/// room as it is written. Of a device the pages are those that it is mapped in (`align` in sysfs, 2
/// MiB as a rule), and memory policies have no effect: it *is* a place.
///
/// Bytes of files are never lent: a file may be cut at any moment ([`Stored`](crate::Stored)).
///
/// ```
/// use areas::provider::Storage;
/// # let path = std::env::temp_dir().join(format!("areas-storage-{}", std::process::id()));
/// let file = std::fs::File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
/// file.set_len(1 << 20)?;
/// let storage = Storage::of(file)?;
/// let area = areas::builder(5000).provider(&storage).stored()?;
/// area.write_at(0, b"stays")?;
/// area.sync()?;
/// drop(area);
/// assert_eq!(&std::fs::read(&path)?[..5], b"stays");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "umfFileMemoryProviderOps")]
#[doc(alias = "umfDevDaxMemoryProviderOps")]
#[derive(Clone)]
pub struct Storage {
    pool: Arc<Pool>,
    /// Whether writes reach the file.
    shared: bool,
}

/// What areas are parts of, and the parts that are free.
struct Pool {
    file: CheckedFd,
    len: u64,
    page: PageSize,
    device: Option<Device>,
    free: Mutex<Extents>,
}

/// What is known of a memory device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Device {
    /// The number that its memory has, or would have, as a node.
    node: Option<Node>,
}

/// A part in use, attached to its mapping: free again once that is unmapped.
struct Part {
    pool: Arc<Pool>,
    offset: u64,
    len: u64,
}

impl Drop for Part {
    fn drop(&mut self) {
        hold(&self.pool.free).give_back(self.offset, self.len);
    }
}

impl Storage {
    /// Parts of an open file, of its whole pages as it is now, or of an open memory device. It is
    /// to be open for reading and writing; for reading alone it is only good for areas that ask for
    /// no more, or for a [`private copy`](Storage::copied).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for what is neither a file nor a memory device;
    /// [`ErrorKind::InvalidInput`] for a file of less than a page; [`ErrorKind::Io`] where the
    /// kernel does not report how large a device is.
    pub fn of(file: impl Into<OwnedFd>) -> Result<Self> {
        Self::of_either(file.into(), Path::new("/sys"))
    }

    /// The same by the number of a descriptor, which is copied: for C.
    ///
    /// # Errors
    /// As [`of`](Storage::of); [`ErrorKind::InvalidInput`] for a number that is not open,
    /// [`ErrorKind::Limit`] where no descriptor is free.
    #[doc(hidden)]
    pub fn of_number(number: i32) -> Result<Self> {
        let file = sys::file::copy_of_number(number).map_err(|errno| {
            let kind = if errno == sys::Errno::BADF { ErrorKind::InvalidInput } else { ErrorKind::Limit };
            Error::new(kind, "make areas out of an open file")
                .with_system_call(format!("fcntl({number}, F_DUPFD)"), errno)
        })?;
        Self::of(file)
    }

    fn of_either(file: OwnedFd, sysfs: &Path) -> Result<Self> {
        let what = "make areas out of an open file";
        let asked = |errno: sys::Errno| Error::new(ErrorKind::Io, what).with_system_call("fstat", errno);
        let stat = sys::file::stat(file.as_fd()).map_err(asked)?;
        let (len, page, device) = match stat.is_file() {
            true => (stat.size, PageSize::base(), None),
            false => {
                let numbers = sys::file::device_numbers(file.as_fd()).map_err(asked)?.ok_or_else(|| {
                    Error::new(ErrorKind::Unsupported, what)
                        .with_facts("it is neither a file nor a memory device")
                        .with_remedy("open a regular file, or a device as /dev/dax0.0")
                })?;
                let (len, page, device) = dax(sysfs, numbers)?;
                (len, page, Some(device))
            }
        };
        let len = len - len % page.bytes() as u64;
        if len == 0 {
            return Err(Error::new(ErrorKind::InvalidInput, what)
                .with_facts(format!("it has {} bytes, and a page is {page}", stat.size))
                .with_remedy("make it first as long as all areas in it together (fallocate)"));
        }
        prepare(usize::try_from(len).unwrap_or(usize::MAX))?;
        let free = Mutex::new(Extents::of(0..len));
        let pool = Pool { file: CheckedFd::of(file, stat.identity), len, page, device, free };
        Ok(Storage { pool: Arc::new(pool), shared: true })
    }

    /// The same parts of the same file, but what is written to areas stays with them, and is gone
    /// when they go.
    pub fn copied(&self) -> Self {
        Storage { pool: self.pool.clone(), shared: false }
    }

    /// All its bytes, in whole pages.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.pool.len
    }

    /// The bytes that no area has. They need not be in one piece.
    #[must_use]
    pub fn free(&self) -> u64 {
        hold(&self.pool.free).free().0
    }

    /// The longest piece that no area has.
    #[must_use]
    pub fn largest(&self) -> u64 {
        hold(&self.pool.free).free().1
    }

    /// The pages in which parts of it begin and end.
    #[must_use]
    pub fn page_size(&self) -> PageSize {
        self.pool.page
    }

    /// Of a memory device: the node that its memory would be, if it were a node's (`target_node`);
    /// `None` for files, and where the kernel does not report it.
    #[must_use]
    pub fn node(&self) -> Option<Node> {
        self.pool.device.and_then(|device| device.node)
    }

    /// Takes a free part.
    fn take(&self, size: usize, span: usize) -> Result<Part> {
        let mut free = hold(&self.pool.free);
        match free.take(span as u64, self.pool.page.bytes() as u64, 0) {
            Some(offset) => Ok(Part { pool: self.pool.clone(), offset, len: span as u64 }),
            None => {
                let (all, longest) = free.free();
                Err(Error::new(ErrorKind::NoMemory, format!("take {} of {self:?}", Bytes::from(size)))
                    .with_facts(format!(
                        "of its {} {} are free, {} in one piece",
                        Bytes(self.pool.len),
                        Bytes(all),
                        Bytes(longest)
                    ))
                    .with_remedy("drop some areas of this provider, or give it a longer file"))
            }
        }
    }

    /// Refuses what stored memory cannot be.
    fn refuse(&self, request: &Request<'_>) -> Result<()> {
        let refused = |detail: String, help: &'static str| {
            let what = format!("take {} of {self:?}", Bytes::from(request.size()));
            Err(Error::new(ErrorKind::Unsupported, what).with_facts(detail).with_remedy(help))
        };
        if !matches!(request.backing(), Backing::Stored) {
            return refused(
                "its bytes are a file's or a device's, which others may change".to_owned(),
                "ask for an area of stored bytes: `builder(size).provider(&storage).stored()`",
            );
        }
        let placed = request.placement().filter(|placement| !placement.is_default());
        let place = match (placed, request.placer().is_some()) {
            (Some(placement), _) => Some(format!("the request wants its pages placed as {placement}")),
            (None, true) => Some("a layer above places its parts".to_owned()),
            (None, false) => None,
        };
        if let Some(place) = place.filter(|_| self.shared || self.pool.device.is_some()) {
            return refused(
                format!("{place}, and neither the page cache nor a device supports memory policies"),
                "leave the placement out; or take a private copy of a file: `storage.copied()`",
            );
        }
        if !self.shared && self.pool.device.is_some() {
            return refused(
                "a device has no private copies".to_owned(),
                "read it into a private area, or take a part of the device itself",
            );
        }
        match request.page_request() {
            Pages::Base if self.pool.device.is_none() => Ok(()),
            Pages::Base | Pages::PreferPool(_) | Pages::Auto if self.pool.device.is_some() => Ok(()),
            Pages::Pool(wanted) if wanted == self.pool.page => Ok(()),
            _ => refused(
                "a file's pages are what its file system makes of them".to_owned(),
                "ask for base pages",
            ),
        }
    }

    fn map_part(&self, request: &Request<'_>, part: &Part, span: usize) -> Result<Mapping> {
        let page = self.pool.page;
        let (size, align) = (request.size(), request.alignment());
        let what = || format!("map {} of {self:?}", Bytes::from(size));
        let file = self.pool.file.checked().map_err(|errno| {
            Error::new(ErrorKind::Io, what())
                .with_system_call("fstat", errno)
                .with_facts("its descriptor was closed, or its number belongs to another file now")
                .with_remedy("keep the descriptors that were given to a provider")
        })?;
        if !align.is_power_of_two() {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts(format!("an alignment of {align} bytes is not a power of two")));
        }
        let chosen = match (request.home(), request.address()) {
            (Some((reservation, offset)), _) => Some(reservation.address().saturating_add(offset)),
            (None, Address::Exactly(address)) => Some(address),
            (None, Address::Any) => None,
            (None, _) => {
                return Err(Error::new(ErrorKind::Unsupported, what())
                    .with_facts("its address is either exact, or the kernel's choice"));
            }
        };
        let unit = page.bytes().max(align);
        if let Some(address) = chosen.filter(|address| *address == 0 || !address.is_multiple_of(unit)) {
            return Err(Error::new(ErrorKind::InvalidInput, what()).with_facts(format!(
                "the address asked for is {address:#x}, and it must be a multiple of {unit}"
            )));
        }
        let (sharing, flags) = match self.shared {
            true => (Sharing::Shared, MapFlags::SHARED),
            false => (Sharing::PrivateFile, MapFlags::PRIVATE),
        };
        let at = match request.address() {
            Address::Exactly(address) => At::Exactly(address),
            _ => At::Anywhere,
        };
        let protection = request.wanted_protection();
        let file = Some((file, part.offset));
        let plan = Plan { at, size, span, page, protection, sharing, flags, file, placement: None };
        let mapped = match request.home() {
            Some((reservation, offset)) => Mapping::inside(&plan, reservation, offset),
            None if at == At::Anywhere && align > page.bytes() => Mapping::aligned(&plan, align),
            None => Mapping::new(&plan),
        };
        // What is said of large pages elsewhere is about the pool.
        mapped.map_err(|error| match (error.errno(), self.pool.device) {
            (Some(errno), Some(_)) => Error::new(error.kind(), what())
                .with_system_call(
                    format!("mmap(…, {}, MAP_SHARED, {:#x})", Bytes::from(span), part.offset),
                    errno,
                )
                .with_facts("the device cannot be mapped so: its driver may have released it")
                .with_remedy("look at /sys/bus/dax/devices: its driver must be device_dax"),
            _ => error,
        })
    }
}

impl Provider for Storage {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        self.refuse(request)?;
        let size = request.size();
        let span = self.pool.page.round_up(size).filter(|_| size > 0).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("take {} of {self:?}", Bytes::from(size)))
                .with_facts("the size is 0, or more than there are addresses")
        })?;
        let part = self.take(size, span)?;
        let mut mapping = self.map_part(request, &part, span)?;
        mapping.attach(part);
        if let Some(placement) = request.placement().filter(|placement| !placement.is_default()) {
            mapping.place(0..span, &resolve(placement)?)?;
        }
        if let Some(placer) = request.placer() {
            placer.place(&mut mapping)?;
        }
        let wanted = match request.page_request() {
            Pages::PreferPool(wanted) => Some(wanted),
            Pages::Auto => Some(PageSize::HUGE_2M),
            Pages::Base | Pages::Pool(_) => None,
        };
        if let Some(wanted) = wanted.filter(|&wanted| wanted != self.pool.page) {
            let why =
                Error::new(ErrorKind::Unsupported, format!("map {} in {wanted} pages", Bytes::from(size)))
                    .with_facts(format!("the device is mapped in pages of {}", self.pool.page));
            mapping.record_fallback(
                format!("{wanted} hugetlb pages"),
                format!("{} pages", self.pool.page),
                why,
            );
        }
        Ok(mapping)
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, len) = (if self.pool.device.is_some() { "device" } else { "file" }, Bytes(self.pool.len));
        let copied = if self.shared { "" } else { ".copied()" };
        write!(f, "Storage({kind} of {len}){copied}")
    }
}

/// How large a memory device is, in which pages it is mapped, and what else sysfs says of it:
/// `/sys/dev/char/MAJOR:MINOR`.
fn dax(sysfs: &Path, (major, minor): (u32, u32)) -> Result<(u64, PageSize, Device)> {
    let what = "make areas out of a device";
    let folder: PathBuf = sysfs.join(format!("dev/char/{major}:{minor}"));
    let bus = std::fs::read_link(folder.join("subsystem")).ok();
    if bus.as_deref().and_then(Path::file_name).is_none_or(|name| name != "dax") {
        return Err(Error::new(ErrorKind::Unsupported, what)
            .with_facts(format!("device {major}:{minor} is not a memory device (its subsystem is not `dax`)"))
            .with_remedy("open a regular file, or a device as /dev/dax0.0"));
    }
    let reported = |name: &str| sys::text::read_to_string(folder.join(name)).ok();
    let number = |name: &str| {
        let text = reported(name);
        let number = text.as_deref().and_then(|text| text.trim().parse::<u64>().ok());
        number.ok_or_else(|| {
            Error::new(ErrorKind::Io, what).with_facts(match &text {
                Some(text) => format!("{} says {text:?}, which is not a number", folder.join(name).display()),
                None => format!("{} cannot be read", folder.join(name).display()),
            })
        })
    };
    let len = number("size")?;
    // Before 5.10 a device does not report it, and is mapped in huge pages.
    let align = if reported("align").is_some() { number("align")? } else { PageSize::HUGE_2M.bytes() as u64 };
    let page = usize::try_from(align).ok().and_then(PageSize::of).ok_or_else(|| {
        Error::new(ErrorKind::Io, what).with_facts(format!("its pages are said to be of {align} bytes"))
    })?;
    let node = reported("target_node").and_then(|text| Node::new(text.trim().parse().ok()?).ok());
    Ok((len, page, Device { node }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("areas-dax-{}-{number}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A folder that looks like a device's in sysfs.
    fn device(files: &[(&str, &str)], bus: &str) -> Folder {
        let folder = Folder::new();
        let device = folder.0.join("dev/char/252:0");
        fs::create_dir_all(&device).unwrap();
        std::os::unix::fs::symlink(format!("../../../../bus/{bus}"), device.join("subsystem")).unwrap();
        for (name, text) in files {
            fs::write(device.join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn what_sysfs_says_of_a_device() {
        let all = [("size", "268435456\n"), ("align", "2097152\n"), ("target_node", "2\n")];
        let folder = device(&all, "dax");
        let reported = dax(&folder.0, (252, 0)).unwrap();
        let node = Node::new(2).ok();
        assert_eq!(reported, (256 << 20, PageSize::HUGE_2M, Device { node }));
        let folder = device(&[("size", "4096\n"), ("align", "4096\n"), ("target_node", "-1\n")], "dax");
        assert_eq!(dax(&folder.0, (252, 0)).unwrap(), (4096, PageSize::base(), Device { node: None }));
        let folder = device(&all[..1], "dax");
        assert_eq!(dax(&folder.0, (252, 0)).unwrap().1, PageSize::HUGE_2M);
        let error = |files: &[(&str, &str)], bus| dax(&device(files, bus).0, (252, 0)).unwrap_err();
        for (files, bus, kind, text) in [
            (&all[..], "mem", ErrorKind::Unsupported, "is not a memory device"),
            (&[], "dax", ErrorKind::Io, "size cannot be read"),
            (&[("size", "much\n")], "dax", ErrorKind::Io, "which is not a number"),
            (&[("size", "1\n"), ("align", "3\n")], "dax", ErrorKind::Io, "of 3 bytes"),
            (&[("size", "1\n"), ("align", "-1\n")], "dax", ErrorKind::Io, "which is not a number"),
            (&[("size", "1\n"), ("align", "18446744073709551615\n")], "dax", ErrorKind::Io, "said to be of"),
        ] {
            let error = error(files, bus);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
