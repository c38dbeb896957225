//! The other processes of whole jobs: the two ends of a ring of frames, and readers of one large
//! block. By areas, by iceoryx2, by POSIX shared memory.

use std::ffi::CString;
use std::io;
use std::ptr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use areas::sync::Event;
use areas::{Area, Shared, registry};

/// Bytes of a frame: 8 MiB.
pub const FRAME: usize = 8 << 20;
/// Frames that are on their way at most.
const SLOTS: usize = 4;
/// What is read at once into a buffer that stays in the processor's cache.
const PIECE: usize = 64 << 10;
/// Neither end waits longer for the other.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One end of a ring.
pub trait End {
    /// Passes so many frames: a sum of what was read, 0 for who writes.
    fn pass(&mut self, frames: u64) -> Result<u64>;
}

/// The end that writes or the one that reads, of a ring of that name.
pub fn end(who: &str, writes: bool, name: &str) -> Result<Box<dyn End>> {
    Ok(match (who, writes) {
        ("areas", true) => Box::new(Writer { ring: Ring::make(name)?, frame: frame() }),
        ("areas", false) => Box::new(Reader { ring: Ring::open(name)?, piece: vec![0; PIECE] }),
        #[cfg(feature = "iceoryx2")]
        ("iceoryx2", true) => Box::new(by_iceoryx2::Writer::new(name)?),
        #[cfg(feature = "iceoryx2")]
        ("iceoryx2", false) => Box::new(by_iceoryx2::Reader::new(name)?),
        _ => bail!("who is {who}?"),
    })
}

