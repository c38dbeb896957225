//! An area as a dma-buf (`/dev/udmabuf`): what cameras, displays and GPUs import. The same pages,
//! by another descriptor; and a camera (vivid, the kernel's own for tests) whose frames come into
//! them.
//!
//! In the guest with all drivers.
// vm: --kernel full --modules vivid

#![expect(unsafe_code, reason = "ioctls and a mapping of the buffer; each block has its proof")]

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;
use std::sync::atomic::Ordering;

use areas::{Area, ErrorKind, Shared};

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

/// The device, or the reason why the test `name` is skipped.
fn udmabuf(name: &str) -> Option<File> {
    match File::options().read(true).write(true).open("/dev/udmabuf") {
        Ok(device) => Some(device),
        Err(why) => {
            areas_testing::skipped(
                name,
                &format!("/dev/udmabuf cannot be opened (modprobe udmabuf; CONFIG_UDMABUF): {why}"),
            );
            None
        }
    }
}

/// A dma-buf over a part of an area.
fn exported(device: &File, area: &Area<Shared>, offset: usize, size: usize) -> OwnedFd {
    let memfd = u32::try_from(area.as_fd().as_raw_fd()).unwrap();
    let asked = Create { memfd, flags: CLOEXEC, offset: offset as u64, size: size as u64 };
    // SAFETY: the device's ioctl reads a structure of that shape.
    let fd = unsafe { libc::ioctl(device.as_raw_fd(), CREATE, &raw const asked) };
    assert!(fd >= 0, "UDMABUF_CREATE of an area: {}", std::io::Error::last_os_error());
    // SAFETY: a new descriptor, which nothing else owns.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[test]
fn an_area_is_a_dma_buf_of_the_same_pages() {
    const BYTES: usize = 64 << 10;
    let Some(device) = udmabuf("an_area_is_a_dma_buf_of_the_same_pages") else { return };
    let area = areas::builder(BYTES).shared().unwrap();
    area.store(4096, 0x5a_u8, Ordering::Relaxed).unwrap();
    let buffer = exported(&device, &area, 0, BYTES);
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, anywhere.
    let at = unsafe { libc::mmap(ptr::null_mut(), BYTES, prot, libc::MAP_SHARED, buffer.as_raw_fd(), 0) };
    assert_ne!(at, libc::MAP_FAILED, "mmap of the dma-buf: {}", std::io::Error::last_os_error());
    let word = at.cast::<u8>().wrapping_add(4096);
    // SAFETY: inside the mapping; only this thread uses it.
    assert_eq!(unsafe { word.read_volatile() }, 0x5a, "what is in the area is in the buffer");
    // SAFETY: inside the mapping, which is writable; only this thread uses it.
    unsafe { word.write_volatile(0xa5) };
    assert_eq!(area.load::<u8>(4096, Ordering::Relaxed).unwrap(), 0xa5, "and the other way round");
    // SAFETY: what was mapped above, and is used no more.
    assert_eq!(unsafe { libc::munmap(at, BYTES) }, 0);
}

/// Video4Linux: what of linux/videodev2.h is needed to have frames come into buffers of ours.
mod v4l2 {
    pub(super) const CAPTURE: u32 = 1;
    pub(super) const DMABUF: u32 = 4;
    pub(super) const CAP_VIDEO_CAPTURE: u32 = 1;
    pub(super) const CAP_STREAMING: u32 = 0x0400_0000;
    pub(super) const FLAG_ERROR: u32 = 0x40;

    pub(super) const QUERYCAP: libc::c_ulong = 0x8068_5600;
    pub(super) const G_FMT: libc::c_ulong = 0xc0d0_5604;
    pub(super) const REQBUFS: libc::c_ulong = 0xc014_5608;
    pub(super) const QBUF: libc::c_ulong = 0xc058_560f;
    pub(super) const DQBUF: libc::c_ulong = 0xc058_5611;
    pub(super) const STREAMON: libc::c_ulong = 0x4004_5612;
    pub(super) const STREAMOFF: libc::c_ulong = 0x4004_5613;

    /// `struct v4l2_capability`.
    #[repr(C)]
    pub(super) struct Capability {
        pub(super) driver: [u8; 16],
        pub(super) card: [u8; 32],
        pub(super) bus: [u8; 32],
        pub(super) version: u32,
        pub(super) capabilities: u32,
        pub(super) of_this_node: u32,
        pub(super) reserved: [u32; 3],
    }

    /// `struct v4l2_format` of one plane.
    #[repr(C)]
    pub(super) struct Format {
        pub(super) kind: u32,
        pub(super) pad: u32,
        pub(super) width: u32,
        pub(super) height: u32,
        pub(super) pixels: u32,
        pub(super) field: u32,
        pub(super) line: u32,
        pub(super) size: u32,
        pub(super) rest: [u32; 44],
    }

    /// `struct v4l2_requestbuffers`.
    #[repr(C)]
    pub(super) struct Request {
        pub(super) count: u32,
        pub(super) kind: u32,
        pub(super) memory: u32,
        pub(super) capabilities: u32,
        pub(super) flags: u32,
    }

    /// `struct v4l2_buffer`, with the descriptor of a dma-buf.
    #[repr(C)]
    #[derive(Default)]
    pub(super) struct Buffer {
        pub(super) index: u32,
        pub(super) kind: u32,
        pub(super) used: u32,
        pub(super) flags: u32,
        pub(super) field: u32,
        pub(super) pad: u32,
        pub(super) timestamp: [u64; 2],
        pub(super) timecode: [u32; 4],
        pub(super) sequence: u32,
        pub(super) memory: u32,
        pub(super) fd: i64,
        pub(super) length: u32,
        pub(super) reserved: [u32; 3],
    }

    const _: () = {
        assert!(size_of::<Capability>() == 104 && size_of::<Format>() == 208);
        assert!(size_of::<Request>() == 20 && size_of::<Buffer>() == 88);
    };
}

/// One ioctl of a camera's.
///
/// # Errors
/// The kernel's.
fn ask<T>(camera: &File, request: libc::c_ulong, value: &mut T) -> std::io::Result<()> {
    // SAFETY: each structure has the size that its request's number says, checked above; an integer
    // is one of four bytes.
    match unsafe { libc::ioctl(camera.as_raw_fd(), request, ptr::from_mut(value)) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// A device that captures frames and streams them.
fn camera() -> Option<File> {
    (0..8).find_map(|number| {
        let device = File::options().read(true).write(true).open(format!("/dev/video{number}")).ok()?;
        // SAFETY: a structure of integers.
        let mut reported: v4l2::Capability = unsafe { std::mem::zeroed() };
        ask(&device, v4l2::QUERYCAP, &mut reported).ok()?;
        let wanted = v4l2::CAP_VIDEO_CAPTURE | v4l2::CAP_STREAMING;
        (reported.driver.starts_with(b"vivid") && reported.of_this_node & wanted == wanted).then_some(device)
    })
}

fn buffer_of(index: usize, buffer: &OwnedFd) -> v4l2::Buffer {
    v4l2::Buffer {
        index: u32::try_from(index).unwrap(),
        kind: v4l2::CAPTURE,
        memory: v4l2::DMABUF,
        fd: i64::from(buffer.as_raw_fd()),
        ..Default::default()
    }
}

/// A ring of frames is one area: the driver writes into its pages, and who finds it by its name
/// reads them there.
#[test]
fn frames_of_a_camera_come_into_an_area() {
    const FRAMES: usize = 4;
    let test = "frames_of_a_camera_come_into_an_area";
    let Some(device) = udmabuf(test) else { return };
    let Some(camera) = camera() else {
        return areas_testing::skipped(test, "no /dev/videoN is vivid's (modprobe vivid)");
    };
    // SAFETY: a structure of integers.
    let mut format: v4l2::Format = unsafe { std::mem::zeroed() };
    format.kind = v4l2::CAPTURE;
    ask(&camera, v4l2::G_FMT, &mut format).unwrap();
    let frame = usize::try_from(format.size).unwrap();
    assert!(frame > 0, "a frame has bytes");
    let room = frame.next_multiple_of(4096);
    let name = format!("frames of a camera {}", std::process::id());
    let mut area = areas::builder(FRAMES * room).name(&name).shared().unwrap();
    area.populate().unwrap();
    let buffers: Vec<OwnedFd> =
        (0..FRAMES).map(|index| exported(&device, &area, index * room, room)).collect();

    let mut request = v4l2::Request {
        count: u32::try_from(FRAMES).unwrap(),
        kind: v4l2::CAPTURE,
        memory: v4l2::DMABUF,
        capabilities: 0,
        flags: 0,
    };
    ask(&camera, v4l2::REQBUFS, &mut request).unwrap();
    assert_eq!(usize::try_from(request.count), Ok(FRAMES));
    for (index, buffer) in buffers.iter().enumerate() {
        ask(&camera, v4l2::QBUF, &mut buffer_of(index, buffer)).unwrap();
    }
    let mut kind = v4l2::CAPTURE.cast_signed();
    ask(&camera, v4l2::STREAMON, &mut kind).unwrap();

    // Another holder, which knows nothing of the camera.
    let seen = areas::registry::find(&name).unwrap().open_read_only().unwrap();
    for round in 0..2 * FRAMES {
        let mut done = buffer_of(0, &buffers[0]);
        ask(&camera, v4l2::DQBUF, &mut done).unwrap();
        assert_eq!(done.flags & v4l2::FLAG_ERROR, 0, "frame {round}");
        assert_eq!(usize::try_from(done.used), Ok(frame), "frame {round}");
        let index = usize::try_from(done.index).unwrap();
        let mut bytes = vec![0; frame];
        seen.read_at(index * room, &mut bytes).unwrap();
        let different = bytes.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert!(different > 8, "frame {round} is a picture, and has {different} different bytes");
        // Taken, so that the next round's is known to be new.
        area.write_at(index * room, &vec![0; frame]).unwrap();
        ask(&camera, v4l2::QBUF, &mut buffer_of(index, &buffers[index])).unwrap();
    }
    // What a device may write does not freeze.
    let refused = area.freeze().unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Busy, "{}", refused.error);
    ask(&camera, v4l2::STREAMOFF, &mut kind).unwrap();
    drop((camera, buffers, seen));
    drop(refused.value.freeze().unwrap());
}
