//! One of several processes that make many named things at once: areas, or POSIX shared memory. It
//! makes its own, opens its neighbour's, drops all.

use std::ffi::CString;
use std::io;
use std::ptr;

use anyhow::{Context as _, Result, bail, ensure};
use areas::{Area, Shared, registry};

/// Bytes of each.
const SIZE: usize = 4096;

/// One of the crowd.
pub struct One {
    own: Vec<String>,
    next: Vec<String>,
    held: Held,
}

enum Held {
    Areas(Vec<Area<Shared>>),
    Posix(Vec<Mapped>),
}

/// A mapping of a POSIX object.
struct Mapped(*mut libc::c_void);

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: a mapping of this size, made below, that is not looked at.
        unsafe { libc::munmap(self.0, SIZE) };
    }
}

impl One {
    pub fn new(who: &str, own: &str, next: &str, each: usize) -> Result<Self> {
        let slash = if who == "posix" { "/" } else { "" };
        let names = |prefix: &str| (0..each).map(|number| format!("{slash}{prefix}-{number}")).collect();
        let held = match who {
            "areas" => Held::Areas(Vec::new()),
            "posix" => Held::Posix(Vec::new()),
            _ => bail!("who is {who}?"),
        };
        Ok(One { own: names(own), next: names(next), held })
    }

    pub fn make(&mut self) -> Result<u64> {
        self.held.take(&self.own, true)
    }

    pub fn open(&mut self) -> Result<u64> {
        self.held.take(&self.next, false)
    }

    pub fn drop(&mut self) -> Result<u64> {
        match &mut self.held {
            Held::Areas(held) => held.clear(),
            Held::Posix(held) => {
                held.clear();
                for name in &self.own {
                    let name = CString::new(name.as_str())?;
                    // SAFETY: a string.
                    ensure!(
                        unsafe { libc::shm_unlink(name.as_ptr()) } == 0,
                        "{}",
                        io::Error::last_os_error()
                    );
                }
            }
        }
        Ok(0)
    }
}

impl Held {
    /// Makes or opens one of each name; how many there are then.
    fn take(&mut self, names: &[String], fresh: bool) -> Result<u64> {
        for name in names {
            match self {
                Held::Areas(held) if fresh => held.push(areas::builder(SIZE).name(name).shared()?),
                Held::Areas(held) => held.push(registry::find(name)?.open()?),
                Held::Posix(held) => held.push(posix(name, fresh)?),
            }
        }
        Ok(match self {
            Held::Areas(held) => held.len(),
            Held::Posix(held) => held.len(),
        } as u64)
    }
}

/// Makes or opens one, maps it and closes the descriptor, as its manual page shows it.
fn posix(name: &str, fresh: bool) -> Result<Mapped> {
    let flags = if fresh { libc::O_CREAT | libc::O_EXCL } else { 0 };
    let text = CString::new(name)?;
    // SAFETY: a string and numbers.
    let fd = unsafe { libc::shm_open(text.as_ptr(), libc::O_RDWR | flags, 0o600) };
    ensure!(fd >= 0, "shm_open({name}): {}", io::Error::last_os_error());
    let mapped = map(fd, fresh).with_context(|| name.to_owned());
    // SAFETY: opened above, and used by nothing else.
    unsafe { libc::close(fd) };
    mapped
}

fn map(fd: libc::c_int, fresh: bool) -> Result<Mapped> {
    if fresh {
        // SAFETY: numbers.
        ensure!(unsafe { libc::ftruncate(fd, SIZE as libc::off_t) } == 0, "{}", io::Error::last_os_error());
    } else {
        // SAFETY: all zero is one of its values.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: a place for the answer.
        ensure!(unsafe { libc::fstat(fd, &raw mut stat) } == 0, "{}", io::Error::last_os_error());
        ensure!(stat.st_size == SIZE as libc::off_t, "{} bytes", stat.st_size);
    }
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, at an address of the kernel's choice.
    let start = unsafe { libc::mmap(ptr::null_mut(), SIZE, protection, libc::MAP_SHARED, fd, 0) };
    ensure!(start != libc::MAP_FAILED, "{}", io::Error::last_os_error());
    Ok(Mapped(start))
}