/// What is in each frame.
fn frame() -> Vec<u8> {
    (0..FRAME as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// The sum of all words: each byte is looked at.
pub fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let of_words = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(of_words, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

/// What so many frames add up to.
pub fn sum_of_frames(frames: u64) -> u64 {
    sum(&frame()).wrapping_mul(frames)
}

/// Frames in an area: two counters in its first page, then the frames.
struct Ring {
    area: Area<Shared>,
    /// Frames that went through.
    passed: u32,
}

impl Ring {
    const FIRST: usize = 4096;
    /// Beside each other in one cache line they would be in each other's way.
    const WRITTEN: usize = 0;
    const READ: usize = 128;

    fn make(name: &str) -> Result<Self> {
        let mut area = areas::builder(Ring::FIRST + SLOTS * FRAME).name(name).shared()?;
        area.populate()?;
        Ok(Ring { area, passed: 0 })
    }

    fn open(name: &str) -> Result<Self> {
        Ok(Ring { area: registry::wait(name, Some(TIMEOUT))?.open()?, passed: 0 })
    }

    fn slot(&self) -> usize {
        Ring::FIRST + self.passed as usize % SLOTS * FRAME
    }
}

struct Writer {
    ring: Ring,
    frame: Vec<u8>,
}

impl End for Writer {
    fn pass(&mut self, frames: u64) -> Result<u64> {
        for _ in 0..frames {
            let ring = &self.ring;
            let (written, read) =
                (Event::new(&ring.area, Ring::WRITTEN)?, Event::new(&ring.area, Ring::READ)?);
            let mut seen = read.load()?;
            while ring.passed.wrapping_sub(seen) >= SLOTS as u32 {
                seen = read.wait(seen, TIMEOUT)?;
            }
            ring.area.write_at(ring.slot(), &self.frame)?;
            written.signal()?;
            self.ring.passed = self.ring.passed.wrapping_add(1);
        }
        Ok(0)
    }
}

struct Reader {
    ring: Ring,
    piece: Vec<u8>,
}

impl End for Reader {
    fn pass(&mut self, frames: u64) -> Result<u64> {
        let mut all = 0_u64;
        for _ in 0..frames {
            let ring = &self.ring;
            let (written, read) =
                (Event::new(&ring.area, Ring::WRITTEN)?, Event::new(&ring.area, Ring::READ)?);
            let mut seen = written.load()?;
            while seen == ring.passed {
                seen = written.wait(seen, TIMEOUT)?;
            }
            // The writer may write there again at any time: what is summed is a copy of ours.
            for at in (0..FRAME).step_by(PIECE) {
                ring.area.read_at(ring.slot() + at, &mut self.piece)?;
                all = all.wrapping_add(sum(&self.piece));
            }
            read.signal()?;
            self.ring.passed = self.ring.passed.wrapping_add(1);
        }
        Ok(all)
    }
}

#[cfg(feature = "iceoryx2")]
mod by_iceoryx2 {
    //! Publish and subscribe, as its examples show it: nothing is lost, and at most as many frames
    //! are on their way as there.

    use anyhow::{Result, anyhow};
    use iceoryx2::port::backpressure_strategy::BackpressureStrategy;
    use iceoryx2::port::publisher::Publisher;
    use iceoryx2::port::subscriber::Subscriber;
    use iceoryx2::prelude::*;
    use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
    use iceoryx2_bb_loggers as _;

    use super::{End, FRAME, SLOTS, frame, sum};

    type Node = iceoryx2::node::Node<ipc::Service>;

    fn failed(error: impl std::fmt::Debug) -> anyhow::Error {
        anyhow!("iceoryx2: {error:?}")
    }

    fn service(name: &str) -> Result<(Node, PortFactory<ipc::Service, [u8], ()>)> {
        set_log_level(LogLevel::Error);
        let node = NodeBuilder::new().create::<ipc::Service>().map_err(failed)?;
        let service = node
            .service_builder(&name.try_into().map_err(failed)?)
            .publish_subscribe::<[u8]>()
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(SLOTS)
            .open_or_create()
            .map_err(failed)?;
        Ok((node, service))
    }

    pub(super) struct Writer {
        _node: Node,
        publisher: Publisher<ipc::Service, [u8], ()>,
        frame: Vec<u8>,
    }

    impl Writer {
        pub(super) fn new(name: &str) -> Result<Self> {
            let (node, service) = service(name)?;
            let publisher = service
                .publisher_builder()
                .initial_max_slice_len(FRAME)
                .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
                .create()
                .map_err(failed)?;
            Ok(Writer { _node: node, publisher, frame: frame() })
        }
    }

    impl End for Writer {
        fn pass(&mut self, frames: u64) -> Result<u64> {
            for _ in 0..frames {
                let sample = self.publisher.loan_slice_uninit(FRAME).map_err(failed)?;
                sample.write_from_slice(&self.frame).send().map_err(failed)?;
            }
            Ok(0)
        }
    }

    pub(super) struct Reader {
        _node: Node,
        subscriber: Subscriber<ipc::Service, [u8], ()>,
    }

    impl Reader {
        pub(super) fn new(name: &str) -> Result<Self> {
            let (node, service) = service(name)?;
            let subscriber = service.subscriber_builder().create().map_err(failed)?;
            Ok(Reader { _node: node, subscriber })
        }
    }

    impl End for Reader {
        fn pass(&mut self, frames: u64) -> Result<u64> {
            let mut all = 0_u64;
            for _ in 0..frames {
                let sample = loop {
                    match self.subscriber.receive().map_err(failed)? {
                        Some(sample) => break sample,
                        None => std::thread::yield_now(),
                    }
                };
                all = all.wrapping_add(sum(sample.payload()));
            }
            Ok(all)
        }
    }
}

/// Reads one large block, as one of several readers: its sum.
///
/// `areas`: frozen, so that it is read where it is. `posix-copied`: another process may write it at
/// any time, so that what is read is a copy. `posix`: read where it is all the same.
pub fn read(who: &str, name: &str, size: usize) -> Result<u64> {
    match who {
        "areas" => {
            let area = registry::wait(name, Some(TIMEOUT))?.open_frozen()?;
            ensure!(area.len() == size, "{} bytes", area.len());
            Ok(sum(&area))
        }
        "posix" | "posix-copied" => {
            let mapped = Posix::new(name, size, false)?;
            // SAFETY: its writer is done, and says so before anybody reads: this program's own.
            let bytes = unsafe { std::slice::from_raw_parts(mapped.start.cast::<u8>(), size) };
            Ok(if who == "posix" { sum(bytes) } else { sum(&bytes.to_vec()) })
        }
        _ => bail!("who is {who}?"),
    }
}

/// A mapping of a POSIX object.
pub struct Posix {
    pub start: *mut libc::c_void,
    size: usize,
}

impl Posix {
    /// Makes or opens one, maps it, closes the descriptor.
    pub fn new(name: &str, size: usize, fresh: bool) -> Result<Self> {
        let text = CString::new(name)?;
        let flags = if fresh { libc::O_CREAT | libc::O_EXCL | libc::O_RDWR } else { libc::O_RDONLY };
        // SAFETY: a string and numbers.
        let fd = unsafe { libc::shm_open(text.as_ptr(), flags, 0o600) };
        ensure!(fd >= 0, "shm_open({name}): {}", io::Error::last_os_error());
        // SAFETY: numbers; the descriptor was opened above.
        let sized = !fresh || unsafe { libc::ftruncate(fd, libc::off_t::try_from(size)?) } == 0;
        let protection = if fresh { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let start = unsafe { libc::mmap(ptr::null_mut(), size, protection, libc::MAP_SHARED, fd, 0) };
        let error = io::Error::last_os_error();
        // SAFETY: opened above, and used by nothing else.
        unsafe { libc::close(fd) };
        ensure!(start != libc::MAP_FAILED, "mmap({name}): {error}");
        let mapped = Posix { start, size };
        ensure!(sized, "ftruncate({name}, {size})");
        Ok(mapped)
    }

    /// Takes the name away.
    pub fn unlink(name: &str) -> Result<()> {
        let text = CString::new(name).context("a name without NUL")?;
        // SAFETY: a string.
        let status = unsafe { libc::shm_unlink(text.as_ptr()) };
        ensure!(status == 0, "shm_unlink({name}): {}", io::Error::last_os_error());
        Ok(())
    }
}

impl Drop for Posix {
    fn drop(&mut self) {
        // SAFETY: a mapping of this size, made above; who used it is done.
        unsafe { libc::munmap(self.start, self.size) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_counts() {
        assert_eq!(sum(&[1, 0, 0, 0, 0, 0, 0, 0, 2, 3]), 6);
        assert_eq!(sum_of_frames(3), sum(&frame()).wrapping_mul(3));
    }
}
