//! A record: what a team publishes of one area, in bytes that no reader has to trust.

use std::ops::{Deref, Range};

use super::id::AreaId;
pub(crate) use super::layout::RECORD_BYTES;
use super::layout::{FIRST_BYTES, REST_BYTES, hash_of, short};
use super::name::Name;
use super::note::Note;
use crate::lock::Lock;
use crate::nodes::{CompactPlacement, Node, NodeSet, Placement, Policy};
use crate::object::{Extent, Piece};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::sys;
use crate::sys::file::Identity;

/// Offsets in a record.
pub(super) mod field {
    pub(in super::super) const GENERATION: usize = 0;
    pub(in super::super) const ID: usize = 8;
    pub(in super::super) const DESCRIPTOR: usize = 12;
    /// Of the name: its owner's.
    pub(in super::super) const HASH: usize = 16;
    /// In which record's second part its note is, + 1; 0 if it has none. It may change.
    pub(in super::super) const NOTE: usize = 20;
    pub(in super::super) const CREATED: usize = 24;
    pub(in super::super) const DEVICE: usize = 32;
    pub(in super::super) const INODE: usize = 40;
    pub(in super::super) const ADDRESS: usize = 48;
    pub(in super::super) const SPAN: usize = 56;
    pub(in super::super) const MAX: usize = 64;
    pub(in super::super) const EXACT: usize = 72;
    /// The one byte that may change.
    pub(in super::super) const PROTECTION: usize = 80;
    /// 0: fixed, 1: growable, 2: resizable, 3: physical memory, which begins at `MAX` and has
    /// `EXACT` - 1 bytes. Parts of an object, which begin at its byte `MAX` and have as many as
    /// `SPAN` says: 4: fixed, 5: growable or 6: resizable up to its end, 7: resizable, with more of
    /// the object behind.
    pub(in super::super) const EXTENT: usize = 81;
    /// The home node + 1, or 0.
    pub(in super::super) const HOME: usize = 82;
    /// And whether the name is only claimed ([`CLAIMING`]): this may change.
    pub(in super::super) const LOCK: usize = 84;
    pub(in super::super) const CLAIMING: u8 = 0x80;
    pub(in super::super) const PAGE: usize = 85;
    /// The kernel's number, and [`BALANCED`].
    pub(in super::super) const POLICY: usize = 86;
    /// Set in the byte of the policy if it is balanced.
    pub(in super::super) const BALANCED: u8 = 0x80;
    pub(in super::super) const NAME_LEN: usize = 87;
    pub(in super::super) const NEXT_OF_NAME: usize = 88;
    pub(in super::super) const LAST_OF_NAME: usize = 92;
    /// Nodes 0 to 63.
    pub(in super::super) const NODES: usize = 96;
    /// 1 if the second part says something; 0 if all of it is in the first.
    pub(in super::super) const HAS_REST: usize = 104;
    /// Begins in the first part, and goes on in the second.
    pub(in super::super) const NAME: usize = 105;
    /// Nodes from 64 on, in the second part.
    pub(in super::super) const MORE_NODES: usize = NAME + super::Name::MAX;
    /// What of a name is in the first part.
    pub(in super::super) const NAME_IN_FIRST: usize = super::FIRST_BYTES - NAME;
}

const _: () = assert!(field::MORE_NODES + 15 * size_of::<u64>() == RECORD_BYTES);

/// A second part that has a note: its length, and the note.
pub(super) const NOTE_AT: usize = size_of::<u32>();
const _: () = assert!(NOTE_AT + Note::MAX <= REST_BYTES);

/// What an area says of itself when it is published: all that another process needs to know to
/// describe and to map it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) name: Name,
    /// The number of the object's descriptor in the owner.
    pub(crate) descriptor: i32,
    pub(crate) object: Identity,
    /// Where it is mapped in the owner, and how many bytes of addresses that takes.
    pub(crate) address: u64,
    pub(crate) span: u64,
    pub(crate) extent: Extent,
    /// Which part of the object it is.
    pub(crate) piece: Piece,
    /// The exact bytes asked, where the object's size is rounded to huge pages.
    pub(crate) exact: Option<u64>,
    /// Which bytes of `/dev/mem` are the object, if it is physical memory.
    pub(crate) physical: Option<Range<u64>>,
    pub(crate) protection: Protection,
    pub(crate) lock: Lock,
    pub(crate) page: PageSize,
    pub(crate) placement: CompactPlacement,
    /// What its holder has noted beside it.
    pub(crate) note: Note,
    /// Whether it is only claimed: no process finds it yet (`state/exclusive.rs`).
    pub(crate) claiming: bool,
}

