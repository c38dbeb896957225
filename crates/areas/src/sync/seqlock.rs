//! A sequence lock: one writer, and readers that never wait for each other.

use std::fmt;
use std::sync::atomic::{Ordering, fence};

use super::mutex::Attempt;
use super::protocol::{self, Outcome};
use super::sequence::{self, Read, Sequence};
use super::{check_memory, out_of_seqlock};
use crate::area::{Area, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::owner::{self, Owner as Mark};
use crate::protection::Protection;

/// Attempts of a reader, of which the first few spin.
const ATTEMPTS: u32 = 1000;
const SPINS: u32 = 100;
/// Where the writer's word is, behind the count.
const WRITER: usize = 8;

/// Some bytes that one process writes and many read, whole or not at all, in a shared area.
///
/// Readers need the right to read only, and write nothing: that there are many costs the writer
/// nothing. The writer never waits. A value is [`HEADER`](SeqLock::HEADER) bytes longer than what
/// is in it. Zeros are one that was never written, with zeros in it. The value here only says where
/// it is, and is copied freely.
///
/// ```
/// use areas::sync::SeqLock;
///
/// let area = areas::builder(4096).shared()?;
/// let price = SeqLock::new(&area, 0, 16)?;
/// let mut writer = price.writer()?; // in one process
/// writer.write(b"12.50 EUR / unit")?;
///
/// let mut bytes = [0; 16];
/// let version = price.read(&mut bytes)?; // in any
/// assert_eq!((version, &bytes), (1, b"12.50 EUR / unit"));
/// # Ok::<(), areas::Error>(())
/// ```
///
/// A writer that dies in the middle of a write leaves bytes that are half old and half new: readers
/// get [`ErrorKind::OwnerDied`] until the next writer has written.
#[derive(Clone, Copy)]
pub struct SeqLock<'a> {
    area: &'a Area<Shared>,
    offset: usize,
    len: usize,
}

impl<'a> SeqLock<'a> {
    /// Bytes that it takes besides what is in it.
    pub const HEADER: usize = 16;

    /// The one at `offset`, a multiple of 8, with `len` bytes in it, of which all who use it know
    /// how many there are.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond the size, [`ErrorKind::InvalidInput`] off the alignment,
    /// [`ErrorKind::ReadOnly`] where the area may not be read, [`ErrorKind::Unsupported`] for
    /// hugetlb pages, which may be taken away under a word, and for low areas.
    pub fn new(area: &'a Area<Shared>, offset: usize, len: usize) -> Result<Self> {
        check_memory(area, || format!("use a sequence lock at {offset} of {area}"))?;
        area.load::<u64>(offset, Ordering::Relaxed)?;
        let whole = SeqLock::HEADER.checked_add(len).and_then(|whole| offset.checked_add(whole));
        if whole.is_none_or(|end| end > area.size()) {
            return Err(out_of_seqlock(area, offset, len));
        }
        Ok(SeqLock { area, offset, len })
    }

