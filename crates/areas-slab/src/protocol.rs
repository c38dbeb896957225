//! Who may use a block anew: the order of loads and stores by which an owner and its readers agree, which `models/` tries in all
//! orders.
//!
//! A reader says that it reads a block, and then looks whether the block's generation has ended; the owner ends the generation, and
//! then looks who reads it. With a fence between the two on both sides, at least one sees the other.

/// A reader's word about one slot: whether it reads the block, and how often it has taken the block as given, both of one
/// generation. Of another one it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) tag: u16,
    pub(crate) takes: u16,
    pub(crate) reads: bool,
}

impl Word {
    /// A block can be taken so often by one reader.
    pub(crate) const MAX_TAKES: u16 = (1 << 15) - 1;

    pub(crate) fn new(generation: u32, takes: u16, reads: bool) -> Self {
        Word { tag: tag(generation), takes, reads }
    }

    pub(crate) fn pack(self) -> u32 {
        u32::from(self.tag) << 16 | u32::from(self.takes & Word::MAX_TAKES) << 1 | u32::from(self.reads)
    }

    pub(crate) fn unpack(word: u32) -> Self {
        let [low, high] = [word & 0xffff, word >> 16].map(|half| u16::try_from(half).unwrap_or(0));
        Word { tag: high, takes: low >> 1, reads: low & 1 != 0 }
    }

    /// What it says of a block of that generation.
    pub(crate) fn of(self, generation: u32) -> Self {
        if self.tag == tag(generation) { self } else { Word { tag: tag(generation), ..Word::default() } }
    }
}

/// Live generations are odd: the bit that says so tells nothing apart.
fn tag(generation: u32) -> u16 {
    u16::try_from((generation >> 1) & 0xffff).unwrap_or(0)
}

/// One slot, as both sides see it. Loads acquire, stores release.
pub(crate) trait Slot {
    /// Why a word cannot be had.
    type Error;

    /// The generation that the owner has said.
    fn generation(&self) -> Result<u32, Self::Error>;
    fn set_generation(&self, generation: u32) -> Result<(), Self::Error>;
    /// What a reader has said.
    fn word(&self, reader: u32) -> Result<Word, Self::Error>;
    fn say(&self, reader: u32, word: Word) -> Result<(), Self::Error>;
    /// How many readers there can be.
    fn readers(&self) -> u32;
    /// What was stored before is seen before anything is loaded.
    fn fence(&self);
}

/// A reader begins to read a block, having said `before` of it; `None` where the block's generation has ended. What is read already may be read
/// once more, ended or not.
pub(crate) fn begin<S: Slot>(
    slot: &S,
    reader: u32,
    generation: u32,
    before: Word,
    takes: bool,
) -> Result<Option<Word>, S::Error> {
    let word = Word { reads: true, takes: before.takes + u16::from(takes), ..before };
    if word != before {
        slot.say(reader, word)?;
        slot.fence();
    }
    if before.reads || slot.generation()? == generation {
        return Ok(Some(word));
    }
    slot.say(reader, Word { reads: false, ..word })?;
    Ok(None)
}

/// A reader has read.
pub(crate) fn finish<S: Slot>(slot: &S, reader: u32, word: Word) -> Result<(), S::Error> {
    slot.say(reader, Word { reads: false, ..word })
}

/// The owner ends a block's generation, having dropped the block and given it to nobody who has not come.
pub(crate) fn end<S: Slot>(slot: &S, ended: u32) -> Result<(), S::Error> {
    slot.set_generation(ended)?;
    slot.fence();
    Ok(())
}

/// How often a block was taken by those it was given to.
pub(crate) fn takes<S: Slot>(slot: &S, generation: u32) -> Result<u32, S::Error> {
    (0..slot.readers()).map(|reader| Ok(u32::from(slot.word(reader)?.of(generation).takes))).sum()
}

/// Whether a process that lives reads a block whose generation has ended.
pub(crate) fn is_read<S: Slot>(
    slot: &S,
    generation: u32,
    lives: impl Fn(u32) -> bool,
) -> Result<bool, S::Error> {
    for reader in 0..slot.readers() {
        // The mark of a process that died is free, or another's, who cannot have begun to read what had ended before it came.
        if slot.word(reader)?.of(generation).reads && lives(reader) {
            return Ok(true);
        }
    }
    Ok(false)
}