/// A published area: what it says of itself, and what its team adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: AreaId,
    /// When it was published: nanoseconds since boot.
    pub(crate) created: u64,
    pub(crate) area: Announcement,
}

impl Deref for Record {
    type Target = Announcement;

    fn deref(&self) -> &Announcement {
        &self.area
    }
}

impl Record {
    /// The same bytes as in a table, for a message: all but the note.
    pub(crate) fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        encode(self.id, self.created, &self.area, hash_of(self.name.as_bytes()))
    }

    /// What such bytes say; `None` for what no team of ours writes.
    pub(crate) fn from_bytes(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        decode(bytes)
    }

    /// What "oldest" means: the smallest.
    pub(crate) fn age(&self) -> (u64, AreaId) {
        (self.created, self.id)
    }
}

pub(super) fn u32_of(bytes: &[u8; RECORD_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default())
}

pub(super) fn u64_of(bytes: &[u8; RECORD_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default())
}

pub(super) fn encode(id: AreaId, created: u64, area: &Announcement, hash: u64) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    let name = area.name.as_bytes();
    let whole = area.piece.is_whole();
    let (extent, max, exact) = match (area.extent, &area.physical) {
        (Extent::Fixed, Some(range)) => (3, range.start, Some(range.end - range.start)),
        (Extent::Fixed, None) if !whole => (4, area.piece.first, None),
        (Extent::Growable { .. }, _) if !whole => (5, area.piece.first, None),
        (Extent::Resizable { .. }, _) if !whole => {
            (6 + u8::from(area.piece.limit.is_some()), area.piece.first, None)
        }
        (Extent::Fixed, None) => (0, 0, area.exact),
        (Extent::Growable { max }, _) => (1, max as u64, area.exact),
        (Extent::Resizable { max }, _) => (2, max as u64, area.exact),
    };
    put(field::ID, &id.get().to_le_bytes());
    put(field::DESCRIPTOR, &area.descriptor.to_le_bytes());
    put(field::HASH, &short(hash).to_le_bytes());
    put(field::CREATED, &created.to_le_bytes());
    put(field::DEVICE, &area.object.device.to_le_bytes());
    put(field::INODE, &area.object.inode.to_le_bytes());
    put(field::ADDRESS, &area.address.to_le_bytes());
    put(field::SPAN, &area.span.to_le_bytes());
    put(field::MAX, &max.to_le_bytes());
    put(field::EXACT, &exact.map_or(0, |exact| exact + 1).to_le_bytes());
    put(field::PROTECTION, &[area.protection.bits()]);
    put(field::EXTENT, &[extent]);
    put(field::LOCK, &[area.lock.number() | if area.claiming { field::CLAIMING } else { 0 }]);
    put(field::PAGE, &[area.page.log2()]);
    #[expect(clippy::cast_possible_truncation, reason = "a name has at most 255 bytes")]
    put(field::NAME_LEN, &[name.len() as u8]);
    let more = match area.placement.is_default() {
        true => {
            put(field::POLICY, &[sys::policy::number_of(&Policy::Default)]);
            false
        }
        false => put_placement(&area.placement.whole(), &mut put),
    };
    put(field::HAS_REST, &[u8::from(more || name.len() > field::NAME_IN_FIRST)]);
    put(field::NAME, name);
    bytes
}

/// Puts a placement in its place. Whether it names nodes that are in the second part.
fn put_placement(placement: &Placement, put: &mut impl FnMut(usize, &[u8])) -> bool {
    let home = placement.home_node().map_or(0, |node| node.get() + 1);
    put(field::HOME, &home.to_le_bytes()[..2]);
    let balanced = if placement.is_balanced() { field::BALANCED } else { 0 };
    put(field::POLICY, &[sys::policy::number_of(placement.policy_ref()) | balanced]);
    let nodes = placement.policy_ref().nodes().unwrap_or(NodeSet::EMPTY);
    put(field::NODES, &nodes.words()[0].to_le_bytes());
    let more = nodes.first_word().is_none();
    if more {
        for (i, word) in nodes.words()[1..].iter().enumerate() {
            put(field::MORE_NODES + i * 8, &word.to_le_bytes());
        }
    }
    more
}

/// Whether a record has a second part. (Any other byte is no owner's of ours, and `decode` says
/// so.)
pub(super) fn has_rest(bytes: &[u8]) -> bool {
    bytes[field::HAS_REST] != 0
}

