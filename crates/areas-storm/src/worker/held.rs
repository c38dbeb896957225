//! An area that a process of the storm holds, and what must be true of it.

use std::os::fd::AsFd;

use areas::{Area, AreaId, ErrorKind, Frozen, Private, Resizable, Shared};

use crate::pattern::{self, Rule};

/// Words before the pattern: what the creator says of the object, for whoever clones it.
pub(crate) const HEADER: usize = 32;
/// The first word of an object whose creator finished writing it.
const READY: u64 = 0x5354_4f52_4d21_0001;
/// How much is copied out at once.
const CHUNK: usize = 64 << 10;

/// The area itself.
#[derive(Debug)]
pub(crate) enum Memory {
    Shared(Area<Shared>),
    Resizable(Area<Resizable>),
    Frozen(Area<Frozen>),
    Private(Area<Private>),
}

/// An area that we hold.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) memory: Memory,
    /// The object's inode; of private memory, a number of its own.
    pub(crate) object: u64,
    /// Up to here every byte was written, and cannot be cut off.
    pub(crate) solid: usize,
    /// Where it stands in our journal, if it is published.
    pub(crate) entry: Option<usize>,
    pub(crate) writable: bool,
    /// The name that says who we are: it stays.
    pub(crate) is_life: bool,
}

/// The inode of an object, as the kernel has it.
pub(crate) fn inode(object: impl AsFd) -> u64 {
    rustix::fs::fstat(object).map(|stat| stat.st_ino).unwrap_or(0)
}

/// The header's words behind the first.
fn header(object: u64, solid: usize) -> [u64; 3] {
    let solid = solid as u64;
    [solid, object, (solid ^ object.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15)]
}

impl Held {
    pub(crate) fn new(memory: Memory, object: u64, writable: bool) -> Self {
        Held { memory, object, solid: 0, entry: None, writable, is_life: false }
    }

    pub(crate) fn id(&self) -> Option<AreaId> {
        match &self.memory {
            Memory::Shared(area) => area.id(),
            Memory::Resizable(area) => area.id(),
            Memory::Frozen(area) => area.id(),
            Memory::Private(_) => None,
        }
    }

    pub(crate) fn size(&self) -> usize {
        match &self.memory {
            Memory::Shared(area) => area.size(),
            Memory::Resizable(area) => area.size(),
            Memory::Frozen(area) => area.size(),
            Memory::Private(area) => area.size(),
        }
    }

    pub(crate) fn address(&self) -> usize {
        match &self.memory {
            Memory::Shared(area) => area.as_ptr().addr(),
            Memory::Resizable(area) => area.as_ptr().addr(),
            Memory::Frozen(area) => area.as_ptr().addr(),
            Memory::Private(area) => area.as_ptr().addr(),
        }
    }

    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> areas::Result<()> {
        match &mut self.memory {
            Memory::Shared(area) => area.write_at(offset, bytes),
            Memory::Resizable(area) => area.write_at(offset, bytes),
            Memory::Private(area) => {
                area[offset..offset + bytes.len()].copy_from_slice(bytes);
                Ok(())
            }
            Memory::Frozen(_) => Ok(()),
        }
    }

    fn read_at(&self, offset: usize, into: &mut [u8]) -> areas::Result<()> {
        match &self.memory {
            Memory::Shared(area) => area.read_at(offset, into),
            Memory::Resizable(area) => area.read_at(offset, into),
            Memory::Frozen(area) => {
                into.copy_from_slice(&area[offset..offset + into.len()]);
                Ok(())
            }
            Memory::Private(area) => {
                into.copy_from_slice(&area[offset..offset + into.len()]);
                Ok(())
            }
        }
    }

    /// Writes the pattern from `from` up to `to`.
    pub(crate) fn paint(&mut self, from: usize, to: usize) -> areas::Result<()> {
        let mut bytes = vec![0; CHUNK.min(to.saturating_sub(from))];
        let mut at = from.max(HEADER);
        while at < to {
            let len = CHUNK.min(to - at);
            pattern::fill(self.object, at, &mut bytes[..len]);
            self.write_at(at, &bytes[..len])?;
            at += len;
        }
        Ok(())
    }