    /// Becomes its writer, as long as the value is there, from whatever thread. At once: no other
    /// writer is waited for.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if another writer lives; [`ErrorKind::ReadOnly`] for a clone for reading
    /// only; [`ErrorKind::InvalidInput`] if the words there are not a sequence lock's; else as for
    /// [`Mutex::lock`](super::Mutex::lock) in a thread that locks for the first time.
    pub fn writer(&self) -> Result<Writer<'a>> {
        let what = || self.what("write");
        if !self.area.protection().contains(Protection::READ_WRITE) {
            return Err(Error::new(ErrorKind::ReadOnly, what())
                .with_facts(format!("its protection is {}", self.area.protection()))
                .with_remedy("open the area for writing, too: `open` instead of `open_read_only`"));
        }
        let mark = self.area.owners().another(self.area.object())?;
        let mut writer = DetachedWriter { offset: self.offset, len: self.len, mark, count: 0 };
        let claimed = protocol::lock(&self.writers_word(), mark.number);
        let outcome = claimed.inspect_err(|_| owner::give_back(mark))?;
        if let Outcome::Locked { inconsistent } = outcome {
            if inconsistent {
                // That a write was interrupted the count says.
                protocol::mark_consistent(&self.writers_word(), mark.number)?;
            }
            writer.count = Sequence::load(self)?;
            return Ok(Writer { area: self.area, writer });
        }
        owner::give_back(mark);
        match outcome {
            Outcome::Garbage(word) => Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts(format!(
                    "its writer's word is {word:#x}, not a writer's: a process may have overwritten it"
                ))
                .with_remedy("if no process uses it, write 16 zeros there")),
            _ => Err(Error::new(ErrorKind::Busy, what())
                .with_facts("it has a writer, which is alive")
                .with_remedy(
                    "it has one writer at a time: end the other one, or have writers take turns by a mutex",
                )),
        }
    }

    /// Copies out what was written last, all of one write: how often it was written until then, or
    /// so it says.
    ///
    /// ```
    /// use areas::sync::SeqLock;
    ///
    /// let area = areas::builder(4096).shared()?;
    /// let lock = SeqLock::new(&area, 0, 64)?;
    /// lock.writer()?.write(&[7; 64])?;
    /// let mut value = [0; 64];
    /// lock.read(&mut value)?; // all of one write
    /// assert_eq!(value, [7; 64]);
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidInput`] if `into` is of another length than what is in it;
    /// - [`ErrorKind::Busy`] if no copy was whole in some thousand attempts: its writer writes all
    ///   the time, or was stopped in the middle;
    /// - [`ErrorKind::OwnerDied`] if its writer died in the middle of a write, and no other one has
    ///   written since.
    pub fn read(&self, into: &mut [u8]) -> Result<u64> {
        let what = || self.what("read");
        if into.len() != self.len {
            return Err(Error::new(ErrorKind::InvalidInput, what()).with_facts(format!(
                "it has {} bytes in it, and there is room for {}",
                self.len,
                into.len()
            )));
        }
        let data = self.offset + SeqLock::HEADER;
        match sequence::read(self, ATTEMPTS, || self.area.read_at(data, into))? {
            Read::Whole(count) => Ok(count / 2),
            Read::Changing => Err(Error::new(ErrorKind::Busy, what())
                .with_facts(format!("it was written at each of {ATTEMPTS} attempts"))
                .with_remedy("try again; or have it written less often")),
            Read::Unfinished if self.has_living_writer()? => Err(Error::new(ErrorKind::Busy, what())
                .with_facts(
                    "a write is under way, and its writer lives: it may be stopped, or wait for a CPU",
                )
                .with_remedy("try again")),
            Read::Unfinished => Err(Error::new(ErrorKind::OwnerDied, what())
                .with_facts("its writer died in the middle of a write: it is half old and half new")
                .with_remedy("the next write makes it whole: `writer`, `write`")),
        }
    }

    /// Whether it has a writer that lives.
    ///
    /// # Errors
    /// [`ErrorKind::System`] if the program has closed the area's descriptor.
    pub fn has_living_writer(&self) -> Result<bool> {
        let word = self.area.load(self.offset + WRITER, Ordering::Acquire)?;
        match protocol::owner(word) {
            None | Some(0) => Ok(false),
            Some(number) => owner::is_alive(self.area.object(), number),
        }
    }

    fn writers_word(&self) -> Attempt<'a> {
        Attempt::at_once(self.area, self.offset + WRITER)
    }

    fn what(&self, verb: &str) -> String {
        format!("{verb} the sequence lock at {} of {}", self.offset, self.area)
    }
}

impl Sequence for SeqLock<'_> {
    type Error = Error;

    fn load(&self) -> Result<u64> {
        self.area.load(self.offset, Ordering::Relaxed)
    }

    fn store(&self, count: u64) -> Result<()> {
        self.area.store(self.offset, count, Ordering::Relaxed)
    }

    fn acquire(&self) {
        fence(Ordering::Acquire);
    }

    fn release(&self) {
        fence(Ordering::Release);
    }

    fn pause(&self, attempt: u32) {
        if attempt < SPINS {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

impl fmt::Debug for SeqLock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SeqLock { area, offset, len } = self;
        f.debug_struct("SeqLock").field("area", area).field("offset", offset).field("len", len).finish()
    }
}

/// The one who may write a sequence lock. Dropping it lets another one come. In a forked child it
/// is the parent's.
#[derive(Debug)]
pub struct Writer<'a> {
    area: &'a Area<Shared>,
    writer: DetachedWriter,
}

impl<'a> Writer<'a> {
    /// Whether the writer before died in the middle of a write, and nothing was written since.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.writer.is_interrupted()
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for another number of bytes; [`ErrorKind::NotPermitted`] in a
    /// forked child, and if another process has written over the writer's word;
    /// [`ErrorKind::ReadOnly`] where the area's protection was changed.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write(self.area, bytes)
    }

    /// The writer without its area, for interfaces in other languages.
    #[doc(hidden)]
    pub fn detach(self) -> DetachedWriter {
        std::mem::ManuallyDrop::new(self).writer
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.writer.end(Some(self.area));
    }
}

/// A writer that is given at each call the area that it writes.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct DetachedWriter {
    offset: usize,
    len: usize,
    mark: Mark,
    count: u64,
}

#[doc(hidden)]
impl DetachedWriter {
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.count % 2 == 1
    }

    /// # Errors
    /// As [`Writer::write`].
    pub fn write(&mut self, area: &Area<Shared>, bytes: &[u8]) -> Result<()> {
        let lock = SeqLock { area, offset: self.offset, len: self.len };
        let what = || lock.what("write");
        if bytes.len() != lock.len {
            return Err(Error::new(ErrorKind::InvalidInput, what()).with_facts(format!(
                "it has {} bytes in it, and these are {}",
                lock.len,
                bytes.len()
            )));
        }
        let word = area.load(lock.offset + WRITER, Ordering::Relaxed)?;
        if !self.mark.is_own() || protocol::owner(word) != Some(self.mark.number) {
            return Err(Error::new(ErrorKind::NotPermitted, what())
                .with_facts("this is not its writer now: the forked child's parent is, or it was overwritten")
                .with_remedy("become its writer again: `writer`"));
        }
        let put = || area.write_at(lock.offset + SeqLock::HEADER, bytes);
        self.count = sequence::write(&lock, self.count, put)?;
        Ok(())
    }

    /// Lets another one come; where the area is not such an area any more, its mark is removed.
    pub fn end(&mut self, area: Option<&Area<Shared>>) {
        if !self.mark.is_own() {
            return;
        }
        if let Some(area) = area {
            let _ = protocol::unlock(&Attempt::at_once(area, self.offset + WRITER), self.mark.number);
        }
        owner::give_back(self.mark);
    }
}
