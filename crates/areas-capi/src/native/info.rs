//! The description of an area.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_char, c_int, c_void};

use areas::registry::Info;
use areas::{Extent, Note, Result};

use super::area::{Any, Handle, each, look};
use super::errors::status;
use super::notes::AREAS_LONGEST_NOTE;
use super::placement::Placed;
use super::sized::{Versioned, room};
use super::words::{self, AREAS_FROZEN, AREAS_PRIVATE, AREAS_STORED};

/// What is known of an area at the moment of asking. Initialise with AREAS_INFO.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AreaInfo {
    /// sizeof(areas_info).
    pub struct_size: usize,
    /// Its id; 0 if it is not published.
    pub id: i32,
    /// The process that holds it.
    pub pid: u32,
    /// AREAS_SHARED or another kind. Whether another process's area is frozen is not looked at: a
    /// clone of it knows.
    pub kind: u32,
    /// What its holder may do with it.
    pub protection: u32,
    /// AREAS_LOCK_NONE or another, as was asked. (munlock and munlockall undo it, and a forked
    /// child has none.)
    pub lock: u32,
    /// 0.
    pub reserved: u32,
    /// Bytes.
    pub size: usize,
    /// Bytes in whole pages.
    pub mapped: usize,
    /// Bytes of addresses that its holder has taken.
    pub reserve: usize,
    /// Up to how many bytes it was made to grow; 0 if it cannot.
    pub max: usize,
    /// Bytes of the pages that it is made of. (Transparent huge pages are found by measuring.)
    pub page_size: usize,
    /// Where it begins in its holder: meaningful there only.
    pub address: *mut c_void,
    /// Its placement. For an area of this process (areas_look) it is the kernel's: another process
    /// may have changed it.
    pub placement: Placed,
    /// Nanoseconds since boot at which it was published; 0 if it is not.
    pub created: u64,
    /// The device of its memory object. Areas over the same memory have the same two numbers; 0 if
    /// it is not published.
    pub device: u64,
    /// The inode of its memory object, or the physical address of reserved memory.
    pub inode: u64,
    /// Its name, ended by NUL; empty if it has none.
    pub name: [c_char; 256],
    /// The command name of its holder, ended by NUL; empty where it cannot be read.
    pub command: [c_char; 64],
    /// How many bytes its holder has noted beside it; 0 is nothing.
    pub note_size: usize,
    /// These bytes: its holder's word, unchecked.
    pub note: [u8; AREAS_LONGEST_NOTE],
    /// 1 if its memory is retired (areas_retire): its holders keep it, and no other process gets
    /// it. 0 for one that is not published.
    pub retired: u32,
    /// 0.
    pub reserved2: u32,
}

// SAFETY: numbers and addresses, the first a `usize`.
unsafe impl Versioned for AreaInfo {
    const NAME: &'static str = "areas_info";
    const FIRST: usize = 568;
}

/// Bytes as a field of fixed length: cut, and ended by NUL.
fn field<const N: usize>(bytes: &[u8]) -> [c_char; N] {
    let mut field = [0; N];
    for (to, &byte) in field[..N - 1].iter_mut().zip(bytes) {
        // Signed on some machines, unsigned on others.
        *to = c_char::from_ne_bytes([byte]);
    }
    field
}

fn note_field(note: &Note) -> [u8; AREAS_LONGEST_NOTE] {
    let mut field = [0; AREAS_LONGEST_NOTE];
    for (to, &byte) in field.iter_mut().zip(note.as_bytes()) {
        *to = byte;
    }
    field
}

impl AreaInfo {
    /// The registry's description.
    pub(super) fn of(info: &Info) -> Self {
        let (kind, max) = words::extent(info.extent);
        AreaInfo {
            struct_size: 0,
            id: info.id.get(),
            pid: info.pid,
            kind,
            protection: words::protection_number(info.protection),
            lock: words::lock_number(info.lock),
            reserved: 0,
            size: info.size,
            mapped: info.mapped,
            reserve: info.reserve,
            max,
            page_size: info.page_size.bytes(),
            address: std::ptr::without_provenance_mut(info.address),
            placement: Placed::of(info.placement),
            created: info.created_since_boot,
            device: info.object.0,
            inode: info.object.1,
            name: field(info.name.as_bytes()),
            command: field(info.command().as_deref().unwrap_or_default().as_bytes()),
            note_size: info.note.as_bytes().len(),
            note: note_field(&info.note),
            retired: info.retired.into(),
            reserved2: 0,
        }
    }

    /// The description of an area of this process.
    fn own(area: &Any) -> Result<Self> {
        let id = each!(area, area => area.id());
        let extent = match area {
            Any::Shared(area) => area.object().extent(),
            Any::Resizable(area) => area.object_to_ask().extent(),
            Any::Private(_) | Any::Frozen(_) | Any::Stored(_) => Extent::Fixed,
        };
        let (kind, max) = words::extent(extent);
        let frozen = match area {
            Any::Shared(area) => area.object().is_frozen()?,
            Any::Resizable(area) => area.object_to_ask().is_frozen()?,
            Any::Private(_) | Any::Frozen(_) | Any::Stored(_) => false,
        };
        let kind = match area {
            Any::Private(_) => AREAS_PRIVATE,
            Any::Frozen(_) => AREAS_FROZEN,
            Any::Stored(_) => AREAS_STORED,
            _ if frozen => AREAS_FROZEN,
            _ => kind,
        };
        if let Some(id) = id {
            // Placements that others changed are not in our table.
            let placement = Placed::of(each!(area, area => area.placement()));
            return Ok(AreaInfo { kind, placement, ..AreaInfo::of(&areas::registry::get(id)?.info()?) });
        }
        Ok(each!(area, area => AreaInfo {
            struct_size: 0,
            id: 0,
            pid: std::process::id(),
            kind,
            protection: words::protection_number(area.protection()),
            lock: words::lock_number(area.lock()),
            reserved: 0,
            size: area.size(),
            mapped: area.mapped(),
            reserve: area.reserve(),
            max,
            page_size: area.granted().page_size().bytes(),
            address: area.as_ptr().cast(),
            placement: Placed::of(area.placement()),
            created: 0,
            device: 0,
            inode: 0,
            name: field(area.name().map(areas::Name::as_bytes).unwrap_or_default()),
            command: [0; 64],
            note_size: area.note().as_bytes().len(),
            note: note_field(area.note()),
            retired: 0,
            reserved2: 0,
        }))
    }
}

/// Describes an area of this process, published or not.
///
/// AREAS_ERROR_INVALID_INPUT for NULL and for a structure that was not begun with AREAS_INFO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_look(area: Option<&Handle>, info: *mut AreaInfo) -> c_int {
    status(|| {
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let room = unsafe { room(info) }?;
        let reported = AreaInfo::own(look(area, "look at an area")?)?;
        // SAFETY: C's structure is the one that `room` looked at, and stays writable until this
        // call returns.
        unsafe { room.fill(&reported) };
        Ok(())
    })
}