/// Which part of an object begins at a byte of it; `None` for one that no owner of ours has: in
/// whole pages, inside of what a file can have, and less than all.
fn piece_of(kind: u8, first: u64, span: u64, page: PageSize) -> Option<Piece> {
    let page = page.bytes() as u64;
    let end = first.checked_add(span).filter(|&end| i64::try_from(end).is_ok())?;
    // What goes up to the end lacks something before it.
    let lacks_its_head = first > 0 || matches!(kind, 4 | 7);
    let limit = matches!(kind, 4 | 7).then_some(span);
    (span > 0 && lacks_its_head && first.is_multiple_of(page) && end.is_multiple_of(page))
        .then_some(Piece { first, limit })
}

/// The extent that a kind of record stands for; `None` for a kind or a maximum that no owner
/// writes. A part of an object may take up as much as it spans.
#[inline]
fn extent_of(kind: u8, max: usize, span: usize, page: PageSize) -> Option<Extent> {
    match kind {
        4 => Some(Extent::Fixed),
        5 => Some(Extent::Growable { max: span }),
        6 | 7 => Some(Extent::Resizable { max: span }),
        3 if page == PageSize::base() => Some(Extent::Fixed),
        0 if max == 0 => Some(Extent::Fixed),
        1 if max != 0 && max.is_multiple_of(page.bytes()) => Some(Extent::Growable { max }),
        2 if max != 0 && max.is_multiple_of(page.bytes()) => Some(Extent::Resizable { max }),
        _ => None,
    }
}

/// The placement in a record whose name is so long. Nodes from 64 on are in the second part, as is
/// what does not fit of the name.
#[inline]
fn placement_of(bytes: &[u8; RECORD_BYTES], name_len: usize) -> Option<Placement> {
    let mut words = [0; 16];
    words[0] = u64_of(bytes, field::NODES);
    match bytes[field::HAS_REST] {
        0 if name_len <= field::NAME_IN_FIRST => {}
        1 => {
            for (i, word) in words[1..].iter_mut().enumerate() {
                *word = u64_of(bytes, field::MORE_NODES + i * 8);
            }
        }
        _ => return None,
    }
    let number = u32::from(bytes[field::POLICY] & !field::BALANCED);
    let mut placement = Placement::new(sys::policy::from_number(number, NodeSet::from_words(words))?);
    if bytes[field::POLICY] & field::BALANCED != 0 {
        placement = placement.balanced();
    }
    let home = u32::from(u16::from_le_bytes([bytes[field::HOME], bytes[field::HOME + 1]]));
    match home.checked_sub(1) {
        Some(home) => Some(placement.home(Node::new(home).ok()?)),
        None => Some(placement),
    }
}

/// `None` for what no owner of ours writes. The note is elsewhere. Of a record without a second
/// part, what is in place of that is not looked at.
pub(super) fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Record> {
    let len = usize::from(bytes[field::NAME_LEN]);
    let placement = placement_of(bytes, len)?;
    let page = PageSize::from_log2(bytes[field::PAGE])?;
    let max = usize::try_from(u64_of(bytes, field::MAX)).ok()?;
    let exact = u64_of(bytes, field::EXACT).checked_sub(1);
    let (exact, physical) = match bytes[field::EXTENT] {
        3 => (None, Some(max as u64..(max as u64).checked_add(exact?)?)),
        _ => (exact, None),
    };
    let (address, span) = (u64_of(bytes, field::ADDRESS), u64_of(bytes, field::SPAN));
    let kind = bytes[field::EXTENT];
    let piece = match kind {
        4..=7 => piece_of(kind, max as u64, span, page)?,
        _ => Piece::WHOLE,
    };
    let extent = extent_of(kind, max, usize::try_from(span).ok()?, page)?;
    let area = Announcement {
        name: Name::from_table(bytes.get(field::NAME..field::NAME + len)?)?,
        descriptor: u32_of(bytes, field::DESCRIPTOR).cast_signed(),
        object: Identity { device: u64_of(bytes, field::DEVICE), inode: u64_of(bytes, field::INODE) },
        address,
        span,
        extent,
        piece,
        exact: exact.filter(|_| piece.is_whole()),
        physical,
        protection: Protection::from_bits(bytes[field::PROTECTION])?,
        lock: Lock::from_number(bytes[field::LOCK] & !field::CLAIMING)?,
        claiming: bytes[field::LOCK] & field::CLAIMING != 0,
        page,
        placement: placement.into(),
        note: Note::default(),
    };
    let id = AreaId::new(u32_of(bytes, field::ID).cast_signed()).ok()?;
    Some(Record { id, created: u64_of(bytes, field::CREATED), area })
}
