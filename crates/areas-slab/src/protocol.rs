//! Who may reuse a block: the order of loads and stores by which an owner and its readers agree,
//! which `models/` tries in all orders.
//!
//! A reader says that it reads a block, and then looks at the block's generation; the owner says
//! that it decides, and then looks who reads the block. With a fence between the two on both sides,
//! at least one sees the other: either the owner finds a reader, and lets the generation live on,
//! or the reader finds that it is being decided, and waits for what comes of it. So a block can be
//! opened as long as anybody reads it, by way of whichever process its handle came.

/// Each block of a slot has four generations, so that none is ever another one's.
const STEP: u32 = 4;

/// The block is there: the first generation of each four, and the first of all.
pub(crate) const LIVE: u32 = 1;

/// The generation before that of a slot's first block.
pub(crate) const BEFORE_ALL: u32 = LIVE.wrapping_sub(STEP);

/// Whether a block can be of that generation.
pub(crate) fn is_live(generation: u32) -> bool {
    generation % STEP == LIVE
}

/// Its owner looks whether anybody reads the block of that generation: who opens it waits.
pub(crate) fn deciding(generation: u32) -> u32 {
    generation.wrapping_add(1)
}

/// The block of that generation is gone.
pub(crate) fn ended(generation: u32) -> u32 {
    generation.wrapping_add(2)
}

/// The generation of the next block.
pub(crate) fn next(generation: u32) -> u32 {
    generation.wrapping_add(STEP)
}

/// A reader's word about one slot: whether it reads the block, and how often it has taken the block
/// as given, both of one generation. Of another one it says nothing.
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

/// What distinguishes blocks, without what says what becomes of one.
fn tag(generation: u32) -> u16 {
    u16::try_from((generation / STEP) & 0xffff).unwrap_or(0)
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

/// What comes of a reader's wish to read a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It reads, and has said this.
    Reads(Word),
    /// The block is gone.
    Gone,
    /// Its owner is about to decide: ask again, by [`decided`].
    Undecided(Word),
}

/// A reader begins to read a block, having said `before` of it. What it reads already it may read
/// once more.
pub(crate) fn begin<S: Slot>(
    slot: &S,
    reader: u32,
    generation: u32,
    before: Word,
    takes: bool,
) -> Result<Begun, S::Error> {
    let word = Word { reads: true, takes: before.takes + u16::from(takes), ..before };
    if word != before {
        slot.say(reader, word)?;
        slot.fence();
    }
    if before.reads { Ok(Begun::Reads(word)) } else { decided(slot, reader, generation, word) }
}

/// What the owner has decided on a block of which a reader has said that it reads it.
pub(crate) fn decided<S: Slot>(
    slot: &S,
    reader: u32,
    generation: u32,
    word: Word,
) -> Result<Begun, S::Error> {
    let found = slot.generation()?;
    if found == generation {
        return Ok(Begun::Reads(word));
    }
    if found == deciding(generation) {
        return Ok(Begun::Undecided(word));
    }
    slot.say(reader, Word { reads: false, ..word })?;
    Ok(Begun::Gone)
}

/// A reader has read.
pub(crate) fn finish<S: Slot>(slot: &S, reader: u32, word: Word) -> Result<(), S::Error> {
    slot.say(reader, Word { reads: false, ..word })
}

/// The owner, which has dropped a block and given it to no process that has not come, ends its
/// generation if no process who lives reads it. Whether it has ended.
pub(crate) fn end<S: Slot>(slot: &S, generation: u32, lives: impl Fn(u32) -> bool) -> Result<bool, S::Error> {
    // Mostly there is one, and no process has to wait for that.
    if is_read(slot, generation, &lives)? {
        return Ok(false);
    }
    slot.set_generation(deciding(generation))?;
    slot.fence();
    let read = is_read(slot, generation, &lives)?;
    slot.set_generation(if read { generation } else { ended(generation) })?;
    Ok(!read)
}

/// How often a block was taken by those it was given to.
pub(crate) fn takes<S: Slot>(slot: &S, generation: u32) -> Result<u32, S::Error> {
    (0..slot.readers()).map(|reader| Ok(u32::from(slot.word(reader)?.of(generation).takes))).sum()
}

/// Whether a process that lives reads a block.
fn is_read<S: Slot>(slot: &S, generation: u32, lives: impl Fn(u32) -> bool) -> Result<bool, S::Error> {
    for reader in 0..slot.readers() {
        // The mark of a process that died is free, or another's, who cannot have begun to read what
        // had ended before it came.
        if slot.word(reader)?.of(generation).reads && lives(reader) {
            return Ok(true);
        }
    }
    Ok(false)
}