    /// Writes the whole of a new area, and last of all that it is written: its creator may be
    /// killed before.
    pub(crate) fn finish(&mut self) -> areas::Result<()> {
        let size = self.size();
        self.paint(0, size)?;
        // Of a resizable object the first page alone is never cut off.
        let solid = if matches!(self.memory, Memory::Resizable(_)) { size.min(4096) } else { size };
        let words: Vec<u8> = header(self.object, solid).iter().flat_map(|word| word.to_le_bytes()).collect();
        self.write_at(8, &words)?;
        self.write_at(0, &READY.to_le_bytes())?;
        self.solid = solid;
        Ok(())
    }

    /// What the creator says of it: `solid` is known then.
    fn meet(&mut self) -> areas::Result<Result<(), String>> {
        if self.solid != 0 || matches!(self.memory, Memory::Private(_)) {
            return Ok(Ok(()));
        }
        let mut first = [0; 8];
        self.read_at(0, &mut first)?;
        match u64::from_le_bytes(first) {
            0 => return Ok(Ok(())),
            READY => {}
            other => {
                return Ok(Err(format!(
                    "object {} begins with {other:#x}, not with {READY:#x} or zero",
                    self.object
                )));
            }
        }
        let mut bytes = [0; HEADER];
        self.read_at(0, &mut bytes)?;
        let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|&word| u64::from_le_bytes(word)).collect();
        let solid = usize::try_from(words[1]).unwrap_or(usize::MAX);
        if words[1..] != header(self.object, solid) {
            return Ok(Err(format!("object {} has another one's header: {words:x?}", self.object)));
        }
        self.solid = solid;
        Ok(Ok(()))
    }

    /// Bytes from an offset on, of which the first ones may have been written for good.
    fn check_bytes(&self, at: usize, bytes: &[u8]) -> Result<(), String> {
        let written = self.solid.saturating_sub(at).min(bytes.len()) & !7;
        pattern::check(self.object, at, &bytes[..written], Rule::Written)?;
        pattern::check(self.object, at + written, &bytes[written..], Rule::Perhaps)
    }

    /// Looks at bytes of it: all if there are few, else some. Gives the number of bytes looked at,
    /// or what is wrong.
    pub(crate) fn check(&mut self, random: &mut fastrand::Rng) -> areas::Result<Result<usize, String>> {
        let size = self.size();
        if size < HEADER {
            return Ok(match &self.memory {
                Memory::Resizable(_) => {
                    Err(format!("object {} has {size} bytes, fewer than it ever may", self.object))
                }
                _ => Ok(0),
            });
        }
        if let Err(wrong) = self.meet()? {
            return Ok(Err(wrong));
        }
        if size < self.solid {
            return Ok(Err(format!(
                "object {} has {size} bytes, and had {} before",
                self.object, self.solid
            )));
        }
        let mut spans = vec![(0, size.min(256 << 10))];
        if size > 256 << 10 {
            let somewhere = random.usize(0..size - CHUNK) & !7;
            spans.extend([(somewhere, somewhere + CHUNK), ((size - 4096) & !7, size)]);
        }
        let mut looked = 0;
        let mut bytes = vec![0; CHUNK.min(size)];
        for (from, to) in spans {
            let mut at = from.max(HEADER);
            while at < to {
                let len = CHUNK.min(to - at).min(bytes.len());
                match self.read_at(at, &mut bytes[..len]) {
                    Ok(()) => {}
                    // A process truncated it concurrently.
                    Err(error)
                        if error.kind() == ErrorKind::OutOfRange
                            && matches!(self.memory, Memory::Resizable(_)) =>
                    {
                        return Ok(Ok(looked));
                    }
                    Err(error) => return Err(error),
                }
                if let Err(wrong) = self.check_bytes(at, &bytes[..len]) {
                    return Ok(Err(format!(
                        "{wrong}; its first {} bytes were written for good; it has {size}",
                        self.solid
                    )));
                }
                looked += len;
                at += len;
            }
        }
        Ok(Ok(looked))
    }
}
