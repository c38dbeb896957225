//! An area as a dma-buf (`/dev/udmabuf`): what cameras, displays and GPUs import. The same pages, by another descriptor.

#![expect(unsafe_code, reason = "an ioctl and a mapping of the buffer; each block has its proof")]

mod skip;

use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;
use std::sync::atomic::Ordering;

/// `struct udmabuf_create` of linux/udmabuf.h.
#[repr(C)]
struct Create {
    memfd: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

/// `UDMABUF_CREATE`: _IOW('u', 0x42, struct udmabuf_create).
const CREATE: libc::c_ulong = 0x4018_7542;
/// `UDMABUF_FLAGS_CLOEXEC`.
const CLOEXEC: u32 = 1;

#[test]
fn an_area_is_a_dma_buf_of_the_same_pages() {
    const TEST: &str = "an_area_is_a_dma_buf_of_the_same_pages";
    const BYTES: usize = 64 << 10;
    let device = match File::options().read(true).write(true).open("/dev/udmabuf") {
        Ok(device) => device,
        Err(why) => {
            return skip::skip(
                TEST,
                &format!("/dev/udmabuf cannot be opened (modprobe udmabuf; CONFIG_UDMABUF): {why}"),
            );
        }
    };
    let area = areas::builder(BYTES).shared().unwrap();
    area.store(4096, 0x5a_u8, Ordering::Relaxed).unwrap();
    let memfd = u32::try_from(std::os::fd::AsFd::as_fd(&area).as_raw_fd()).unwrap();
    let asked = Create { memfd, flags: CLOEXEC, offset: 0, size: BYTES as u64 };
    // SAFETY: the device's ioctl reads a structure of that shape.
    let fd = unsafe { libc::ioctl(device.as_raw_fd(), CREATE, &raw const asked) };
    assert!(fd >= 0, "UDMABUF_CREATE of an area: {}", std::io::Error::last_os_error());
    // SAFETY: a new descriptor, which nobody else has.
    let buffer = unsafe { OwnedFd::from_raw_fd(fd) };
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, anywhere.
    let at = unsafe { libc::mmap(ptr::null_mut(), BYTES, prot, libc::MAP_SHARED, buffer.as_raw_fd(), 0) };
    assert_ne!(at, libc::MAP_FAILED, "mmap of the dma-buf: {}", std::io::Error::last_os_error());
    let word = at.cast::<u8>().wrapping_add(4096);
    // SAFETY: inside the mapping; only this thread uses it.
    assert_eq!(unsafe { word.read_volatile() }, 0x5a, "what is in the area is in the buffer");
    // SAFETY: as above.
    unsafe { word.write_volatile(0xa5) };
    assert_eq!(area.load::<u8>(4096, Ordering::Relaxed).unwrap(), 0xa5, "and the other way round");
    // SAFETY: what was mapped above, and is used no more.
    assert_eq!(unsafe { libc::munmap(at, BYTES) }, 0);
}
